/** `run`, `ps` and `rm`: names, ids, signals, terminals, and what a killed monitor leaves. */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { letEnd, makeRunWorld, until } from "./run-support.ts";
import { cannotRun, census, findProgram, isRoot, vitrine } from "./support.ts";

const world = makeRunWorld("lifecycle");
/** Of a test that failed something may still run: without this the file would never end. */
const children: ChildProcess[] = [];
after(async () => {
  for (const child of children) child.kill("SIGKILL");
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

interface Running {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | string>;
}

/** Starts a container and waits until its script said `ready`. */
async function start(flags: readonly string[], script: string): Promise<Running> {
  const child = world.start(["run", "--quiet", ...flags, "probe", "sh", "-c", script]);
  children.push(child);
  let text = "";
  child.stdout!.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr!.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  const ended = new Promise<number | string>((resolve) => {
    child.on("close", (code, signal) => resolve(code ?? signal ?? ""));
  });
  await until(
    () => (text.includes("ready") ? true : undefined),
    `a container to be ready: ${flags.join(" ")}`,
  );
  return { child, output: () => text, ended };
}

function ps(...flags: readonly string[]): readonly Record<string, unknown>[] {
  const done = world.run(["ps", ...flags, "--format", "json"]);
  assert.equal(done.status, 0, done.stderr);
  return JSON.parse(done.stdout) as Record<string, unknown>[];
}

test("what a container holds while it runs is seen by the census that finds it gone at the end", async () => {
  const running = await start(["--rm"], "echo ready; sleep 1000");
  const { processes, cgroups } = census(world.directory);
  assert.notDeepEqual(processes, []);
  if (isRoot) assert.notDeepEqual(cgroups, []);
  running.child.kill("SIGKILL");
  await running.ended;
  await until(() => (ps("--all").length === 0 ? true : undefined), "the next command's sweep");
  await world.assertClean();
});

test("a container without --rm stays, with how it ended", () => {
  const done = world.run(["run", "-q", "--name", "kept", "-l", "team=glass", "probe", "sh", "-c", "exit 3"]);
  assert.equal(done.status, 3);
  assert.deepEqual(ps(), []);
  const [row] = ps("--all");
  assert.deepEqual(
    [row!["Names"], row!["State"], row!["ExitCode"], row!["Image"]],
    [["kept"], "exited", 3, "probe"],
  );
  assert.deepEqual(row!["Labels"], { team: "glass" });
  assert.match(world.run(["ps", "-a"]).stdout, /Exited \(3\)/);
  assert.match(world.run(["ps", "-aq"]).stdout, /^[0-9a-f]{12}\n$/);
  assert.equal(world.run(["ps", "-a", "--format", "{{.Names}}"]).stdout, "kept\n");

  const taken = world.run(["run", "--rm", "--name", "kept", "probe", "true"]);
  assert.equal(taken.status, 125);
  assert.match(taken.stderr, /kept/);
  assert.equal(world.run(["rm", "kept"]).status, 0);
  assert.deepEqual(ps("--all"), []);
  assert.equal(world.run(["rm", "kept"]).status, 1);
  assert.equal(world.run(["rm", "-f", "kept"]).status, 0);
});

test("a container that could not start is kept and removed like any other", () => {
  assert.equal(world.run(["run", "-q", "--name", "bad", "probe", "no-such-program"]).status, 127);
  assert.equal(ps("--all")[0]!["ExitCode"], 127);
  assert.equal(world.run(["rm", "--all"]).stdout, "bad\n");
});

test("--cidfile names the container, and is not written over", () => {
  const file = path.join(world.directory, "cid");
  assert.equal(world.probe(["--cidfile", file], "true").status, 0);
  assert.match(fs.readFileSync(file, "utf8"), /^[0-9a-f]{64}$/);
  assert.equal(world.probe(["--cidfile", file], "true").status, 125);
  const other = path.join(world.directory, "cid2");
  assert.equal(world.probe(["--cidfile", other, "-u", "nobody-here"], "true").status, 125);
  assert.equal(fs.existsSync(other), false);
});

test("a running container is listed, is not removed, and is with --force", async () => {
  const running = await start(["--name", "runs"], "echo ready; sleep 1000");
  const [row] = ps();
  assert.deepEqual([row!["Names"], row!["State"]], [["runs"], "running"]);
  assert.ok((row!["Pid"] as number) > 1);
  assert.notEqual(world.run(["rm", "runs"]).status, 0);
  assert.equal(world.run(["rm", "--force", "runs"]).stdout, "runs\n");
  assert.equal(await running.ended, 137);
  assert.deepEqual(ps("--all"), []);
});

test("of many commands that want one name, one gets it", async () => {
  const script = "while [ ! -e /end ]; do sleep 0.05; done";
  const statuses: (number | null)[] = [];
  for (let count = 0; count < 6; count++) {
    const child = world.start(["run", "--rm", "-q", "--name", "single", "probe", "sh", "-c", script]);
    children.push(child);
    child.on("close", (status) => statuses.push(status));
  }
  const ended = (count: number): Promise<true> =>
    until(() => (statuses.length === count ? true : undefined), `the end of ${count}`);
  // It has the name until all others have asked for it.
  await ended(5);
  letEnd(world, "single");
  await ended(6);
  assert.deepEqual(statuses, [125, 125, 125, 125, 125, 0]);
});

test("many containers at once", async () => {
  const commands = Array.from({ length: 8 }, (_, index) =>
    world.start(["run", "--rm", "-q", "probe", "sh", "-c", `exit ${index}`]),
  );
  const statuses = await Promise.all(
    commands.map((child) => new Promise<number | null>((resolve) => child.on("close", resolve))),
  );
  assert.deepEqual(statuses, [0, 1, 2, 3, 4, 5, 6, 7]);
});

test("signals reach the program", async () => {
  const caught = await start(
    ["--rm"],
    'trap "echo caught; exit 9" TERM; echo ready; while :; do sleep 0.05; done',
  );
  caught.child.kill("SIGTERM");
  assert.equal(await caught.ended, 9);
  assert.match(caught.output(), /caught/);
  const interrupted = await start(["--rm", "--init"], "echo ready; sleep 1000");
  interrupted.child.kill("SIGINT");
  assert.equal(await interrupted.ended, 130);
});

test("what a killed monitor left is removed by the next command", async () => {
  const gone = await start(["--rm", "--name", "gone"], "echo ready; sleep 1000");
  gone.child.kill("SIGKILL");
  assert.equal(await gone.ended, "SIGKILL");
  await until(() => (ps("--all").length === 0 ? true : undefined), "the next command's sweep");
  await world.assertClean();

  const kept = await start(["--name", "lost"], "echo ready; sleep 1000");
  kept.child.kill("SIGKILL");
  await kept.ended;
  // The command was only its monitor's client.
  assert.equal(ps("--all")[0]?.["State"], "running");
  const monitor = world.run(["inspect", "-f", "{{.State.ConmonPid}}", "lost"]).stdout;
  process.kill(Number(monitor), "SIGKILL");
  // Its program follows its monitor in a moment.
  await until(() => (ps("--all")[0]?.["State"] === "exited" ? true : undefined), "the program's end");
  assert.deepEqual(
    ps("--all").map((row) => [row["Names"], row["State"], row["ExitCode"]]),
    [[["lost"], "exited", 137]],
  );
  // The next run finds the leftovers as well, not only ps.
  const again = await start(["--rm", "--name", "gone-too"], "echo ready; sleep 1000");
  again.child.kill("SIGKILL");
  await again.ended;
  assert.equal(world.probe(["--name", "gone-too"], "true").status, 0);
  assert.equal(world.run(["rm", "lost"]).status, 0);
});

test("a damaged record does not stand in the way", () => {
  assert.equal(world.run(["run", "-q", "--name", "damaged", "probe", "true"]).status, 0);
  const [id] = fs.readdirSync(path.join(world.root, "containers"));
  fs.writeFileSync(path.join(world.root, "containers", id!, "container.json"), "{");
  assert.equal(world.run(["ps", "-a"]).status, 0);
  assert.equal(world.probe([], "true").status, 0);
  assert.equal(world.run(["rm", id!.slice(0, 12)]).status, 0);
  assert.ok(!fs.existsSync(path.join(world.root, "containers", id!)));
});

/**
 * Runs vitrine on a terminal of 99 columns and 33 rows, which script(1) makes. `typed` is what a user types, each
 * line once the text before it was seen.
 */
async function onTerminal(args: readonly string[], typed: readonly (readonly [string, string])[] = []) {
  const words = [vitrine, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const child = spawn(
    findProgram("script")!,
    ["--quiet", "--return", "--command", `stty rows 33 cols 99; exec ${words}`, "/dev/null"],
    { env: { ...world.env, TERM: "dumb" }, cwd: world.directory },
  );
  children.push(child);
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString().replaceAll("\r", "");
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  for (const [seen, line] of typed) {
    await until(
      () => (text.includes(seen) ? true : undefined),
      `${seen} on the terminal, which shows ${text}`,
    );
    child.stdin.write(line);
  }
  return { status: await ended, text };
}

test("-t gives the program a terminal of its own, of the caller's size", async (t) => {
  if (findProgram("script") === undefined) return cannotRun(t, "script(1) is not installed");
  const script = "tty; stty size; echo $TERM; test -c /dev/console && echo console; exit 4";
  const { status, text } = await onTerminal(["run", "--rm", "-q", "-it", "probe", "sh", "-c", script]);
  assert.equal(status, 4, text);
  assert.match(text, /\/dev\/pts\/0\n33 99\nxterm\nconsole/);
});

test("what is typed reaches the program, and ^C interrupts it", async (t) => {
  if (findProgram("script") === undefined) return cannotRun(t, "script(1) is not installed");
  const script =
    'trap "echo int; exit 5" INT; echo ready; read line; echo got-$line; while :; do sleep 0.1; done';
  const { status, text } = await onTerminal(
    ["run", "--rm", "-q", "-it", "probe", "sh", "-c", script],
    [
      ["ready", "typed\n"],
      ["got-typed", "\x03"],
    ],
  );
  assert.equal(status, 5, text);
  assert.match(text, /int/);
});

test("-t alone works without a terminal, -i -t does not", () => {
  const alone = world.probe(["-t"], "sh", "-c", "tty");
  assert.equal(alone.status, 0);
  assert.match(alone.stdout, /\/dev\/pts\/0/);
  const both = world.probe(["-i", "-t"], "true");
  assert.equal(both.status, 125);
  assert.match(both.stderr, /not a TTY/);
});

test("that there is no network is said once", () => {
  const first = world.run(["run", "--rm", "probe", "true"]);
  assert.match(first.stderr, /network/);
  assert.equal(world.run(["run", "--rm", "probe", "true"]).stderr, "");
  assert.equal(world.run(["run", "--rm", "--network", "none", "probe", "true"]).stderr, "");
});
