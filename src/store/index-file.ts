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
import { annotationKeys, type Descriptor, type Digest, mediaTypes, parseIndex } from "../oci/mod.ts";
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
  const { index } = parseIndex(bytes, mediaTypes.index, {
    maxBytes: limits.layoutIndexBytes,
    maxManifests: layoutEntries,
  });
  return index.manifests.map((descriptor) => ({
    name: normalized(descriptor.annotations?.[annotationKeys.refName]),
    root: withoutName(descriptor),
  }));
}

/** Other tools write short names into the layout as well; what is no reference at all counts as no name. */
function normalized(name: string | undefined): string | undefined {
  if (name === undefined || name === "") return undefined;
  try {
    return formatReference(parseReference(name));
  } catch {
    return undefined;
  }
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
