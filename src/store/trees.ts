/** Whole trees: removing and copying them. Their files may belong to ids that only a user namespace can touch. */
import * as path from "node:path";
import { removeTree } from "../base/mod.ts";
import { applySync } from "./apply.ts";
import type { StoreContext } from "./context.ts";

/**
 * Removes a tree of the store's own (layers, trash) that no container writes to. Where all its files are ours no helper is
 * needed.
 */
export function removeOwnedTree(context: StoreContext, tree: string): void {
  if (context.ids.kind === "range") removeByHelper(context, tree);
  else removeTree(tree);
}

/** Removes any tree: the helper walks it by descriptors, so what a container put there cannot lead it elsewhere. */
export function removeByHelper(context: StoreContext, tree: string): void {
  applySync(context, [
    { op: "setWork", path: { base: "host", path: path.dirname(tree) } },
    { op: "removeTree", path: { base: "work", path: path.basename(tree) } },
  ]);
}

/** Copies the tree `from` to `directory/name`, which must not exist. */
export function copyTreeOwned(context: StoreContext, from: string, directory: string, name: string): void {
  applySync(context, [
    { op: "setWork", path: { base: "host", path: directory } },
    { op: "makeDirectory", path: { base: "work", path: name }, mode: 0o755, parents: false },
    { op: "copyTree", from: { base: "host", path: from }, to: { base: "work", path: name } },
  ]);
}
