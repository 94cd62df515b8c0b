/**
 * What `docker save` and `podman save` write: manifest.json names a config and the layers' tar files. There is no manifest
 * with digests in it, so one is made: of OCI's types, over the config as it is, so that the image ID stays.
 */
import * as path from "node:path";
import {
  type ByteStream,
  collect,
  createHasher,
  decompress,
  detectCompression,
  hashHex,
  limits,
  parseJson,
  quoted,
  type TarEntry,
  type TarFile,
  VitrineError,
} from "../base/mod.ts";
import {
  type Descriptor,
  type Digest,
  type DocumentKind,
  encodeManifest,
  Field,
  formatDigest,
  mediaTypes,
  parseImageConfig,
} from "../oci/mod.ts";
import { type RawContent, sourceOf } from "./content.ts";
import type { ImageSource } from "./source.ts";

interface SavedImage {
  readonly config: string;
  readonly repoTags: readonly string[];
  readonly layers: readonly string[];
}

const manifestJson: DocumentKind = {
  name: "manifest.json",
  code: "docker-archive-invalid",
  errorKind: "invalid",
};

function parseManifestJson(bytes: Uint8Array): readonly SavedImage[] {
  const value = parseJson(bytes, { maxBytes: limits.layoutIndexBytes, name: "manifest.json" });
  return Field.root(manifestJson, value).array((image) => ({
    config: image.at("Config").filled(),
    repoTags: image.at("RepoTags").optional((tags) => tags.strings()) ?? [],
    layers:
      image
        .at("Layers")
        .optional((layers) => layers.array((layer) => layer.filled(), limits.layersPerImage)) ?? [],
  }));
}

/** Config digest → names, for archives whose config paths are digests. */
export function readRepoTags(bytes: Uint8Array): ReadonlyMap<Digest, readonly string[]> {
  const tags = new Map<Digest, readonly string[]>();
  for (const { config, repoTags } of parseManifestJson(bytes)) {
    const hex = /([a-f0-9]{64})(?:\.json)?$/.exec(config)?.[1];
    if (hex !== undefined) tags.set(formatDigest("sha256", hex), repoTags);
  }
  return tags;
}

/**
 * The images of an archive. Errors: `docker-archive-invalid`, `docker-archive-missing-member`, those of
 * `parseImageConfig`.
 */
export async function openDockerArchive(tar: TarFile, manifest: Uint8Array): Promise<readonly ImageSource[]> {
  const members = new Map<Digest, () => ByteStream>();
  const documents = new Map<Digest, Uint8Array>();
  const content: RawContent = {
    has: (digest) => documents.has(digest) || members.has(digest),
    openUnverified: (digest) => {
      const document = documents.get(digest);
      return document === undefined ? members.get(digest)?.() : oneChunk(document);
    },
  };
  const keep = (bytes: Uint8Array, mediaType: string): Descriptor => {
    const digest = formatDigest("sha256", hashHex("sha256", bytes));
    documents.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };

  const images = new Map<Digest, { root: Descriptor; names: string[] }>();
  for (const saved of parseManifestJson(manifest)) {
    const configBytes = await collect(
      tar.read(findMember(tar, saved.config)),
      limits.configBytes,
      saved.config,
    );
    const { config } = parseImageConfig(configBytes);
    const diffIDs = config.rootfs.diff_ids;
    if (diffIDs.length !== saved.layers.length) {
      throw new VitrineError(
        "corrupt",
        `manifest.json lists ${saved.layers.length} layers, the config ${diffIDs.length}`,
        { code: "layer-count-mismatch", operand: saved.config },
      );
    }
    const layers: Descriptor[] = [];
    for (const [at, layer] of saved.layers.entries()) {
      const { descriptor, open } = await describeLayer(tar, findMember(tar, layer), diffIDs[at]!);
      members.set(descriptor.digest, open);
      layers.push(descriptor);
    }
    const root = keep(
      encodeManifest({
        schemaVersion: 2,
        mediaType: mediaTypes.manifest,
        config: keep(configBytes, mediaTypes.config),
        layers,
      }),
      mediaTypes.manifest,
    );
    const image = images.get(root.digest) ?? { root, names: [] };
    images.set(root.digest, image);
    image.names.push(...saved.repoTags.filter((tag) => !image.names.includes(tag)));
  }
  return [...images.values()].map(({ root, names }) => sourceOf(content, root, names));
}

async function* oneChunk(bytes: Uint8Array): ByteStream {
  yield bytes;
}

/** Links between members: a few in real archives, `../ID/layer.tar`. */
const longestLinkChain = 16;

/** The file a path of manifest.json means; links stay inside the archive because only its own members are looked up. */
function findMember(tar: TarFile, name: string): TarEntry {
  let wanted = name;
  for (let hops = 0; hops < longestLinkChain; hops++) {
    const entry = tar.find(wanted);
    if (entry?.type === "file") return entry;
    if (entry?.type === "symlink") wanted = path.posix.join(path.posix.dirname(wanted), entry.linkTarget);
    else if (entry?.type === "hardlink") wanted = entry.linkTarget;
    else break;
  }
  throw new VitrineError("corrupt", `manifest.json names ${quoted(name)}, which the archive does not have`, {
    code: "docker-archive-missing-member",
    operand: name,
    hint: "the archive is truncated or was edited: save the image again",
  });
}

interface ArchivedLayer {
  readonly descriptor: Descriptor;
  readonly open: () => ByteStream;
}

/** A plain layer is what its diffID says. A compressed one must be read once for its digest. */
async function describeLayer(tar: TarFile, entry: TarEntry, diffID: Digest): Promise<ArchivedLayer> {
  const compression = detectCompression(await readStart(tar.read(entry)));
  switch (compression) {
    case "none":
      return {
        descriptor: { mediaType: mediaTypes.layer, digest: diffID, size: entry.size },
        open: () => tar.read(entry),
      };
    case "gzip":
    case "zstd":
      return {
        descriptor: {
          mediaType: compression === "gzip" ? mediaTypes.layerGzip : mediaTypes.layerZstd,
          digest: formatDigest("sha256", await hashOf(tar.read(entry))),
          size: entry.size,
        },
        open: () => tar.read(entry),
      };
    default: {
      // No media type exists for these: the image gets the plain layer.
      const open = (): ByteStream => inflated(tar.read(entry));
      let size = 0;
      for await (const chunk of open()) size += chunk.length;
      return { descriptor: { mediaType: mediaTypes.layer, digest: diffID, size }, open };
    }
  }
}

async function* inflated(source: ByteStream): ByteStream {
  yield* (await decompress(source)).stream;
}

async function readStart(stream: ByteStream): Promise<Uint8Array> {
  for await (const chunk of stream) if (chunk.length > 0) return chunk.subarray(0, 16);
  return new Uint8Array(0);
}

async function hashOf(stream: ByteStream): Promise<string> {
  const hasher = createHasher("sha256");
  for await (const chunk of stream) hasher.update(chunk);
  return hasher.hex();
}
