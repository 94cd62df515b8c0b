/** A health check that somebody asks for: the monitor makes it, and counts it as any other. */
import * as fs from "node:fs";
import { VitrineError } from "../../base/mod.ts";
import { notRunning } from "./end.ts";
import { type HealthResult, readHealth } from "./health.ts";
import { type Container, type EnginePaths, healthAskFile } from "./record.ts";
import { runningProcess } from "./state.ts";

const lookEveryMilliseconds = 10;
/** What the two clocks may be apart without anybody having set one. */
const slackMilliseconds = 20;

/**
 * Has the monitor check now, and gives what that check found. Errors: `container-not-running` when it ends meanwhile,
 * `health-check-unavailable`.
 */
export async function askHealth(paths: EnginePaths, container: Container): Promise<HealthResult> {
  const [asked, start] = [Date.now(), performance.now()];
  /** The earliest that a check may have begun since then: the clock that says when may have been set back. */
  let earliest = asked;
  askMonitor(paths, container, "\n");
  for (;;) {
    const ahead = Date.now() - asked - (performance.now() - start);
    if (ahead < -slackMilliseconds) earliest = Math.min(earliest, Math.floor(asked + ahead));
    const log = readHealth(paths, container)?.log;
    const result = log?.findLast(({ began }) => began >= BigInt(earliest) * 1_000_000n);
    if (result !== undefined) return result;
    if (runningProcess(paths, container) === undefined) throw notRunning(container);
    await new Promise((resolve) => setTimeout(resolve, lookEveryMilliseconds));
  }
}

/** A newline: check now; `u`: the settings are others (native/health.c). Error: `health-check-unavailable`. */
export function askMonitor(paths: EnginePaths, container: Container, word: "\n" | "u"): void {
  try {
    const file = healthAskFile(paths, container.id);
    // Only the monitor reads it: without one the call fails and does not wait.
    const fd = fs.openSync(file, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW);
    try {
      fs.writeSync(fd, word);
    } finally {
      fs.closeSync(fd);
    }
  } catch (cause) {
    throw new VitrineError("unavailable", `the monitor of container ${container.name} takes no request`, {
      code: "health-check-unavailable",
      operand: container.name,
      hint: `it may be of an earlier release: vitrine restart ${container.name}`,
      cause,
    });
  }
}
