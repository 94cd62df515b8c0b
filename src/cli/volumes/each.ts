/** Commands that take several volumes: one that fails does not keep the others from being served. */
import type { ErrorKind } from "../../base/mod.ts";
import type { Context } from "../framework/context.ts";
import { failureOf } from "../framework/failure.ts";

/** docker's. */
export const volumeExit = {
  "not-found": 1,
  invalid: 1,
  exists: 1,
  unsupported: 1,
} as const satisfies Partial<Record<ErrorKind, number>>;

/** Calls `body` with each name. Failures are told; the status is that of the last one. */
export async function eachVolume(
  context: Context,
  names: readonly string[],
  body: (name: string) => Promise<void> | void,
): Promise<number> {
  let status = 0;
  for (const name of names) {
    try {
      await body(name);
    } catch (error) {
      const failure = failureOf(error, context.globals.debug, { exitCodes: volumeExit });
      context.err(failure.text);
      status = failure.status;
    }
  }
  return status;
}
