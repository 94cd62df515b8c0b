/**
 * ROOT/containers/ID/container.json: what is known of a container, written once before it starts. What happens to it
 * later is in files that the helper writes (pid, exit).
 */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  errnoOf,
  limits,
  parseJson,
  readForNow,
  syncDirectory,
  temporaryName,
  writeFileAtomically,
} from "../../base/mod.ts";
import type { ContainerRecord, StoreIds } from "../../store/mod.ts";
import type { RestartPolicy } from "../options.ts";
import type { KeptMount } from "../spec/user-mounts.ts";
import type { AskedFor } from "./asked.ts";

/** The process that holds a container. */
export interface MonitorProcess {
  readonly pid: number;
  readonly startTime: string;
  /** As `pid:[4026531836]`: to another pid namespace this pid means nothing. */
  readonly pidNamespace: string;
}

export interface Container extends ContainerRecord {
  readonly name: string;
  /** What the user typed, e.g. `alpine`; with --rootfs the directory. */
  readonly image: string;
  /** Milliseconds since the epoch. */
  readonly created: number;
  readonly command: readonly string[];
  readonly remove: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly stopSignal: string;
  /** A flag or the image names the stop signal: then no other one means that the container is to end. */
  readonly stopSignalChosen?: true;
  readonly stopTimeoutSeconds: number;
  /**
   * The engine that wrote this record, which becomes the helper. Absent: the container was only created. Once it is
   * detached or started again, RUNROOT/containers/ID/monitor names the process (`monitorOf`).
   */
  readonly monitor?: MonitorProcess;
  /** Absent: `no`. */
  readonly restart?: RestartPolicy;
  /** Its host name, where it has a UTS namespace of its own. */
  readonly hostname?: string;
  /** `--ipc` where no other container may join it; absent: one may. */
  readonly ipc?: "private" | "none";
  /** Containers whose namespaces it shares. */
  readonly dependsOn?: readonly string[];
  /** It has a health check, whose state is in `healthFile`. */
  readonly healthcheck?: true;
  /** Whose ids its files have. */
  readonly ids: StoreIds;
  /** No other container may get them (`--userns=auto`). */
  readonly uniqueIds?: true;
  /** Absolute host paths of its cgroup directories. */
  readonly cgroups: readonly string[];
  readonly files: { readonly config: string; readonly exit: string; readonly pid: string };
  /** Absent: nothing, or it was made by an earlier release. */
  readonly asked?: AskedFor;
  /** What flags and the image's VOLUME mount in it; absent: nothing. */
  readonly mounts?: readonly KeptMount[];
}

/** The directories of ARCHITECTURE.md, "On disk". */
export interface EnginePaths {
  readonly root: string;
  readonly runroot: string;
}

export function containerDirectory(paths: EnginePaths, id: string): string {
  return `${paths.root}/containers/${id}`;
}

export function runDirectory(paths: EnginePaths, id: string): string {
  return `${paths.runroot}/containers/${id}`;
}

/** Where its exit status is kept: beside the record, so that it outlives a reboot. */
export function exitFile(paths: EnginePaths, id: string): string {
  return `${containerDirectory(paths, id)}/exit`;
}

/** Milliseconds since the epoch when it was started last; `run` itself leaves it to the record's time. */
export function startedFile(paths: EnginePaths, id: string): string {
  return `${containerDirectory(paths, id)}/started`;
}

/** Where those who attach meet the monitor. */
export function attachSocket(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/attach`;
}

/** There while a stopped container is held by who copies its files: see files/view.ts. */
export function copyClaim(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/copying`;
}

/** Names who paused it to read its files: see files/freeze.ts. */
export function frozenMark(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/frozen-by`;
}

export function logFile(paths: EnginePaths, id: string): string {
  return `${containerDirectory(paths, id)}/log`;
}

export function healthFile(paths: EnginePaths, id: string): string {
  return `${containerDirectory(paths, id)}/health`;
}

export function healthPlanFile(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/health-plan`;
}

