/** Removal of containers' directories, and of what killed monitors left. */

import * as fs from "node:fs";

import { errnoOf, hasDead, removeTree } from "../../base/mod.ts";
import { findContainer, type RemoveTree, sweepLost, sweepVolumes } from "../../engine/mod.ts";
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

/** How many are looked at beside those that a command is about. */
const sampleSize = 8;

/** What a command that names its containers needs: with hundreds of others it takes no longer. */
export function sweepNamed(machine: Machine, names: readonly string[]): Promise<void> {
  if (names.length === 0) return sweep(machine);
  const ids: string[] = [];
  for (const name of names) {
    try {
      ids.push(findContainer(machine.paths(), name).id);
    } catch {
      // Whoever does something to it says what is wrong.
    }
  }
  return sweep(machine, sampleSize, ids);
}

/** Looks at no more than `most` containers, and at `also`. A failure is no reason not to do what the user asked for. */
export async function sweep(machine: Machine, most?: number, also?: readonly string[]): Promise<void> {
  await requireKnownFormat(machine);
  try {
    const swept = await sweepLost(machine.paths(), treeRemover(machine), machine.now(), most, also);
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
