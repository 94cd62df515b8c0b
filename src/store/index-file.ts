/** index.json of ROOT/oci: names → roots. Read without a lock (it is replaced atomically), changed under it. */
import * as fs from "node:fs";
import { errnoOf, limits, VitrineError, writeFileAtomically } from "../base/mod.ts";
import {
  encodeLayoutIndex,
  formatReference,
  layoutEntries,
  parseReference,
  withName,
  withoutName,
} from "../image/mod.ts";
import {
  annotationKeys,
  type Descriptor,
  type Digest,
  isDigest,
  mediaTypes,
  parseIndex,
} from "../oci/mod.ts";
import type { StoreContext } from "./context.ts";

/** One line of index.json. Without a name the image is dangling. */
export interface IndexEntry {
  /** Normalised: `docker.io/library/alpine:latest`. */
  readonly name: string | undefined;
  /** Without the annotation that names it. */
  readonly root: Descriptor;
}

/** Errors: those of `parseIndex`, with a hint. A store that was never written to is empty. */
export function readIndex(context: StoreContext): readonly IndexEntry[] {
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(context.indexFile);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") return [];
    if (errno === "EACCES") {
      throw new VitrineError("denied", `no permission to read the store in ${context.root}`, {
        code: "store-denied",
        operand: context.root,
        hint: "it may belong to another user: use your own with --root DIR",
        cause: error,
      });
    }
    throw error;
  }
  const manifests =
    plainManifests(bytes) ??
    parseIndex(bytes, mediaTypes.index, { maxBytes: limits.layoutIndexBytes, maxManifests: layoutEntries })
      .index.manifests;
  return manifests.map((descriptor) => ({
    name: normalizedName(descriptor.annotations?.[annotationKeys.refName]),
    root: withoutName(descriptor),
  }));
}

/**
 * What this store wrote itself is read without the general parser, which costs a cold `run` a millisecond. Anything unusual is
 * left to that one.
 */
function plainManifests(bytes: Uint8Array): readonly Descriptor[] | undefined {
  let index: { readonly schemaVersion?: unknown; readonly manifests?: unknown } | null;
  try {
    index = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8"));
  } catch {
    return undefined;
  }
  if (index === null || index.schemaVersion !== 2 || !Array.isArray(index.manifests)) return undefined;
  const manifests: readonly unknown[] = index.manifests;
  return manifests.length <= layoutEntries && manifests.every(isPlainDescriptor) ? manifests : undefined;
}

const plainKeys: ReadonlySet<string> = new Set(["mediaType", "digest", "size", "annotations"]);

function isPlainDescriptor(value: unknown): value is Descriptor {
  if (typeof value !== "object" || value === null) return false;
  const { mediaType, digest, size, annotations = {} } = value as Readonly<Record<string, unknown>>;
  return (
    Object.keys(value).every((key) => plainKeys.has(key)) &&
    (mediaType === mediaTypes.manifest ||
      mediaType === mediaTypes.index ||
      mediaType === mediaTypes.dockerManifest ||
      mediaType === mediaTypes.dockerManifestList) &&
    typeof digest === "string" &&
    isDigest(digest) &&
    Number.isSafeInteger(size) &&
    (size as number) >= 0 &&
    typeof annotations === "object" &&
    annotations !== null &&
    Object.values(annotations).every((text) => typeof text === "string")
  );
}

/** Other tools write short names into the layout as well; what is no reference at all counts as no name. */
export function normalizedName(name: string | undefined): string | undefined {
  if (name === undefined || name === "") return undefined;
  if (isWhole(name)) return name;
  try {
    return formatReference(parseReference(name));
  } catch {
    return undefined;
  }
}

/**
 * A name in the form that this store writes, told without the reference grammar: a registry with a dot, a colon or called
 * localhost, a path in lower case, a tag. Docker Hub's names go to the grammar only without their `library/`.
 */
function isWhole(name: string): boolean {
  const slash = name.indexOf("/");
  const colon = name.lastIndexOf(":");
  if (slash < 1 || colon < name.lastIndexOf("/") || colon === name.length - 1 || name.includes("@"))
    return false;
  const domain = name.slice(0, slash);
  const path = name.slice(slash + 1, colon);
  if (domain === "index.docker.io" || (domain === "docker.io" && !path.includes("/"))) return false;
  return (
    (domain === "localhost" || domain.includes(".") || domain.includes(":")) &&
    path !== "" &&
    path === path.toLowerCase()
  );
}

/** `docker.io/library/alpine` of a name in index.json. */
export function repositoryOf(name: string): string {
  const named = name.split("@")[0]!;
  const colon = named.lastIndexOf(":");
  return colon > named.lastIndexOf("/") ? named.slice(0, colon) : named;
}

/** Only under the lock. */
export function writeIndex(context: StoreContext, entries: readonly IndexEntry[]): void {
  const manifests = entries.map(({ name, root }) => withName(root, name));
  writeFileAtomically(context.indexFile, encodeLayoutIndex(manifests));
}

export function namesOf(entries: readonly IndexEntry[], digest: Digest): readonly string[] {
  return entries.flatMap(({ name, root }) => (root.digest === digest && name !== undefined ? [name] : []));
}

export interface Named {
  readonly entries: readonly IndexEntry[];
  /** Names that led elsewhere before. */
  readonly replaced: readonly string[];
}

/**
 * Gives `root` the names. An image that loses its last name stays as a dangling one; `root` itself is dangling while it
 * has none.
 */
export function withNames(before: readonly IndexEntry[], root: Descriptor, names: readonly string[]): Named {
  const wanted = new Set(names);
  const replaced = before.flatMap((entry) =>
    entry.name !== undefined && wanted.has(entry.name) && entry.root.digest !== root.digest
      ? [entry.name]
      : [],
  );
  const added = [...wanted].map((name) => ({ name, root: withoutName(root) }));
  const kept = before.filter((entry) => entry.name === undefined || !wanted.has(entry.name));
  const candidates = [...kept, ...added];
  const lost = before.filter((entry) => entry.name !== undefined && wanted.has(entry.name));
  return {
    entries: settle([...candidates, ...lost.map(nameless), nameless({ name: undefined, root })]),
    replaced,
  };
}

/** Takes names away; an image without any other stays as a dangling one. */
export function withoutNames(before: readonly IndexEntry[], names: readonly string[]): readonly IndexEntry[] {
  return settle(
    before.map((entry) => (entry.name !== undefined && names.includes(entry.name) ? nameless(entry) : entry)),
  );
}

export function withoutRoot(before: readonly IndexEntry[], digest: Digest): readonly IndexEntry[] {
  return before.filter(({ root }) => root.digest !== digest);
}

function nameless({ root }: IndexEntry): IndexEntry {
  return { name: undefined, root: withoutName(root) };
}

/** One line a name; a line without a name only for images that have none, and only once. */
function settle(entries: readonly IndexEntry[]): readonly IndexEntry[] {
  const named = new Set(entries.flatMap(({ name, root }) => (name === undefined ? [] : [root.digest])));
  const dangling = new Set<Digest>();
  return entries.filter(({ name, root }) => {
    if (name !== undefined) return true;
    if (named.has(root.digest) || dangling.has(root.digest)) return false;
    dangling.add(root.digest);
    return true;
  });
}
