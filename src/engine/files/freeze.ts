/** A container that stands still while its files are read, and goes on even when the reader is killed. */
import * as fs from "node:fs";
import { errnoOf, processStartTime, VitrineError } from "../../base/mod.ts";
import { pauseContainer, unpauseContainer } from "../containers/pause.ts";
import { type Container, type EnginePaths, frozenMark } from "../containers/record.ts";
import { ownPidNamespace, ownProcess, runningProcess, stateOf } from "../containers/state.ts";

/** Errors: `freezer-unavailable` with `yes`, those of `fn`. */
export async function frozen<T>(
  container: Container,
  pause: "yes" | "if-possible" | "no",
  paths: EnginePaths,
  fn: () => Promise<T>,
): Promise<T> {
  const state = stateOf(paths, container);
  if (pause === "no" || state.status !== "running" || state.paused) return await fn();
  const mark = frozenMark(paths, container.id);
  const { pid, startTime, pidNamespace } = ownProcess();
  fs.writeFileSync(mark, `${pid} ${startTime} ${pidNamespace}\n`, { mode: 0o600 });
  try {
    pauseContainer(paths, container);
  } catch (error) {
    fs.rmSync(mark, { force: true });
    const cannot =
      error instanceof VitrineError && error.code !== "container-paused" && pause === "if-possible";
    if (!cannot) throw error;
    return await fn();
  }
  try {
    return await fn();
  } finally {
    try {
      unpauseContainer(paths, container);
    } catch {
      // It was killed, or somebody let it go on, meanwhile.
    }
    fs.rmSync(mark, { force: true });
  }
}

/** Lets a container go on whose reader was killed. */
export function thawAbandoned(paths: EnginePaths, container: Container): void {
  const mark = frozenMark(paths, container.id);
  let text: string;
  try {
    text = fs.readFileSync(mark, "latin1");
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return;
    throw error;
  }
  const [pid, startTime, pidNamespace] = text.trim().split(" ");
  if (pidNamespace !== ownPidNamespace() || processStartTime(Number(pid)) === startTime) return;
  try {
    if (runningProcess(paths, container) !== undefined) unpauseContainer(paths, container);
  } catch {
    // It goes on already.
  }
  fs.rmSync(mark, { force: true });
}
