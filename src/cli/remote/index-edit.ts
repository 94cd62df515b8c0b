/** Indexes of the store, changed and put back: `manifest create`, `add` and `annotate`. */
import { VitrineError } from "../../base/mod.ts";
import { type ImageSource, memoryContent, onlyPlatform, readConfig, sourceOf } from "../../image/mod.ts";
import {
  compact,
  type Descriptor,
  type Digest,
  digestOf,
  encodeIndex,
  type Index,
  isIndexMediaType,
  mediaTypes,
  type Platform,
  parseIndex,
  parseManifestOrIndex,
} from "../../oci/mod.ts";
import type { Store } from "../../store/mod.ts";

export const emptyIndex: Index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [] };

/** The index under a name. Errors: `image-not-found`, `not-an-index`. */
export async function readStoredIndex(
  store: Store,
  name: string,
): Promise<{ readonly index: Index; readonly source: ImageSource }> {
  const source = store.rootSource(name);
  if (!isIndexMediaType(source.root.mediaType)) {
    throw new VitrineError("invalid", `${name} is one image, not an index`, {
      code: "not-an-index",
      operand: name,
      hint: "make one with 'vitrine manifest create NAME'",
    });
  }
  const bytes = await source.readDocument(source.root);
  return { index: parseIndex(bytes, source.root.mediaType).index, source };
}

/** Puts an index under a name; the content it names comes from `parts`, or is in the store. Returns its digest. */
export async function storeIndex(
  store: Store,
  name: string,
  index: Index,
  parts: readonly ImageSource[],
): Promise<Digest> {
  const mediaType = index.mediaType ?? mediaTypes.index;
  const bytes = encodeIndex({ ...index, mediaType });
  const root: Descriptor = { mediaType, digest: digestOf(bytes), size: bytes.length };
  const own = sourceOf(memoryContent(new Map([[root.digest, bytes]])), root, [name]);
  const from = (descriptor: Descriptor): ImageSource =>
    own.has(descriptor) ? own : (parts.find((part) => part.has(descriptor)) ?? own);
  const joined: ImageSource = {
    root,
    names: [name],
    has: (descriptor) => from(descriptor).has(descriptor),
    readDocument: (descriptor) => from(descriptor).readDocument(descriptor),
    openBlob: (descriptor) => from(descriptor).openBlob(descriptor),
  };
  await store.put(joined);
  return root.digest;
}

/** What an index says of an image: all of an inner index's images, or one with the platform of its config. */
export async function entriesOf(
  source: ImageSource,
  all: boolean,
  platform?: Platform,
): Promise<readonly Descriptor[]> {
  const chosen =
    all || platform === undefined ? source : await onlyPlatform(source, platform, { strict: true });
  const parsed = parseManifestOrIndex(await chosen.readDocument(chosen.root), chosen.root.mediaType);
  if (parsed.kind === "index") {
    return parsed.index.manifests.filter((entry) => source.has(entry));
  }
  const { config } = await readConfig(chosen, parsed);
  const { architecture, os, variant } = config;
  const itsPlatform: Platform = compact({
    architecture,
    os,
    "os.version": config["os.version"],
    "os.features": config["os.features"],
    variant,
  });
  const { mediaType, digest, size } = chosen.root;
  return [{ mediaType, digest, size, platform: itsPlatform }];
}

/** The entries with those of the same digest or the same platform replaced. */
export function withEntries(index: Index, added: readonly Descriptor[]): Index {
  const key = ({ platform }: Descriptor): string => JSON.stringify(platform ?? null);
  const kept = index.manifests.filter(
    (entry) =>
      !added.some(
        (fresh) =>
          fresh.digest === entry.digest || (fresh.platform !== undefined && key(fresh) === key(entry)),
      ),
  );
  return { ...index, manifests: [...kept, ...added] };
}
