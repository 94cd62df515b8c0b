/** What `loadFiles` gives. */
export { type CopyEnd, type CopyOptions, copyFiles, copyIn, copyOut } from "./copy.ts";
export { type CopyPlace, readCopyPlace } from "./rules.ts";
export type { FileDeps } from "./view.ts";
