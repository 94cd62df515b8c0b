/** What commands about containers do first and last. */
export { requireKnownFormat, sweep, sweepNamed, sweepUnused, treeRemover } from "../api/mod.ts";
