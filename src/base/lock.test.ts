import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { VitrineError } from "./errors.ts";
import { withLock } from "./lock.ts";
import { hasCode, withDirectory } from "./testing.ts";

/** A process that takes the lock, prints a line, and runs `body` while holding it. */
function lockHolder(lock: string, body: string): ChildProcess {
  const code = `
    import { withLock } from ${JSON.stringify(path.join(import.meta.dirname, "lock.ts"))};
    import * as fs from "node:fs";
    await withLock(${JSON.stringify(lock)}, async () => { fs.writeSync(1, "held\\n"); ${body} });`;
  const args =
    process.versions.bun !== undefined ? ["-e", code] : ["--input-type=module-typescript", "-e", code];
  return spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
}

const forever = "await new Promise((resolve) => setTimeout(resolve, 60000));";

test("the result and the error of the function come out", async () => {
  await withDirectory(async (dir) => {
    const lock = path.join(dir, "lock.db");
    assert.equal(await withLock(lock, () => 42), 42);
    await assert.rejects(
      withLock(lock, () => {
        throw new TypeError("x");
      }),
      TypeError,
    );
    assert.equal(await withLock(lock, async () => "again"), "again");
    assert.deepEqual(fs.readdirSync(dir), ["lock.db"]);
  });
});

test("tasks of one process take turns", async () => {
  await withDirectory(async (dir) => {
    const lock = path.join(dir, "lock.db");
    let inside = 0;
    let most = 0;
    const task = (): Promise<void> =>
      withLock(lock, async () => {
        inside += 1;
        most = Math.max(most, inside);
        await sleep(5);
        inside -= 1;
      });
    await Promise.all(Array.from({ length: 8 }, task));
    assert.equal(most, 1);
  });
});

test("processes take turns", async () => {
  await withDirectory(async (dir) => {
    const lock = path.join(dir, "lock.db");
    const counter = path.join(dir, "counter");
    fs.writeFileSync(counter, "0");
    const body = `
      const seen = Number(fs.readFileSync(${JSON.stringify(counter)}, "utf8"));
      await new Promise((resolve) => setTimeout(resolve, 20));
      fs.writeFileSync(${JSON.stringify(counter)}, String(seen + 1));`;
    const children = Array.from({ length: 4 }, () => lockHolder(lock, body));
    const codes = await Promise.all(
      children.map((child) => new Promise((resolve) => child.on("exit", resolve))),
    );
    assert.deepEqual(codes, [0, 0, 0, 0]);
    assert.equal(fs.readFileSync(counter, "utf8"), "4");
  });
});

test("who waits too long is told who holds it; the lock of a killed holder is free", async () => {
  await withDirectory(async (dir) => {
    const lock = path.join(dir, "lock.db");
    const child = lockHolder(lock, forever);
    await new Promise((resolve) => child.stdout!.once("data", resolve));
    await assert.rejects(
      withLock(lock, () => assert.fail("not held"), { timeoutMs: 50 }),
      (error) =>
        error instanceof VitrineError &&
        error.code === "lock-timeout" &&
        error.hint?.includes(`${child.pid}`) === true,
    );
    child.kill("SIGKILL");
    await new Promise((resolve) => child.on("exit", resolve));
    assert.equal(await withLock(lock, () => "free", { timeoutMs: 50_000 }), "free");
  });
});

test("a lock file that cannot be used is an error of its own", async () => {
  await withDirectory(async (dir) => {
    await assert.rejects(
      withLock(path.join(dir, "missing", "lock.db"), () => 1),
      hasCode("lock-unusable"),
    );
    const garbage = path.join(dir, "garbage");
    fs.writeFileSync(garbage, "not a database, but long enough to be read as one".repeat(50));
    await assert.rejects(
      withLock(garbage, () => 1),
      hasCode("lock-unusable"),
    );
  });
});
