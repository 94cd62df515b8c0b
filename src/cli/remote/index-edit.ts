/** Indexes of the store, changed and put back: `manifest create`, `add`, `annotate` and `remove`. */
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
import type { OptionTable, OptionValues } from "../framework/command.ts";

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

/**
 * Puts an index under a name; the content it names comes from `parts`, or is in the store. Returns its digest. What it `replaces` goes,
 * unless it has another name or a container uses it: nobody wants a nameless image for each step of an edit.
 */
export async function storeIndex(
  store: Store,
  name: string,
  index: Index,
  parts: readonly ImageSource[],
  replaces?: Descriptor,
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
  if (replaces !== undefined && replaces.digest !== root.digest) await removeNameless(store, replaces.digest);
  return root.digest;
}

async function removeNameless(store: Store, digest: Digest): Promise<void> {
  if (!store.list().some((row) => row.dangling && row.digest === digest)) return;
  try {
    await store.remove(digest);
  } catch (error) {
    if (!(error instanceof VitrineError && ["image-in-use", "image-not-found"].includes(error.code)))
      throw error;
  }
}

/** The entry that `text` names: by its digest, or as an image of the store. Error: `manifest-unknown`. */
export function entryOf(store: Store, name: string, index: Index, text: string): Descriptor {
  const wanted = new Set<string>([text]);
  try {
    const image = store.resolve(text);
    wanted.add(image.manifestDescriptor.digest).add(image.root.digest);
  } catch {
    // A digest of what is not in the store.
  }
  const entry = index.manifests.find(({ digest }) => wanted.has(digest));
  if (entry !== undefined) return entry;
  throw new VitrineError("not-found", `${name} has no ${text}`, {
    code: "manifest-unknown",
    operand: text,
    hint: `vitrine manifest inspect ${name}`,
  });
}

export const platformOptions = {
  os: { type: "string", value: "OS", help: "operating system of the image" },
  arch: { type: "string", value: "ARCH", help: "architecture of the image" },
  variant: { type: "string", value: "VARIANT", help: "variant of the architecture" },
  "os-version": { type: "string", value: "VERSION", help: "version of the operating system" },
  "os-features": { type: "strings", value: "FEATURE", help: "feature that the operating system must have" },
} as const satisfies OptionTable;

/** The entry with what the flags say of its platform. */
export function withPlatform(entry: Descriptor, flags: OptionValues<typeof platformOptions>): Descriptor {
  const before = entry.platform ?? { os: "linux", architecture: "unknown" };
  const features = flags["os-features"];
  const said = flags.os ?? flags.arch ?? flags.variant ?? flags["os-version"] ?? features[0];
  if (said === undefined) return entry;
  const platform = compact({
    ...before,
    os: flags.os ?? before.os,
    architecture: flags.arch ?? before.architecture,
    variant: flags.variant ?? (flags.arch === undefined ? before.variant : undefined),
    "os.version": flags["os-version"] ?? before["os.version"],
    "os.features": features.length > 0 ? features : before["os.features"],
  });
  return { ...entry, platform };
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
