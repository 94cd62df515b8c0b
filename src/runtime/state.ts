/**
 * What the monitor leaves in RUNROOT about a container, and whether its process still is the one that was started.
 *
 * `pid`: `PID STARTTIME\n`, field 22 of /proc/PID/stat. `exit`: `CODE SIGNAL TIME\n`, the time in nanoseconds since
 * 1970; a signal of 0 means that the program ended by itself; ` oom` after it that the kernel killed a process of it.
 */
import { errnoOf, processStartTime, readSmallFile, VitrineError } from "../base/mod.ts";

export interface RunningProcess {
  readonly pid: number;
  /** Clock ticks since boot: tells the process from a later one with the same pid. */
  readonly startTime: string;
}

export interface ExitRecord {
  /** As a shell counts: the program's status, or 128 + the signal's number. */
  readonly code: number;
  /** The signal that ended it; 0: none. */
  readonly signal: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** The kernel killed a process of it for want of memory. */
  readonly oomKilled?: true;
}

export type ContainerProcessState =
  | { readonly status: "created" }
  | { readonly status: "running"; readonly process: RunningProcess }
  /** `exit` is missing when the monitor was killed before it could write it. */
  | { readonly status: "stopped"; readonly exit: ExitRecord | undefined };

/** Where a container's process stands, from its two files. Errors: `state-file-corrupt`. */
export function readProcessState(files: {
  readonly pidFile: string;
  readonly exitFile: string;
}): ContainerProcessState {
  // The exit file first: it is written last, so that what is not there yet shows as running.
  const exit = readExitFile(files.exitFile);
  if (exit !== undefined) {
    return { status: "stopped", exit };
  }
  const process = readPidFile(files.pidFile);
  if (process === undefined) {
    return { status: "created" };
  }
  if (isAlive(process)) {
    return { status: "running", process };
  }
  // It may have ended between the two reads.
  return { status: "stopped", exit: readExitFile(files.exitFile) };
}

/** undefined: there is none. */
export function readPidFile(path: string): RunningProcess | undefined {
  // Read once: between two reads the file may come to be.
  const text = readIfThere(path) ?? "";
  const match = /^(\d+) (\d+)\n?$/.exec(text);
  if (match === null) {
    return unlessCorrupt(path, text);
  }
  return { pid: Number(match[1]), startTime: match[2] ?? "" };
}

/** undefined: there is none. */
export function readExitFile(path: string): ExitRecord | undefined {
  const text = readIfThere(path) ?? "";
  const match = /^(-1|\d{1,3}) (\d{1,2}) (\d{1,20})( oom)?\n?$/.exec(text);
  if (match === null) {
    return unlessCorrupt(path, text);
  }
  const time = Number(BigInt(match[3] ?? 0) / 1_000_000n);
  return {
    code: Number(match[1]),
    signal: Number(match[2]),
    time,
    ...(match[4] === undefined ? {} : { oomKilled: true }),
  };
}

/** The process that was started runs; another that has its pid by now does not count, nor does a zombie. */
export function isAlive(process: RunningProcess): boolean {
  return processStartTime(process.pid) === process.startTime;
}

/** An empty file is one that is being written. */
function unlessCorrupt(path: string, text: string): undefined {
  if (text !== "") {
    throw new VitrineError("corrupt", `${path} is not what the monitor writes`, {
      code: "state-file-corrupt",
      operand: path,
      hint: "remove the container: vitrine rm --force",
    });
  }
  return undefined;
}

function readIfThere(path: string): string | undefined {
  try {
    return readSmallFile(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") {
      return undefined;
    }
    throw error;
  }
}
