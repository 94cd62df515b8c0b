/** What `loadFiles` gives. */
export { type CommitOptions, commitContainer } from "./commit.ts";
export { type CopyEnd, type CopyOptions, copyFiles, copyIn, copyOut } from "./copy.ts";
export { type Change, type ChangeKind, diffContainer } from "./diff.ts";
export { exportContainer } from "./export.ts";
export { type CopyPlace, readCopyPlace } from "./rules.ts";
export type { FileDeps } from "./view.ts";
