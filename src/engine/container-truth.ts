/** What the kernel says of a running container now, beside the plan that it was started by. Nothing is changed. */
import * as fs from "node:fs";
import { type Plan, type ProcessTruth, readProcessTruth, type TruthWishes } from "../kernel/mod.ts";
import type { Container, EnginePaths } from "./containers/record.ts";
import { runningProcess } from "./containers/state.ts";

/** undefined: it does not run. */
export function containerTruth(
  paths: EnginePaths,
  container: Container,
  plan: Plan,
  wishes: TruthWishes,
): ProcessTruth | undefined {
  const running = runningProcess(paths, container);
  if (running === undefined) return undefined;
  return readProcessTruth(programOf(running.pid, plan), wishes);
}

/** With `--init` the program is the child of pid 1. */
function programOf(pid: number, plan: Plan): number {
  if (!plan.ops.some(({ op }) => op.op === "initReaper")) return pid;
  try {
    const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
    return Number(children.split(" ")[0]) || pid;
  } catch {
    return pid;
  }
}
