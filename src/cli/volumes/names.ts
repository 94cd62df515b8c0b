import { volumeNames } from "../../engine/mod.ts";
import type { Context } from "../framework/context.ts";

/** For completion: the engine is loaded by whoever asks alone. */
export function namesOf(context: Context): readonly string[] {
  return volumeNames(context.paths());
}
