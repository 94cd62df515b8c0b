/**
 * Containers in the background when something goes wrong: our processes killed at any point, two commands at once, a
 * reboot, a full disk. `ps` tells the truth, `rm` frees all, and nothing is left.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { decodePlan, encodePlan } from "../../src/kernel/mod.ts";
import { dyingAt } from "../support/dying-plan.ts";
import { makeLiveWorld, until } from "../support/live.ts";
import { cannotRun, fixtures, isRoot, makeWorld, vitrine as program } from "./support.ts";

const world = makeLiveWorld("crash");
const { vitrine, detached, inspect } = world;
after(() => world.end());

/** The built command with a helper that has us change the plan before it executes it. */
const bin = path.join(world.directory, "bin");
const asked = path.join(bin, "asked");
const answered = path.join(bin, "answered");
fs.mkdirSync(bin);
const dist = path.dirname(program);
for (const name of ["vitrine", "vitrine-engine"])
  fs.copyFileSync(path.join(dist, name), path.join(bin, name));
spawnSync("mkfifo", [asked, answered]);
fs.writeFileSync(
  path.join(bin, "vitrine-helper"),
  `#!/bin/sh
if test "$1" = run; then echo "$2" >"${asked}"; read answer <"${answered}"; fi
exec "${dist}/vitrine-helper" "$@"
`,
  { mode: 0o755 },
);