/** What `update` changed of its health check since it was started (native/health.c). */
export function healthSettingsFile(paths: EnginePaths, id: string): string {
  return `${healthPlanFile(paths, id)}-settings`;
}

/** Why its last start failed, in words; absent: it did not. */
export function errorFile(paths: EnginePaths, id: string): string {
  return `${containerDirectory(paths, id)}/error`;
}

/** A FIFO: who writes a byte into it has its monitor check its health now. */
export function healthAskFile(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/health-ask`;
}

/** There once the kernel killed a process of it for want of memory, while it runs. */
export function oomMark(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/oom`;
}

/** A symbolic link to /proc/PID of the container's first process, which is not known when the plan is made. */
export function processLink(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/process`;
}

/** The /dev/shm of another container; only who is in its mount namespace can mount it (`ContainerPlacement.ofProcesses`). */
export function sharedShmSource(process: string): string {
  return `${process}/root/dev/shm`;
}

/** Whoever makes it ends the container for good. */
export function stopFile(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/stop`;
}

/** Holds the exit record of its last run while a container waits to be run again. */
export function restartingFile(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/restarting`;
}

export function restartCountFile(paths: EnginePaths, id: string): string {
  return `${containerDirectory(paths, id)}/restarts`;
}

/** POLICY RETRIES that were given since it was started (`policyText`). */
export function policyFile(paths: EnginePaths, id: string): string {
  return `${runDirectory(paths, id)}/restart-policy`;
}

/** A user ended it: it stays so at the next boot, with `unless-stopped`. */
export function stoppedFile(paths: EnginePaths, id: string): string {
  return `${containerDirectory(paths, id)}/stopped`;
}

/**
 * Makes ROOT/containers/ID with its record in it, in one step: a directory there always has a record that names its
 * owner, so that what a crash leaves is known as such.
 */
export function createContainer(paths: EnginePaths, container: Container): void {
  const making = `${paths.root}/tmp/${temporaryName("container")}`;
  fs.mkdirSync(making, { recursive: true, mode: 0o700 });
  try {
    const file = `${making}/container.json`;
    const text = JSON.stringify(container);
    // A record that goes with its container needs no flush to disk.
    if (container.remove) fs.writeFileSync(file, text, { mode: 0o600 });
    else writeFileAtomically(file, text, { mode: 0o600 });
    moveInto(making, containerDirectory(paths, container.id));
    if (!container.remove) syncDirectory(`${paths.root}/containers`);
  } catch (error) {
    fs.rmSync(making, { recursive: true, force: true });
    throw error;
  }
}

function moveInto(from: string, to: string): void {
  try {
    fs.renameSync(from, to);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    fs.mkdirSync(path.dirname(to), { recursive: true, mode: 0o700 });
    fs.renameSync(from, to);
  }
}

const idPattern = /^[0-9a-f]{64}$/;

/** Every record that can be read; one that is being written or was damaged is passed over. */
export function listContainers(paths: EnginePaths): readonly Container[] {
  return containerIds(paths).flatMap((id) => readContainer(paths, id) ?? []);
}

/** Every directory of a container, whether its record is there or not. */
export function containerIds(paths: EnginePaths): readonly string[] {
  return names(path.join(paths.root, "containers"));
}

/** Every container with state of this boot. */
export function runningIds(paths: EnginePaths): readonly string[] {
  return names(path.join(paths.runroot, "containers"));
}

function names(directory: string): readonly string[] {
  try {
    return fs.readdirSync(directory).filter((name) => idPattern.test(name));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

export function readContainer(paths: EnginePaths, id: string): Container | undefined {
  try {
    const value = parseJson(readForNow(`${containerDirectory(paths, id)}/container.json`), {
      maxBytes: limits.runtimeConfigBytes,
    }) as unknown as Container;
    return value.id === id &&
      typeof value.name === "string" &&
      (value.monitor === undefined || typeof value.monitor.pid === "number")
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}
