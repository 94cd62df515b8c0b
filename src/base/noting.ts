import * as fs from "node:fs";

/**
 * Where a start may be repeated without deciding it again, somebody notes what is read and written meanwhile
 * (docs/launch-record.md). He sees every call of the file system by himself; here he is told what no call says.
 */
export interface Noter {
  /** What follows, until the returned function is called, reads only lines that hold one of these words. */
  readonly linesWith: (words: readonly string[]) => () => void;
  /** What follows, until the returned function is called, reads files that are the container's own (`ofContainer`). */
  readonly ofContainer: () => () => void;
  /** Of a file nothing else is asked than what kind it is of (`fileKind`); the returned function is told it, or the error's number. */
  readonly fileKind: (path: string, follow: boolean) => (errno: number, type: number) => void;
  /** Looks at so many of the containers that have state in `directory`, for dead monitors: none was found if nothing is removed. */
  readonly monitors: (directory: string, most: number) => () => void;
  /** Looks in `directory` for temporaries of dead owners. */
  readonly temporaries: (directory: string) => () => void;
  /** When a process began is asked; the returned function is told it, undefined when it has ended. */
  readonly startTime: (pid: number) => (time: string | undefined) => void;
  /** Which namespaces of `/proc/PID/ns` are not ours is asked; the returned function is told it, a bit for each of cgroup, ipc, mnt, net, pid, time, user, uts. */
  readonly namespaces: (directory: string) => (foreign: number) => void;
  /** Of this file, until the returned function is called, only that it holds how a container ended is asked. */
  readonly endedAlone: (file: string) => () => void;
  /** Containers are looked for by the beginnings of their ids; the returned function is told which there are, undefined when that failed. */
  readonly ids: (directory: string, prefix: string) => (found: readonly string[] | undefined) => void;
  /** What follows, until the returned function is called, lists directories on disk: that none of their names changed is what counts. */
  readonly listing: () => () => void;
  /**
   * A registry on this machine answered 200 to `request`, as it stands, over plain HTTP at `host` (`localhost:PORT`, `127.N.N.N:PORT`,
   * `[::1]:PORT`), with these headers and without a warning. No other way to the network is noted.
   */
  readonly answer: (
    host: string,
    request: string,
    headers: readonly (readonly [name: string, value: string])[],
  ) => void;
  /** The open file would be replaced if it had more bytes than these. */
  readonly below: (descriptor: number, bytes: number) => void;
  /** What happens now cannot be repeated. */
  readonly giveUp: (why: string) => void;
}

/**
 * undefined: nobody notes, as in nearly every start. He came before any module (src/cli/start.ts), so he is not imported.
 */
export const noting: { readonly noter: Noter | undefined } = {
  noter: (globalThis as Record<symbol, unknown>)[Symbol.for("vitrine.noter")] as Noter | undefined,
};

/**
 * Reads a file that somebody writes anew for each container: of random digits, times and the order of environment variables in it
 * `read` and what comes after it decide nothing. They only pass through: into paths, whose facts are noted, and into plans.
 */
export function ofContainer<T>(read: () => T): T {
  const done = noting.noter?.ofContainer();
  try {
    return read();
  } finally {
    done?.();
  }
}

export type FileKind = "directory" | "file" | "link" | "socket" | "other" | "missing";

/** Nothing else of the file is looked at. `missing`: with ENOENT or ENOTDIR. Errors: all other ones of stat(2). */
export function fileKind(path: string, { follow = true } = {}): FileKind {
  const told = noting.noter?.fileKind(path, follow);
  try {
    const stat = follow ? fs.statSync(path) : fs.lstatSync(path);
    told?.(0, stat.mode & fs.constants.S_IFMT);
    return kindOf(stat);
  } catch (error) {
    const { code, errno = 0 } = error as NodeJS.ErrnoException;
    told?.(Math.abs(errno), 0);
    if (code === "ENOENT" || code === "ENOTDIR") return "missing";
    throw error;
  }
}

/** Of an open file, whose last name was no link; `size` is to be used to bound what is read of it, and for no decision. */
export function openFileKind(descriptor: number, path: string): { kind: FileKind; size: number } {
  const told = noting.noter?.fileKind(path, false);
  const stat = fs.fstatSync(descriptor);
  told?.(0, stat.mode & fs.constants.S_IFMT);
  return { kind: kindOf(stat), size: stat.size };
}

function kindOf(stat: fs.Stats): FileKind {
  if (stat.isDirectory()) return "directory";
  if (stat.isFile()) return "file";
  if (stat.isSymbolicLink()) return "link";
  return stat.isSocket() ? "socket" : "other";
}

/** The lines of a text that hold one of the words: for files of which the rest may change from one read to the next. */
export function linesWith(words: readonly string[], read: () => string): string {
  const done = noting.noter?.linesWith(words);
  try {
    return pickLines(read(), words);
  } finally {
    done?.();
  }
}

export function pickLines(text: string, words: readonly string[]): string {
  let picked = "";
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline + 1;
    const line = text.slice(start, end);
    if (words.some((word) => line.includes(word))) picked += line;
    start = end;
  }
  return picked;
}
