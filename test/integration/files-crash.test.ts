/** kill -9 of cp, commit, export, prune and check at many points, and a full disk: the next command finds a whole store. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { appliersOf, makeRunWorld, until } from "./run-support.ts";
import { cannotRun, isRoot, type Result } from "./support.ts";

const world = makeRunWorld("crash");
after(async () => {
  world.run(["rm", "--all", "--force"]);
  await world[Symbol.asyncDispose]();
});

function good(done: Result): string {
  assert.equal(done.status, 0, done.stdout + done.stderr);
  return done.stdout.replace(/\n$/, "");
}
const vitrine = (...args: readonly string[]): string => good(world.run(args));

const payload = path.join(world.directory, "payload");
fs.mkdirSync(payload);
for (let at = 0; at < 40; at++) fs.writeFileSync(path.join(payload, `f${at}`), Buffer.alloc(512 * 1024, at));

/** Starts a command, kills it after so many milliseconds, and waits until its helpers have seen that. */
async function killed(args: readonly string[], milliseconds: number): Promise<void> {
  const child = world.start(args);
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.stdout?.resume();
  child.stderr?.resume();
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  child.kill("SIGKILL");
  await closed;
  await until(() => (appliersOf(world).length === 0 ? true : undefined), "the helpers to end");
}

/** From before its first step to after its last, on this machine. */
async function atManyPoints(args: readonly string[], whole: () => void): Promise<void> {
  const before = performance.now();
  const done = world.run(args);
  assert.equal(done.status, 0, done.stderr);
  const takes = performance.now() - before;
  for (let step = 0; step < 14; step++) {
    await killed(args, (takes * (step + 1)) / 13);
    whole();
  }
}

/** What `ps` does not sweep is nobody's: no state, no temporary of ours; and a check finds nothing. */
function assertWhole(): void {
  vitrine("ps", "-a");
  // What was between two steps of a removal that was killed: a full look takes its name away.
  vitrine("container", "prune", "--force", "--filter", "until=1000h");
  const dead = fs.readdirSync(path.join(world.root, "tmp")).filter((name) => name.endsWith(".tmp"));
  assert.deepEqual(dead, []);
  // A command that was killed early has not made it yet.
  const state = path.join(world.runroot, "containers");
  assert.deepEqual(fs.existsSync(state) ? fs.readdirSync(state) : [], []);
  assert.equal(vitrine("system", "check", "--quick", "--max", "1000h"), "no damage");
}

test("cp into and out of a stopped container", async () => {
  const container = vitrine("create", "-q", "probe", "sh", "-c", "cat /in/f1 | wc -c");
  await atManyPoints(["cp", `${payload}/.`, `${container}:/in`], assertWhole);
  const out = path.join(world.directory, "out");
  await atManyPoints(["cp", `${container}:/in`, out], assertWhole);
  vitrine("cp", `${payload}/.`, `${container}:/in`);
  assert.equal(vitrine("start", "-a", container).trim(), String(512 * 1024));
  vitrine("rm", container);
});

test("a --rm container that was only created outlives a killed copy into it", async () => {
  const container = vitrine("create", "-q", "--rm", "probe", "true");
  for (const delay of [5, 20, 40, 60]) await killed(["cp", payload, `${container}:/in`], delay);
  assertWhole();
  assert.equal(vitrine("ps", "-a", "-q", "--no-trunc"), container);
  vitrine("rm", container);
});

test("export to a file: it is whole or not there", async () => {
  const container = vitrine("create", "-q", "probe", "true");
  vitrine("cp", payload, `${container}:/in`);
  const file = path.join(world.directory, "whole.tar");
  vitrine("export", "-o", file, container);
  const size = fs.statSync(file).size;
  fs.rmSync(file);
  for (let step = 1; step < 12; step++) {
    await killed(["export", "-o", file, container], step * 8);
    if (fs.existsSync(file)) assert.equal(fs.statSync(file).size, size);
    fs.rmSync(file, { force: true });
    assertWhole();
  }
  vitrine("rm", container);
});

