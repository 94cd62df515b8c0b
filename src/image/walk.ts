/** What is derived from a source: its documents, parsed, and everything its root leads to. */

import { VitrineError } from "../base/mod.ts";
import {
  type Descriptor,
  type Digest,
  type ImageConfig,
  isIndexMediaType,
  isManifestMediaType,
  type ParsedIndex,
  type ParsedManifest,
  parseImageConfig,
  parseManifestOrIndex,
  requireSameLayers,
} from "../oci/mod.ts";
import type { ImageSource } from "./source.ts";

/** A manifest of the source, and the config when it is a container image's. */
export interface WalkedManifest {
  readonly descriptor: Descriptor;
  readonly parsed: ParsedManifest;
}

export interface WalkedIndex {
  readonly descriptor: Descriptor;
  readonly parsed: ParsedIndex;
}

/** Everything under a root that the source has. */
export interface Walk {
  /** Configs and layers, each digest once, in the order of the manifests. */
  readonly blobs: readonly Descriptor[];
  /** In the order of the index; those it names but the source has not are left out. */
  readonly manifests: readonly WalkedManifest[];
  /** Inner ones first, the root (when it is an index) last. */
  readonly indexes: readonly WalkedIndex[];
  /** Entries of indexes that are no manifest or index: kept as blobs in `blobs` when there, listed here when not. */
  readonly missing: readonly Descriptor[];
}

/** An index in an index in an index: the spec allows any depth, nobody needs more. */
const deepestIndex = 4;

/**
 * Reads all documents under the root of `source`. Errors: those of the parsers and of the source;
 * `index-too-deep`; `index-without-images` when the source has none of the manifests an index names.
 */
export async function walkImage(source: ImageSource): Promise<Walk> {
  const blobs = new Map<string, Descriptor>();
  const manifests = new Map<string, WalkedManifest>();
  const indexes = new Map<string, WalkedIndex>();
  const missing: Descriptor[] = [];

  const visit = async (descriptor: Descriptor, depth: number): Promise<void> => {
    if (manifests.has(descriptor.digest) || indexes.has(descriptor.digest)) return;
    const bytes = await source.readDocument(descriptor);
    const parsed = parseManifestOrIndex(bytes, descriptor.mediaType);
    if (parsed.kind === "manifest") {
      manifests.set(descriptor.digest, { descriptor, parsed });
      for (const blob of [parsed.manifest.config, ...parsed.manifest.layers]) blobs.set(blob.digest, blob);
      return;
    }
    if (depth >= deepestIndex) {
      throw new VitrineError("invalid", `image indexes are nested more than ${deepestIndex} deep`, {
        code: "index-too-deep",
        operand: descriptor.digest,
      });
    }
    const before = manifests.size;
    for (const entry of parsed.index.manifests) {
      if (!source.has(entry)) missing.push(entry);
      else if (isManifestMediaType(entry.mediaType) || isIndexMediaType(entry.mediaType)) {
        await visit(entry, depth + 1);
      } else blobs.set(entry.digest, entry);
    }
    if (manifests.size === before && parsed.index.manifests.length > 0 && depth === 0) {
      throw new VitrineError("not-found", "none of the images that the index names is there", {
        code: "index-without-images",
        operand: descriptor.digest,
        hint: "the archive holds an index only: save the image again with a platform that is there",
      });
    }
    indexes.set(descriptor.digest, { descriptor, parsed });
  };

  await visit(source.root, 0);
  return {
    blobs: [...blobs.values()],
    manifests: [...manifests.values()],
    indexes: [...indexes.values()],
    missing,
  };
}

/** The config of a manifest, checked to have a diffID for every layer. */
export async function readConfig(
  source: ImageSource,
  manifest: ParsedManifest,
): Promise<{ readonly bytes: Uint8Array; readonly config: ImageConfig }> {
  const parsed = parseImageConfig(await source.readDocument(manifest.manifest.config));
  requireSameLayers(manifest.manifest, parsed.config);
  return parsed;
}

/** The config digest (image ID) of a root that is a manifest; undefined for an index. */
export async function readConfigDigest(source: ImageSource): Promise<Digest | undefined> {
  if (!isManifestMediaType(source.root.mediaType)) return undefined;
  const parsed = parseManifestOrIndex(await source.readDocument(source.root), source.root.mediaType);
  return parsed.kind === "manifest" ? parsed.manifest.config.digest : undefined;
}
