/** What containers in the background print and read: logs, exec, attach. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { letEnd, makeRunWorld, until } from "./run-support.ts";
import { cannotRun, findProgram, isRoot, vitrine as program } from "./support.ts";

const world = makeRunWorld("streams");
after(async () => {
  world.run(["rm", "--all", "--force"]);
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

function vitrine(...args: readonly string[]): string {
  const done = world.run(args);
  assert.equal(done.status, 0, `${args.join(" ")}: ${done.stderr}`);
  return done.stdout.replace(/\n$/, "");
}
const detached = (flags: readonly string[], ...command: readonly string[]): string =>
  vitrine("run", "-d", "-q", ...flags, "probe", ...command);
const logged = (name: string, text: string): Promise<true> =>
  until(
    () => (world.run(["logs", name]).stdout.includes(text) ? true : undefined),
    `${text} logged by ${name}`,
  );
const idle = ["sh", "-c", 'trap "exit 0" TERM; echo ready; while :; do sleep 0.02; done'];

test("logs: streams, lines without an end, --tail, --timestamps, --since, --until", async () => {
  const script =
    "echo bad >&2; while [ ! -e /end ]; do sleep 0.02; done; echo one; echo two; printf '\\033[31mlast'";
  detached(["--name", "talk"], "sh", "-c", script);
  // Two streams have no order between them but that of their being read.
  await until(() => (world.run(["logs", "talk"]).stderr === "bad\n" ? true : undefined), "the first line");
  letEnd(world, "talk");
  vitrine("wait", "talk");
  const all = world.run(["logs", "talk"]);
  assert.equal(all.stdout, "one\ntwo\n\x1b[31mlast");
  assert.equal(all.stderr, "bad\n");
  assert.equal(
    world.run(["logs", "--tail", "1", "talk"]).stdout + world.run(["logs", "-n", "0", "talk"]).stdout,
    "\x1b[31mlast",
  );
  assert.match(world.run(["logs", "-t", "talk"]).stdout, /^\d{4}-\d\d-\d\dT[\d:]+\.\d{9}Z one\n/);
  assert.equal(world.run(["logs", "--since", "1h", "talk"]).stdout, all.stdout);
  assert.equal(world.run(["logs", "--until", "1h", "talk"]).stdout, "");
  assert.equal(world.run(["logs", "--tail", "x", "talk"]).status, 125);
  assert.equal(world.run(["logs", "missing"]).status, 125);
  vitrine("rm", "talk");
});

test("a great deal of output is logged whole, and rotation keeps what it is told to", async () => {
  detached(["--name", "much"], "sh", "-c", "seq 1 200000");
  vitrine("wait", "much");
  const expected = Array.from({ length: 200_000 }, (_, index) => `${index + 1}\n`).join("");
  assert.equal(vitrine("logs", "much") === expected.trimEnd(), true);
  vitrine("rm", "much");

  const id = detached(
    ["--name", "turn", "--log-opt", "max-size=100k", "--log-opt", "max-file=3"],
    "seq",
    "1",
    "20000",
  );
  vitrine("wait", "turn");
  const files = fs
    .readdirSync(path.join(world.root, "containers", id))
    .filter((name) => name.startsWith("log"));
  assert.deepEqual(files.sort(), ["log", "log.1", "log.2"]);
  for (const file of files) {
    assert.ok(fs.statSync(path.join(world.root, "containers", id, file)).size < 4 * 100 * 1024, file);
  }
  assert.equal(vitrine("logs", "turn").split("\n").at(-1), "20000");
  vitrine("rm", "turn");
  const none = detached(["--log-driver", "none"], "echo", "x");
  vitrine("wait", none);
  assert.equal(vitrine("logs", none), "");
  vitrine("rm", none);
});

test("logs of several: each line with its container, followed until all have ended", () => {
  const ids = ["left", "right"].map((name) =>
    vitrine("run", "-d", "--name", name, "probe", "sh", "-c", `echo ${name}; sleep 0.3; echo ${name} >&2`),
  );
  const followed = world.run(["logs", "-f", "left", "right"]);
  const [left, right] = ids.map((id) => id.slice(0, 12));
  assert.deepEqual(followed.stdout.trimEnd().split("\n").sort(), [`${left} left`, `${right} right`].sort());
  assert.deepEqual(followed.stderr.trimEnd().split("\n").sort(), [`${left} left`, `${right} right`].sort());
  assert.equal(world.run(["logs", "--names", "left"]).stdout, "left left\n");
  assert.match(world.run(["logs", "-t", "right"]).stdout, /^\d{4}-\S+Z right\n$/);
  vitrine("rm", "left", "right");
  vitrine("create", "--name", "unborn", "probe", "true");
  const nothing = world.run(["logs", "-f", "unborn"]);
  assert.deepEqual([nothing.status, nothing.stdout, nothing.stderr], [0, "", ""]);
  vitrine("rm", "unborn");
});

test("logs --follow ends with the container", async () => {
  detached(["--name", "flow"], "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done");
  assert.equal(vitrine("logs", "-f", "flow"), "1\n2\n3");
  vitrine("rm", "flow");
});

test("exec: status, streams, environment, directory, user", async () => {
  detached(["--name", "box", "-e", "BASE=1"], ...idle);
  const exec = (...args: readonly string[]) => world.run(["exec", ...args]);
  assert.equal(exec("box", "sh", "-c", "exit 42").status, 42);
  assert.equal(exec("box", "no-such-program").status, 127);
  assert.equal(exec("box", "/etc").status, 126);
  assert.equal(exec("missing", "true").status, 125);
  assert.equal(exec("box").status, 125);
  const both = exec("box", "sh", "-c", "echo out; echo err >&2");
  assert.deepEqual([both.stdout, both.stderr], ["out\n", "err\n"]);
  assert.equal(world.run(["exec", "-i", "box", "cat"], { input: "typed" }).stdout, "typed");
  assert.equal(world.run(["exec", "box", "cat"], { input: "typed" }).stdout, "");
  assert.equal(exec("-e", "A=b", "-w", "/tmp", "box", "sh", "-c", "echo $A $BASE $PWD").stdout, "b 1 /tmp\n");
  assert.equal(
    exec("-u", "user", "box", "sh", "-c", "id -u; id -G; echo $HOME").stdout,
    "1000\n1000 29 50\n/home/user\n",
  );
  assert.match(exec("-u", "user", "box", "cat", "/proc/self/status").stdout, /CapEff:\t0{16}\n/);
  assert.equal(exec("-u", "nobody-here", "box", "true").status, 125);
  // In the same namespaces and cgroup as the container's own process, and as restricted.
  for (const name of ["pid", "mnt", "net", "ipc", "uts", "user", "cgroup"]) {
    const script = `test $(readlink /proc/1/ns/${name}) = $(readlink /proc/self/ns/${name})`;
    assert.equal(exec("box", "sh", "-c", script).status, 0, name);
  }
  const [own, others] = ["/proc/1/status", "/proc/self/status"].map(
    (file) => exec("box", "sh", "-c", `grep -E '^(Cap|Seccomp|NoNew)' ${file}`).stdout,
  );
  assert.equal(own, others);
  assert.equal(exec("box", "sh", "-c", "diff /proc/1/cgroup /proc/self/cgroup").stdout, "");
  assert.equal(exec("--privileged", "box", "grep", "Seccomp:", "/proc/self/status").stdout, "Seccomp:\t0\n");
  vitrine("exec", "-d", "box", "sh", "-c", "sleep 0.1; echo done > /file");
  await until(
    () => (exec("box", "cat", "/file").stdout === "done\n" ? true : undefined),
    "exec -d to do its work",
  );
  // Its monitor removes what it was started by, once it has ended.
  const stateOfBoot = path.join(world.runroot, "containers", vitrine("inspect", "-f", "{{.Id}}", "box"));
  const left = (): readonly string[] => fs.readdirSync(stateOfBoot).filter((name) => name.startsWith("exec"));
  await until(() => (left().length === 0 ? true : undefined), "exec to leave nothing");
  vitrine("stop", "box");
  assert.equal(exec("box", "true").status, 125);
  vitrine("rm", "box");
});

test("attach follows the output, passes stdin on and ends with the container's status", async () => {
  detached(["-i", "--name", "cat"], "sh", "-c", "read line; echo got $line; exit 6");
  const done = world.run(["attach", "cat"], { input: "hello\n" });
  assert.equal(done.status, 6, done.stderr);
  assert.equal(done.stdout, "got hello\n");
  vitrine("rm", "cat");
  assert.equal(world.run(["attach", "cat"]).status, 125);
});

test("all who attach see the same", async () => {
  const script =
    'while read line; do [ "$line" = go ] && break; echo $line; done; echo begin; seq 1 100000; exit 0';
  detached(["-i", "--name", "both"], "sh", "-c", script);
  let seen = 0;
  const children = [1, 2].map(() => world.start(["attach", "--no-stdin", "both"]));
  const outputs = children.map(
    (child) =>
      new Promise<string>((resolve) => {
        let text = "";
        child.stdout!.once("data", () => {
          seen += 1;
        });
        child.stdout!.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        child.on("close", () => resolve(text.slice(text.indexOf("begin\n"))));
      }),
  );
  // Not waited for with the event loop held: the others' output must be read meanwhile.
  const third = world.start(["attach", "both"]);
  third.stdout!.resume();
  await until(() => {
    third.stdin!.write("are you there\n");
    return seen === 2 ? true : undefined;
  }, "both to be attached");
  third.stdin!.end("go\n");
  assert.equal(await new Promise((resolve) => third.on("close", resolve)), 0);
  const [first, second] = await Promise.all(outputs);
  assert.equal(first!.split("\n").length, 100_002);
  assert.ok(first === second);
  vitrine("rm", "both");
});

test("a program that ends without reading its input: its last words and its status arrive all the same", async (t) => {
  const script = 'trap "echo last; exit 4" USR1; stty raw -echo; echo ready; while :; do sleep 0.02; done';
  detached(["-it", "--name", "deaf"], "sh", "-c", script);
  await logged("deaf", "ready");
  const file = path.join(world.directory, "typed");
  // More than the terminal and the monitor's buffer take: the rest waits in the socket.
  const size = 192 << 10;
  fs.writeFileSync(file, "x".repeat(size));
  const input = fs.openSync(file, "r");
  const client = spawn(program, ["attach", "deaf"], { env: world.env, stdio: [input, "pipe", "inherit"] });
  // Stopped, it would outlive a test that fails.
  t.after(() => client.kill("SIGKILL"));
  fs.closeSync(input);
  let text = "";
  client.stdout?.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => client.on("close", resolve));
  const sent = () =>
    Number(/pos:\s+(\d+)/.exec(fs.readFileSync(`/proc/${client.pid}/fdinfo/0`, "utf8"))?.[1]);
  await until(() => (sent() === size ? true : undefined), "all the input to be sent");
  client.kill("SIGSTOP");
  vitrine("kill", "--signal", "USR1", "deaf");
  assert.equal(vitrine("wait", "deaf"), "4");
  client.kill("SIGCONT");
  assert.deepEqual([await ended, text], [4, "last\n"]);
  vitrine("rm", "deaf");
});

test("stdin of a container that was created for the foreground ends with ours", () => {
  vitrine("create", "-i", "--name", "count", "probe", "wc", "-c");
  assert.equal(world.run(["start", "-ai", "count"], { input: "12345" }).stdout.trim(), "5");
  vitrine("rm", "count");
});

test("top lists the container's processes, those of exec too, and no others", async (t) => {
  if (findProgram("ps") === undefined) return cannotRun(t, "ps(1) is not installed");
  detached(["--name", "busy"], "sh", "-c", "echo ready; sleep 61; true");
  await logged("busy", "ready");
  vitrine("exec", "-d", "busy", "sleep", "62");
  const commands = (): string =>
    vitrine("top", "busy", "-o", "pid,args")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().replace(/^\d+\s+/, ""))
      .sort()
      .join("|");
  // Each was somebody else before it was that program.
  const all = "sh -c echo ready; sleep 61; true|sleep 61|sleep 62";
  await until(() => (commands() === all ? true : undefined), "three processes to be listed");
  assert.match(vitrine("top", "busy"), /^UID +PID +PPID/);
  assert.equal(world.run(["top", "busy", "-o", "comm"]).status, 125);
  vitrine("stop", "-t", "0", "busy");
  assert.equal(world.run(["top", "busy"]).status, 125);
  vitrine("rm", "busy");
});

/** Runs vitrine on a terminal of 99 columns and 33 rows, and types once something was seen. */
async function onTerminal(args: readonly string[], typed: readonly (readonly [string, string])[]) {
  const words = [program, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const command = `stty rows 33 cols 99; exec ${words}`;
  const child = spawn(findProgram("script")!, ["--quiet", "--return", "--command", command, "/dev/null"], {
    env: { ...world.env, TERM: "dumb" },
    cwd: world.directory,
  });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString().replaceAll("\r", "");
  });
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  for (const [seen, line] of typed) {
    await until(() => (text.includes(seen) ? true : undefined), `${seen} on the terminal`);
    child.stdin.write(line);
  }
  return { status: await ended, text };
}

