import { chooseMachineIds } from "../../api/mod.ts";
import type { Context } from "../framework/context.ts";

export async function archiveDeps(context: Context) {
  return { paths: context.paths(), helperPath: context.helperPath(), ids: await chooseMachineIds(context) };
}
