import * as fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { VitrineError } from "../../base/mod.ts";
import { letGo, notEnding, refuseRestart, wakeMonitor } from "./end.ts";
import {
  type Container,
  containerDirectory,
  type EnginePaths,
  listContainers,
  runDirectory,
} from "./record.ts";
import { monitorLives, runningProcess } from "./state.ts";
import { type RemoveTree, removeContainerFiles } from "./sweep.ts";

/** How long the monitor may take to clean up after its process was killed. */
const patienceMilliseconds = 10_000;

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
  if (monitorLives(paths, container)) {
    if (!options.force) {
      throw new VitrineError("invalid", `container ${container.name} is running`, {
        code: "container-running",
        operand: container.name,
        hint: `vitrine rm --force ${container.name}`,
      });
    }
    await end(paths, container);
  }
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

/** Kills the program; its monitor then does the rest and ends. */
async function end(paths: EnginePaths, container: Container): Promise<void> {
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

/** A container's directory without a readable record: all that can be done is to remove it. */
export async function removeDamaged(paths: EnginePaths, id: string, removeTree: RemoveTree): Promise<void> {
  await removeTree(runDirectory(paths, id), undefined);
  await removeTree(containerDirectory(paths, id), undefined);
  const names = `${paths.root}/names`;
  for (const name of fs.existsSync(names) ? fs.readdirSync(names) : []) {
    if (fs.readlinkSync(`${names}/${name}`) === id) fs.rmSync(`${names}/${name}`, { force: true });
  }
}
