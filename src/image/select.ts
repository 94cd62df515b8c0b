/** One platform of an image that may have many. */
import {
  type Descriptor,
  isIndexMediaType,
  type ParsedIndex,
  type Platform,
  parseImageConfig,
  parseManifestOrIndex,
} from "../oci/mod.ts";
import { platformNotFound, platformRank, rankManifests } from "./platform.ts";
import type { ImageSource } from "./source.ts";

/**
 * The manifest that suits `wanted`: of an index the best entry, of a manifest itself. `strict` holds a manifest against its
 * config as well (docker and podman take what they get). Error: `platform-not-found`.
 */
export async function choosePlatform(
  source: ImageSource,
  wanted: Platform,
  options: { readonly strict?: boolean } = {},
): Promise<Descriptor> {
  return choose(source, source.root, wanted, options.strict === true, 0);
}

/** As `walkImage`: deeper than anybody needs. */
const deepestIndex = 4;

async function choose(
  source: ImageSource,
  root: Descriptor,
  wanted: Platform,
  strict: boolean,
  depth: number,
): Promise<Descriptor> {
  const parsed = parseManifestOrIndex(await source.readDocument(root), root.mediaType);
  if (parsed.kind === "manifest") {
    if (!strict) return root;
    const { config } = parseImageConfig(await source.readDocument(parsed.manifest.config));
    if (platformRank(wanted, config) !== undefined) return root;
    throw platformNotFound(wanted, [config]);
  }
  for (const entry of rankManifests(parsed.index, wanted)) {
    if (entry.platform !== undefined && !isIndexMediaType(entry.mediaType)) return entry;
    if (depth >= deepestIndex) continue;
    try {
      return await choose(source, entry, wanted, true, depth + 1);
    } catch {
      // An entry without a platform may be anything: the next may suit.
    }
  }
  throw platformNotFound(wanted, platformsOf(parsed));
}

/** The platforms that an index names, attestations left out. */
function platformsOf({ index }: ParsedIndex): readonly Platform[] {
  return index.manifests.flatMap(({ platform }) =>
    platform === undefined || platform.os === "unknown" ? [] : [platform],
  );
}

/** The image of one platform alone: its manifest is the root. */
export async function onlyPlatform(
  source: ImageSource,
  wanted: Platform,
  options: { readonly strict?: boolean } = {},
): Promise<ImageSource> {
  const manifest = await choosePlatform(source, wanted, options);
  if (manifest.digest === source.root.digest) return source;
  return withRoot(source, manifest);
}

/** The index stays the root, so that the image keeps its digest, but of its images only one is there. */
export async function limitedToPlatform(
  source: ImageSource,
  wanted: Platform,
  options: { readonly strict?: boolean } = {},
): Promise<ImageSource> {
  const manifest = await choosePlatform(source, wanted, options);
  if (manifest.digest === source.root.digest) return source;
  const parsed = parseManifestOrIndex(await source.readDocument(source.root), source.root.mediaType);
  if (parsed.kind === "manifest") return source;
  const isDirect = parsed.index.manifests.some(({ digest }) => digest === manifest.digest);
  // Behind an index in an index: the manifest alone, no part of a part.
  if (!isDirect) return withRoot(source, manifest);
  const others = new Set<string>(parsed.index.manifests.map(({ digest }) => digest));
  others.delete(manifest.digest);
  return {
    ...withRoot(source, source.root),
    has: (descriptor) => !others.has(descriptor.digest) && source.has(descriptor),
  };
}

/** The source seen from another document. */
export function withRoot(source: ImageSource, root: Descriptor): ImageSource {
  return {
    root,
    names: source.names,
    has: (descriptor) => source.has(descriptor),
    readDocument: (descriptor) => source.readDocument(descriptor),
    openBlob: (descriptor) => source.openBlob(descriptor),
    blobFile: (descriptor) => source.blobFile?.(descriptor),
    ...(source.openUnverifiedBlobFrom !== undefined && {
      openUnverifiedBlobFrom: (descriptor, start) => source.openUnverifiedBlobFrom!(descriptor, start),
    }),
  };
}