test("commit: the image is whole or not there", async () => {
  const container = vitrine("create", "-q", "probe", "true");
  vitrine("cp", payload, `${container}:/in`);
  await atManyPoints(["commit", "-q", container, "local/committed:1"], () => {
    assertWhole();
    if (vitrine("images", "-q", "local/committed:1") === "") return;
    assert.equal(vitrine("run", "--rm", "-q", "local/committed:1", "ls", "/in/f39"), "/in/f39");
    vitrine("rmi", "-f", "local/committed:1");
  });
  vitrine("rm", container);
});

test("a container that a killed commit paused goes on with the next command", async (t) => {
  const running = vitrine(
    "run",
    "-d",
    "-q",
    "probe",
    "sh",
    "-c",
    "dd if=/dev/zero of=/big bs=1M count=60 2>/dev/null; while :; do sleep 0.05; done",
  );
  if (world.run(["pause", running]).status !== 0) {
    vitrine("rm", "-f", running);
    return cannotRun(t, "no freezer");
  }
  vitrine("unpause", running);
  for (const delay of [30, 60, 90, 120, 150]) {
    await killed(["commit", "-q", running], delay);
    vitrine("ps", "-a");
    world.run(["exec", running, "true"]);
    assert.equal(vitrine("inspect", "-f", "{{.State.Paused}}", running), "false");
  }
  vitrine("rm", "-f", running);
});

test("system prune and system check --repair", async () => {
  for (let step = 1; step < 10; step++) {
    vitrine("create", "-q", "probe", "true");
    vitrine("tag", "probe", `local/t${step}:1`);
    await killed(["system", "prune", "-f"], step * 8);
    assertWhole();
    fs.writeFileSync(path.join(world.root, "oci/blobs/sha256", "0".repeat(64)), "x");
    await killed(["system", "check", "--repair"], step * 10);
    vitrine("system", "check", "--repair");
    assert.equal(vitrine("system", "check"), "no damage");
    assert.equal(vitrine("run", "--rm", "-q", "probe", "echo", "fine"), "fine");
  }
});

test("a full disk: cp and commit say so, and leave a whole store", (t) => {
  if (!isRoot) return cannotRun(t, "mounting a small tmpfs needs root");
  const disk = path.join(world.directory, "disk");
  fs.mkdirSync(disk);
  assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", disk]).status, 0);
  try {
    const env = { VITRINE_ROOT: path.join(disk, "root") };
    const run = (...args: readonly string[]): Result => world.run(args, { env });
    good(run("import", path.join(import.meta.dirname, "../../build/fixtures/probe.tar"), "probe"));
    const container = good(run("create", "-q", "probe", "echo", "fine"));
    const copied = run("cp", payload, `${container}:/in`);
    assert.equal(copied.status, 1);
    assert.match(copied.stderr, /no space left/);
    const committed = run("commit", container, "full");
    assert.notEqual(committed.status, 0);
    assert.match(committed.stderr, /no space left/);
    assert.equal(good(run("system", "check", "--max", "1000h")), "no damage");
    good(run("rm", container));
    const again = good(run("create", "-q", "probe", "echo", "fine"));
    assert.equal(good(run("start", "-a", again)), "fine");
    // The other end may be the full one.
    const small = path.join(disk, "filler");
    fs.writeFileSync(small, Buffer.alloc(12 * 1024 * 1024));
    const source = vitrine("create", "-q", "probe", "true");
    vitrine("cp", payload, `${source}:/in`);
    const out = world.run(["cp", `${source}:/in`, path.join(disk, "out")]);
    assert.equal(out.status, 1);
    assert.match(out.stderr, /no space left/);
    vitrine("rm", source);
  } finally {
    spawnSync("umount", ["-l", disk]);
  }
});
