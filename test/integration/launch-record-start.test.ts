/** `start` and `exec`, repeated without the engine: the same as with it, and never where something changed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import {
  assertGone,
  leveled,
  same,
  settle,
  straced,
  warmUp,
  withoutEngine,
} from "./launch-record-support.ts";
import { makeRunWorld, until } from "./run-support.ts";
import { cannotRun, findProgram, type Result, vitrine } from "./support.ts";

const world = makeRunWorld("launch-start");
after(async () => {
  world.run(["rm", "-f", "--all"]);
  await world[Symbol.asyncDispose]();
});
// Makes RUNROOT, and says once what is said once.
world.run(["run", "--rm", "--quiet", "probe", "true"]);
settle();

const off = { env: { VITRINE_LAUNCH_RECORD: "0" } };

function must(command: readonly string[], options = {}): Result {
  const done = world.run(command, options);
  assert.equal(done.status, 0, `${command.join(" ")}: ${done.stderr}`);
  return done;
}

/** Its id. */
function create(name: string, flags: readonly string[], ...command: readonly string[]): string {
  return must(["create", "--name", name, ...flags, "probe", ...command]).stdout.trim();
}

/** Looks at all containers, and names none. */
function sweep(): void {
  must(["rm", "--ignore", "nothing"]);
}

/** A program that runs until somebody ends it. */
const patient = ["sleep", "100000"];
/** What ends it at once: pid 1 hears no signal but this, unless it has a handler by then. */
const quick = ["--stop-signal", "KILL"];

/** What is known of a container that runs. */
async function known(id: string) {
  await until(
    () => (fs.existsSync(path.join(world.runroot, "containers", id, "process")) ? true : undefined),
    "it",
  );
  const directory = path.join(world.root, "containers", id);
  const state = path.join(world.runroot, "containers", id);
  const files = [...fs.readdirSync(directory).map((name) => path.join(directory, name)), state];
  const etc = path.join(state, "etc");
  return {
    files: files.map((file) => `${file} ${fs.lstatSync(file).mode.toString(8)}`).sort(),
    state: fs
      .readdirSync(state)
      .map((name) => `${name} ${fs.lstatSync(path.join(state, name)).mode.toString(8)}`)
      .sort(),
    etc: fs.readdirSync(etc).map((name) => fs.readFileSync(path.join(etc, name), "utf8")),
    plan: fs.readFileSync(path.join(state, "plan"), "latin1"),
    reasons: fs.readFileSync(path.join(state, "reasons.json"), "utf8"),
    inspect: leveled(must(["inspect", id]).stdout),
  };
}

test("start: what a container is then, and what is told of it, is the same", async () => {
  const id = create("again", [...quick, "--label", "a=b", "--restart", "on-failure:3"], ...patient);
  const start = (options = {}): void => {
    assert.equal(must(["start", "again"], options).stdout, "again\n");
  };
  const stop = () => must(["stop", "again"]);
  warmUp(world, () => {
    start();
    stop();
  });
  const startedFile = path.join(world.root, "containers", id, "started");
  const earlier = fs.readFileSync(startedFile, "utf8");
  const before = Date.now();
  assert.ok(withoutEngine(world, start));
  const repeated = await known(id);
  const started = fs.readFileSync(startedFile, "utf8");
  assert.notEqual(started, earlier);
  // The clock may be set meanwhile.
  assert.ok(Number(started) >= before - 2000 && Number(started) <= Date.now() + 2000, started);
  stop();
  start(off);
  const normal = await known(id);
  stop();
  for (const key of Object.keys(normal) as (keyof typeof normal)[])
    assert.deepEqual(repeated[key], normal[key], key);
  const events = fs
    .readFileSync(path.join(world.root, "events"), "utf8")
    .split("\n")
    .filter((line) => line.includes(id))
    .map((line) => (JSON.parse(line) as { action: string }).action);
  // `create`, and then of each start the same.
  const one = events.slice(events.lastIndexOf("start"));
  assert.ok(one.includes("die") && one.includes("stop"), one.join());
  assert.deepEqual(events.slice(-2 * one.length), [...one, ...one]);
  must(["rm", "again"]);
});

