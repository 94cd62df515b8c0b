/** `load`, `pull` and `import` end here: source → store. */
import { VitrineError } from "../base/mod.ts";
import {
  blobMissing,
  formatReference,
  type ImageSource,
  parseReference,
  readConfig,
  type Walk,
  type WalkedManifest,
  walkImage,
} from "../image/mod.ts";
import { type Descriptor, type ImageConfig, isConfigMediaType, requireImage } from "../oci/mod.ts";
import { hasBlob, writeBlob } from "./blobs.ts";
import { collect } from "./collect.ts";
import { locked, type StoreContext } from "./context.ts";
import { readIndex, withNames, writeIndex } from "./index-file.ts";
import { withLease } from "./leases.ts";
import type { PutResult } from "./types.ts";

/**
 * Copies what the store lacks, children before parents, then names the root. Errors: those of the source; `not-an-image`,
 * `layer-media-type-unsupported`, `layer-count-mismatch`, `blob-missing`; `disk-full`, `store-read-only`.
 */
export async function putImage(
  context: StoreContext,
  source: ImageSource,
  names: readonly string[],
): Promise<PutResult> {
  const normalized = names.map((name) => formatReference(requireTag(name)));
  return withLease(
    context,
    () => collect(context),
    async () => {
      const walk = await walkImage(source);
      const images = await readImages(source, walk);
      for (const blob of walk.blobs) await copyBlob(context, source, blob);
      return await nameImage(context, source, walk, images, normalized);
    },
  );
}

/** A container image of a source. */
export interface WalkedImage extends WalkedManifest {
  readonly config: ImageConfig;
}

/** The images under a root, each with its config; artifacts beside them are left out. Errors: see `putImage`. */
export async function readImages(source: ImageSource, walk: Walk): Promise<readonly WalkedImage[]> {
  const images: WalkedImage[] = [];
  for (const manifest of walk.manifests) {
    const { manifest: content } = manifest.parsed;
    if (manifest.descriptor.digest === source.root.digest) requireImage(content);
    if (!isConfigMediaType(content.config.mediaType)) continue;
    const { config } = await readConfig(source, manifest.parsed);
    if (manifest.descriptor.platform?.os !== "unknown") images.push({ ...manifest, config });
  }
  return images;
}

/** The last step, once every blob is there: the documents, then the names. */
export async function nameImage(
  context: StoreContext,
  source: ImageSource,
  walk: Walk,
  images: readonly WalkedImage[],
  names: readonly string[],
  sync = true,
): Promise<PutResult> {
  for (const { descriptor, parsed } of [...walk.manifests, ...walk.indexes]) {
    await writeBlob(context, descriptor, oneChunk(parsed.bytes), sync);
  }
  const replaced = await locked(context, () => {
    const named = withNames(readIndex(context), source.root, names);
    writeIndex(context, named.entries);
    return named.replaced;
  });
  const ids = images.map(({ parsed }) => parsed.manifest.config.digest);
  return { root: source.root, ids, names, replaced };
}

async function copyBlob(context: StoreContext, source: ImageSource, blob: Descriptor): Promise<void> {
  if (!source.has(blob) && !hasBlob(context, blob)) throw blobMissing(blob);
  await writeBlob(context, blob, source.openBlob(blob));
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

/** A name of the store has a tag; a digest is no name that could be given. */
export function requireTag(name: string): ReturnType<typeof parseReference> {
  const reference = parseReference(name);
  if (reference.digest === undefined) return reference;
  if (reference.tag !== undefined)
    return { domain: reference.domain, path: reference.path, tag: reference.tag };
  throw new VitrineError("invalid", `a digest cannot be given as a name: ${name}`, {
    code: "name-has-digest",
    operand: name,
    hint: "give a name and a tag, such as app:1.0",
  });
}
