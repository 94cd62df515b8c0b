import type { StoreIds } from "../../store/mod.ts";
import type { Context } from "./context.ts";

/** Whose ids unpacked files get: see StoreIds. */
export function chooseIds(context: Pick<Context, "uid" | "gid">): StoreIds {
  if (context.uid === 0) return { kind: "none" };
  return {
    kind: "single",
    uids: [{ containerID: 0, hostID: context.uid, size: 1 }],
    gids: [{ containerID: 0, hostID: context.gid, size: 1 }],
  };
}
