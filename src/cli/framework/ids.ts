import { VitrineError } from "../../base/mod.ts";
import { chooseIds } from "../../engine/mod.ts";
import type { StoreIds } from "../../store/mod.ts";
import type { Context } from "./context.ts";

/** Whose ids unpacked files get where no container says otherwise: as for `run` without --userns. */
export async function chooseContextIds(context: Context): Promise<StoreIds> {
  if (context.uid === 0) return { kind: "none" };
  try {
    return chooseIds(await context.host()).ids;
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    // Without user namespaces nothing can run, but images can be listed, loaded and removed.
    return {
      kind: "single",
      uids: [{ containerID: 0, hostID: context.uid, size: 1 }],
      gids: [{ containerID: 0, hostID: context.gid, size: 1 }],
    };
  }
}
