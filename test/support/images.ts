/** Images made in memory, for unit and integration tests. */
import { compress, hashHex, type TarInput, writeTar } from "../../src/base/mod.ts";
import { type ImageSource, memoryContent, sourceOf } from "../../src/image/mod.ts";
import {
  type Descriptor,
  type Digest,
  encodeImageConfig,
  encodeIndex,
  encodeManifest,
  formatDigest,
  type ImageConfig,
  mediaTypes,
  type Platform,
} from "../../src/oci/mod.ts";

export interface MadeImage {
  readonly source: ImageSource;
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly diffIDs: readonly Digest[];
}

export interface MakeOptions {
  readonly names?: readonly string[];
  readonly compression?: "none" | "gzip" | "zstd";
  readonly platform?: Platform;
  readonly config?: Partial<ImageConfig>;
}

const layerTypes = { none: mediaTypes.layer, gzip: mediaTypes.layerGzip, zstd: mediaTypes.layerZstd };

/** An image with one layer for each list of tar members. */
export async function makeImage(
  layers: readonly (readonly TarInput[])[],
  options: MakeOptions = {},
): Promise<MadeImage> {
  const { names = [], compression = "none", platform = { architecture: "amd64", os: "linux" } } = options;
  const blobs = new Map<Digest, Uint8Array>();
  const keep = (bytes: Uint8Array, mediaType: string): Descriptor => {
    const digest = digestOf(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const diffIDs: Digest[] = [];
  const descriptors: Descriptor[] = [];
  for (const members of layers) {
    const tar = await join(writeTar(members));
    diffIDs.push(digestOf(tar));
    descriptors.push(keep(await join(compress(chunks(tar), compression)), layerTypes[compression]));
  }
  const config = keep(
    encodeImageConfig({ ...platform, rootfs: { type: "layers", diff_ids: diffIDs }, ...options.config }),
    mediaTypes.config,
  );
  const manifest = keep(
    encodeManifest({ schemaVersion: 2, mediaType: mediaTypes.manifest, config, layers: descriptors }),
    mediaTypes.manifest,
  );
  return { source: sourceOf(memoryContent(blobs), manifest, names), blobs, manifest, config, diffIDs };
}

/** An index over images; `absent` are named in it but not there. */
export function makeIndex(
  parts: readonly { readonly image: MadeImage; readonly platform?: Platform }[],
  names: readonly string[] = [],
  absent: readonly Descriptor[] = [],
): ImageSource {
  const blobs = new Map(parts.flatMap(({ image }) => [...image.blobs]));
  const manifests = parts.map(({ image, platform }) =>
    platform === undefined ? image.manifest : { ...image.manifest, platform },
  );
  const bytes = encodeIndex({
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: [...manifests, ...absent],
  });
  const root = { mediaType: mediaTypes.index, digest: digestOf(bytes), size: bytes.length };
  blobs.set(root.digest, bytes);
  return sourceOf(memoryContent(blobs), root, names);
}

export function digestOf(bytes: Uint8Array): Digest {
  return formatDigest("sha256", hashHex("sha256", bytes));
}

export async function join(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of stream) parts.push(chunk);
  return Buffer.concat(parts);
}

export async function* chunks(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

export const text = (path: string, body: string): TarInput => ({
  path,
  type: "file",
  body: Buffer.from(body),
});
