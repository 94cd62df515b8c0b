import { chooseIds as chooseContainerIds } from "../../engine/mod.ts";
import { probeHost } from "../../kernel/mod.ts";
import type { StoreIds } from "../../store/mod.ts";
import type { Context } from "./context.ts";

/** Whose ids unpacked files get: those of a container that is run without --userns. */
export function chooseIds(context: Pick<Context, "uid">): StoreIds {
  return context.uid === 0 ? { kind: "none" } : chooseContainerIds(probeHost()).ids;
}
