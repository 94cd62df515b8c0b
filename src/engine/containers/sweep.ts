/**
 * What a killed monitor (kill -9) left behind: its container's state of this boot, cgroups, and with --rm everything
 * else. The next command removes it. Nothing here is decided by age: a monitor is gone when no process has its pid
 * and start time.
 */
import * as fs from "node:fs";
import { errnoOf, noting, sweepDead, temporaryName, writeFileAtomically } from "../../base/mod.ts";
import { isAlive, readPidFile } from "../../runtime/mod.ts";
import { recordContainerEvent } from "../events/record.ts";
import { letGo } from "./end.ts";
import { releaseName, sweepNames } from "./names.ts";
import {
  type Container,
  containerDirectory,
  containerIds,
  copyClaim,
  type EnginePaths,
  exitFile,
  frozenMark,
  readContainer,
  runDirectory,
  runningIds,
} from "./record.ts";
import { monitorLives, stateOf, statusOf } from "./state.ts";

/** Removes a container's tree, whose files may have mapped ids. */
export type RemoveTree = (path: string, container: Container | undefined) => Promise<void>;

/** As a program killed by SIGKILL: pid 1 dies with its monitor. */
const lostExit = 128 + 9;

/**
 * Looks at up to `most` containers that have state of this boot; without a limit at all there are, since a command
 * can also be killed before or after there is such state. Those of `also` are looked at in any case. Returns the ids of
 * those it cleaned up.
 */
export async function sweepLost(
  paths: EnginePaths,
  removeTree: RemoveTree,
  now: number,
  most = Number.POSITIVE_INFINITY,
  also: readonly string[] = [],
): Promise<readonly string[]> {
  const looked = new Set<string>();
  const done = noting.noter?.monitors(`${paths.runroot}/containers`, most);
  let swept: readonly string[];
  try {
    const running = runningIds(paths);
    const everything = most === Number.POSITIVE_INFINITY;
    if (everything) sweepDead(`${paths.runroot}/containers`);
    for (const id of everything ? [...running, ...containerIds(paths)] : sample(running, most))
      looked.add(id);
    swept = await sweepThese(paths, removeTree, now, looked);
    if (everything) await sweepNames(paths);
  } finally {
    done?.();
  }
  // A note of all of them says nothing of these: what is read of each is noted.
  const named = noting.noter === undefined ? also.filter((id) => !looked.has(id)) : also;
  return named.length === 0 ? swept : [...swept, ...(await sweepThese(paths, removeTree, now, named))];
}

async function sweepThese(
  paths: EnginePaths,
  removeTree: RemoveTree,
  now: number,
  ids: Iterable<string>,
): Promise<readonly string[]> {
  const swept: string[] = [];
  for (const id of ids) {
    const container = readContainer(paths, id);
    if (container === undefined) {
      // The record is there before this directory is and goes after it; one that is damaged is for `rm --force`.
      if (!fs.existsSync(containerDirectory(paths, id))) await removeTree(runDirectory(paths, id), undefined);
      continue;
    }
    if (fs.existsSync(frozenMark(paths, id)))
      (await import("../files/freeze.ts")).thawAbandoned(paths, container);
    if (isSettled(paths, container) || monitorLives(paths, container)) continue;
    await cleanUpLost(paths, container, removeTree, now);
    swept.push(id);
  }
  return swept;
}

/** So that a few long-lived containers do not hide the others from every look. */
function sample(ids: readonly string[], most: number): readonly string[] {
  if (ids.length <= most) return ids;
  const start = Math.floor(Math.random() * ids.length);
  return [...ids.slice(start), ...ids.slice(0, start)].slice(0, most);
}

/** It ended as it should and is kept, or it was not started yet. */
function isSettled(paths: EnginePaths, container: Container): boolean {
  if (fs.existsSync(runDirectory(paths, container.id))) return false;
  const status = statusOf(paths, container);
  return status === "created" || (!container.remove && status === "exited");
}

