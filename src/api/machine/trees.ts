/** Removal of containers' directories, and of what killed monitors left. */

import * as fs from "node:fs";

import { errnoOf, hasDead, removeTree } from "../../base/mod.ts";
import { type RemoveTree, sweepLost, sweepVolumes } from "../../engine/mod.ts";
import type { Machine } from "./machine.ts";

/** Files of mapped ids are removed by the helper, in such a user namespace; all others at once, and by root any. */
export function treeRemover(machine: Machine): RemoveTree {
  return async (path, container) => {
    // The helper opens the directory that holds it: after a boot that is not there.
    if (!fs.existsSync(path)) return;
    const ids = container?.ids;
    if (ids === undefined || ids.kind === "none" || machine.uid === 0) {
      try {
        removeTree(path);
        return;
      } catch (error) {
        // A volume: which containers wrote to it, and under what ids, is not known any more.
        const errno = errnoOf(error);
        if (machine.uid === 0 || (errno !== "EACCES" && errno !== "EPERM")) throw error;
      }
    }
    const { openMachineStore } = await import("./storage.ts");
    await (await openMachineStore(machine, ids)).removeTree(path);
  };
}

/** Looks at no more than `most` containers. A failure is no reason not to do what the user asked for. */
export async function sweep(machine: Machine, most?: number): Promise<void> {
  await requireKnownFormat(machine);
  try {
    const swept = await sweepLost(machine.paths(), treeRemover(machine), machine.now(), most);
    for (const id of swept) machine.log("debug", `removed what a killed monitor left of ${id.slice(0, 12)}`);
    if (most === undefined && hasDead(`${machine.paths().root}/tmp`)) await (await machine.store()).sweep();
  } catch (error) {
    machine.log("debug", `cannot remove what a killed monitor left: ${String(error)}`);
  }
}

/** Opening the store upgrades it, or says why not; one of today's format need not be opened. Error: `store-version-unsupported`. */
export async function requireKnownFormat(machine: Machine): Promise<void> {
  let version: string;
  try {
    version = fs.readFileSync(`${machine.paths().root}/version`, "latin1");
  } catch {
    return;
  }
  if (version !== "1\n") await machine.store();
}

/** Volumes that a dead command left half made, and those whose container went without them. */
export async function sweepUnused(machine: Machine): Promise<void> {
  try {
    await sweepVolumes(machine.paths(), treeRemover(machine));
  } catch (error) {
    machine.log("debug", `cannot remove what is left of volumes: ${String(error)}`);
  }
}
