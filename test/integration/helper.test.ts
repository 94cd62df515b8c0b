/** The helper run on plans made by hand: what becomes of the process, its streams, its signals and its failures. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { CLONE_NEWNS, type Op } from "../../src/kernel/mod.ts";
import { Bench, container, mountOp, testedHelper } from "../support/containers.ts";
import { until } from "./run-support.ts";
import { cannotRun, findProgram, isRoot, leftBehind, nothing } from "./support.ts";

const host = (name: string) => ({ base: "host", path: name }) as const;
const root = (name: string) => ({ base: "root", path: name }) as const;
let bench: Bench;
before(() => {
  bench = new Bench();
});
after(() => bench.close());

const shell = (script: string) => ["/bin/sh", "-c", script];

test("the program runs as pid 1 of its own tree and its status is passed on", async () => {
  const done = bench.run(container(bench, { argv: shell("echo $$; cat; exit 42") }), "hello\n");
  assert.deepEqual([done.status, done.stdout, done.stderr], [42, "1\nhello\n", ""]);
  assert.deepEqual(await leftBehind(bench.directory), nothing);
});

test("a program killed by signal n ends with 128+n", () => {
  // Pid 1 cannot kill itself: its child is killed, and the shell says so in the same way.
  const done = bench.run(container(bench, { argv: shell("sleep 5 & kill -9 $!; wait $!") }));
  assert.equal(done.status, 137);
});

test("pid and exit files are written whole", () => {
  const exitFile = path.join(bench.directory, "exit");
  const pidFile = path.join(bench.directory, "pid");
  const began = BigInt(Date.now()) * 1_000_000n;
  const done = bench.run(container(bench, { argv: shell("exit 7"), supervise: { exitFile, pidFile } }));
  assert.equal(done.status, 7);
  const exit = /^7 0 (\d+)\n$/.exec(fs.readFileSync(exitFile, "utf8"));
  assert.ok(exit !== null && BigInt(exit[1] ?? 0) >= began - 1_000_000_000n);
  assert.match(fs.readFileSync(pidFile, "utf8"), /^\d+ [1-9]\d*\n$/);
  assert.deepEqual(
    fs.readdirSync(bench.directory).filter((name) => name.includes(".tmp-")),
    [],
  );
});

test("no descriptor but the three streams reaches the program", () => {
  const done = bench.run(container(bench, { argv: shell("ls /proc/self/fd") }));
  // ls has one of its own, for the directory.
  assert.equal(done.stdout, "0\n1\n2\n3\n");
});

test("signals and dispositions of the engine do not reach the program", () => {
  const done = bench.run(
    container(bench, { argv: ["/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"] }),
  );
  assert.equal(done.stdout, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
});

test("the umask is the plan's, and modes of ops are exact", () => {
  const init: Op[] = [{ op: "makeDirectory", path: root("dev/exact"), mode: 0o1777, parents: false }];
  const done = bench.run(
    container(bench, { init, argv: shell("umask; touch /dev/f; stat -c %a /dev/f /dev/exact") }),
  );
  assert.equal(done.stdout, "0022\n644\n1777\n");
});

test("a failed op of init is reported with its index, errno and detail, and ends the container", () => {
  const init: Op[] = [{ op: "makeDirectory", path: root("proc/x"), mode: 0o755, parents: false }];
  const reportFailure = ["/bin/sh", "-c", 'printf "%s|" "$@"; exit 99', "explain"];
  const ops = container(bench, { argv: ["/bin/true"], init, reportFailure });
  const index = ops.findIndex(({ op }) => op.op === "makeDirectory");
  const done = bench.run(ops);
  assert.equal(done.status, 99);
  assert.equal(
    done.stdout,
    `--stage|init|--op|${index}|--errno|${2}|--detail|mkdir proc/x|`.replace("|2|", `|${errnoOfProc()}|`),
  );
});

/** mkdir in a procfs is ENOENT or EPERM, by kernel. */
function errnoOfProc(): number {
  try {
    fs.mkdirSync("/proc/x");
  } catch (error) {
    return -((error as NodeJS.ErrnoException).errno ?? 0);
  }
  return 0;
}