test("start: by id and by the beginning of one", () => {
  const id = create("digits", [], "true");
  for (const name of [id, id.slice(0, 12)]) {
    const command = ["start", "--attach", name];
    warmUp(world, () => must(command));
    assert.ok(
      withoutEngine(world, () => must(command)),
      name,
    );
  }
  // Another that begins so.
  const other = path.join(
    world.root,
    "containers",
    id.replace(/.$/, (last) => (last === "0" ? "1" : "0")),
  );
  fs.mkdirSync(other);
  let done: Result | undefined;
  assert.ok(!withoutEngine(world, () => (done = world.run(["start", "--attach", id.slice(0, 12)]))));
  assert.equal(done!.status, 125);
  assert.match(done!.stderr, /2 containers have ids that begin with/);
  assert.ok(withoutEngine(world, () => must(["start", "--attach", id])));
  fs.rmdirSync(other);
  must(["rm", id]);
});

test("start --attach: streams, input and statuses are the same", () => {
  create("attached", ["-i"], "sh", "-c", "cat; echo e >&2; exit 3");
  const command = ["start", "--attach", "--interactive", "attached"];
  warmUp(world, () => world.run(command, { input: "x" }));
  let repeated: Result | undefined;
  assert.ok(withoutEngine(world, () => (repeated = world.run(command, { input: "some input" }))));
  assert.deepEqual([repeated!.status, repeated!.stdout, repeated!.stderr], [3, "some input", "e\n"]);
  same(world.run(command, { ...off, input: "some input" }), repeated!);
  must(["rm", "attached"]);
});

test("start: a program that is not there is told of each time", () => {
  create("wrong", [], "/no/such/program");
  const command = ["start", "--attach", "wrong"];
  warmUp(world, () => world.run(command));
  let repeated: Result | undefined;
  assert.ok(withoutEngine(world, () => (repeated = world.run(command))));
  assert.equal(repeated!.status, 127);
  same(world.run(command, off), repeated!);
  must(["rm", "wrong"]);
});

test("start: how it ended last does not count, that it ended does", () => {
  const id = create("ended", [], "sh", "-c", "exit $(cat /status 2>/dev/null || echo 0)");
  const command = ["start", "--attach", "ended"];
  warmUp(world, () => must(command));
  const exit = path.join(world.root, "containers", id, "exit");
  fs.writeFileSync(exit, "137 9 1 oom\n");
  assert.ok(withoutEngine(world, () => must(command)));
  assert.match(fs.readFileSync(exit, "utf8"), /^0 0 \d+\n$/);
  for (const damaged of ["", "0 0 x\n", "0 0 1\nmore", "0 0 1", "1234 0 1\n"]) {
    fs.writeFileSync(exit, damaged);
    assert.ok(!withoutEngine(world, () => world.run(command)), JSON.stringify(damaged));
  }
  fs.rmSync(exit);
  assert.ok(!withoutEngine(world, () => world.run(command)));
  must(["rm", "-f", "ended"]);
});

/** After `change` the engine is needed. Returns what it did. */
function changed(name: string, change: () => void, options: { env?: NodeJS.ProcessEnv } = {}): Result {
  const command = ["start", "--attach", name];
  settle();
  warmUp(world, () => must(command));
  change();
  let done: Result | undefined;
  assert.ok(!withoutEngine(world, () => (done = world.run(command, options))), "the change was not seen");
  return done!;
}

