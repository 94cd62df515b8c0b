/** What commands about containers do first and last. */
export { sweep, treeRemover } from "../api/mod.ts";