test("a group that has tasks alone, as those of resctrl, gets the pid there", () => {
  const group = path.join(bench.directory, "group");
  fs.mkdirSync(group);
  for (const file of ["schemata", "tasks"]) fs.writeFileSync(path.join(group, file), "");
  const data = new TextEncoder().encode("L3:0=f\nMB:0=20\n");
  const monitor: Op[] = [
    { op: "writeFile", path: host(`${group}/schemata`), data, create: false, mode: 0 },
    { op: "cgroupAttach", path: host(group) },
  ];
  const pidFile = path.join(bench.directory, "resctrl-pid");
  const done = bench.run(container(bench, { argv: ["/bin/true"], monitor, supervise: { pidFile } }));
  assert.equal(done.status, 0, done.stderr);
  assert.equal(fs.readFileSync(path.join(group, "schemata"), "utf8"), "L3:0=f\nMB:0=20\n");
  const [pid] = fs.readFileSync(pidFile, "utf8").split(" ");
  assert.equal(fs.readFileSync(path.join(group, "tasks"), "utf8"), pid);
});

test("a failed op of the monitor ends init, and without a reporter it says so itself", async () => {
  const monitor: Op[] = [
    { op: "writeFile", path: host("/nowhere/x"), data: new Uint8Array(), create: true, mode: 0 },
  ];
  const done = bench.run(container(bench, { argv: shell("sleep 60"), monitor }));
  assert.equal(done.status, 125);
  assert.match(done.stderr, /writeFile.*\/nowhere\/x/);
  assert.deepEqual(await leftBehind(bench.directory), nothing);
});

test("a tolerated errno counts as done", () => {
  const ops = container(bench, { argv: shell("echo on") });
  const gone: Op = { op: "unmount", path: root("dev/absent"), flags: 0 };
  const at = ops.findIndex(({ op }) => op.op === "execute");
  ops.splice(at, 0, { stage: "init", tolerate: ["ENOENT"], op: gone });
  assert.deepEqual([bench.run(ops).status, bench.run(ops).stdout], [0, "on\n"]);
  ops.splice(at, 1, { stage: "init", tolerate: ["EPERM"], op: gone });
  assert.equal(bench.run(ops).status, 125);
});

test("every cleanup op is tried, after success and after failure", () => {
  for (const argv of [["/bin/true"], ["/absent"]]) {
    const marks = ["a", "b"].map((name) => path.join(bench.directory, name));
    for (const mark of marks) fs.writeFileSync(mark, "");
    const cleanup: Op[] = [
      { op: "removeTree", path: host(marks[0] ?? "") },
      { op: "removeDirectory", path: host("/proc"), retryMilliseconds: 0 },
      { op: "removeTree", path: host(marks[1] ?? "") },
    ];
    const done = bench.run(container(bench, { argv, cleanup }));
    assert.equal(done.status, argv[0] === "/absent" ? 127 : 0);
    assert.match(done.stderr, /cleanup: removeDirectory/);
    for (const mark of marks) assert.equal(fs.existsSync(mark), false);
  }
});

test("exit codes of programs that cannot run are Docker's", () => {
  fs.writeFileSync(path.join(bench.rootfs, "bin/script"), "#!/bin/missing -x\n", { mode: 0o755 });
  fs.writeFileSync(path.join(bench.rootfs, "bin/plain"), "text", { mode: 0o644 });
  fs.writeFileSync(path.join(bench.rootfs, "bin/garbage"), "\0\0\0\0", { mode: 0o755 });
  const cases: [argv: string[], status: number, says: RegExp][] = [
    [["absent"], 127, /absent in PATH/],
    [["/absent"], 127, /execve \/absent: No such/],
    [["script"], 127, /\/bin\/missing is missing/],
    [["plain"], 126, /Permission denied/],
    [["/etc"], 126, /Permission denied/],
    [["garbage"], 126, /Exec format/],
    [["/bin/sh", "-c", "exit 127"], 127, /^$/],
  ];
  for (const [argv, status, says] of cases) {
    const done = bench.run(container(bench, { argv }));
    assert.equal(done.status, status, argv.join(" "));
    assert.match(done.stderr, says);
  }
});