test("start: every change of what it is started from is seen", () => {
  const id = create("one", ["-v", "data:/data"], "cat", "/etc/hostname");
  const directory = path.join(world.root, "containers", id);
  const edit = (file: string, from: string, to: string) => () => {
    const text = fs.readFileSync(path.join(directory, file), "utf8");
    assert.ok(text.includes(from), file);
    fs.writeFileSync(path.join(directory, file), text.replace(from, to));
  };
  const host = id.slice(0, 12);
  assert.equal(changed("one", edit("launch.json", `${host}\\n`, "another\\n")).stdout, "another\n");
  assert.equal(changed("one", edit("config.json", '"cat"', '"echo"')).stdout, "/etc/hostname\n");
  assert.equal(changed("one", () => must(["update", "--restart", "on-failure:2", "one"])).status, 0);
  assert.equal(changed("one", () => {}, { env: { MORE: "x" } }).status, 0);
  // Its name leads to another.
  const done = changed("one", () => {
    must(["rename", "one", "two"]);
    create("one", [], "echo", "the other");
  });
  assert.deepEqual([done.status, done.stdout], [0, "the other\n"]);
  must(["rm", "one"]);
  must(["rename", "two", "one"]);
  const gone = changed("one", () => {
    fs.renameSync(path.join(world.root, "volumes/data"), path.join(world.directory, "away"));
  });
  assert.equal(gone.status, 125);
  assert.match(gone.stderr, /no such volume/);
  fs.renameSync(path.join(world.directory, "away"), path.join(world.root, "volumes/data"));
  must(["start", "--attach", "one"]);
  const removed = changed("one", () => must(["rm", "one"]));
  assert.equal(removed.status, 125);
  assert.match(removed.stderr, /there is no container "?one/);
  must(["volume", "rm", "data"]);
});

test("start: one that runs, that is held for a copy, and whose monitor was killed", async () => {
  const id = create("busy", quick, ...patient);
  const again = () => {
    must(["start", "busy"]);
    must(["stop", "busy"]);
  };
  warmUp(world, again);
  assert.ok(withoutEngine(world, () => must(["start", "busy"])));
  assert.ok(!withoutEngine(world, () => assert.equal(must(["start", "busy"]).stdout, "busy\n")));
  const [pid] = fs.readFileSync(path.join(world.runroot, "containers", id, "monitor"), "utf8").split(" ");
  process.kill(Number(pid), "SIGKILL");
  await until(() => (fs.existsSync(`/proc/${pid}/ns/pid`) ? undefined : true), "the end of the monitor");
  assert.ok(!withoutEngine(world, () => must(["start", "busy"])));
  must(["stop", "busy"]);
  assert.ok(withoutEngine(world, again));
  must(["rm", "busy"]);
});

test("start: of many at once one starts it", async () => {
  create("contended", quick, ...patient);
  warmUp(world, () => {
    must(["start", "contended"]);
    must(["stop", "contended"]);
  });
  const printed = await Promise.all(
    Array.from(
      { length: 8 },
      () =>
        new Promise<string>((resolve) => {
          let text = "";
          const child = world.start(["start", "contended"]);
          child.stdout!.on("data", (data: Buffer) => (text += data));
          child.stderr!.on("data", (data: Buffer) => (text += data));
          child.on("close", (status) => resolve(`${status} ${text}`));
        }),
    ),
  );
  // Docker finds nothing wrong with one that runs; between claim and program it is just being started.
  for (const text of printed) assert.match(text, /^(?:0 contended\n|125 .*is running)/);
  assert.ok(printed.includes("0 contended\n"));
  assert.equal(world.run(["top", "contended"]).stdout.match(/sleep/g)?.length, 1);
  must(["rm", "-f", "contended"]);
  assertGone(world);
});

test("start: killed at any step it is as if the engine had been killed", async (t) => {
  const id = create("fragile", [], "true");
  const command = ["start", "--attach", "fragile"];
  warmUp(world, () => must(command));
  const killed: string[] = [];
  // Most files are only looked at: of these a few will do.
  for (const [call, step] of Object.entries({ mkdir: 1, open: 5, write: 1, renameat2: 1, unlink: 1 })) {
    for (let count = 1; count < 150; count += step) {
      const traced = straced(
        world,
        t,
        ["-e", `trace=${call},execve`, "-e", `inject=${call}:signal=SIGKILL:when=${count}`],
        command,
      );
      if (traced === undefined) return;
      const ended = /execve\("[^"]*vitrine-helper"/.test(traced.trace);
      if (!ended) killed.push(`${call} ${count}`);
      const state = () => must(["ps", "-a", "--format", "{{.State}}", "--filter", "name=fragile"]).stdout;
      const left = () => fs.readdirSync(path.join(world.runroot, "containers"));
      // The helper's client is killed: it goes on without it, to its end.
      if (ended)
        await until(() => (state() === "exited\n" && left().length === 0 ? true : undefined), "its end");
      assert.equal(state(), "exited\n", `${call} ${count}`);
      sweep();
      assert.deepEqual(left(), [], `${call} ${count}`);
      must(command);
      if (ended) break;
    }
  }
  assert.ok(killed.includes("unlink 1") && killed.includes("renameat2 1"), killed.join());
  assert.ok(killed.length > 15, killed.join());
  const left = fs.readdirSync(path.join(world.root, "containers", id));
  assert.deepEqual(
    left.filter((name) => name.endsWith(".tmp")),
    [],
  );
  must(["rm", "fragile"]);
  assertGone(world);
});

test("start: a step that fails is taken back, and the engine does it all", (t) => {
  const id = create("failing", [], "echo", "done");
  const command = ["start", "--attach", "failing"];
  const exit = path.join(world.root, "containers", id, "exit");
  // As many as the launcher makes itself: the helper's calls come later.
  const calls = { mkdir: 3, write: 7, renameat2: 1, unlink: 1, setrlimit: 1 };
  for (const [call, most] of Object.entries(calls)) {
    for (let count = 1; count <= most; count++) {
      // As the engine may have noted its own start: with a pid that happens to stand elsewhere too the record is no longer sure.
      warmUp(world, () => must(command));
      const traced = straced(
        world,
        t,
        ["-e", `trace=${call},execve`, "-e", `inject=${call}:error=ENOSPC:when=${count}`],
        command,
      );
      if (traced === undefined) return;
      assert.deepEqual(
        [traced.done.status, traced.done.stdout.toString()],
        [0, "done\n"],
        `${call} ${count}`,
      );
      assert.deepEqual(fs.readdirSync(path.join(world.runroot, "containers")), [], `${call} ${count}`);
    }
  }
  warmUp(world, () => must(command));
  // Nothing can be executed: what was taken back stays to be seen.
  fs.writeFileSync(exit, "7 0 1700000000000000000\n");
  fs.chmodSync(exit, 0o626);
  const started = fs.readFileSync(path.join(world.root, "containers", id, "started"), "utf8");
  const traced = straced(
    world,
    t,
    [...["-e", "trace=execve", "-e", "inject=execve:error=EACCES:when=1+"]],
    command,
  )!;
  assert.equal(traced.done.status, 125, traced.trace);
  assert.match(traced.trace, /vitrine-helper.*EACCES/);
  assert.equal(fs.readFileSync(exit, "utf8"), "7 0 1700000000000000000\n");
  assert.equal(fs.lstatSync(exit).mode & 0o777, 0o626);
  assert.equal(fs.readFileSync(path.join(world.root, "containers", id, "started"), "utf8"), started);
  assert.deepEqual(fs.readdirSync(path.join(world.runroot, "containers")), []);
  must(["rm", "failing"]);
});

// --- exec ---

test("exec: streams, input, statuses and messages are the same", () => {
  must(["run", "-d", "--name", "box", ...quick, "-e", "BASE=b", "probe", ...patient]);
  const commands: readonly (readonly string[])[] = [
    ["box", "sh", "-c", "echo out; echo err >&2; env | sort; id; pwd; exit 7"],
    ["-e", "WORD=x", "-w", "/tmp", "-u", "user", "box", "sh", "-c", 'echo "$WORD $BASE $(id) $(pwd)"'],
    ["--privileged", "box", "grep", "-E", "Cap|Seccomp", "/proc/self/status"],
    ["-i", "box", "cat"],
    ["box", "no-such-program"],
  ];
  for (const words of commands) {
    const command = ["exec", ...words];
    warmUp(world, () => world.run(command, { input: "some input" }));
    let repeated: Result | undefined;
    assert.ok(
      withoutEngine(world, () => (repeated = world.run(command, { input: "some input" }))),
      words.join(" "),
    );
    const normal = world.run(command, { ...off, input: "some input" });
    same(normal, repeated!);
    assert.notEqual(repeated!.stdout + repeated!.stderr, "");
  }
});

test("exec -d, and a terminal", async (t) => {
  const detached = ["exec", "-d", "box", "sh", "-c", "echo x >> /written"];
  const lines = () => world.run(["exec", "box", "cat", "/written"], off).stdout.length / 2;
  let count = 0;
  const once = (): void => {
    must(detached);
    count++;
  };
  warmUp(world, once);
  await until(() => (lines() === count ? true : undefined), "what was written");
  assert.ok(withoutEngine(world, once));
  await until(() => (lines() === count ? true : undefined), "what was written");
  if (findProgram("script") === undefined) return cannotRun(t, "script(1) is not installed");
  const inTerminal = (): string => {
    const command = `${vitrine} exec -it box sh -c 'tty; stty size; exit 4'`;
    const done = spawnSync(
      "script",
      ["--quiet", "--return", "--command", `stty cols 99 rows 33; ${command}`, "/dev/null"],
      { env: world.env, cwd: world.directory, input: "" },
    );
    assert.equal(done.status, 4, done.stdout.toString());
    return done.stdout.toString().replaceAll("\r", "");
  };
  warmUp(world, inTerminal);
  let text = "";
  assert.ok(withoutEngine(world, () => (text = inTerminal())));
  assert.match(text, /\/dev\/pts\/\d+\n(?:\^@)?33 99\n/);
});

test("exec: each has an id of its own in the events, and leaves nothing", () => {
  const id = must(["inspect", "--format", "{{.Id}}", "box"]).stdout.trim();
  const command = ["exec", "box", "echo", '"execID":"no"}}'];
  warmUp(world, () => must(command));
  const file = path.join(world.root, "events");
  const before = fs.statSync(file).size;
  for (let i = 0; i < 3; i++) assert.ok(withoutEngine(world, () => must(command)));
  const events = fs
    .readFileSync(file)
    .subarray(before)
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { action: string; id: string; attributes: { execID: string } });
  assert.equal(events.length, 9);
  for (let i = 0; i < 9; i += 3) {
    const three = events.slice(i, i + 3);
    assert.deepEqual(
      three.map(({ action }) => action.split(":")[0]),
      ["exec_create", "exec_start", "exec_die"],
    );
    assert.equal(new Set(three.map(({ attributes }) => attributes.execID)).size, 1);
    assert.match(three[0]!.attributes.execID, /^[0-9a-f]{64}$/);
    assert.ok(three.every((event) => event.id === id));
  }
  assert.equal(new Set(events.map(({ attributes }) => attributes.execID)).size, 3);
  assert.deepEqual(
    fs.readdirSync(path.join(world.runroot, "containers", id)).filter((name) => name.startsWith("exec")),
    [],
  );
});

