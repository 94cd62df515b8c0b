/** What an op is made of: argument types, paths, and the shape of its definition. */

/** Argument types and their encoding, little endian. See `encode.ts`. */
export type ArgType =
  | "bool" // u8
  | "u32"
  | "i32"
  | "u64" // bigint in TypeScript
  | "i64" // bigint in TypeScript
  | "str" // u32 length, bytes, NUL (the NUL is not counted)
  | "raw" // as str, but any bytes except NUL: a file name of a layer need not be UTF-8
  | "bytes" // u32 length, bytes
  | "strs" // u32 count, then each a str
  | "u32s" // u32 count, then each a u32
  | "path" // u8 base, then a str; see PathBase
  | "maps"; // u32 count, then three u32 each: container id, host id, size

/**
 * Where a path begins.
 * - `host`: opened as it is, with the process's own view. Never for a name that an image author chose.
 * - `root`: beneath the root handle set by `setRoot`, by openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).
 * - `proc`: in a procfs that the helper mounted itself with fsopen and verified (CVE-2025-52881: a container
 *   can put a fake file in place of /proc/sys or /proc/self/attr), by openat2(RESOLVE_BENEATH |
 *   RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS), `self` is spelled `self` and resolved by the helper.
 * - `work`: beneath the work handle set by `setWork` (a layer being unpacked, a container's own directory).
 */
export const pathBases = ["host", "root", "proc", "work"] as const;
export type PathBase = (typeof pathBases)[number];
export interface OpPath {
  readonly base: PathBase;
  readonly path: string;
}

/** One range of a user-namespace map, as in runtime-spec `linux.uidMappings`. */
export interface IdMapRange {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/** One op: its wire code, and what a reader of docs/ops.md needs. */
export interface OpDefinition {
  readonly code: number;
  /** The kernel calls it makes, in order, for people. */
  readonly calls: string;
  readonly doc: string;
  readonly args: Readonly<Record<string, ArgType>>;
}

/** A group of ops by name. */
export type OpGroup = Readonly<Record<string, OpDefinition>>;
