/** From what a user typed to one image. On the hot path of `run`: no lock, and only the documents that are needed. */
import { quoted, VitrineError } from "../base/mod.ts";
import {
  formatReference,
  type ImageReference,
  imageIdPrefix,
  parseReference,
  platformNotFound,
  platformRank,
  rankManifests,
  repositoryName,
} from "../image/mod.ts";
import {
  type Descriptor,
  type Digest,
  isDigest,
  isIndexMediaType,
  isManifestMediaType,
  type ParsedIndex,
  type ParsedManifest,
  type Platform,
  parseImageConfig,
  parseManifestOrIndex,
  requireImage,
  requireSameLayers,
} from "../oci/mod.ts";
import { hasBlob, readDocument } from "./blobs.ts";
import type { StoreContext } from "./context.ts";
import { type IndexEntry, namesOf, readIndex, repositoryOf } from "./index-file.ts";
import type { StoredImage } from "./types.ts";

/** How a root was found: `rmi` treats a name otherwise than an ID. */
export interface Found {
  readonly root: Descriptor;
  readonly entries: readonly IndexEntry[];
  readonly by: "name" | "digest" | "id";
  /** The one manifest that was meant, where an ID or digest named one inside an index. */
  readonly manifest?: Digest;
  /** The name in index.json, when `by` is `name`. */
  readonly name?: string;
}

/**
 * Finds the root. A name goes before an ID prefix that is spelled the same, as in Docker.
 * Errors: `image-not-found`, `image-ambiguous`, those of `parseReference`.
 */
export function find(context: StoreContext, text: string): Found {
  const entries = readIndex(context);
  if (isDigest(text)) return findDigest(context, entries, text, undefined) ?? notFound(entries, text);
  const prefix = imageIdPrefix(text);
  const reference = parseUnlessId(text, prefix);
  if (reference?.digest !== undefined) {
    return findDigest(context, entries, reference.digest, reference) ?? notFound(entries, text);
  }
  if (reference !== undefined) {
    const name = formatReference(reference);
    const entry = entries.find((candidate) => candidate.name === name);
    if (entry !== undefined) return { root: entry.root, entries, by: "name", name };
  }
  const found = prefix === undefined ? undefined : findId(context, entries, prefix, text);
  return found ?? notFound(entries, text);
}

function parseUnlessId(text: string, prefix: string | undefined): ImageReference | undefined {
  if (prefix === undefined) return parseReference(text);
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}

/** `name@digest`: the digest decides, but under another repository it is another image to the user. */
function findDigest(
  context: StoreContext,
  entries: readonly IndexEntry[],
  digest: Digest,
  reference: ImageReference | undefined,
): Found | undefined {
  const suits = ({ name }: IndexEntry): boolean =>
    reference === undefined || name === undefined || repositoryOf(name) === repositoryName(reference);
  const direct = entries.find((entry) => entry.root.digest === digest && suits(entry));
  if (direct !== undefined) return { root: direct.root, entries, by: "digest" };
  for (const entry of distinctRoots(entries.filter(suits))) {
    for (const { descriptor, parsed } of manifestsUnder(context, entry.root)) {
      if (descriptor.digest === digest) {
        return { root: entry.root, entries, by: "digest", manifest: descriptor.digest };
      }
      if (reference === undefined && parsed.manifest.config.digest === digest) {
        return { root: entry.root, entries, by: "id", manifest: descriptor.digest };
      }
    }
  }
  return undefined;
}

function findId(
  context: StoreContext,
  entries: readonly IndexEntry[],
  prefix: string,
  text: string,
): Found | undefined {
  const found = new Map<string, Found>();
  for (const { root } of distinctRoots(entries)) {
    if (hexOf(root.digest).startsWith(prefix)) found.set(root.digest, { root, entries, by: "id" });
    for (const { descriptor, parsed } of manifestsUnder(context, root)) {
      const id = parsed.manifest.config.digest;
      const match: Found = { root, entries, by: "id", manifest: descriptor.digest };
      if (hexOf(id).startsWith(prefix)) found.set(id, found.get(id) ?? match);
      else if (hexOf(descriptor.digest).startsWith(prefix)) found.set(root.digest, match);
    }
  }
  if (found.size < 2) return [...found.values()][0];
  throw new VitrineError("invalid", `image ID ${text} is the beginning of ${found.size} images`, {
    code: "image-ambiguous",
    operand: text,
    hint: `give more of it: ${[...found.keys()].slice(0, 5).map(hexOf).join(", ")}`,
  });
}

function hexOf(digest: string): string {
  return digest.slice(digest.indexOf(":") + 1);
}

export function distinctRoots(entries: readonly IndexEntry[]): readonly IndexEntry[] {
  const seen = new Set<Digest>();
  return entries.filter(({ root }) => !seen.has(root.digest) && seen.add(root.digest));
}

function notFound(entries: readonly IndexEntry[], text: string): never {
  const wanted = /[^/@:]+(?=(?::[^/]*)?(?:@.*)?$)/.exec(text)?.[0] ?? text;
  const similar = entries.flatMap(({ name }) =>
    name !== undefined && repositoryOf(name).split("/").at(-1) === wanted ? [name] : [],
  );
  throw new VitrineError("not-found", `there is no image ${quoted(text)}`, {
    code: "image-not-found",
    operand: text,
    hint:
      similar.length > 0
        ? `there is ${similar.slice(0, 5).join(", ")}`
        : "vitrine images lists what there is; vitrine load takes an archive",
  });
}

