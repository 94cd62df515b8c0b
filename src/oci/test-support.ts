/** Helpers of the tests in this folder. */
import assert from "node:assert/strict";
import { VitrineError } from "../base/mod.ts";

/** Asserts that `run` throws a VitrineError of this code; returns it. */
export function assertFails(code: string, run: () => unknown, note?: string): VitrineError {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof VitrineError, `${note ?? ""} ${String(error)}`);
    assert.equal(error.code, code, `${note ?? ""} ${error.message}`);
    return error;
  }
  return assert.fail(`nothing thrown, expected ${code} ${note ?? ""}`);
}

export function bytesOf(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
}

/** `base` with the member at a JSON pointer set (undefined: removed). Objects on the way are made. */
export function patched(base: unknown, pointer: string, value: unknown): unknown {
  const copy = structuredClone(base);
  const names = pointer
    .split("/")
    .slice(1)
    .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = names.pop();
  assert.ok(last !== undefined);
  let at = copy as Record<string, unknown>;
  for (const name of names) {
    at[name] ??= {};
    at = at[name] as Record<string, unknown>;
  }
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}