async function cleanUpLost(
  paths: EnginePaths,
  container: Container,
  removeTree: RemoveTree,
  now: number,
): Promise<void> {
  const { id } = container;
  if (fs.existsSync(copyClaim(paths, id))) {
    // It was held for a copy, never started.
    await removeTree(runDirectory(paths, id), container);
    return;
  }
  endProcess(`${runDirectory(paths, id)}/pid`);
  letGo(container);
  const free = container.cgroups.map(removeCgroup).every(Boolean);
  // What could not be taken away yet is looked for again as long as the state's directory is there.
  if (container.remove) {
    if (free) await removeContainerFiles(paths, container, removeTree);
    return;
  }
  if (stateOf(paths, container).status === "lost") {
    recordContainerEvent(paths, container, "die", { exitCode: String(lostExit) });
    try {
      writeFileAtomically(exitFile(paths, id), `${lostExit} 9 ${BigInt(now) * 1_000_000n}\n`, {
        mode: 0o600,
      });
    } catch (error) {
      // Somebody removed it meanwhile.
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
  if (free) await removeTree(runDirectory(paths, id), container);
}

/** The name goes last: until then nobody else can have it. With `volumes` those that nobody named go as well. */
export async function removeContainerFiles(
  paths: EnginePaths,
  container: Container,
  removeTree: RemoveTree,
  volumes = container.remove,
): Promise<void> {
  if (volumes && container.mounts !== undefined) {
    const { removeAnonymousVolumes } = await import("../volumes/remove.ts");
    await removeAnonymousVolumes(paths, container, removeTree);
  }
  await removeTree(runDirectory(paths, container.id), container);
  const away = moveAway(paths, container.id);
  if (away !== undefined) await removeTree(away, container);
  releaseName(paths, container.name, container.id);
  recordContainerEvent(paths, container, "destroy");
}

/**
 * Takes the directory out of everybody's sight in one step: whoever still writes into it (how it ended, a changed record)
 * finds it gone, not half there. undefined: another command took it. What a crash leaves in ROOT/tmp is swept.
 */
function moveAway(paths: EnginePaths, id: string): string | undefined {
  const away = `${paths.root}/tmp/${temporaryName("removed")}`;
  fs.mkdirSync(`${paths.root}/tmp`, { recursive: true, mode: 0o700 });
  try {
    fs.renameSync(containerDirectory(paths, id), away);
    return away;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** A program that changed its credentials at execve (setuid) does not die with its monitor. */
function endProcess(pidFile: string): void {
  try {
    const process_ = readPidFile(pidFile);
    if (process_ !== undefined && isAlive(process_)) process.kill(process_.pid, "SIGKILL");
  } catch {
    // It ended meanwhile, or the file is damaged: the cgroup knows it as well.
  }
}

/** How long the kernel may take to end a killed process with all its namespaces. */
const cgroupPatienceMilliseconds = 5000;

/**
 * Processes that outlived pid 1 (they had the host's pid namespace) are killed, then the directory goes. False: somebody
 * is still in it.
 */
function removeCgroup(directory: string): boolean {
  const deadline = performance.now() + cgroupPatienceMilliseconds;
  while (performance.now() < deadline) {
    try {
      fs.rmdirSync(directory);
      return true;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== "EBUSY") return true;
    }
    removeGroupsBelow(directory);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  }
  return false;
}

/** A program that manages cgroups, as systemd does, made its own below; each is removed after those in it. */
function removeGroupsBelow(directory: string): void {
  killAll(`${directory}/cgroup.procs`);
  for (const name of directoriesOf(directory)) {
    const below = `${directory}/${name}`;
    removeGroupsBelow(below);
    try {
      fs.rmdirSync(below);
    } catch {
      // Whoever was in it is not gone yet, or somebody else removed it.
    }
  }
}

function directoriesOf(directory: string): readonly string[] {
  try {
    return fs
      .readdirSync(directory, { withFileTypes: true })
      .flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return []; // Removed meanwhile.
  }
}

function killAll(file: string): void {
  let text: string;
  try {
    text = fs.readFileSync(file, "latin1");
  } catch {
    return;
  }
  for (const word of text.split("\n")) {
    const pid = Number(word);
    if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended meanwhile.
    }
  }
}
