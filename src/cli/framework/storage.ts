/** Opens the store for a command. A file of its own, so that commands without images never load it. */
import { hostPlatform } from "../../image/mod.ts";
import { openStore, type Store, type StoreIds } from "../../store/mod.ts";
import type { Context } from "./context.ts";
import { chooseContextIds } from "./ids.ts";
import { expectedHelper } from "./locations.ts";

/** `ids` as a container's --userns chose them; without, those of a plain `run`. */
export async function openContextStore(context: Context, ids?: StoreIds): Promise<Store> {
  const { root, runroot } = context.paths();
  const plain = ids === undefined || ids.kind !== "none" ? await chooseContextIds(context) : ids;
  return openStore({
    root,
    runroot,
    driver: context.globals.storageDriver,
    ids: ids ?? plain,
    widestIds: plain,
    // Listing images needs no helper: whoever does says that it is missing.
    helperPath: expectedHelper(context.environment, process.execPath),
    now: context.now,
    platform: hostPlatform(),
  });
}
