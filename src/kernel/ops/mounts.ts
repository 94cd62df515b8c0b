import type { OpGroup } from "./definition.ts";

/** Handles on directories, and mounts (init). */
export const mountOps = {
  setRoot: {
    code: 20,
    calls: "openat(O_PATH | O_DIRECTORY)",
    doc: "Opens the directory that paths of base `root` are resolved in.",
    args: { path: "path" },
  },
  setWork: {
    code: 21,
    calls: "openat(O_PATH | O_DIRECTORY)",
    doc: "Opens the directory that paths of base `work` are resolved in.",
    args: { path: "path" },
  },

  mountPropagation: {
    code: 30,
    calls: "mount_setattr | mount",
    doc: "Sets the propagation (MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE) of the mount at `path`.",
    args: { path: "path", propagation: "u32", recursive: "bool" },
  },
  mountFilesystem: {
    code: 31,
    calls: "fsopen, fsconfig, fsmount, move_mount",
    doc: "A new mount. proc and sysfs are mounted on a real directory only, never through a link of the image (CVE-2019-19921). The layers of an overlay are `lowerdir+=PATH` options, top first. `attributes` are MOUNT_ATTR_* bits; `options` go to fsconfig one by one, `key` or `key=value`.",
    args: { fstype: "str", source: "str", target: "path", attributes: "u64", options: "strs" },
  },
  bindMount: {
    code: 32,
    calls: "open_tree(OPEN_TREE_CLONE), mount_setattr, move_mount",
    doc: "Clones the mount tree at `source` onto `target`, with attributes set and cleared on it (on the whole tree with `recursiveAttributes`). `propagation` is MS_PRIVATE and the like, with MS_REC for the whole tree; 0 leaves the default. A flag that a user namespace holds locked cannot be cleared: EPERM.",
    args: {
      source: "path",
      target: "path",
      recursive: "bool",
      set: "u64",
      clear: "u64",
      recursiveAttributes: "bool",
      propagation: "u32",
    },
  },
  mountAttributes: {
    code: 33,
    calls: "mount_setattr",
    doc: "Changes MOUNT_ATTR_* bits of the mount at `path`.",
    args: { path: "path", set: "u64", clear: "u64", recursive: "bool" },
  },
  makeMountPoint: {
    code: 34,
    calls: "openat2, mkdirat | openat2(O_CREAT | O_EXCL)",
    doc: "Makes sure that `path` exists as a mount point: a directory, or with `file` an empty file; parents 0755. What exists is left alone.",
    args: { path: "path", file: "bool" },
  },
  pivotRoot: {
    code: 35,
    calls: "fchdir, pivot_root, umount2(MNT_DETACH), chdir",
    doc: "Makes the root handle `/` and detaches the old root. With `noPivot`, MS_MOVE and chroot.",
    args: { noPivot: "bool" },
  },
  maskPath: {
    code: 36,
    calls: "openat2(O_PATH), fstat, open_tree | fsmount, move_mount",
    doc: "Hides a path: the root's /dev/null (verified to be char 1:3, CVE-2025-31133) over a file, an empty read-only tmpfs over a directory.",
    args: { path: "path" },
  },
  readonlyPath: {
    code: 37,
    calls: "openat2(O_PATH), open_tree, mount_setattr, move_mount",
    doc: "Makes a path read-only by binding it over itself.",
    args: { path: "path" },
  },
  unmount: {
    code: 38,
    calls: "umount2",
    doc: "Unmounts `path` with umount2 flags.",
    args: { path: "path", flags: "u32" },
  },
  tmpCopyUp: {
    code: 39,
    calls: "fsopen, fsmount, openat2, copy, move_mount",
    doc: "A tmpfs over `target` that begins with a copy of what `target` holds.",
    args: { target: "path", attributes: "u64", options: "strs" },
  },
  bindIdMapped: {
    code: 40,
    calls: "unshare(CLONE_NEWUSER), open_tree(OPEN_TREE_CLONE), mount_setattr(MOUNT_ATTR_IDMAP), move_mount",
    doc: "As bindMount, and the files show with other owners: `uids` and `gids` (the filesystem's id, the id to show, how many) are those of a user namespace made for it; with `idMapNamespace` those of the one in that file. With `idMapRecursive` the whole tree is mapped. Where init has no privilege over the filesystem, the process that opens the host's paths for it (idMap) prepares the tree.",
    args: {
      source: "path",
      target: "path",
      recursive: "bool",
      set: "u64",
      clear: "u64",
      recursiveAttributes: "bool",
      propagation: "u32",
      idMapNamespace: "str",
      uids: "maps",
      gids: "maps",
      idMapRecursive: "bool",
    },
  },
  bindNode: {
    code: 122,
    calls:
      "unshare(CLONE_NEWNS), fsmount(tmpfs), mknodat, fchownat, fchmodat, open_tree(OPEN_TREE_CLONE), move_mount",
    doc: "A device for a user namespace, which can make none: the process that opens the host's paths for init makes it on a tmpfs of its own, and init mounts it on `target`, nosuid and noexec. `uid` and `gid` are the host's.",
    args: { target: "path", mode: "u32", major: "u32", minor: "u32", uid: "u32", gid: "u32" },
  },
  clearUnasked: {
    code: 46,
    calls: "mount_setattr",
    doc: "Clears those MOUNT_ATTR_* bits of the bind mount at `path` that its source had and nobody asked for, as a mount with options does. Those that a user namespace holds locked stay.",
    args: { path: "path", clear: "u64" },
  },
  tmpfsOver: {
    code: 47,
    calls: "openat2, fstat, fsopen, fsconfig, fsmount, move_mount",
    doc: "As mountFilesystem of a tmpfs, with the mode of the directory that it covers. Where there is none, one is made, and the tmpfs has the kernel's default mode.",
    args: { target: "path", attributes: "u64", options: "strs" },
  },
  makeMountPointFor: {
    code: 48,
    calls: "openat2, fstat, mkdirat | openat2(O_CREAT | O_EXCL)",
    doc: "As makeMountPoint, of the kind that `source` has now: an earlier mount made it.",
    args: { source: "path", path: "path" },
  },
  bindOfProcess: {
    code: 45,
    calls: "fork, setns, openat2, open_tree(OPEN_TREE_CLONE), mount_setattr, move_mount",
    doc: "As bindMount, of what is mounted at `source` in the root of the process whose directory in a procfs of the host is `process` (or a link to it): a child enters its mount namespace, for nobody else may clone what is mounted there. No link on the way is followed, and `source` must be a mount.",
    args: { process: "path", source: "str", target: "path", set: "u64", clear: "u64" },
  },
  reconfigureFilesystem: {
    code: 44,
    calls: "fspick, fsconfig(FSCONFIG_CMD_RECONFIGURE)",
    doc: "Changes options of the filesystem that is mounted at `path`, for all of its mounts: `key` or `key=value`, as mountFilesystem.",
    args: { path: "path", options: "strs" },
  },
  changeRoot: {
    code: 43,
    calls: "fchdir, chroot, chdir",
    doc: "Makes the root handle `/` for a process that has no mount namespace of its own: what it mounted is the host's, for cleanup to take off.",
    args: {},
  },
} as const satisfies OpGroup;
