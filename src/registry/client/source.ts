/** An image of a registry as a source: manifests by digest, blobs as streams, all verified. */

import { collect, limits, VitrineError } from "../../base/mod.ts";
import { checkDocumentSize, formatReference, type ImageReference } from "../../image/mod.ts";
import { type Descriptor, isIndexMediaType, isManifestMediaType } from "../../oci/mod.ts";
import type { FetchedManifest, RegistrySource, Repository } from "./types.ts";

/** Documents that are kept, so that a walk and a copy after it ask once. */
const keptBytes = 32 * 1024 * 1024;

export function registrySource(
  reference: ImageReference,
  repository: Repository,
  root: FetchedManifest,
): RegistrySource {
  const documents = new Map<string, Uint8Array>([[root.descriptor.digest, root.parsed.bytes]]);
  let kept = root.parsed.bytes.length;
  const fetchDocument = async (descriptor: Descriptor): Promise<Uint8Array> => {
    if (isDocument(descriptor)) {
      const { parsed } = await repository.getManifest(descriptor.digest);
      return parsed.bytes;
    }
    return collect(repository.openBlob(descriptor), limits.configBytes, descriptor.digest);
  };
  const readDocument = async (descriptor: Descriptor): Promise<Uint8Array> => {
    checkDocumentSize(descriptor);
    const known = documents.get(descriptor.digest);
    if (known !== undefined) return known;
    const bytes = await fetchDocument(descriptor);
    requireSize(descriptor, bytes);
    if (kept + bytes.length <= keptBytes) {
      documents.set(descriptor.digest, bytes);
      kept += bytes.length;
    }
    return bytes;
  };
  return {
    reference,
    repository,
    root: root.descriptor,
    names: [formatReference(reference)],
    has: () => true,
    readDocument,
    async *openBlob(descriptor) {
      // Registries keep manifests apart from blobs.
      if (documents.has(descriptor.digest) || isDocument(descriptor)) yield await readDocument(descriptor);
      else yield* repository.openBlob(descriptor);
    },
    async *openUnverifiedBlobFrom(descriptor, start) {
      if (documents.has(descriptor.digest) || isDocument(descriptor)) {
        yield (await readDocument(descriptor)).subarray(start);
      } else yield* repository.openUnverifiedBlobFrom(descriptor, start);
    },
  };
}

function isDocument({ mediaType }: Descriptor): boolean {
  return isManifestMediaType(mediaType) || isIndexMediaType(mediaType);
}

/** A manifest's digest was verified when it came; its size is the descriptor's word. */
function requireSize(descriptor: Descriptor, bytes: Uint8Array): void {
  if (bytes.length === descriptor.size) return;
  throw new VitrineError("corrupt", `content has ${bytes.length} bytes, expected ${descriptor.size}`, {
    code: "content-size-mismatch",
    operand: descriptor.digest,
  });
}
