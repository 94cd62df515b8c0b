/** run and exec --preserve-fds: descriptors of the caller reach the program, and those alone. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { assertRan } from "../support/spawned.ts";
import { letEnd, makeRunWorld, until } from "./run-support.ts";
import { vitrine as executable } from "./support.ts";

const world = makeRunWorld("preserve-fds");
after(async () => {
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

const told = path.join(world.directory, "told");
fs.writeFileSync(told, "told\n");

/** Starts vitrine with these files at 3, 4, …; how many of them it hands on is its own flag. */
function given(files: readonly string[], ...args: readonly string[]) {
  const descriptors = files.map((file) => fs.openSync(file, "a+"));
  try {
    const done = spawnSync(executable, args, {
      env: world.env,
      cwd: world.directory,
      stdio: ["ignore", "pipe", "pipe", ...descriptors],
      encoding: "utf8",
    });
    assertRan(done);
    return done;
  } finally {
    for (const descriptor of descriptors) fs.closeSync(descriptor);
  }
}

function vitrine(...args: readonly string[]): string {
  const done = world.run(args);
  assert.equal(done.status, 0, `${args.join(" ")}: ${done.stderr}`);
  return done.stdout.trim();
}

const readThree = "cat <&3; if test -e /proc/self/fd/4; then echo leaked; fi";
const hold = "while test ! -e /end; do sleep 0.05; done";

test("run: the program reads its descriptor, and gets no other, however often it is started", () => {
  const other = path.join(world.directory, "other");
  fs.writeFileSync(other, "secret\n");
  for (const more of [[], [], [], [], [], ["--init"]]) {
    const flags = ["--rm", "-q", "--preserve-fds", "1", ...more];
    const done = given([told, other], "run", ...flags, "probe", "sh", "-c", readThree);
    assert.equal(done.status, 0, done.stderr);
    assert.equal(done.stdout, "told\n");
  }
});

test("one that is not open is an error that names it, before anything is made", () => {
  const before = vitrine("ps", "-aq");
  for (const verb of ["run", "container run"]) {
    const done = given([told], ...verb.split(" "), "--preserve-fds=2", "probe", "true");
    assert.equal(done.status, 125);
    assert.match(done.stderr, /file descriptor 4 is not open/);
  }
  assert.equal(vitrine("ps", "-aq"), before);
  for (const count of ["x", "-1", "5000"])
    assert.equal(given([told], "run", `--preserve-fds=${count}`, "probe", "true").status, 125);
  assert.match(
    given([told], "create", "--preserve-fds", "1", "probe").stderr,
    /unknown flag: --preserve-fds/,
  );
});

test("exec: at once and in the background", async () => {
  vitrine("run", "-d", "--name", "holds", "probe", "sh", "-c", hold);
  for (let turn = 0; turn < 5; turn++) {
    const done = given([told], "exec", "--preserve-fds", "1", "holds", "sh", "-c", readThree);
    assert.equal(done.stdout, "told\n", done.stderr);
  }
  const behind = given([told], "exec", "-d", "--preserve-fds", "1", "holds", "sh", "-c", "cat <&3 >/got");
  assert.equal(behind.status, 0, behind.stderr);
  await until(
    () => (world.run(["exec", "holds", "cat", "/got"]).stdout === "told\n" ? true : undefined),
    "what it read",
  );
  const missing = given([], "exec", "--preserve-fds", "1", "holds", "true");
  assert.equal(missing.status, 125);
  assert.match(missing.stderr, /file descriptor 3 is not open/);
  letEnd(world, "holds");
  vitrine("wait", "holds");
  vitrine("rm", "holds");
});

/** All that the program wrote, once nobody else has the other end; rejects when the command fails. */
async function heard(...args: readonly string[]): Promise<string> {
  const child = spawn(executable, args, {
    env: world.env,
    cwd: world.directory,
    stdio: ["ignore", "ignore", "pipe", "pipe"],
  });
  let text = "";
  const stream = child.stdio[3] as NodeJS.ReadableStream;
  stream.on("data", (bytes) => {
    text += String(bytes);
  });
  await new Promise((resolve) => stream.on("end", resolve));
  return text;
}

test("only the program holds them: who reads hears their end while it runs on", async () => {
  const script = `echo one >&3; exec 3>&-; ${hold}`;
  for (const name of ["behind", "front"]) {
    const flags = ["--name", name, "-q", "--preserve-fds", "1", ...(name === "behind" ? ["-d"] : [])];
    assert.equal(await heard("run", ...flags, "probe", "sh", "-c", script), "one\n", name);
    assert.equal(vitrine("inspect", "-f", "{{.State.Running}}", name), "true");
    letEnd(world, name);
    vitrine("wait", name);
    vitrine("rm", name);
  }
});

test("a restart has them again", async () => {
  const log = path.join(world.directory, "log");
  const flags = ["--name", "again", "--restart", "on-failure:1", "--preserve-fds", "1"];
  const done = given([log], "run", "-d", ...flags, "probe", "sh", "-c", "echo run >&3; exit 1");
  assert.equal(done.status, 0, done.stderr);
  const state = (): string => vitrine("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "again");
  await until(() => (state() === "1 exited" ? true : undefined), "its second end");
  assert.equal(fs.readFileSync(log, "utf8"), "run\nrun\n");
  vitrine("rm", "again");
});

test("explain run names the flag", () => {
  const text = vitrine("explain", "run", "--preserve-fds", "2", "probe", "true");
  assert.match(text, /close_range\(5, .*--preserve-fds/);
});