test("exec: not in one that is paused, was started again, or is another of its name", async (t) => {
  const command = ["exec", "box", "sh", "-c", "cat /mark 2>/dev/null; echo $(id -u)"];
  warmUp(world, () => must(command));
  let done: Result | undefined;
  const byEngine = () => assert.ok(!withoutEngine(world, () => (done = world.run(command))));
  if (world.run(["pause", "box"]).status === 0) {
    byEngine();
    assert.equal(done!.status, 125);
    assert.match(done!.stderr, /paused/);
    must(["unpause", "box"]);
    assert.ok(withoutEngine(world, () => must(command)));
  } else t.diagnostic("a user's containers cannot be paused on cgroup v1");
  must(["restart", "box"]);
  byEngine();
  assert.deepEqual([done!.status, done!.stdout], [0, "0\n"]);
  warmUp(world, () => must(command));
  must(["stop", "box"]);
  byEngine();
  assert.equal(done!.status, 125);
  assert.match(done!.stderr, /not running/);
  must(["rm", "box"]);
  must(["run", "-d", "--name", "box", "probe", "sh", "-c", "echo new > /mark; exec sleep 1000"]);
  await until(
    () => (world.run(["exec", "box", "cat", "/mark"], off).status === 0 ? true : undefined),
    "a mark",
  );
  byEngine();
  assert.deepEqual([done!.status, done!.stdout], [0, "new\n0\n"]);
  must(["rm", "-f", "box"]);
  byEngine();
  assert.equal(done!.status, 125);
  assert.match(done!.stderr, /there is no container/);
});