test("PATH's current directory is not searched", () => {
  fs.writeFileSync(path.join(bench.rootfs, "tmp/evil"), "#!/bin/sh\necho evil\n", { mode: 0o755 });
  const init: Op[] = [{ op: "changeDirectory", path: "/tmp", create: false }];
  const done = bench.run(container(bench, { init, argv: ["evil"], environment: ["PATH=::/bin:"] }));
  assert.deepEqual([done.status, done.stdout], [127, ""]);
});

test("signals are passed on", async () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"] as const) {
    const name = signal.slice(3);
    const script = `trap 'echo got ${name}; exit 3' ${name}; echo ready; while :; do sleep 0.02; done`;
    const child = bench.start(container(bench, { argv: shell(script) }));
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (output === "") child.kill(signal);
      output += text;
    });
    const [status] = await once(child, "close");
    assert.deepEqual([status, output], [3, `ready\ngot ${name}\n`]);
  }
});

test("a signal that comes when the program runs and the monitor has not heard of it yet is for the program", async (t) => {
  const fifo = path.join(bench.directory, "begin");
  spawnSync("mkfifo", [fifo]);
  const child = bench.start(
    container(bench, {
      argv: shell("trap 'echo got QUIT; exit 3' QUIT; echo ready; while :; do sleep 0.02; done"),
      init: [
        { op: "makeMountPoint", path: root("standing"), file: false },
        { op: "awaitStart", fifo },
      ],
      monitor: [{ op: "awaitExecute" }],
    }),
  );
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const ended = once(child, "close");
  const start = await fs.promises.open(fifo, "w");
  // init opens it first of all. Here it has met the monitor as often as it must, and waits for the byte.
  const standing = path.join(bench.rootfs, "standing");
  await until(() => (fs.existsSync(standing) ? true : undefined), "init to wait");
  fs.rmdirSync(standing);
  child.kill("SIGSTOP");
  const stopped = () => /\) T /.test(fs.readFileSync(`/proc/${child.pid}/stat`, "latin1"));
  await until(() => (stopped() ? true : undefined), "the monitor to stand still");
  await start.write("0");
  await start.close();
  await until(() => (output !== "" ? true : undefined), "the program");
  child.kill("SIGQUIT");
  child.kill("SIGCONT");
  assert.deepEqual([await ended, output], [[3, null], "ready\ngot QUIT\n"]);
});

test("a signal during the setup ends it and leaves nothing", async () => {
  const fifo = path.join(bench.directory, "start");
  spawnSync("mkfifo", [fifo]);
  const mark = path.join(bench.directory, "setup");
  fs.writeFileSync(mark, "");
  const child = bench.start(
    container(bench, {
      argv: ["/bin/true"],
      init: [{ op: "awaitStart", fifo }],
      cleanup: [{ op: "removeTree", path: host(mark) }],
    }),
  );
  // Once init has opened it for reading.
  const start = await fs.promises.open(fifo, "w");
  child.kill("SIGTERM");
  const [status] = await once(child, "close");
  await start.close();
  assert.equal(status, 143);
  assert.equal(fs.existsSync(mark), false);
  assert.deepEqual(await leftBehind(bench.directory), nothing);
});

test("awaitStart holds the program until the FIFO has a byte", async () => {
  const fifo = path.join(bench.directory, "fifo");
  spawnSync("mkfifo", [fifo]);
  const child = bench.start(
    container(bench, { argv: ["/bin/echo", "started"], init: [{ op: "awaitStart", fifo }] }),
  );
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(output, "");
  fs.writeFileSync(fifo, "0");
  assert.deepEqual(await once(child, "close"), [0, null]);
  assert.equal(output, "started\n");
});

