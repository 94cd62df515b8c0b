/** Ending containers: signals to their process, and the wait until their monitor has cleaned up. */
import { errnoOf, VitrineError } from "../../base/mod.ts";
import { liveCgroup, thaw } from "../../runtime/mod.ts";
import { recordContainerEvent } from "../events/record.ts";
import { signalNumber } from "../flags/process.ts";
import type { Container, EnginePaths } from "./record.ts";
import { awaitMonitor, awaitProcess, isPaused, monitorOf, runningProcess } from "./state.ts";

export interface EndDeps {
  readonly paths: EnginePaths;
  readonly helperPath: string;
}

/** Sends a signal (`SIGTERM`, `9`). Errors: `container-not-running`, `signal-denied`. */
export function signalContainer(container: Container, signal: string, { paths }: EndDeps): void {
  const process_ = runningProcess(paths, container);
  if (process_ === undefined) throw notRunning(container);
  send(container, process_.pid, signal);
  // As docker: a signal that is to end it is not kept for later.
  const number = signalNumber(signal);
  if (number === 9 || number === signalNumber(container.stopSignal)) letGo(container);
  recordContainerEvent(paths, container, "kill", { signal: String(signalNumber(signal) ?? 15) });
}

/**
 * The stop signal, then SIGKILL after `timeoutSeconds` (-1: never). A container that does not run is left as it is.
 * Returns when its monitor has cleaned up. Error: `container-not-ending`.
 */
export function stopContainer(
  container: Container,
  { signal, timeoutSeconds }: { readonly signal?: string | undefined; readonly timeoutSeconds: number },
  deps: EndDeps,
): void {
  const { paths, helperPath } = deps;
  const running = runningProcess(paths, container);
  if (running !== undefined) {
    const kill = (name: string): void => {
      send(container, running.pid, name);
      letGo(container);
      recordContainerEvent(paths, container, "kill", { signal: String(signalNumber(name) ?? 15) });
    };
    kill(signal ?? container.stopSignal);
    const wait = timeoutSeconds < 0 ? -1 : timeoutSeconds * 1000;
    if (!awaitProcess(running, helperPath, wait)) kill("SIGKILL");
  }
  awaitEnd(container, deps);
  if (running !== undefined) recordContainerEvent(paths, container, "stop");
}

/** One that stands still hears no signal (on v1 not even SIGKILL): let it go on. */
export function letGo(container: Container): void {
  if (isPaused(container)) thaw(liveCgroup(container.cgroups), container.name);
}

/** How long the monitor may take to clean up after its process ended. */
const patienceMilliseconds = 10_000;

/** Error: `container-not-ending`. */
export function awaitEnd(container: Container, { paths, helperPath }: EndDeps): void {
  if (awaitMonitor(paths, container, helperPath, patienceMilliseconds)) return;
  const pid = monitorOf(paths, container)?.pid;
  throw new VitrineError("unavailable", `the monitor of container ${container.name} does not end`, {
    code: "container-not-ending",
    operand: container.name,
    hint: `its process is ${pid}: see 'ps -o stat,wchan ${pid}'`,
  });
}

/** The process is gone by now: that is what was wanted, or nothing is there to be told. */
function send(container: Container, pid: number, signal: string): void {
  try {
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

export function notRunning(container: Container): VitrineError {
  return new VitrineError("invalid", `container ${container.name} is not running`, {
    code: "container-not-running",
    operand: container.name,
    hint: `vitrine start ${container.name}`,
  });
}
