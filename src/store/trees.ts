/** Whole trees: whose they are, removing and copying them. Their files may belong to ids that only a user namespace can touch. */
import * as fs from "node:fs";
import * as path from "node:path";
import { removeTree } from "../base/mod.ts";
import type { IdMapRange } from "../kernel/mod.ts";
import { applySync } from "./apply.ts";
import type { StoreContext } from "./context.ts";
import type { StoreIds } from "./types.ts";

function widest(context: StoreContext): StoreIds {
  return context.widestIds ?? context.ids;
}

/**
 * Removes a tree of the store's own (layers, trash) that no container writes to, whichever map it is of. Where all its files
 * are ours no helper is needed.
 */
export function removeOwnedTree(context: StoreContext, tree: string): void {
  if (widest(context).kind === "range") removeByHelper(context, tree);
  else removeTree(tree);
}

/** Removes any tree: the helper walks it by descriptors, so what a container put there cannot lead it elsewhere. */
export function removeByHelper(context: StoreContext, tree: string): void {
  const ops = [
    { op: "setWork", path: { base: "host", path: path.dirname(tree) } },
    { op: "removeTree", path: { base: "work", path: path.basename(tree) } },
  ] as const;
  applySync(context, ops, widest(context));
}

/** Id 0 of the map, on the host; undefined where it is not mapped. */
function hostRoot({ ids }: StoreContext): { readonly uid: number; readonly gid: number } | undefined {
  if (ids.kind === "none") return { uid: 0, gid: 0 };
  const uid = onHost(ids.uids, 0);
  const gid = onHost(ids.gids, 0);
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

export function onHost(map: readonly IdMapRange[], id: number): number | undefined {
  const range = map.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return range === undefined ? undefined : range.hostID + id - range.containerID;
}

/**
 * Directories that we made become those of the map's root: its user namespace has no power over files of ids that it
 * does not map, and a container's `/` is to be root's.
 */
export function giveToRoot(context: StoreContext, directories: readonly string[]): void {
  const owner = hostRoot(context);
  if (owner === undefined || directories.length === 0) return;
  if (owner.uid === process.geteuid?.() && owner.gid === process.getegid?.()) return;
  const ids = widest(context);
  if (ids.kind === "none") {
    for (const directory of directories) fs.lchownSync(directory, owner.uid, owner.gid);
    return;
  }
  const within = (map: readonly IdMapRange[], id: number): number | undefined => {
    const range = map.find(({ hostID, size }) => id >= hostID && id < hostID + size);
    return range === undefined ? undefined : range.containerID + id - range.hostID;
  };
  const uid = within(ids.uids, owner.uid);
  const gid = within(ids.gids, owner.gid);
  if (uid === undefined || gid === undefined) return;
  applySync(
    context,
    directories.map((directory) => ({
      op: "changeOwner",
      path: { base: "host", path: directory },
      uid,
      gid,
    })),
    ids,
  );
}

/** Copies the tree `from` to `directory/name`, which must not exist. */
export function copyTreeOwned(context: StoreContext, from: string, directory: string, name: string): void {
  const target = path.join(directory, name);
  fs.mkdirSync(target, { mode: 0o755 });
  giveToRoot(context, [target]);
  applySync(context, [
    { op: "setWork", path: { base: "host", path: target } },
    { op: "copyTree", from: { base: "host", path: from }, to: { base: "work", path: "." } },
  ]);
}
