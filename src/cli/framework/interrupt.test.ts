/** Signals in the middle of a stream. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { interruptible } from "./interrupt.ts";

async function* chunks(): AsyncGenerator<Uint8Array, void> {
  for (;;) yield new Uint8Array(1);
}

test("who takes his time over a chunk when the signal comes still cleans up", async () => {
  let cleaned = false;
  const interrupted = interruptible(async ({ guard }) => {
    try {
      for await (const _ of guard(chunks())) {
        process.kill(process.pid, "SIGINT");
        // Longer than somebody without a stream would be waited for.
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    } finally {
      cleaned = true;
    }
  });
  await assert.rejects(interrupted, { name: "Interrupted", status: 130 });
  assert.equal(cleaned, true);
});