export interface StoredManifest {
  readonly descriptor: Descriptor;
  readonly parsed: ParsedManifest;
}

/** The manifests under a root that are here. What is damaged is left out: a search must not fail on another image. */
export function manifestsUnder(context: StoreContext, root: Descriptor): readonly StoredManifest[] {
  const manifests: StoredManifest[] = [];
  const visit = (descriptor: Descriptor, depth: number): void => {
    if (!hasBlob(context, descriptor)) return;
    let parsed: ParsedManifest | ParsedIndex;
    try {
      parsed = parseManifestOrIndex(readDocument(context, descriptor), descriptor.mediaType);
    } catch {
      return;
    }
    if (parsed.kind === "manifest") manifests.push({ descriptor, parsed });
    else if (depth < deepestIndex) {
      for (const entry of parsed.index.manifests) {
        if (isManifestMediaType(entry.mediaType) || isIndexMediaType(entry.mediaType))
          visit(entry, depth + 1);
      }
    }
  };
  visit(root, 0);
  return manifests;
}

/** As deep as `walkImage` lets in. */
const deepestIndex = 4;

/**
 * Reads the image under a found root. `platform` undefined: this machine's, or what there is.
 * Errors: `platform-not-found`, `blob-missing`, `content-…-mismatch`, `not-an-image`, `layer-media-type-unsupported`.
 */
export function readImage(context: StoreContext, found: Found, platform: Platform | undefined): StoredImage {
  const descriptor = choose(context, found, platform);
  const parsed = parseManifestOrIndex(readDocument(context, descriptor), descriptor.mediaType);
  if (parsed.kind === "index") throw platformNotFound(platform ?? context.platform, []);
  const { manifest } = parsed;
  requireImage(manifest);
  const configBytes = readDocument(context, manifest.config);
  const { config } = parseImageConfig(configBytes);
  requireSameLayers(manifest, config);
  if (platform !== undefined && platformRank(platform, config) === undefined) {
    throw platformNotFound(platform, [config]);
  }
  return {
    id: manifest.config.digest,
    manifestDescriptor: descriptor,
    manifest,
    config,
    configBytes,
    root: found.root,
    layers: manifest.layers.map((layer, at) => ({ descriptor: layer, diffID: config.rootfs.diff_ids[at]! })),
    names: namesOf(found.entries, found.root.digest),
    size: manifest.layers.reduce((sum, { size }) => sum + size, descriptor.size + manifest.config.size),
  };
}

/** The manifest of a root: itself, the one that was named, or the best of an index whose blob is here. */
function choose(context: StoreContext, found: Found, platform: Platform | undefined): Descriptor {
  const { root, manifest } = found;
  if (!isIndexMediaType(root.mediaType)) return root;
  if (manifest !== undefined) {
    const named = manifestsUnder(context, root).find(({ descriptor }) => descriptor.digest === manifest);
    if (named !== undefined) return named.descriptor;
  }
  const wanted = platform ?? context.platform;
  const best = bestOf(context, root, wanted, 0);
  if (best !== undefined) return best;
  const there = manifestsUnder(context, root).filter(
    ({ descriptor }) => descriptor.platform?.os !== "unknown",
  );
  // Nobody asked for a platform: an image of another one can still be inspected, tagged and removed.
  if (platform === undefined && there[0] !== undefined) return there[0].descriptor;
  throw platformNotFound(
    wanted,
    there.flatMap(({ descriptor }) => descriptor.platform ?? []),
  );
}

function bestOf(
  context: StoreContext,
  root: Descriptor,
  wanted: Platform,
  depth: number,
): Descriptor | undefined {
  const parsed = parseManifestOrIndex(readDocument(context, root), root.mediaType);
  if (parsed.kind === "manifest") return root;
  for (const candidate of rankManifests(parsed.index, wanted)) {
    if (!hasBlob(context, candidate)) continue;
    if (isManifestMediaType(candidate.mediaType)) {
      if (candidate.platform !== undefined || runs(context, candidate, wanted)) return candidate;
    } else if (isIndexMediaType(candidate.mediaType) && depth < deepestIndex) {
      const inner = bestOf(context, candidate, wanted, depth + 1);
      if (inner !== undefined) return inner;
    }
  }
  return undefined;
}

/** An entry that names no platform: its config does. */
function runs(context: StoreContext, descriptor: Descriptor, wanted: Platform): boolean {
  const parsed = parseManifestOrIndex(readDocument(context, descriptor), descriptor.mediaType);
  if (parsed.kind === "index") return false;
  const { config } = parseImageConfig(readDocument(context, parsed.manifest.config));
  return platformRank(wanted, config) !== undefined;
}

/**
 * `readImage`, once more from the start when a blob went between index.json and the read: another command removed or
 * replaced the image meanwhile.
 */
export function resolveImage(
  context: StoreContext,
  text: string,
  platform: Platform | undefined,
): StoredImage {
  try {
    return readImage(context, find(context, text), platform);
  } catch (error) {
    if (!(error instanceof VitrineError) || error.code !== "blob-missing") throw error;
    return readImage(context, find(context, text), platform);
  }
}
