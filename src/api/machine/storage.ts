import { parseBytes } from "../../engine/mod.ts";
import { hostPlatform } from "../../image/mod.ts";
import { openStore, prepareStore, type Store, type StoreIds } from "../../store/mod.ts";
import { chooseMachineIds } from "./ids.ts";
import type { Machine } from "./machine.ts";

/** Opens the store. `ids` as a container's --userns chose them; without, those of a plain `run`. */
export async function openMachineStore(machine: Machine, ids?: StoreIds): Promise<Store> {
  const { root, runroot } = machine.paths();
  const plain = ids === undefined || ids.kind !== "none" ? await chooseMachineIds(machine) : ids;
  const options = {
    root,
    runroot,
    driver: machine.storageDriver,
    ids: ids ?? plain,
    widestIds: plain,
    // Listing images needs no helper: whoever does says that it is missing.
    helperPath: machine.expectedHelper(),
    expansionFreeBytes: freeBytes(machine.environment["VITRINE_EXPANSION_FREE"]),
    now: machine.now,
    platform: hostPlatform(),
  };
  await prepareStore(options);
  return openStore(options);
}

/** For a layer that is rightly thousands of times as large as its blob: a sparse disk image. */
function freeBytes(text: string | undefined): number | undefined {
  return text === undefined || text === "" ? undefined : Number(parseBytes("VITRINE_EXPANSION_FREE", text));
}