test("exec: the first one in a new container, by name, id or twelve digits of it", async (t) => {
  const kinds = {
    name: (name: string) => name,
    id: (_: string, id: string) => id,
    digits: (_: string, id: string) => id.slice(0, 12),
  };
  const words = ["sh", "-c", 'echo "$WORD $(hostname)"; exit 3'];
  const make = (name: string, ...flags: readonly string[]): string =>
    must(
      ["run", "-d", "--name", name, ...quick, "--label", "name=x", ...flags, "probe", ...patient],
      off,
    ).stdout.trim();
  let made = 10;
  for (const [kind, wordOf] of Object.entries(kinds)) {
    const once = (flags: readonly string[] = []): string => {
      const name = `new-${made++}`;
      const id = make(name, ...flags);
      const done = world.run(["exec", "-e", "WORD=x", wordOf(name, id), ...words]);
      assert.deepEqual([done.status, done.stdout], [3, `x ${id.slice(0, 12)}\n`], done.stderr);
      assert.deepEqual(
        fs.readdirSync(path.join(world.runroot, "containers", id)).filter((one) => one.startsWith("exec")),
        [],
      );
      return name;
    };
    warmUp(world, once);
    let name = "";
    assert.ok(
      withoutEngine(world, () => (name = once())),
      kind,
    );
    const events = fs.readFileSync(path.join(world.root, "events"), "utf8").trim().split("\n").slice(-4);
    assert.ok(events.filter((line) => line.includes(`"name":"${name}"`)).length >= 3, events.join("\n"));
    for (const flags of [
      ["-e", "MORE=y"],
      ["--network", "host"],
      ["--label", "name=y"],
    ])
      assert.ok(!withoutEngine(world, () => once(flags)), `${kind} ${flags.join(" ")}`);
    warmUp(world, once);
  }
  const exec = (word: string) => world.run(["exec", "-e", "WORD=x", word, ...words]);
  const byEngine = (word: string, message: RegExp): void => {
    let done: Result | undefined;
    assert.ok(!withoutEngine(world, () => (done = exec(word))));
    assert.equal(done!.status, 125);
    assert.match(done!.stderr, message);
  };
  const id = make("new-99");
  const pidFile = path.join(world.runroot, "containers", id, "pid");
  const told = fs.readFileSync(pidFile, "utf8");
  const [pid, time] = told.trim().split(" ");
  // A process that has its pid by now began at another time.
  for (const text of [`${pid} ${Number(time) + 1}\n`, `${process.pid} ${time}\n`]) {
    fs.writeFileSync(pidFile, text);
    byEngine("new-99", /not running/);
  }
  fs.writeFileSync(pidFile, told);
  assert.ok(withoutEngine(world, () => assert.equal(exec("new-99").status, 3)));
  if (world.run(["pause", "new-99"]).status === 0) {
    byEngine("new-99", /paused/);
    must(["unpause", "new-99"]);
  } else t.diagnostic("a user's containers cannot be paused on cgroup v1");
  must(["stop", "new-99"]);
  byEngine("new-99", /not running/);
  must(["rm", "new-99"]);
  byEngine("new-99", /there is no container/);
  // Of a name that is another's by now its new container is meant.
  const [next] = [make("new-99"), make("new-98")];
  let done: Result | undefined;
  assert.ok(withoutEngine(world, () => (done = exec("new-99"))));
  assert.equal(done!.stdout, `x ${next!.slice(0, 12)}\n`);
  must(["rm", "-f", "-t", "0", "--all"]);
});

test("exec: killed at any step, the container goes on, and leaves nothing in the end", (t) => {
  must(["run", "-d", "--name", "target", ...quick, "probe", ...patient]);
  const command = ["exec", "target", "true"];
  warmUp(world, () => must(command));
  const killed: string[] = [];
  for (const [call, step] of Object.entries({ mkdir: 1, open: 5, write: 1 })) {
    for (let count = 1; count < 150; count += step) {
      const traced = straced(
        world,
        t,
        ["-e", `trace=${call},execve`, "-e", `inject=${call}:signal=SIGKILL:when=${count}`],
        command,
      );
      if (traced === undefined) return;
      if (/execve\("[^"]*vitrine-helper"/.test(traced.trace)) break;
      killed.push(`${call} ${count}`);
      assert.ok(
        withoutEngine(world, () => must(command)),
        `${call} ${count}`,
      );
    }
  }
  assert.ok(killed.length > 10 && killed.includes("mkdir 1"), killed.join());
  must(["stop", "target"]);
  must(["rm", "target"]);
  assertGone(world);
});