/** Runs a command whose monitor is killed before the op of that number. Resolves to that op; undefined: there is none. */
async function dying(at: number, args: readonly string[]): Promise<string | undefined> {
  const child = spawn(path.join(bin, "vitrine"), args, {
    env: world.env,
    cwd: world.directory,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let told = "";
  child.stderr.on("data", (chunk: Buffer) => {
    told += chunk.toString();
  });
  const question = fs.promises.readFile(asked, "utf8");
  let hasAsked = false;
  question.then(() => {
    hasAsked = true;
  });
  const ended = new Promise<void>((resolve) => {
    child.on("close", () => {
      // Else the read would wait for ever.
      if (!hasAsked) fs.writeFileSync(asked, "");
      resolve();
    });
  });
  const plan = (await question).trim();
  assert.match(plan, /\/plan$/, told);
  const { ops } = decodePlan(fs.readFileSync(plan));
  const op = ops[at];
  if (op !== undefined) fs.writeFileSync(plan, encodePlan({ ops: dyingAt(ops, at) }));
  await fs.promises.writeFile(answered, "go on\n");
  await ended;
  return op === undefined ? undefined : `${op.stage} ${op.op.op}`;
}

/** Cgroups of a container, in all hierarchies. */
function cgroupsOf(id: string): readonly string[] {
  const base = "/sys/fs/cgroup";
  return ["", ...fs.readdirSync(base)]
    .map((hierarchy) => path.join(base, hierarchy, "vitrine", id))
    .filter((directory) => fs.existsSync(directory));
}

const nothingIsLeft = (what: string): Promise<true> =>
  until(
    () => (world.remains().length === 0 ? true : undefined),
    () => `${what}: left are ${world.remains().join(", ")}`,
  );

for (const verb of ["run", "start"] as const) {
  test(`the monitor of ${verb} is killed before any op of its plan`, async (t) => {
    let tried = 0;
    // The two plans differ in little: of the second a third is enough.
    for (let at = 0; ; at += verb === "run" ? 1 : 3) {
      if (verb === "start") vitrine("create", "--name", "victim", "probe", "true");
      const op = await dying(
        at,
        verb === "start" ? ["start", "victim"] : ["run", "-d", "-q", "--name", "victim", "probe", "true"],
      );
      if (op === undefined) {
        world.run(["rm", "-f", "victim"]);
        break;
      }
      const what = `op ${at}, ${op}`;
      // It is a matter of a moment until the program has followed its monitor.
      const listed = await until(() => {
        const lines = vitrine("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}").split("\n");
        return lines[0]?.endsWith(" running") ? undefined : lines.filter(Boolean);
      }, `${what}: no truth in ps`);
      assert.ok(listed.length <= 1, what);
      for (const line of listed) assert.match(line, / (exited|created)$/, what);
      assert.equal(world.run(["rm", "-f", "victim"]).status, 0, what);
      await nothingIsLeft(what);
      for (const line of listed) assert.deepEqual(cgroupsOf(line.split(" ")[0]!), [], what);
      tried += 1;
    }
    t.diagnostic(`${tried} boundaries`);
    assert.ok(tried > (verb === "run" ? 60 : 20), `${tried} boundaries`);
  });
}

test("the command is killed at any moment of run, start, stop and rm", async () => {
  const killed = async (args: readonly string[], milliseconds: number): Promise<void> => {
    const child = spawn(program, args, { env: world.env, stdio: "ignore" });
    const ended = new Promise((resolve) => child.on("close", resolve));
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    child.kill("SIGKILL");
    await ended;
  };
  for (let round = 0; round < 24; round++) {
    const moment = round * 2;
    await killed(["run", "-d", "-q", "--name", "k", "probe", "sleep", "1000"], moment);
    // What is there is whole: it can be stopped and started.
    const listed = vitrine("ps", "-a", "--format", "{{.Names}}");
    if (listed === "k") {
      await killed(["stop", "-t", "0", "k"], moment / 2);
      await killed(["start", "k"], moment / 2);
      await killed(["rm", "-f", "k"], moment / 2);
    }
    vitrine("rm", "-f", "k");
    vitrine("rm", "-f", "-a");
    await nothingIsLeft(`round ${round}`);
  }
});

async function together(...commands: readonly (readonly string[])[]): Promise<readonly (number | null)[]> {
  const children = commands.map((args) => spawn(program, args, { env: world.env, stdio: "ignore" }));
  return Promise.all(
    children.map((child) => new Promise<number | null>((resolve) => child.on("close", resolve))),
  );
}

test("two commands on one container at once", async () => {
  for (let round = 0; round < 4; round++) {
    // start and start: one process.
    vitrine("create", "--name", "two", "probe", "sleep", "1000");
    await together(["start", "two"], ["start", "two"], ["start", "two"]);
    const pid = inspect("two", ".State.Pid");
    assert.notEqual(pid, "0");
    // stop and rm, stop and stop.
    await together(["stop", "-t", "0", "two"], ["rm", "-f", "two"], ["stop", "-t", "0", "two"]);
    assert.equal(vitrine("ps", "-aq"), "");
    await nothingIsLeft("stop and rm");
    // exec and stop: the exec fails or is killed.
    detached(["--name", "two"], "sleep 1000");
    await together(["exec", "two", "sleep", "1000"], ["exec", "two", "true"], ["stop", "-t", "0", "two"]);
    assert.equal(inspect("two", ".State.Status"), "exited");
    // start and rm: either is there and runs, or is gone.
    await together(["start", "two"], ["rm", "-f", "two"]);
    const left = vitrine("ps", "-a", "--format", "{{.State}}");
    assert.ok(["", "running", "exited"].includes(left), left);
    // rm and rm.
    await together(["rm", "-f", "two"], ["rm", "-f", "two"], ["rm", "-f", "two"]);
    assert.equal(vitrine("ps", "-aq"), "");
    await nothingIsLeft("rm and rm");
    // One name for two.
    const both = await together(
      ["run", "-d", "-q", "--name", "two", "probe", "sleep", "1000"],
      ["run", "-d", "-q", "--name", "two", "probe", "sleep", "1000"],
    );
    assert.deepEqual([...both].sort(), [0, 125]);
    vitrine("rm", "-f", "two");
    await nothingIsLeft("two of one name");
  }
});

test("a reboot: all processes and the state of this boot are gone", async () => {
  for (const name of ["b1", "b2"]) detached(["--name", name, "-v", "/data"], "echo kept > /file; sleep 1000");
  vitrine("create", "--name", "b3", "probe", "true");
  await until(() => (vitrine("exec", "b1", "cat", "/file") === "kept" ? true : undefined), "the file");
  const ids = vitrine("ps", "-aq", "--no-trunc").split("\n");
  for (const name of ["b1", "b2"]) process.kill(Number(inspect(name, ".State.ConmonPid")), "SIGKILL");
  fs.rmSync(world.runroot, { recursive: true, force: true });
  const states = vitrine("ps", "-a", "--format", "{{.Names}} {{.State}} {{.ExitCode}}").split("\n").sort();
  assert.deepEqual(states, ["b1 exited 137", "b2 exited 137", "b3 created 0"]);
  vitrine("start", "b1");
  assert.equal(vitrine("exec", "b1", "cat", "/file"), "kept");
  vitrine("rm", "-f", "-v", "-a");
  await nothingIsLeft("a reboot");
  for (const id of ids) assert.deepEqual(cgroupsOf(id), []);
});

test("a full disk: no container is made, those that run go on, stop and rm work", async (t) => {
  if (!isRoot) {
    cannotRun(t, "needs root, to mount a small filesystem");
    return;
  }
  const small = makeWorld("full");
  fs.mkdirSync(small.root);
  assert.equal(spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", small.root]).status, 0);
  const run = (...args: readonly string[]) => small.run(args);
  const list = (): string => run("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.trim();
  try {
    assert.equal(run("import", path.join(fixtures, "probe.tar"), "probe").status, 0);
    assert.equal(
      run(
        "run",
        "-d",
        "-q",
        "--name",
        "early",
        "--restart",
        "always",
        "probe",
        "sh",
        "-c",
        "while :; do echo line; sleep 0.01; done",
      ).status,
      0,
    );
    const filler = path.join(small.root, "filler");
    spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4k"]);
    assert.equal(fs.statfsSync(small.root).bavail, 0);
    const refused = run("run", "-d", "-q", "--name", "late", "probe", "true");
    assert.equal(refused.status, 125, refused.stderr);
    assert.match(refused.stderr, /ENOSPC|no space/i);
    assert.equal(list(), "early running");
    assert.equal(run("exec", "early", "true").status, 0);
    assert.equal(run("stop", "-t", "0", "early").status, 0);
    assert.match(list(), /^early exited$/);
    assert.equal(run("rm", "early").status, 0);
    assert.equal(list(), "");
    assert.deepEqual(fs.readdirSync(path.join(small.root, "containers")), []);
    assert.deepEqual(fs.readdirSync(path.join(small.root, "names")), []);
    fs.rmSync(filler);
    assert.equal(run("run", "--rm", "-q", "probe", "true").status, 0);
  } finally {
    run("rm", "-f", "-a");
    spawnSync("umount", ["-l", small.root]);
    await small[Symbol.asyncDispose]();
  }
});
