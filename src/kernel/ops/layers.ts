import type { OpGroup } from "./definition.ts";

/** Layers and trees of files, in stage apply: written from an archive, and read back through an output. */
export const layerOps = {
  layerEntry: {
    code: 110,
    calls: "openat2, mkdirat | openat | symlinkat | mknodat | linkat, fchown, fsetxattr, fchmod, utimensat",
    doc: "One entry of a layer below the work handle: `type` is the tar type ('0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' directory, '6' FIFO). For a file, `size` bytes follow in layerData ops. Replaces what is there unless both are directories. Times of directories are restored by `layerEnd`. xattrs of the overlay itself (trusted.overlay.*, user.overlay.*) are left out. `xattrValues` is, for each name, u32 length and bytes.",
    args: {
      path: "raw",
      type: "u32",
      mode: "u32",
      uid: "u32",
      gid: "u32",
      size: "u64",
      mtimeSeconds: "i64",
      mtimeNanoseconds: "u32",
      linkTarget: "raw",
      major: "u32",
      minor: "u32",
      xattrNames: "strs",
      xattrValues: "bytes",
    },
  },
  layerData: {
    code: 111,
    calls: "pwrite",
    doc: "Bytes of the file that the last layerEntry opened, at `offset` (a sparse file skips its holes).",
    args: { offset: "u64", data: "bytes" },
  },
  layerWhiteout: {
    code: 112,
    calls: "mknodat(0:0) | unlinkat",
    doc: "Hides `path` of the layers below: `style` 0 removes it (copy driver), 1 makes a 0:0 char device (overlay). What the same layer holds stays (image-spec layer.md, whiteouts).",
    args: { path: "raw", style: "u32" },
  },
  layerOpaque: {
    code: 113,
    calls: "setxattr | unlinkat",
    doc: "Hides all that layers below have in the directory: `style` 0 removes it, 1 trusted.overlay.opaque, 2 user.overlay.opaque. What the same layer holds stays.",
    args: { path: "raw", style: "u32" },
  },
  layerEnd: {
    code: 114,
    calls: "utimensat, syncfs",
    doc: "Restores the times of directories, innermost first.",
    args: { sync: "bool" },
  },
  layerOptions: {
    code: 115,
    calls: "(none)",
    doc: "How entries are applied: `ignoreOwner` does not fail where an id is not mapped (the single-id map), `ignoreXattrs` does not fail where an xattr is refused, `skipDevices` leaves device nodes out (a user namespace cannot make them) and counts them, `keepKinds` fails with EISDIR or ENOTDIR where a directory would replace another kind of file, or the other way round, `beginFlush` lets the disk begin with large files at once, because all is waited for at the end.",
    args: {
      ignoreOwner: "bool",
      ignoreXattrs: "bool",
      skipDevices: "bool",
      keepKinds: "bool",
      beginFlush: "bool",
    },
  },

  layerCopy: {
    code: 120,
    calls: "openat2, copy_file_range | FICLONE, fsetxattr, fchown, fchmod, utimensat",
    doc: "The file `from` of a layer below, with all it has, as `path` of this one: copied up, for a hard link to it.",
    args: { from: "path", path: "raw" },
  },

  layerInflated: {
    code: 121,
    calls: "pwrite",
    doc: "As layerData, from what a helper started with `--inflate=3` inflates: `length` bytes of the plain stream at `position` go to `offset` of the file. Everything before the end of it is used then; with a `length` of 0 nothing is written.",
    args: { offset: "u64", position: "u64", length: "u64" },
  },

  // --- with an output ---
  answer: {
    code: 116,
    calls: "(none)",
    doc: "What the helper writes to its output after each of the ops below: `error` is an errno or 0, `text` says more (of readEntry the path that it found, free of links). Executed it does nothing, so that one helper's output can be another's input.",
    args: { error: "u32", text: "raw" },
  },
  readEntry: {
    code: 117,
    calls: "openat2(O_PATH), fstat, readlinkat",
    doc: "Writes the entry at `path` to the output as a layerEntry without data, then an answer; of one that is not there only the answer. `follow`: a last link too.",
    args: { path: "path", follow: "bool" },
  },
  readTree: {
    code: 118,
    calls: "openat2(O_PATH), open, getdents, flistxattr, read, write",
    doc: "Writes `path` and all below it to the output as layerEntry and layerData ops, names in the order of their bytes, then an answer; without `answered` it is written to what the caller opened (`--copy=3`: the input of another helper), with no answer. `follow`: a last link too. `name` is what the tree is called there (empty: its content is at the top), without `top` the directory itself is left out. `content`: with the bytes of files (holes are left out). `owned`: everything belongs to `uid` and `gid`. Nothing is written of names in `exclude`, of sockets, or of a file that is gone meanwhile; only regular files are ever opened.",
    args: {
      path: "path",
      follow: "bool",
      name: "raw",
      top: "bool",
      content: "bool",
      owned: "bool",
      uid: "u32",
      gid: "u32",
      exclude: "strs",
      answered: "bool",
    },
  },
  detachRoot: {
    code: 119,
    calls: "open_tree(OPEN_TREE_CLONE)",
    doc: "The root handle becomes one of the same filesystem without what is mounted on it.",
    args: {},
  },
} as const satisfies OpGroup;
