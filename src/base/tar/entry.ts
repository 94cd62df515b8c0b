/** What a tar member is. Tar's own codes: file '0' (also NUL, '7', 'S'), hardlink '1' … fifo '6'. */
export type TarType = "file" | "hardlink" | "symlink" | "char" | "block" | "directory" | "fifo";

/** A run of a sparse file that holds data; between runs are holes. Bytes. */
export interface SparseRun {
  readonly offset: number;
  readonly length: number;
}

/** One member as it was in the archive: nothing is cleaned, `path` may be absolute or hold `..`. */
export interface TarEntry {
  /** As in the archive, in the form of `decodeText` (use `encodeText` for the exact bytes). Never empty, no NUL. */
  readonly path: string;
  readonly type: TarType;
  /** Permission bits with setuid, setgid and sticky: 0..07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of the file when extracted, holes included; 0 unless `type` is file. */
  readonly size: number;
  /** Whole seconds since 1970, rounded down (negative before), and 0..999999999 nanoseconds on top. */
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** Target of a hardlink or symlink in the form of `decodeText`, else "". */
  readonly linkTarget: string;
  readonly devMajor: number;
  readonly devMinor: number;
  /** Name → value, from SCHILY.xattr.* and LIBARCHIVE.xattr.*; in the archive's order. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /** Runs with data in order, or undefined for a file without holes. */
  readonly sparse: readonly SparseRun[] | undefined;
  /** Where the body begins in the archive, and how many bytes of it are stored there. */
  readonly bodyOffset: number;
  readonly bodySize: number;
}
