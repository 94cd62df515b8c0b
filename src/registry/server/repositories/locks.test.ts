import assert from "node:assert/strict";
import { test } from "node:test";
import { Locks } from "./locks.ts";

test("what runs alone runs beside nothing, what runs together beside its like, all in order", async () => {
  const locks = new Locks();
  const events: string[] = [];
  const gates = new Map<string, () => void>();
  const running: Promise<void>[] = [];
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  const begin = (how: "run" | "together", what: string): void => {
    const body = async (): Promise<void> => {
      events.push(what);
      await new Promise<void>((resolve) => gates.set(what, resolve));
    };
    running.push(locks[how]("name", body));
  };
  const step = async (ends: readonly string[], expected: readonly string[]): Promise<void> => {
    for (const what of ends) gates.get(what)!();
    await turn();
    assert.deepEqual(events.splice(0), expected);
  };
  begin("together", "a");
  begin("together", "b");
  begin("run", "c");
  begin("run", "d");
  begin("together", "e");
  begin("together", "f");
  begin("run", "g");
  await step([], ["a", "b"]);
  begin("together", "h");
  await step(["a"], []);
  await step(["b"], ["c"]);
  await step(["c"], ["d"]);
  await step(["d"], ["e", "f"]);
  await step(["f", "e"], ["g"]);
  await step(["g"], ["h"]);
  begin("together", "i");
  await step([], ["i"]);
  await step(["h"], []);
  begin("run", "j");
  await step(["i"], ["j"]);
  await step(["j"], []);
  await Promise.all(running);
  await assert.rejects(locks.together("name", () => Promise.reject(new Error("x"))));
  assert.equal(await locks.run("name", async () => 5), 5);
});
