import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { processStartTime, VitrineError } from "../../base/mod.ts";
import { letGo, notEnding, patienceMilliseconds, refuseRestart, wakeMonitor } from "./end.ts";
import {
  type Container,
  containerDirectory,
  type EnginePaths,
  listContainers,
  runDirectory,
  stopFile,
} from "./record.ts";
import { monitorLives, ownPidNamespace, runningProcess, stateOf } from "./state.ts";
import { type RemoveTree, removeContainerFiles } from "./sweep.ts";

/** Of a file in its state: `PID STARTTIME …`. undefined: nobody who lives. */
function livingPid(paths: EnginePaths, id: string, file: "monitor" | "pid"): number | undefined {
  try {
    const [pid = "", startTime = "", namespace] = fs
      .readFileSync(`${runDirectory(paths, id)}/${file}`, "latin1")
      .trim()
      .split(" ");
    if (namespace !== undefined && namespace !== ownPidNamespace()) return undefined;
    return /^[1-9]\d*$/.test(pid) && processStartTime(Number(pid)) === startTime ? Number(pid) : undefined;
  } catch {
    return undefined;
  }
}

/** Its monitor cleans up, as ever; one that does not, or waits to run it again, is killed as well. */
async function endDamaged(paths: EnginePaths, id: string): Promise<void> {
  const deadline = performance.now() + waitMilliseconds;
  fs.writeFileSync(stopFile(paths, id), "", { mode: 0o600 });
  const signal = (pid: number | undefined): void => {
    try {
      if (pid !== undefined) process.kill(pid, "SIGKILL");
    } catch {
      // It ended between the look and the signal.
    }
  };
  for (;;) {
    const [monitor, program] = [livingPid(paths, id, "monitor"), livingPid(paths, id, "pid")];
    if (monitor === undefined && program === undefined) return;
    const late = performance.now() > deadline;
    signal(program);
    if (late) signal(monitor);
    if (performance.now() > deadline + patienceMilliseconds) {
      throw new VitrineError("unavailable", `container ${id.slice(0, 12)} does not end`, {
        code: "container-not-ending",
        operand: id,
        hint: `see process ${program ?? monitor}: it may be frozen, or wait for a device`,
      });
    }
    await sleep(10);
  }
}

/** A monitor that waits to run its program again hears nothing of us. */
const waitMilliseconds = 10_000;

/**
 * Removes a container that ended; with `force` a running one too, killed first.
 * Errors: `container-running`, `container-not-ending`.
 */
export async function removeContainer(
  paths: EnginePaths,
  container: Container,
  options: { readonly force: boolean; readonly volumes?: boolean },
  removeTree: RemoveTree,
): Promise<void> {
  if (options.force) await end(paths, container);
  else await requireEnd(paths, container);
  await removeContainerFiles(paths, container, removeTree, options.volumes === true || container.remove);
}

/** Those that share its namespaces. */
export function dependantsOf(paths: EnginePaths, { id }: Container): readonly Container[] {
  return listContainers(paths).filter(({ dependsOn }) => dependsOn?.includes(id) === true);
}

/** As podman: what others depend on stays. Error: `container-has-dependants`. */
export function requireNoDependants(paths: EnginePaths, container: Container): void {
  const names = dependantsOf(paths, container).map(({ name }) => name);
  if (names.length === 0) return;
  throw new VitrineError(
    "invalid",
    `containers share the namespaces of ${container.name}: ${names.join(", ")}`,
    {
      code: "container-has-dependants",
      operand: container.name,
      hint: `vitrine rm --depend ${container.name} removes them too; --force this one alone`,
    },
  );
}

/** Kills the programs of several at once, so that their monitors clean up side by side while each is removed in its turn. */
export function beginEnding(paths: EnginePaths, containers: readonly Container[]): void {
  for (const container of containers) {
    const process_ = runningProcess(paths, container);
    if (process_ === undefined) continue;
    refuseRestart(paths, container);
    kill(container, process_.pid);
  }
}

/** One that has ended is held by its monitor until that has cleaned up. */
async function requireEnd(paths: EnginePaths, container: Container): Promise<void> {
  const deadline = performance.now() + patienceMilliseconds;
  while (monitorLives(paths, container)) {
    if (stateOf(paths, container).status !== "exited") {
      throw new VitrineError("invalid", `container ${container.name} is running`, {
        code: "container-running",
        operand: container.name,
        hint: `vitrine rm --force ${container.name}`,
      });
    }
    if (performance.now() > deadline) throw notEnding(paths, container);
    await sleep(10);
  }
}

/** Kills the program; its monitor then does the rest and ends. */
async function end(paths: EnginePaths, container: Container): Promise<void> {
  if (!monitorLives(paths, container)) return;
  const deadline = performance.now() + patienceMilliseconds;
  refuseRestart(paths, container);
  while (monitorLives(paths, container)) {
    const process_ = runningProcess(paths, container);
    if (process_ === undefined) wakeMonitor(paths, container);
    else kill(container, process_.pid);
    if (performance.now() > deadline) throw notEnding(paths, container);
    await sleep(10);
  }
}

function kill(container: Container, pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
    letGo(container);
  } catch {
    // It ended between the look and the signal.
  }
}

/**
 * A container's directory without a readable record: all that can be done is to remove it. What its state of this boot says lives
 * on is killed first, but not without `force`. Errors: `container-running`, `container-not-ending`.
 */
export async function removeDamaged(
  paths: EnginePaths,
  id: string,
  removeTree: RemoveTree,
  force = true,
): Promise<void> {
  if (livingPid(paths, id, "monitor") !== undefined || livingPid(paths, id, "pid") !== undefined) {
    const short = id.slice(0, 12);
    if (!force) {
      throw new VitrineError("invalid", `container ${short}, whose record is lost, is running`, {
        code: "container-running",
        operand: short,
        hint: `vitrine rm --force ${short}`,
      });
    }
    await endDamaged(paths, id);
  }
  await removeTree(runDirectory(paths, id), undefined);
  await removeTree(containerDirectory(paths, id), undefined);
  const names = `${paths.root}/names`;
  for (const name of fs.existsSync(names) ? fs.readdirSync(names) : []) {
    if (fs.readlinkSync(`${names}/${name}`) === id) fs.rmSync(`${names}/${name}`, { force: true });
  }
}
