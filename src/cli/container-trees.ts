/** What commands about containers do first and last. */
export { sweep, sweepUnused, treeRemover } from "../api/mod.ts";