test("the container dies with a monitor that is killed", async () => {
  const child = bench.start(container(bench, { argv: shell("echo ready; sleep 60") }));
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "close");
  assert.deepEqual(await leftBehind(bench.directory), nothing);
});

test("with --init orphans are reaped, signals arrive and the status is the program's", async () => {
  const init: Op[] = [{ op: "initReaper" }];
  // The orphan is there until it has ended, and then until it is reaped; this would wait for ever.
  const script = "(sleep 0.05 &); while ps -o comm,stat | grep -qE '^sleep| Z'; do :; done; echo $$; exit 5";
  const done = bench.run(container(bench, { init, argv: shell(script) }));
  assert.deepEqual([done.status, done.stdout], [5, "2\n"]);
  const child = bench.start(
    container(bench, { init, argv: shell("trap 'exit 6' TERM; echo ready; while :; do sleep 0.02; done") }),
  );
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "close"), [6, null]);
});

test("a large output through a pipe is whole", () => {
  const done = bench.run(container(bench, { argv: shell("head -c 5000000 /dev/zero | tr '\\0' x || true") }));
  const { stdout } = bench.run(container(bench, { argv: shell("seq 1 200000") }));
  assert.equal(done.stderr.includes("error"), false);
  assert.equal(stdout.length, 1288895);
});

const hooked = (input: string, script: string): Op => ({
  op: "runProgram",
  path: "/bin/sh",
  argv: ["sh", "-c", script],
  env: ["MARK=1"],
  stdin: Buffer.from(input),
  timeoutSeconds: 100,
  stateOnStdin: true,
  outputFile: "",
  errorFile: "",
});

test("programs of the host get the state with init's pid, and their failure is the plan's", () => {
  const file = path.join(bench.directory, "state");
  const state = '{"id":"x","pid":0,"status":"creating"}';
  const monitor = [hooked(state, `cat >${file}; echo noise; echo $MARK >>${file}`)];
  const done = bench.run(container(bench, { monitor, argv: ["/bin/true"] }));
  assert.deepEqual([done.status, done.stdout], [0, ""]);
  assert.match(fs.readFileSync(file, "utf8"), /^\{"id":"x","pid":[1-9]\d*,"status":"creating"\}1\n$/);
  const failing = bench.run(
    container(bench, { monitor: [hooked(state, "exit 4")], argv: shell("sleep 60") }),
  );
  assert.equal(failing.status, 125);
  assert.match(failing.stderr, /runProgram.*: exit status 4/);
});

test("a hook that hangs is killed", () => {
  const slow: Op = { ...hooked("", "sleep 600"), timeoutSeconds: 1 } as Op;
  const began = Date.now();
  const done = bench.run(container(bench, { monitor: [slow], argv: shell("sleep 600") }));
  assert.equal(done.status, 125);
  assert.ok(Date.now() - began < 60_000);
});

test("mask and readonly paths hold, and the null device must be one", () => {
  const init: Op[] = [
    { op: "maskPath", path: root("proc/sys") },
    { op: "maskPath", path: root("proc/bus") },
    { op: "maskPath", path: root("proc/version") },
    { op: "readonlyPath", path: root("tmp") },
  ];
  const script = "ls -A /proc/sys /proc/bus; cat /proc/version; touch /tmp/x 2>/dev/null || echo ro";
  const done = bench.run(container(bench, { init, argv: shell(script) }));
  assert.equal(done.stdout, "/proc/bus:\n\n/proc/sys:\nro\n");
  const false_: Op[] = [
    { op: "unmount", path: root("dev/null"), flags: 2 },
    { op: "maskPath", path: root("proc/version") },
  ];
  const refused = bench.run(container(bench, { init: false_, argv: ["/bin/cat", "/proc/version"] }));
  assert.equal(refused.status, 125);
  assert.equal(refused.stdout, "");
});

test("proc goes on a real directory only (CVE-2019-19921)", () => {
  const evil = path.join(bench.rootfs, "evil-proc");
  fs.rmSync(evil, { force: true });
  fs.symlinkSync("tmp", evil);
  const done = bench.run(container(bench, { init: [mountOp("proc", "evil-proc")], argv: ["/bin/true"] }));
  assert.equal(done.status, 125);
  fs.unlinkSync(evil);
});