test("top with podman's descriptors: ids and names as the container has them, and the host's", async () => {
  detached(["--name", "told", "-u", "user", "--cap-drop", "all"], ...idle);
  await logged("told", "ready");
  const rows = (...words: readonly string[]) =>
    vitrine("top", ...words)
      .split("\n")
      .map((line) => line.trim().split(/\s{2,}/));
  const pid = vitrine("inspect", "-f", "{{.State.Pid}}", "told");
  const outside = fs.statSync(`/proc/${pid}`).uid;
  assert.deepEqual(rows("told", "pid", "hpid", "ppid", "user", "uid", "group")[1], [
    "1",
    pid,
    "0",
    "user",
    "1000",
    "user",
  ]);
  assert.deepEqual(rows("-l", "pid,huid", "%c", "capeff", "capbnd", "seccomp", "tty")[1], [
    "1",
    String(outside),
    "sh",
    "none",
    "none",
    "filter",
    "?",
  ]);
  assert.deepEqual(rows("told", "pcpu", "etime", "vsz")[0], ["%CPU", "ELAPSED", "VSZ"]);
  assert.match(vitrine("top", "told"), /^UID +PID +PPID/);
  vitrine("rm", "-f", "told");
});

test("a terminal in the background: size, detach keys, and back again", async (t) => {
  if (findProgram("script") === undefined) return cannotRun(t, "script(1) is not installed");
  const script =
    'echo ready; while read line; do echo "got-$line"; stty size; [ "$line" = end ] && exit 4; done';
  detached(["-it", "--name", "term"], "sh", "-c", script);
  const first = await onTerminal(
    ["attach", "term"],
    [
      ["", "one\n"],
      ["33 99", "\x10\x11"],
    ],
  );
  assert.equal(first.status, 0, first.text);
  assert.match(first.text, /got-one/);
  assert.equal(vitrine("inspect", "-f", "{{.State.Running}} {{.Config.Tty}}", "term"), "true true");
  const second = await onTerminal(["attach", "--detach-keys", "ctrl-x", "term"], [["", "end\n"]]);
  assert.equal(second.status, 4, second.text);
  assert.match(
    world.run(["logs", "term"]).stdout.replaceAll("\r", ""),
    /ready\n[\s\S]*got-one\n33 99\n[\s\S]*got-end/,
  );
  vitrine("rm", "term");
});

