/** What a container does now: told from the helper's files and from /proc, never from what was once written down. */
import * as fs from "node:fs";
import { processStartTime } from "../../base/mod.ts";
import { isAlive, readExitFile, readPidFile } from "../../runtime/mod.ts";
import { type Container, type EnginePaths, exitFile, runDirectory } from "./record.ts";

export type ContainerState =
  /** Its monitor lives, its process does not yet. */
  | { readonly status: "created" }
  | { readonly status: "running"; readonly pid: number }
  | {
      readonly status: "exited";
      readonly code: number;
      /** Milliseconds since the epoch. */
      readonly finished: number;
    }
  /** Its monitor was killed: how its process ended is not known. */
  | { readonly status: "lost" };

export function stateOf(paths: EnginePaths, container: Container): ContainerState {
  const file = exitFile(paths, container.id);
  const before = exited(file);
  if (before !== undefined) return before;
  // The monitor may have ended between the two looks at its file.
  if (!monitorLives(container)) return exited(file) ?? { status: "lost" };
  const process = readPidFile(`${runDirectory(paths, container.id)}/pid`);
  return process !== undefined && isAlive(process)
    ? { status: "running", pid: process.pid }
    : { status: "created" };
}

function exited(file: string): ContainerState | undefined {
  const record = readExitFile(file);
  return record === undefined ? undefined : { status: "exited", code: record.code, finished: record.time };
}

/**
 * Same pid and same start time: a pid that was given out again is another process. A monitor of another pid
 * namespace cannot be looked at from here and counts as living.
 */
export function monitorLives({ monitor }: Pick<Container, "monitor">): boolean {
  return monitor.pidNamespace !== ownPidNamespace() || processStartTime(monitor.pid) === monitor.startTime;
}

export function ownPidNamespace(): string {
  return fs.readlinkSync("/proc/self/ns/pid");
}