test("a mount point at a dangling link is made inside the root", () => {
  const link = path.join(bench.rootfs, "etc/resolv.conf");
  fs.rmSync(link, { force: true });
  fs.symlinkSync("../../../run/resolve/stub.conf", link);
  const init: Op[] = [{ op: "makeMountPoint", path: root("etc/resolv.conf"), file: true }];
  const done = bench.run(
    container(bench, { init, argv: ["/bin/stat", "-c", "%F", "/run/resolve/stub.conf"] }),
  );
  assert.equal(done.stdout.trim(), "regular empty file");
  assert.equal(fs.existsSync("/run/resolve"), false);
});

test("a terminal of its own: stdio, /dev/console, size, job control", (t) => {
  if (findProgram("script") === undefined) return cannotRun(t, "script(1) is missing");
  const init: Op[] = [
    {
      op: "openTerminal",
      rows: 0,
      columns: 0,
      uid: 0,
      consoleSocket: "",
      bindConsole: true,
      plainNewlines: false,
    },
  ];
  const ops = container(bench, {
    init,
    argv: shell("tty; stty size; stat -c %t:%T /dev/console /dev/pts/0; echo in: $(head -1)"),
    supervise: { relayInput: true },
  });
  const done = onTerminal(ops, "stty rows 33 cols 77; ", "typed\n");
  // The terminals echo what is typed whenever it comes.
  const told = done.stdout.replaceAll("typed\r\n", "");
  assert.match(told, /\/dev\/(pts\/0|console)\r?\n33 77\r?\n88:0\r?\n88:0\r?\n/);
  assert.match(done.stdout, /in: typed/);
  assert.match(done.stdout, /status 0; sane/);
});

/** Runs a plan on a terminal made by script(1); tells the status and whether the terminal was put back. */
function onTerminal(ops: Parameters<Bench["run"]>[0], setup: string, input: string) {
  const plan = bench.write(ops);
  const after_ = "echo status $?; stty -a | grep -q ' icanon' && echo sane";
  const command = `${setup}${testedHelper} run ${plan}; ${after_.replace("; stty", "\\; \\c; stty")}`;
  const text = command.replace("echo status $?\\; \\c; stty", 'printf "status %s; " $?; stty');
  return spawnSync("script", ["-qec", text, "/dev/null"], {
    input,
    encoding: "utf8",
    timeout: 120_000,
    env: { ...process.env, ASAN_OPTIONS: "detect_leaks=0" },
  });
}

test("without -t the user's terminal is reached through pipes only", (t) => {
  if (findProgram("script") === undefined) return cannotRun(t, "script(1) is missing");
  const ops = container(bench, {
    before: [{ op: "pipeStreams" }],
    argv: shell(
      "for i in 0 1 2; do readlink /proc/self/fd/$i | cut -d: -f1; done; echo error >&2; read x; echo in: $x",
    ),
    supervise: { relayInput: true },
  });
  const done = onTerminal(ops, "", "typed\n");
  assert.match(done.stdout, /pipe\r?\npipe\r?\npipe\r?\n/);
  // Two pipes have no order between them.
  for (const text of [/error\r?\n/, /in: typed\r?\n/, /status 0; sane/]) assert.match(done.stdout, text);
  assert.doesNotMatch(done.stdout, /\/dev\/pts/);
});

test("the helper runs from a sealed copy (CVE-2019-5736)", async () => {
  const child = bench.start(container(bench, { argv: shell("echo ready; cat") }));
  await once(child.stdout, "data");
  assert.match(fs.readlinkSync(`/proc/${child.pid}/exe`), /^\/memfd:vitrine-helper/);
  assert.throws(() => fs.openSync(`/proc/${child.pid}/exe`, "r+"));
  assert.equal(fs.readFileSync(`/proc/${child.pid}/comm`, "utf8"), "vitrine-monitor\n");
  child.stdin.end();
  assert.deepEqual(await once(child, "close"), [0, null]);
});

