/** What a container does now: told from the helper's files and from /proc, never from what was once written down. */
import * as fs from "node:fs";
import { noting, processStartTime, readSmallFile } from "../../base/mod.ts";
import {
  type ExitRecord,
  isAlive,
  isFrozen,
  liveCgroup,
  type RunningProcess,
  readExitFile,
  readPidFile,
} from "../../runtime/mod.ts";
import {
  type Container,
  type EnginePaths,
  exitFile,
  type MonitorProcess,
  restartCountFile,
  restartingFile,
  runDirectory,
  startedFile,
  stoppedFile,
} from "./record.ts";

export type ContainerState =
  /** It was not started yet, or its monitor lives and its process does not yet. */
  | { readonly status: "created" }
  /** A paused one runs, and stands still. One whose process just ended runs until its monitor has written down how. */
  | { readonly status: "running"; readonly pid: number; readonly paused: boolean }
  | {
      readonly status: "exited";
      readonly code: number;
      /** Milliseconds since the epoch. */
      readonly finished: number;
      /** The kernel killed a process of it for want of memory. */
      readonly oomKilled?: true;
    }
  /** It ended, and its monitor waits before it runs it again, or does so now. */
  | { readonly status: "restarting"; readonly code: number; readonly finished: number }
  /** Its monitor was killed: how its process ended is not known. */
  | { readonly status: "lost" };

export function stateOf(paths: EnginePaths, container: Container): ContainerState {
  const file = exitFile(paths, container.id);
  const before = exited(file);
  if (before !== undefined) return restarting(paths, container) ?? before;
  // The monitor may have ended between the two looks at its file.
  if (!monitorLives(paths, container)) {
    return exited(file) ?? { status: wasStarted(paths, container) ? "lost" : "created" };
  }
  const process = readPidFile(`${runDirectory(paths, container.id)}/pid`);
  const running = (): ContainerState | undefined =>
    process && { status: "running", pid: process.pid, paused: isPaused(container) };
  if (process !== undefined && isAlive(process)) return running()!;
  // The monitor may have written the end down between the two looks at its file.
  return restarting(paths, container) ?? exited(file) ?? running() ?? { status: "created" };
}

/** Who asks no more than this can be told the same again after another end (docs/launch-record.md). */
export function statusOf(paths: EnginePaths, container: Container): ContainerState["status"] {
  const done = noting.noter?.endedAlone(exitFile(paths, container.id));
  try {
    return stateOf(paths, container).status;
  } finally {
    done?.();
  }
}

/** How it ended last, where its monitor is to run it again. */
function restarting(paths: EnginePaths, container: Container): ContainerState | undefined {
  if (!comesBack(container)) return undefined;
  const last = lastExit(paths, container);
  if (last === undefined || !monitorLives(paths, container)) return undefined;
  return { status: "restarting", code: last.code, finished: last.time };
}

/** Of the run before this one: the monitor keeps it from the first restart on. */
export function lastExit(paths: EnginePaths, container: Container): ExitRecord | undefined {
  try {
    return readExitFile(restartingFile(paths, container.id));
  } catch {
    return undefined;
  }
}

/** Its monitor may run it again; a policy or a health check says so. */
export function comesBack({ restart, healthcheck }: Container): boolean {
  return restart !== undefined || healthcheck === true;
}

/** How often its monitor ran it again since somebody started it. */
export function restartCount(paths: EnginePaths, container: Container): number {
  if (!comesBack(container)) return 0;
  try {
    return Number(readSmallFile(restartCountFile(paths, container.id)));
  } catch {
    return 0;
  }
}

/** A user ended it, and nobody has started it since. */
export function wasStopped(paths: EnginePaths, { id }: Container): boolean {
  return fs.existsSync(stoppedFile(paths, id));
}

/** Its processes stand still. */
export function isPaused(container: Container): boolean {
  const freezer = freezerDirectory(container);
  return isFrozen(
    freezer === undefined ? liveCgroup(container.cgroups) : { mode: "v1", directories: [freezer] },
  );
}

/** On v1 one directory of many has the state, and its hierarchy's name. It need not be there. */
export function freezerDirectory({ cgroups }: Container): string | undefined {
  return cgroups.find((directory) => directory.includes("/freezer/"));
}

