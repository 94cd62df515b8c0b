import type { ByteStream } from "./streams.ts";

/**
 * A name for a temporary file or directory: `PREFIX.PID-STARTTIME-PIDNAMESPACE-RANDOM.tmp`. STARTTIME is field 22 of
 * /proc/PID/stat, so a reused pid does not look like the owner.
 */
export declare function temporaryName(prefix?: string): string;
/** Removes the temporary files and directories in `dir` whose owner is dead. Returns their names. A missing `dir` is empty. */
export declare function sweepDead(dir: string): readonly string[];
/** Writes a file so that a crash leaves the old or the new one: temporary file beside it, fsync, rename, fsync of the directory. */
export declare function writeFileAtomically(
  path: string,
  data: Uint8Array | string,
  options?: { readonly mode?: number; readonly sync?: boolean },
): void;
/** Flushes a directory's names. */
export declare function syncDirectory(path: string): void;
/** Makes a directory (and parents) of mode 0700, or checks that the one there is a directory, ours, and not writable by others: `directory-not-private`. */
export declare function makePrivateDirectory(path: string): void;
/** Removes a tree without following links; unreadable directories of ours are opened up first. Missing is success. */
export declare function removeTree(path: string): void;

/** A file being written in `dir` under a temporary name. Removed unless `commit`ted. */
export declare class TemporaryFile {
  static create(dir: string, prefix?: string): Promise<TemporaryFile>;
  readonly path: string;
  write(source: ByteStream): Promise<number>;
  /** fsync, rename to `target`, fsync of its directory. */
  commit(target: string): Promise<void>;
  /** Closes and removes it; after `commit` nothing. */
  discard(): Promise<void>;
}
