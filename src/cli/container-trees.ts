/** Removal of containers' directories, and of what killed monitors left, for the commands about containers. */
import { removeTree } from "../base/mod.ts";
import { type RemoveTree, sweepLost } from "../engine/mod.ts";
import type { Context } from "./framework/context.ts";

/** Files of mapped ids are removed by the helper, in such a user namespace; all others at once, and by root any. */
export function treeRemover(context: Context): RemoveTree {
  return async (path, container) => {
    const ids = container?.ids;
    if (ids === undefined || ids.kind === "none" || context.uid === 0) {
      removeTree(path);
      return;
    }
    const { openContextStore } = await import("./framework/storage.ts");
    await (await openContextStore(context, ids)).removeTree(path);
  };
}

/** Looks at no more than `most` containers. A failure is no reason not to do what the user asked for. */
export async function sweep(context: Context, most?: number): Promise<void> {
  try {
    const swept = await sweepLost(context.paths(), treeRemover(context), context.now(), most);
    for (const id of swept) context.log("debug", `removed what a killed monitor left of ${id.slice(0, 12)}`);
  } catch (error) {
    context.log("debug", `cannot remove what a killed monitor left: ${String(error)}`);
  }
}