test("run -it can be detached from, with --rm as well, and its log is kept", async (t) => {
  if (findProgram("script") === undefined) return cannotRun(t, "script(1) is not installed");
  const script = 'echo ready; while read line; do echo "got-$line"; done';
  for (const [flags, keys] of [
    [[], "\x10\x11"],
    [["--rm", "--detach-keys", "ctrl-a,x"], "\x01x"],
  ] as const) {
    const left = await onTerminal(
      ["run", "-it", ...flags, "--name", "left", "probe", "sh", "-c", script],
      [
        ["ready", "one\n"],
        ["got-one", keys],
      ],
    );
    assert.equal(left.status, 0, left.text);
    assert.equal(vitrine("inspect", "-f", "{{.State.Running}}", "left"), "true");
    assert.match(world.run(["logs", "left"]).stdout.replaceAll("\r", ""), /ready\n[\s\S]*got-one\n/);
    vitrine("rm", "-f", "left");
  }
});

test("run --rm that is watched, or asked for a log, can be read and attached to from elsewhere", async (t) => {
  const script = "echo one; while [ ! -e /end ]; do echo tick; sleep 0.05; done; echo two; exit 3";
  const runs: (readonly [string, () => Promise<{ status: number | null; text: string }>])[] = [
    ["--log-driver", () => inPipes(["--log-driver", "k8s-file"])],
    ["--log-opt", () => inPipes(["--log-opt", "max-size=1m"])],
    [
      "a terminal",
      () => onTerminal(["run", "--rm", "-q", "--name", "seen", "probe", "sh", "-c", script], []),
    ],
  ];
  async function inPipes(flags: readonly string[]) {
    const child = spawn(
      program,
      ["run", "--rm", "-q", "--name", "seen", ...flags, "probe", "sh", "-c", script],
      {
        env: world.env,
      },
    );
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
    return { status: await new Promise<number | null>((resolve) => child.on("close", resolve)), text };
  }
  for (const [what, start] of runs) {
    if (what === "a terminal" && findProgram("script") === undefined)
      return cannotRun(t, "script(1) is not installed");
    const ended = start();
    await logged("seen", "one");
    const other = spawn(program, ["attach", "--no-stdin", "seen"], { env: world.env });
    let heard = "";
    other.stdout.on("data", (chunk: Buffer) => (heard += chunk.toString()));
    const left = new Promise<number | null>((resolve) => other.on("close", resolve));
    await until(() => (heard.includes("tick\n") ? true : undefined), "what is attached to hear it");
    const follower = spawn(program, ["logs", "-f", "seen"], { env: world.env });
    let followed = "";
    follower.stdout.on("data", (chunk: Buffer) => (followed += chunk.toString()));
    await until(() => (followed.startsWith("one\ntick\n") ? true : undefined), "the log so far");
    letEnd(world, "seen");
    const { status, text } = await ended;
    assert.equal(status, 3, what);
    assert.match(text.replaceAll("\r", ""), /^one\n(tick\n)+two\n$/, what);
    await until(() => (followed.endsWith("tick\ntwo\n") ? true : undefined), "the rest of the log");
    assert.equal(await left, 3, heard);
    assert.equal(world.run(["inspect", "seen"]).status, 125, "it went with its end");
  }
});

