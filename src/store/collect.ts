/** Garbage collection: what no name, no dangling image and no container leads to goes. Nothing goes under a lease. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, temporaryName } from "../base/mod.ts";
import {
  type Digest,
  isDigest,
  isIndexMediaType,
  parseImageConfig,
  parseManifestOrIndex,
  splitDigest,
} from "../oci/mod.ts";
import { hasBlob, listBlobs, namesIn, readDocument } from "./blobs.ts";
import { readContainers } from "./containers.ts";
import { blobFile, locked, type StoreContext } from "./context.ts";
import { readIndex } from "./index-file.ts";
import { chainName } from "./layers/rows.ts";
import { anyLease, collectionDone, oweCollection, sweepTemporary } from "./leases.ts";
import { distinctRoots } from "./lookup.ts";
import { removeOwnedTree } from "./trees.ts";

/** Collects on its own. Returns the bytes of blobs and layers removed. */
export async function collect(context: StoreContext): Promise<number> {
  const { trash, bytes } = await locked(context, () => collectLocked(context));
  removeTrash(context, trash);
  return bytes;
}

/** What dead processes left in ROOT/tmp, and the collection that one of them owes. */
export async function sweepLeftovers(context: StoreContext): Promise<void> {
  await locked(context, () => sweepTemporary(context));
}

export interface Collected {
  /** Trees moved to ROOT/tmp, to be removed when the lock is released: that takes long. */
  readonly trash: readonly string[];
  readonly bytes: number;
}

const nothing: Collected = { trash: [], bytes: 0 };

export function removeTrash(context: StoreContext, trash: readonly string[]): void {
  for (const tree of trash) removeOwnedTree(context, tree);
}

/** Only under the lock. */
export function collectLocked(context: StoreContext): Collected {
  sweepTemporary(context);
  if (anyLease(context)) {
    oweCollection(context);
    return nothing;
  }
  const live = markLive(context);
  if (live === undefined) return nothing;
  let bytes = 0;
  for (const [digest, size] of listBlobs(context)) {
    if (live.blobs.has(digest)) continue;
    fs.rmSync(blobFile(context, digest), { force: true });
    bytes += size;
  }
  const swept: Collected[] = [];
  for (const directory of mapsIn(context.layers)) {
    const keeps = (name: string, held: Held): boolean => {
      const hex = name.split(".")[0]!;
      return live.layers.has(hex) || held.layers.has(hex);
    };
    swept.push(sweepTrees(context, directory, keeps));
  }
  for (const directory of mapsIn(context.chains)) {
    swept.push(
      sweepTrees(context, directory, (name, held) => live.chains.has(name) || held.chains.has(name)),
    );
  }
  for (const own of [context.layers, context.chains]) {
    for (const directory of mapsIn(own)) if (directory !== own) removeEmpty(directory);
  }
  collectionDone(context);
  return {
    trash: swept.flatMap(({ trash }) => trash),
    bytes: swept.reduce((sum, tree) => sum + tree.bytes, bytes),
  };
}

/** ROOT/layers/MAP of every map, of which `own` is one: an image goes with all that was unpacked of it. */
function mapsIn(own: string): readonly string[] {
  const all = path.dirname(own);
  return namesIn(all).map((name) => path.join(all, name));
}

/** Nothing is unpacked for this map any more. Who unpacks has a lease, and makes the directory again. */
function removeEmpty(directory: string): void {
  try {
    fs.rmdirSync(directory);
  } catch (error) {
    if (errnoOf(error) !== "ENOTEMPTY" && errnoOf(error) !== "ENOENT") throw error;
  }
}

interface Live {
  readonly blobs: ReadonlySet<Digest>;
  /** Hex digits of diffIDs, and names of chains. */
  readonly layers: ReadonlySet<string>;
  readonly chains: ReadonlySet<string>;
}

/** Undefined when a document is damaged: what it leads to is not known then, so everything stays. */
function markLive(context: StoreContext): Live | undefined {
  const blobs = new Set<Digest>();
  const layers = new Set<string>();
  const chains = new Set<string>();
  const visit = (descriptor: Parameters<typeof hasBlob>[1]): void => {
    if (blobs.has(descriptor.digest)) return;
    blobs.add(descriptor.digest);
    if (!hasBlob(context, descriptor)) return;
    const parsed = parseManifestOrIndex(readDocument(context, descriptor), descriptor.mediaType);
    if (parsed.kind === "index") {
      for (const entry of parsed.index.manifests) {
        if (isIndexMediaType(entry.mediaType) || entry.mediaType.includes("manifest")) visit(entry);
        else blobs.add(entry.digest);
      }
      return;
    }
    const { config } = parsed.manifest;
    for (const blob of [config, ...parsed.manifest.layers]) blobs.add(blob.digest);
    if (!hasBlob(context, config)) return;
    const diffIDs = diffIDsOf(readDocument(context, config));
    for (const diffID of diffIDs) layers.add(splitDigest(diffID).hex);
    chains.add(chainName(diffIDs));
  };
  try {
    for (const { root } of distinctRoots(readIndex(context))) visit(root);
  } catch {
    return undefined;
  }
  return { blobs, layers, chains };
}

/** An artifact's config is anything: it has no layers to unpack. */
function diffIDsOf(config: Uint8Array): readonly Digest[] {
  try {
    return parseImageConfig(config).config.rootfs.diff_ids;
  } catch {
    return [];
  }
}

interface Held {
  readonly layers: ReadonlySet<string>;
  readonly chains: ReadonlySet<string>;
}

function heldByContainers(context: StoreContext): Held {
  const layers = new Set<string>();
  const chains = new Set<string>();
  for (const record of readContainers(context)) {
    const diffIDs = record.layers.filter(isDigest);
    for (const diffID of diffIDs) layers.add(splitDigest(diffID).hex);
    chains.add(chainName(diffIDs));
  }
  return { layers, chains };
}

/**
 * Moves trees that nobody keeps out of `directory`. `run` takes no lock: it writes its record, then looks for its layers. So
 * each tree is first moved away and the records are read again after that: a container whose record came before keeps its
 * layers, one whose record comes later sees that they are gone and unpacks them.
 */
function sweepTrees(
  context: StoreContext,
  directory: string,
  keeps: (name: string, held: Held) => boolean,
): Collected {
  const before = heldByContainers(context);
  const moved = namesIn(directory)
    .filter((name) => !keeps(name, before))
    .map((name) => ({ name, aside: path.join(context.temporary, temporaryName("trash")) }));
  for (const { name, aside } of moved) fs.renameSync(path.join(directory, name), aside);
  const after = moved.length === 0 ? before : heldByContainers(context);
  const trash: string[] = [];
  let bytes = 0;
  for (const { name, aside } of moved) {
    if (keeps(name, after)) fs.renameSync(aside, path.join(directory, name));
    else {
      trash.push(aside);
      bytes += sizeOf(aside);
    }
  }
  return { trash, bytes };
}

/** Bytes of files as layer.json or chain.json counted them. */
export function sizeOf(directory: string): number {
  for (const name of ["layer.json", "chain.json"]) {
    try {
      const row = JSON.parse(fs.readFileSync(path.join(directory, name), "utf8")) as {
        readonly fileBytes?: number;
        readonly layers?: readonly { readonly fileBytes: number }[];
      };
      return row.fileBytes ?? row.layers?.reduce((sum, layer) => sum + layer.fileBytes, 0) ?? 0;
    } catch {
      // Not this kind of tree.
    }
  }
  return 0;
}
