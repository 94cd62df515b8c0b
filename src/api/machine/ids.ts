import { VitrineError } from "../../base/mod.ts";
import { chooseIds } from "../../engine/mod.ts";
import type { StoreIds } from "../../store/mod.ts";
import type { Machine } from "./machine.ts";

/** Whose ids unpacked files get where no container says otherwise: as for `run` without --userns. */
export async function chooseMachineIds(machine: Machine): Promise<StoreIds> {
  if (machine.uid === 0) return { kind: "none" };
  try {
    return chooseIds(await machine.host()).ids;
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    // Without user namespaces nothing can run, but images can be listed, loaded and removed.
    return {
      kind: "single",
      uids: [{ containerID: 0, hostID: machine.uid, size: 1 }],
      gids: [{ containerID: 0, hostID: machine.gid, size: 1 }],
    };
  }
}
