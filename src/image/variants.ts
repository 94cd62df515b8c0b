/** An index with further copies of its images, packed otherwise: readers that know the better packing choose it, others do not. */
import { VitrineError } from "../base/mod.ts";
import {
  type Descriptor,
  digestOf,
  encodeIndex,
  isIndexMediaType,
  mediaTypes,
  parseIndex,
} from "../oci/mod.ts";
import { memoryContent, sourceOf } from "./content.ts";
import { type Conversion, type Converted, convertImage } from "./convert.ts";
import type { ImageSource } from "./source.ts";

export type VariantCompression = "gzip" | "zstd" | "zstd:chunked";

/** By which podman and buildah know such an entry. */
const zstdAnnotation = "io.github.containers.compression.zstd";

/**
 * The entries stay as they are; those that another packing makes another image follow them, in its order.
 * Errors: `not-an-index`, those of `convertImage`.
 */
export async function withCompressions(
  source: ImageSource,
  compressions: readonly VariantCompression[],
  conversion: Pick<Conversion, "level">,
  temporaryDirectory: string,
): Promise<Converted> {
  if (!isIndexMediaType(source.root.mediaType)) {
    throw new VitrineError("invalid", "this is one image, not an index", {
      code: "not-an-index",
      operand: source.root.digest,
      hint: "make one of it with 'vitrine manifest create NAME IMAGE'",
    });
  }
  const made: Converted[] = [];
  const dispose = async (): Promise<void> => {
    for (const converted of made) await converted[Symbol.asyncDispose]();
  };
  try {
    const { index } = parseIndex(await source.readDocument(source.root), source.root.mediaType);
    const manifests: Descriptor[] = [...index.manifests];
    for (const compression of compressions) {
      const converted = await convertImage(source, { ...conversion, compression }, temporaryDirectory);
      made.push(converted);
      manifests.push(...(await fresh(converted.source, manifests, compression)));
    }
    if (manifests.length === index.manifests.length) {
      return { source, [Symbol.asyncDispose]: dispose };
    }
    const mediaType = index.mediaType ?? mediaTypes.index;
    const bytes = encodeIndex({ ...index, mediaType, manifests });
    const root: Descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
    const own = sourceOf(memoryContent(new Map([[root.digest, bytes]])), root, source.names);
    const sources = [own, ...made.map((converted) => converted.source), source];
    const from = (descriptor: Descriptor): ImageSource =>
      sources.find((one) => one.has(descriptor)) ?? source;
    return {
      source: {
        root,
        names: source.names,
        has: (descriptor) => from(descriptor).has(descriptor),
        readDocument: (descriptor) => from(descriptor).readDocument(descriptor),
        openBlob: (descriptor) => from(descriptor).openBlob(descriptor),
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function fresh(
  converted: ImageSource,
  before: readonly Descriptor[],
  compression: VariantCompression,
): Promise<readonly Descriptor[]> {
  const { root } = converted;
  const { index } = parseIndex(await converted.readDocument(root), root.mediaType);
  return index.manifests
    .filter(({ digest }) => !before.some((entry) => entry.digest === digest))
    .map((entry) =>
      compression === "gzip"
        ? entry
        : { ...entry, annotations: { ...entry.annotations, [zstdAnnotation]: "true" } },
    );
}
