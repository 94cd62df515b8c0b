/** Waiting for containers. */
import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { readHealth } from "./health.ts";
import { attachSocket, type Container, type EnginePaths, readContainer } from "./record.ts";
import { comesBack, lastExit, monitorLives, monitorOf, runningProcess, stateOf } from "./state.ts";

export interface WaitDeps {
  readonly paths: EnginePaths;
  readonly helperPath: string;
  /** Nobody wants to know any more: what waits ends, and the promise is rejected. */
  readonly signal?: AbortSignal | undefined;
}

/** As a program killed by SIGKILL: how it ended is not known. */
const lostExit = 128 + 9;
const lookMilliseconds = 20;

/**
 * Until the container's program ends, and how it ended; as with docker one that is run again has ended all the same. A
 * container that does not run gives how it ended last.
 */
export async function awaitExit(container: Container, deps: WaitDeps): Promise<number> {
  const { paths, signal } = deps;
  const told = container.remove ? await toldByMonitor(container, deps) : undefined;
  if (told !== undefined) return told;
  for (;;) {
    // All that one which does not come back left is gone as well.
    const monitor = comesBack(container) ? undefined : monitorOf(paths, container);
    if (monitor !== undefined && monitorLives(paths, container)) await awaitEnd(monitor, deps);
    const running = runningProcess(paths, container);
    if (running !== undefined) {
      await awaitEnd(running, deps);
      return exitAfter(running.startTime, container, deps);
    }
    if (!monitorLives(paths, container)) return endOf(container, paths);
    await sleep(lookMilliseconds, undefined, { signal });
  }
}

/** The helper waits for us: no time is lost between two looks. */
async function awaitEnd(
  { pid, startTime }: { readonly pid: number; readonly startTime: string },
  deps: WaitDeps,
): Promise<void> {
  await runHelper(["await", String(pid), startTime, "-1"], deps);
}

/** What it printed, once it has ended. */
function runHelper(args: readonly string[], { helperPath, signal }: WaitDeps): Promise<string> {
  const { spawn } = process.getBuiltinModule("node:child_process");
  return new Promise((resolve, reject) => {
    const child = spawn(helperPath, args, {
      stdio: ["ignore", "pipe", "ignore"],
      killSignal: "SIGKILL",
      ...(signal === undefined ? {} : { signal }),
    });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString("latin1")));
    child.on("error", reject);
    child.on("close", () => resolve(said));
  });
}

/**
 * One of --rm leaves no file that says how it ended: its monitor tells those who are attached. undefined: nobody can
 * attach to it, or it does not run, or no more.
 */
async function toldByMonitor(container: Container, deps: WaitDeps): Promise<number | undefined> {
  const { paths } = deps;
  const socket = attachSocket(paths, container.id);
  if (!monitorLives(paths, container) || !fs.existsSync(socket)) return undefined;
  // Its own exit status would not say whether somebody answered.
  const said = await runHelper(["attach", "--no-input", "--no-signals", "--tell", socket], deps);
  return /^\d+\n$/.test(said) ? Number(said) : undefined;
}

function endOf(container: Container, paths: EnginePaths): number {
  const state = stateOf(paths, container);
  if (state.status === "exited") return state.code;
  return state.status === "created" ? 0 : lostExit;
}

/** How the process of that start ended: the monitor is about to write it down. */
async function exitAfter(startTime: string, container: Container, { paths }: WaitDeps): Promise<number> {
  for (;;) {
    const state = stateOf(paths, container);
    if (state.status === "exited" || state.status === "restarting") return state.code;
    if (!monitorLives(paths, container)) return endOf(container, paths);
    // It was run again before we looked.
    const now = runningProcess(paths, container);
    if (now !== undefined && now.startTime !== startTime) return lastExit(paths, container)?.code ?? lostExit;
    await sleep(2);
  }
}

/** States of `wait --condition`, docker's and podman's. */
export const waitConditions = [
  "stopped",
  "exited",
  "not-running",
  "next-exit",
  "removed",
  "created",
  "configured",
  "initialized",
  "running",
  "restarting",
  "healthy",
  "unhealthy",
] as const;
export type WaitCondition = (typeof waitConditions)[number];

/** The conditions that are no end: `awaitExit` waits for those. */
export function isEnd(condition: WaitCondition): boolean {
  return ["stopped", "exited", "not-running", "next-exit"].includes(condition);
}

/** Looks until one of the conditions holds. -1, as podman has it, where the container has not ended. */
export async function awaitCondition(
  container: Container,
  conditions: readonly WaitCondition[],
  { paths, signal }: Pick<WaitDeps, "paths" | "signal">,
  intervalMilliseconds: number,
): Promise<number> {
  for (;;) {
    const now = readContainer(paths, container.id);
    if (conditions.some((condition) => holds(now, condition, paths))) {
      const state = now === undefined ? undefined : stateOf(paths, now);
      return state?.status === "exited" ? state.code : -1;
    }
    await sleep(intervalMilliseconds, undefined, { signal });
  }
}

function holds(container: Container | undefined, condition: WaitCondition, paths: EnginePaths): boolean {
  if (condition === "removed" || container === undefined) return container === undefined;
  const { status } = stateOf(paths, container);
  switch (condition) {
    case "healthy":
    case "unhealthy":
      return status === "running" && readHealth(paths, container)?.status === condition;
    case "running":
    case "restarting":
    case "created":
      return status === condition;
    case "configured":
    case "initialized":
      return status === "created";
    default:
      return status === "exited" || status === "lost";
  }
}
