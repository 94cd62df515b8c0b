/** What commands about containers do first and last. */
export { requireKnownFormat, sweep, sweepUnused, treeRemover } from "../api/mod.ts";