test("an idle monitor takes less than a mebibyte", async (t) => {
  if (process.env["VITRINE_TEST_HELPER"] !== undefined) return cannotRun(t, "a build for tests");
  const child = bench.start(container(bench, { argv: shell("echo ready; cat") }));
  await once(child.stdout, "data");
  const rss = /^VmRSS:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${child.pid}/status`, "utf8"));
  child.stdin.end();
  await once(child, "close");
  assert.ok(Number(rss?.[1]) < 1024, `${rss?.[1]} kB`);
});

test("plans that are none are refused before anything is done", () => {
  const plan = bench.write(container(bench, { argv: ["/bin/true"] }));
  const bytes = fs.readFileSync(plan);
  for (const damaged of [
    bytes.subarray(0, 100),
    Buffer.alloc(0),
    Buffer.alloc(64),
    Buffer.concat([bytes, bytes]),
  ]) {
    fs.writeFileSync(plan, damaged);
    const done = spawnSync(testedHelper, ["run", plan], { encoding: "utf8" });
    assert.equal(done.status, 125);
    assert.match(done.stderr, /^vitrine-helper: plan /);
  }
});

test("time offsets are those of the program", (t) => {
  const CLONE_NEWTIME = 0x80;
  if (!fs.existsSync("/proc/self/ns/time")) return cannotRun(t, "no time namespaces");
  const offset: Op = { op: "setTimeOffset", clock: 7, seconds: 1_000_000_000n, nanoseconds: 0 };
  const ops = container(bench, {
    before: [offset],
    flags: CLONE_NEWNS + CLONE_NEWTIME + 0x20000000,
    argv: ["/bin/cat", "/proc/uptime"],
  });
  const done = bench.run(ops);
  assert.equal(done.status, 0, done.stderr);
  assert.ok(Number.parseFloat(done.stdout) > 1_000_000_000, done.stdout);
});

test("namespaces of a running container can be entered", async (t) => {
  if (!isRoot) return cannotRun(t, "joining without privilege needs the user namespace first");
  const first = bench.start(container(bench, { argv: shell("hostname inner; echo ready; sleep 60") }));
  await once(first.stdout, "data");
  const pid = Number(spawnSync("pgrep", ["-P", String(first.pid)], { encoding: "utf8" }).stdout);
  const join = (name: string): Op => ({
    op: "joinNamespace",
    path: host(`/proc/${pid}/ns/${name}`),
    type: 0,
  });
  const supervise: Op = {
    op: "supervise",
    exitFile: "",
    pidFile: "",
    forwardSignals: true,
    relayInput: false,
    cleanUp: true,
  };
  const ops = [
    { stage: "monitor", op: join("pid") },
    { stage: "monitor", op: { op: "clone", flags: 0n, dieWithMonitor: true } },
    ...["uts", "ipc", "net", "mnt"].map((name) => ({ stage: "init", op: join(name) })),
    { stage: "init", op: { op: "setRoot", path: host("/") } },
    { stage: "init", op: { op: "changeDirectory", path: "/tmp", create: false } },
    {
      stage: "init",
      op: { op: "execute", argv: shell("hostname; pwd; ls /proc | grep -c '^1$'"), env: ["PATH=/bin"] },
    },
    { stage: "monitor", op: supervise },
  ].map((entry) => ({ ...entry, tolerate: [] })) as unknown as Parameters<Bench["run"]>[0];
  const done = bench.run(ops);
  assert.deepEqual([done.status, done.stdout, done.stderr], [0, "inner\n/tmp\n1\n", ""]);
  first.kill("SIGKILL");
  await once(first, "close");
});

test("the program's streams stay open until its last output", async () => {
  const child = spawn("/bin/sh", [
    "-c",
    `${testedHelper} run ${bench.write(container(bench, { argv: shell("seq 1 50000") }))} | tail -1`,
  ]);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  await once(child, "close");
  assert.equal(output, "50000\n");
});
