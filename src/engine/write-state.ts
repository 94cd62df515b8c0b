/** RUNROOT/containers/ID: what the helper needs to start a container, written before it is started. */
import * as fs from "node:fs";
import { errnoOf, temporaryName } from "../base/mod.ts";
import { encodePlan, type Plan } from "../kernel/mod.ts";
import type { StoreIds } from "../store/mod.ts";
import { type EnginePaths, healthPlanFile, type MonitorProcess, runDirectory } from "./containers/record.ts";
import { ownProcess } from "./containers/state.ts";
import { encodeReasons } from "./failure-record.ts";
import { toHostId } from "./id-maps.ts";
import type { GeneratedFile } from "./spec/network-files.ts";

export interface StateInput {
  readonly id: string;
  readonly plan: Plan;
  readonly healthPlan?: Plan | undefined;
  readonly directories: readonly string[];
  readonly files: readonly GeneratedFile[];
  /** Whose ids the container has: as root, its own root gets the files, to change them as in any container. */
  readonly ids: StoreIds;
}

/** Returns the path of the plan. The state's directory is there already. */
export function writeState(
  paths: EnginePaths,
  { id, plan, healthPlan, directories, files, ids }: StateInput,
): string {
  const state = runDirectory(paths, id);
  const planFile = `${state}/plan`;
  for (const made of directories) {
    // What is there may belong to the container's root by now.
    if (fs.mkdirSync(made, { recursive: true }) !== undefined) readable(made, 0o755);
  }
  for (const file of files) {
    fs.writeFileSync(file.path, file.text, file.encoding ?? "utf8");
    readable(file.path, 0o644);
    if (ids.kind === "range" && process.geteuid?.() === 0) {
      fs.chownSync(file.path, toHostId(ids.uids, 0) ?? 0, toHostId(ids.gids, 0) ?? 0);
    }
  }
  fs.writeFileSync(planFile, encodePlan(plan), { mode: 0o600 });
  if (healthPlan !== undefined) {
    fs.writeFileSync(healthPlanFile(paths, id), encodePlan(healthPlan), { mode: 0o600 });
  }
  fs.writeFileSync(`${state}/reasons.json`, encodeReasons(plan), { mode: 0o600 });
  return planFile;
}

/** What users of the container other than root must read, whatever the caller's umask is. */
function readable(file: string, mode: number): void {
  if ((process.umask() & mode) !== 0) fs.chmodSync(file, mode);
}

/** Beside the state: who looks for dead monitors need not read the container's record (native/launch_facts.c). */
export function nameMonitor(state: string, { pid, startTime, pidNamespace }: MonitorProcess): void {
  fs.writeFileSync(`${state}/monitor`, `${pid} ${startTime} ${pidNamespace}\n`, { mode: 0o600 });
}

/**
 * Takes a container that does not run, as its next monitor or to remove it: the state's directory appears in one step
 * with the owner's name in it, and the empty file `mark`. False: somebody else has it.
 */
export function claimState(paths: EnginePaths, id: string, mark?: string): boolean {
  const directory = runDirectory(paths, id);
  const making = `${paths.runroot}/containers/${temporaryName("claim")}`;
  fs.mkdirSync(making, { recursive: true, mode: 0o700 });
  try {
    nameMonitor(making, ownProcess());
    if (mark !== undefined) fs.writeFileSync(`${making}/${mark}`, "", { mode: 0o600 });
    fs.renameSync(making, directory);
    return true;
  } catch (error) {
    fs.rmSync(making, { recursive: true, force: true });
    const errno = errnoOf(error);
    if (errno === "ENOTEMPTY" || errno === "EEXIST") return false;
    throw error;
  }
}