/** Its process, if it runs: pid 1 of the container as the host sees it. */
export function runningProcess(paths: EnginePaths, container: Container): RunningProcess | undefined {
  if (!monitorLives(paths, container)) return undefined;
  const found = readPidFile(`${runDirectory(paths, container.id)}/pid`);
  return found !== undefined && isAlive(found) ? found : undefined;
}

function exited(file: string): ContainerState | undefined {
  const record = readExitFile(file);
  if (record === undefined) return undefined;
  const { code, time: finished } = record;
  return { status: "exited", code, finished, ...(record.oomKilled ? { oomKilled: true } : {}) };
}

/**
 * Same pid and same start time: a pid that was given out again is another process. A monitor of another pid
 * namespace cannot be looked at from here and counts as living.
 */
export function monitorLives(paths: EnginePaths, container: Container): boolean {
  return livesNow(
    () => monitorOf(paths, container),
    ({ pid, pidNamespace, startTime }) =>
      pidNamespace !== ownPidNamespace() || processStartTime(pid) === startTime,
  );
}

/**
 * Whoever starts a container in the background hands it over, and ends: one that is dead may have been followed since it was
 * read, and a sweep would take what has just been started for lost.
 */
export function livesNow(
  read: () => MonitorProcess | undefined,
  lives: (monitor: MonitorProcess) => boolean,
): boolean {
  let monitor = read();
  while (monitor !== undefined) {
    if (lives(monitor)) return true;
    const next = read();
    if (next?.pid === monitor.pid && next.startTime === monitor.startTime) return false;
    monitor = next;
  }
  return false;
}

/** Whoever holds it, or held it last in this boot. undefined: it was only created. */
export function monitorOf(paths: EnginePaths, container: Container): MonitorProcess | undefined {
  let text: string;
  try {
    text = readSmallFile(`${runDirectory(paths, container.id)}/monitor`);
  } catch {
    return container.monitor;
  }
  const match = /^(\d+) (\d+) (pid:\[\d+\])\n?$/.exec(text);
  if (match === null) return container.monitor;
  return { pid: Number(match[1]), startTime: match[2]!, pidNamespace: match[3]! };
}

/** When it was started last, in milliseconds since the epoch. undefined: never. */
export function startedAt(paths: EnginePaths, container: Container): number | undefined {
  try {
    // Whoever started it wrote down when; its monitor leaves it to the date of this file.
    if (comesBack(container) && restartCount(paths, container) > 0) {
      const pid = fs.statSync(`${runDirectory(paths, container.id)}/pid`, { throwIfNoEntry: false });
      if (pid !== undefined) return pid.mtimeMs;
    }
    // Asked first: a thrown ENOENT costs ten times as much.
    const file = startedFile(paths, container.id);
    if (fs.existsSync(file)) return Number(fs.readFileSync(file, "latin1"));
  } catch {
    // It was started a moment ago, or is gone.
  }
  return container.monitor === undefined ? undefined : container.created;
}

export function wasStarted(paths: EnginePaths, container: Container): boolean {
  return container.monitor !== undefined || fs.existsSync(startedFile(paths, container.id));
}

export function ownProcess(): MonitorProcess {
  return {
    pid: process.pid,
    startTime: processStartTime(process.pid) ?? "0",
    pidNamespace: ownPidNamespace(),
  };
}

/**
 * Waits until nobody holds the container any more, at most so many milliseconds (-1: for ever). False: it is still held.
 * The helper waits for us: no time is lost between two looks.
 */
export function awaitMonitor(
  paths: EnginePaths,
  container: Container,
  helperPath: string,
  milliseconds: number,
): boolean {
  const monitor = monitorOf(paths, container);
  if (monitor === undefined || !monitorLives(paths, container)) return true;
  return awaitProcess(monitor, helperPath, milliseconds);
}

export function awaitProcess(
  { pid, startTime }: { readonly pid: number; readonly startTime: string },
  helperPath: string,
  milliseconds: number,
): boolean {
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const done = spawnSync(helperPath, ["await", String(pid), startTime, String(milliseconds)], {
    stdio: "ignore",
  });
  return done.status === 0;
}

export function ownPidNamespace(): string {
  return fs.readlinkSync("/proc/self/ns/pid");
}