test("run --rm into a pipe: its caller's alone, and logs says so", async () => {
  const child = spawn(program, ["run", "--rm", "-q", "--name", "mine", "probe", ...idle], { env: world.env });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await until(() => (text === "ready\n" ? true : undefined), "what it prints");
  for (const words of [
    ["logs", "mine"],
    ["logs", "-f", "mine"],
    ["attach", "mine"],
  ]) {
    const done = world.run(words);
    assert.equal(done.status, 125, words.join(" "));
    assert.match(done.stderr, /--log-driver/);
  }
  vitrine("stop", "mine");
});

test("exec -it has a terminal of the container's, of the caller's size", async (t) => {
  if (findProgram("script") === undefined) return cannotRun(t, "script(1) is not installed");
  detached(["--name", "shell"], ...idle);
  await logged("shell", "ready");
  const done = await onTerminal(
    ["exec", "-it", "shell", "sh", "-c", "tty; stty size; echo $TERM; exit 3"],
    [],
  );
  assert.equal(done.status, 3, done.text);
  assert.match(done.text, /\/dev\/pts\/\d+\n33 99\nxterm/);
  vitrine("rm", "-f", "shell");
});

test("exec -it can be left, and its program goes on; --detach-keys '' leaves all keys to it", async (t) => {
  if (findProgram("script") === undefined) return cannotRun(t, "script(1) is not installed");
  detached(["--name", "shell"], ...idle);
  await logged("shell", "ready");
  const script = 'echo ready; while read line; do echo "got-$line"; done';
  const programs = () =>
    vitrine("top", "shell")
      .split("\n")
      .filter((line) => line.includes("got-")).length;
  for (const [flags, keys] of [
    [[], "\x10\x11"],
    [["--detach-keys", "ctrl-a,x"], "\x01x"],
  ] as const) {
    const before = programs();
    const left = await onTerminal(
      ["exec", "-it", ...flags, "shell", "sh", "-c", script],
      [
        ["ready", "one\n"],
        ["got-one", keys],
      ],
    );
    assert.equal(left.status, 0, left.text);
    assert.equal(programs(), before + 1, "it still runs");
  }
  // A terminal's ctrl-p ctrl-q: in raw mode they reach the program.
  const raw = "stty raw -echo; echo ready; dd bs=1 count=2 2>/dev/null | od -An -tx1; stty sane; exit 6";
  const kept = await onTerminal(
    ["exec", "-it", "--detach-keys", "", "shell", "sh", "-c", raw],
    [["ready", "\x10\x11"]],
  );
  assert.equal(kept.status, 6, kept.text);
  assert.match(kept.text, /10 11/);
  assert.match(world.run(["exec", "--detach-keys", "nonsense", "shell", "true"]).stderr, /--detach-keys/);
  const id = vitrine("inspect", "-f", "{{.Id}}", "shell");
  vitrine("rm", "-f", "shell");
  assert.ok(!fs.existsSync(path.join(world.runroot, "containers", id)), "those that were left went with it");
});

test("exec --cidfile: in the container whose id is in a file", () => {
  const file = path.join(world.directory, "cid");
  detached(["--name", "filed", "--cidfile", file], ...idle);
  assert.equal(vitrine("exec", "--cidfile", file, "echo", "here"), "here");
  assert.equal(world.run(["exec", "--cidfile", `${file}.none`, "true"]).status, 125);
  vitrine("rm", "-f", "filed");
});

test("nothing that we hold open reaches the container", {
  skip: !isRoot && "descriptors of others",
}, async () => {
  detached(["--name", "clean"], ...idle);
  await logged("clean", "ready");
  const pid = vitrine("inspect", "-f", "{{.State.Pid}}", "clean");
  const descriptors = fs.readdirSync(`/proc/${pid}/fd`).filter((fd) => Number(fd) > 2 && Number(fd) !== 10);
  assert.deepEqual(descriptors, []);
  const inside = vitrine("exec", "clean", "sh", "-c", "ls /proc/self/fd | wc -l");
  assert.ok(Number(inside) <= 4, inside);
  vitrine("rm", "-f", "clean");
});
