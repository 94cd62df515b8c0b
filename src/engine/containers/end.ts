/** Ending containers: signals to their process, and the wait until their monitor has cleaned up. */
import * as fs from "node:fs";
import { errnoOf, VitrineError } from "../../base/mod.ts";
import { liveCgroup, thaw } from "../../runtime/mod.ts";
import { recordContainerEvent } from "../events/record.ts";
import { signalNumber } from "../flags/process.ts";
import { type Container, type EnginePaths, stopFile, stoppedFile } from "./record.ts";
import {
  awaitMonitor,
  awaitProcess,
  comesBack,
  isPaused,
  monitorLives,
  monitorOf,
  runningProcess,
  stateOf,
} from "./state.ts";

export interface EndDeps {
  readonly paths: EnginePaths;
  readonly helperPath: string;
}

/**
 * As docker: any signal is a wish that it ends and stays so, unless the container has a stop signal of its own; then that
 * one and SIGKILL are.
 */
function isToEnd({ stopSignal, stopSignalChosen }: Container, signal: number): boolean {
  const own = signalNumber(stopSignal);
  // An earlier release did not write down that it was chosen.
  const chosen = stopSignalChosen === true || own !== signalNumber("TERM");
  return !chosen || signal === own || signal === signalNumber("KILL");
}

/**
 * Sends a signal (`SIGTERM`, `9`); one that waits to be run again ends. Errors: `container-not-running`,
 * `signal-denied`.
 */
export function signalContainer(container: Container, signal: string, { paths }: EndDeps): void {
  const number = signalNumber(signal) ?? 15;
  const ends = isToEnd(container, number);
  // Whoever gives a container that runs until it is stopped a signal has stopped it.
  const refuses = ends || container.restart?.name === "unless-stopped";
  // Before the refusal, which may be all that it takes.
  const wasUp =
    comesBack(container) && !["created", "exited", "lost"].includes(stateOf(paths, container).status);
  if (refuses) refuseRestart(paths, container);
  const process_ = runningProcess(paths, container);
  if (process_ === undefined) {
    if (!refuses || !wasUp) throw notRunning(container);
    recordKill(paths, container, signal);
    wakeMonitor(paths, container);
  } else {
    send(paths, container, process_.pid, signal);
    // As docker: a signal that is to end it is not kept for later.
    if (ends) letGo(container);
  }
}

/**
 * The stop signal, then SIGKILL after `timeoutSeconds` (-1: never). A container that does not run is left as it is; one
 * that waits to be run again ends. Returns when its monitor has cleaned up. Error: `container-not-ending`.
 */
export function stopContainer(
  container: Container,
  { signal, timeoutSeconds }: { readonly signal?: string | undefined; readonly timeoutSeconds: number },
  deps: EndDeps,
): void {
  const { paths, helperPath } = deps;
  if (!monitorLives(paths, container)) return;
  refuseRestart(paths, container);
  const kill = (pid: number, name: string): void => {
    send(paths, container, pid, name);
    letGo(container);
  };
  const deadline = performance.now() + patienceMilliseconds;
  for (;;) {
    const running = runningProcess(paths, container);
    if (running !== undefined) {
      kill(running.pid, signal ?? container.stopSignal);
      const wait = timeoutSeconds < 0 ? -1 : timeoutSeconds * 1000;
      if (!awaitProcess(running, helperPath, wait)) kill(running.pid, "SIGKILL");
      awaitEnd(container, deps);
      break;
    }
    // It has no process yet, or none between two runs: the monitor itself is told.
    wakeMonitor(paths, container);
    if (awaitMonitor(paths, container, helperPath, 100)) break;
    if (performance.now() > deadline) throw notEnding(paths, container);
  }
  recordContainerEvent(paths, container, "stop");
}

/**
 * From now on its monitor does not run it again. The file first, then a look for a process: the monitor looks for the
 * file after its process can be found, so one of the two sees the other.
 */
export function refuseRestart(paths: EnginePaths, container: Container): void {
  try {
    fs.writeFileSync(stopFile(paths, container.id), "", { mode: 0o600 });
  } catch (error) {
    // Its state is gone: it has ended.
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  if (container.restart === undefined) return;
  try {
    fs.writeFileSync(stoppedFile(paths, container.id), "", { mode: 0o600 });
  } catch {
    // A full disk: it ends all the same, and only a boot would start it again.
  }
}

/** Ends the wait of a monitor between two runs, and a setup. */
export function wakeMonitor(paths: EnginePaths, container: Container): void {
  const status = stateOf(paths, container).status;
  const monitor = monitorOf(paths, container);
  if (monitor === undefined || (status !== "restarting" && status !== "created")) return;
  try {
    process.kill(monitor.pid, "SIGTERM");
  } catch {
    // It ended between the look and the signal.
  }
}

/** One that stands still hears no signal (on v1 not even SIGKILL): let it go on. */
export function letGo(container: Container): void {
  if (isPaused(container)) thaw(liveCgroup(container.cgroups), container.name);
}

/** How long the monitor may take to clean up after its process ended: hundreds may do so at once. */
export const patienceMilliseconds = 60_000;

/** Error: `container-not-ending`. */
function awaitEnd(container: Container, { paths, helperPath }: EndDeps): void {
  if (!awaitMonitor(paths, container, helperPath, patienceMilliseconds)) throw notEnding(paths, container);
}

export function notEnding(paths: EnginePaths, container: Container): VitrineError {
  const pid = monitorOf(paths, container)?.pid;
  return new VitrineError("unavailable", `the monitor of container ${container.name} does not end`, {
    code: "container-not-ending",
    operand: container.name,
    hint: `its process is ${pid}: see 'ps -o stat,wchan ${pid}'`,
  });
}

/** The process is gone by now: that is what was wanted, or nothing is there to be told. */
/** Told before it is done: what the monitor tells of its effect comes after that. */
function send(paths: EnginePaths, container: Container, pid: number, signal: string): void {
  try {
    process.kill(pid, 0);
    recordKill(paths, container, signal);
    process.kill(pid, signalNumber(signal) ?? 15);
  } catch (cause) {
    if (errnoOf(cause) === "ESRCH") return;
    throw new VitrineError("denied", `cannot signal container ${container.name}`, {
      code: "signal-denied",
      operand: container.name,
      hint: "run the command as the user who started the container",
      cause,
    });
  }
}

function recordKill(paths: EnginePaths, container: Container, signal: string): void {
  recordContainerEvent(paths, container, "kill", { signal: String(signalNumber(signal) ?? 15) });
}

export function notRunning(container: Container): VitrineError {
  return new VitrineError("invalid", `container ${container.name} is not running`, {
    code: "container-not-running",
    operand: container.name,
    hint: `vitrine start ${container.name}`,
  });
}
