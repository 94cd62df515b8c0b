import type { OpGroup } from "./definition.ts";

/** Files and directories of the host and of a root filesystem. */
export const fileOps = {
  makeDirectory: {
    code: 50,
    calls: "openat2, mkdirat, fchmod",
    doc: "A directory; with `parents` also those above it. An existing one is left alone when `parents`, else EEXIST.",
    args: { path: "path", mode: "u32", parents: "bool" },
  },
  writeFile: {
    code: 51,
    calls: "openat2, write",
    doc: "Writes `data` in one write. `create`: makes or truncates it with `mode`; else it must exist (sysctl, cgroup files).",
    args: { path: "path", data: "bytes", create: "bool", mode: "u32" },
  },
  writeEither: {
    code: 61,
    calls: "openat2, write",
    doc: "As `writeFile` without `create`, to `path`; where that file is not there, `otherData` to `other`.",
    args: { path: "path", data: "bytes", other: "path", otherData: "bytes" },
  },
  makeSymlink: {
    code: 52,
    calls: "symlinkat",
    doc: "A symbolic link at `path` to `target`. An existing equal link is success.",
    args: { path: "path", target: "str" },
  },
  makeNode: {
    code: 53,
    calls: "mknodat, fchownat, fchmodat",
    doc: "A device or FIFO: `mode` with its S_IF* bits.",
    args: { path: "path", mode: "u32", major: "u32", minor: "u32", uid: "u32", gid: "u32" },
  },
  removeTree: {
    code: 54,
    calls: "openat2, getdents, unlinkat",
    doc: "Removes `path` and all below it, without following a link or crossing a mount. ENOENT is success.",
    args: { path: "path" },
  },
  removeDirectory: {
    code: 55,
    calls: "unlinkat(AT_REMOVEDIR)",
    doc: "Removes one empty directory, or a cgroup with those that its container made in it: EBUSY is tried again for `retryMilliseconds`. ENOENT is success.",
    args: { path: "path", retryMilliseconds: "u32" },
  },
  rename: {
    code: 56,
    calls: "renameat2",
    doc: "Moves `from` to `to`; with `noReplace` an existing one is EEXIST.",
    args: { from: "path", to: "path", noReplace: "bool" },
  },
  copyTree: {
    code: 57,
    calls: "openat2, copy_file_range | FICLONE, fsetxattr, fchown, fchmod, utimensat",
    doc: "Copies the tree `from` into the directory `to` with owners, modes, xattrs, hard links and times.",
    args: { from: "path", to: "path" },
  },
  changeOwner: {
    code: 58,
    calls: "fchownat",
    doc: "Changes the owner of `path`, not following a last link.",
    args: { path: "path", uid: "u32", gid: "u32" },
  },
  syncTree: {
    code: 60,
    calls: "syncfs",
    doc: "Flushes the filesystem that holds `path`.",
    args: { path: "path" },
  },

  fillVolume: {
    code: 62,
    calls: "openat2, flock, copy_file_range | FICLONE, fchown, fchmod, fsetxattr, utimensat",
    doc: "Copies the directory `from` into the empty directory `to`, with its own owner, mode and times, under a lock of the directory `lock` that ends with this process. What is not empty is left alone, unless a copy was interrupted there: that is done again. Nothing happens where `from` is no directory.",
    args: { from: "path", to: "path", lock: "path" },
  },
  changeOwners: {
    code: 63,
    calls: "openat2, getdents, fchownat",
    doc: "Changes the owner of `path` and of all below it, without following a link or crossing a mount.",
    args: { path: "path", uid: "u32", gid: "u32" },
  },
} as const satisfies OpGroup;
