/** All containers at a glance, for those who list them: few files of each are read, and each once. */
import * as fs from "node:fs";
import { processStatus, readSmallFile } from "../../base/mod.ts";
import { readPidFile } from "../../runtime/mod.ts";
import {
  type Container,
  containerDirectory,
  containerIds,
  type EnginePaths,
  readContainer,
  runDirectory,
  runningIds,
} from "./record.ts";
import { type ContainerState, freezerDirectory, isPaused, monitorLives, stateOf } from "./state.ts";

export interface Surveyed {
  readonly container: Container;
  readonly state: ContainerState;
  /** Of a running one: how long its process lives, as the kernel says. */
  readonly upMilliseconds?: number;
}

export interface Survey {
  readonly containers: readonly Surveyed[];
  /** A monitor was killed, or something was left half made: a sweep (`sweepLost`) has work to do. */
  readonly untidy: boolean;
  /** Ids of those whose record is lost. */
  readonly damaged: readonly string[];
}

/**
 * As `stateOf` each, but of a process that lives it is believed that its monitor does: that one takes it with it
 * (PR_SET_PDEATHSIG), and so the monitor need not be looked at.
 */
export function surveyContainers(paths: EnginePaths): Survey {
  const inThisBoot = new Set(runningIds(paths));
  const containers: Surveyed[] = [];
  const damaged: string[] = [];
  let untidy = false;
  const uptime = machineUptime();
  for (const id of containerIds(paths)) {
    const container = readContainer(paths, id);
    const hasState = inThisBoot.delete(id);
    if (container === undefined) {
      if (isLost(paths, id)) damaged.push(id);
      continue;
    }
    const running = hasState ? runningState(paths, container, uptime) : undefined;
    const state = running?.state ?? stateOf(paths, container);
    containers.push(running === undefined ? { container, state } : { container, ...running });
    if (running !== undefined || state.status === "restarting") continue;
    const held = hasState && monitorLives(paths, container);
    if (!held && (hasState || state.status === "lost" || (container.remove && state.status === "exited"))) {
      untidy = true;
    }
  }
  return { containers, untidy: untidy || inThisBoot.size > 0, damaged };
}

/** What somebody removes at this moment has no record either: its directory changed just now. */
function isLost(paths: EnginePaths, id: string): boolean {
  const stat = fs.statSync(containerDirectory(paths, id), { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > removalMilliseconds;
}

const removalMilliseconds = 10_000;

/** Who gets the children of the dead. */
const orphanage = 1;

function runningState(
  paths: EnginePaths,
  container: Container,
  uptime: number,
): Omit<Surveyed, "container"> | undefined {
  try {
    const found = readPidFile(`${runDirectory(paths, container.id)}/pid`);
    const status = found === undefined ? undefined : processStatus(found.pid);
    if (found === undefined || status?.startTime !== found.startTime) return undefined;
    // An orphan: its monitor was killed, and it is about to follow, or has left it behind (setuid). That is looked at closely.
    if (status.parent === orphanage) return undefined;
    // What v1's freezer holds is in the state D: of the others its files need not be read.
    const asleep = freezerDirectory(container) !== undefined && status.state !== "D";
    return {
      state: { status: "running", pid: found.pid, paused: !asleep && isPaused(container) },
      upMilliseconds: Math.max(0, uptime - Number(found.startTime) * tickMilliseconds),
    };
  } catch {
    return undefined;
  }
}

/** What /proc counts in, on every architecture (USER_HZ). */
const tickMilliseconds = 10;

/** On the clock of the start times in /proc. */
function machineUptime(): number {
  return Number.parseFloat(readSmallFile("/proc/uptime")) * 1000;
}
