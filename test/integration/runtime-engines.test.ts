/**
 * Engines that people use drive vitrine-runtime: each makes a container, looks into it, executes in it and removes it.
 * Daemons are private ones below a temporary directory.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { dockerdFlags } from "../support/dockerd.ts";
import { killCases, killScript } from "../support/kill-cases.ts";
import { cannotRun, findProgram, fixtures, isRoot, type Result, repository } from "./support.ts";

const runtime = path.join(repository, "dist/vitrine-runtime");
const rootfs = path.join(fixtures, "probe.tar");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "vt-engines-"));
fs.chmodSync(work, 0o755);
const podmanDirectory = path.join(work, "podman");
const daemons: ChildProcess[] = [];

after(async () => {
  for (const daemon of daemons.reverse()) await stop(daemon);
  unmountBelow(work);
  if (!isRoot && findProgram("podman") !== undefined)
    call("podman", ["unshare", "rm", "-rf", podmanDirectory]);
  fs.rmSync(work, { recursive: true, force: true });
});

/** Needs all of these programs and root; else the test says what is missing. */
function needs(t: TestContext, ...programs: readonly string[]): boolean {
  return isRoot ? has(t, ...programs) : skipped(t);
}

function skipped(t: TestContext): false {
  cannotRun(t, "needs root");
  return false;
}

function has(t: TestContext, ...programs: readonly string[]): boolean {
  const missing = programs.filter((program) => findProgram(program) === undefined);
  if (missing.length > 0) cannotRun(t, `${missing.join(", ")} missing`);
  return missing.length === 0;
}

function call(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Result {
  const done = spawnSync(findProgram(program)!, args, {
    cwd: work,
    env: { PATH: process.env["PATH"], HOME: work, XDG_RUNTIME_DIR: process.env["XDG_RUNTIME_DIR"], ...env },
    encoding: "utf8",
    timeout: 180_000,
  });
  if (done.error !== undefined) throw done.error;
  return { status: done.status, signal: done.signal, stdout: done.stdout, stderr: done.stderr };
}

function succeeded(result: Result): string {
  assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
  return result.stdout.trim();
}

/** The runtime with launch records of its own, which says what became of each start (docs/launch-record.md). */
const counted = path.join(work, "counted");
const outcomes = path.join(work, "outcomes");
fs.writeFileSync(
  counted,
  `#!/bin/sh\nexport VITRINE_RUNROOT=${work}/vitrine VITRINE_LAUNCH_RECORD=${outcomes}\nexec ${runtime} "$@"\n`,
  { mode: 0o755 },
);

/**
 * Starts, at most so often, until three were repeated without the engine; then `look`s at each. An engine's chance may keep a list's
 * order the same for a few starts, and what changed a moment ago is not trusted.
 */
function untilRepeated(most: number, start: (turn: number) => void, look: () => void = () => {}): void {
  fs.rmSync(path.join(work, "vitrine"), { recursive: true, force: true });
  const told: string[] = [];
  for (let repeated = 0; repeated < 3; ) {
    assert.ok(told.length < most, told.join("--\n"));
    fs.rmSync(outcomes, { force: true });
    start(told.length + 1);
    const lines = fs.readFileSync(outcomes, "utf8");
    told.push(lines);
    if (/^launch record: repeated$/m.test(lines)) repeated += 1;
    look();
  }
}

async function stop(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const ended = new Promise((resolve) => daemon.once("exit", resolve));
  daemon.kill("SIGTERM");
  const late = setTimeout(() => daemon.kill("SIGKILL"), 60_000);
  await ended;
  clearTimeout(late);
}

function unmountBelow(directory: string): void {
  const points = fs
    .readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${directory}/`));
  for (const point of points.reverse()) spawnSync("umount", ["-l", point]);
}

async function until(what: string, done: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1800; turn++) {
    if (done()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`waited for ${what}`);
}

// Where the machine's limits are lower than podman's defaults, and without a network of its own.
const podmanRun = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--network", "none"];
const podmanStore = (directory: string) => [
  ...["--root", path.join(directory, "root"), "--runroot", path.join(directory, "run")],
  ...[
    "--storage-driver",
    "vfs",
    "--events-backend",
    "file",
    "--cgroup-manager",
    "cgroupfs",
    "--runtime",
    runtime,
  ],
];

test("podman, root or rootless: run, exec, pause, stop, start, rm", async (t) => {
  if (!has(t, "podman", "conmon", ...(isRoot ? [] : ["newuidmap"]))) return;
  const podman = (...args: readonly string[]) => call("podman", [...podmanStore(podmanDirectory), ...args]);
  succeeded(podman("import", rootfs, "probe:t"));
  const answer = podman("run", "--rm", ...podmanRun, "probe:t", "sh", "-c", "echo inside; exit 4");
  assert.deepEqual([answer.status, answer.stdout], [4, "inside\n"], answer.stderr);
  assert.match(succeeded(podman("run", "--rm", "-t", ...podmanRun, "probe:t", "tty")), /\/dev\/pts\/0/);
  assert.equal(podman("run", "--rm", ...podmanRun, "probe:t", "not-there").status, 127);
  succeeded(podman("run", "-d", "--name", "p", ...podmanRun, "probe:t", "sleep", "100000"));
  const info = succeeded(podman("inspect", "--format", "{{.OCIRuntime}}", "p"));
  assert.equal(info, runtime);
  assert.equal(podman("exec", "p", "sh", "-c", "exit 5").status, 5);
  assert.equal(podman("exec", "p", "not-there").status, 127);
  if (isRoot) {
    succeeded(podman("pause", "p"));
    assert.equal(succeeded(podman("inspect", "--format", "{{.State.Status}}", "p")), "paused");
    succeeded(podman("unpause", "p"));
  }
  succeeded(podman("stop", "-t", "0", "p"));
  succeeded(podman("start", "p"));
  succeeded(podman("rm", "-f", "-t", "0", "p"));
});

test("podman: its containers are repeated without the engine, each as its own", (t) => {
  if (!has(t, "podman", "conmon", ...(isRoot ? [] : ["newuidmap"]))) return;
  const podman = (...args: readonly string[]) =>
    call("podman", [...podmanStore(podmanDirectory).slice(0, -1), counted, ...args]);
  succeeded(podman("import", rootfs, "probe:r"));
  const ids: string[] = [];
  let last = "";
  const start = () => {
    last = succeeded(podman("run", "-d", ...podmanRun, "probe:r", "sleep", "100000"));
    ids.push(last);
  };
  // Its bind mounts come in one of four orders, which have a record each.
  untilRepeated(40, start, () => {
    assert.equal(succeeded(podman("exec", last, "cat", "/etc/hostname")), last.slice(0, 12));
    assert.match(succeeded(podman("exec", last, "cat", "/proc/1/environ")), new RegExp(last.slice(0, 12)));
  });
  // Each time in another container.
  untilRepeated(16, (turn) => {
    const [id = ""] = ids.splice(0, 1);
    if (ids.length < 3) start();
    const status = turn === 5 ? 7 : 5;
    assert.equal(podman("exec", id, "sh", "-c", `exit ${status}`).status, status);
  });
  succeeded(podman("rm", "-f", "-t", "0", "-a"));
});

test("buildah: run", (t) => {
  if (!needs(t, "buildah")) return;
  const directory = path.join(work, "buildah");
  const buildah = (...args: readonly string[]) =>
    call("buildah", [
      ...[
        "--root",
        path.join(directory, "root"),
        "--runroot",
        path.join(directory, "run"),
        "--storage-driver",
        "vfs",
      ],
      ...args,
    ]);
  const container = succeeded(buildah("from", "scratch"));
  succeeded(buildah("add", container, rootfs, "/"));
  const words = ["run", "--runtime", runtime, "--network", "none", container, "--"];
  assert.equal(succeeded(buildah(...words, "sh", "-c", "echo built > /made; cat /made")), "built");
  assert.equal(buildah(...words, "sh", "-c", "exit 3").status, 3);
  assert.equal(succeeded(buildah(...words, "cat", "/made")), "built");
  succeeded(buildah("rm", container));
});

const containerd = path.join(work, "containerd");
const socket = path.join(containerd, "c.sock");

/** Error: the test fails, with the daemon's log. */
async function startContainerd(): Promise<void> {
  fs.mkdirSync(containerd, { recursive: true });
  const file = path.join(containerd, "config.toml");
  const config = [
    "version = 2",
    `root = "${containerd}/root"`,
    `state = "${containerd}/state"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    `[grpc]\naddress = "${socket}"`,
    `[ttrpc]\naddress = "${socket}.ttrpc"`,
  ];
  fs.writeFileSync(file, config.join("\n"));
  await startDaemon("containerd", ["-c", file], () => call("ctr", ["-a", socket, "version"]).status === 0);
}

async function startDaemon(name: string, args: readonly string[], ready: () => boolean): Promise<void> {
  const log = fs.openSync(path.join(work, `${name}.log`), "w");
  const path_ = `${process.env["PATH"]}:/usr/sbin:/sbin`;
  const daemon = spawn(findProgram(name)!, args, {
    stdio: ["ignore", log, log],
    env: { PATH: path_, HOME: work },
  });
  daemons.push(daemon);
  await until(`${name}: ${path.join(work, `${name}.log`)}`, ready);
}

describe("containerd and Docker's daemon", () => {
  let running = false;
  before(async () => {
    if (!isRoot || findProgram("containerd") === undefined || findProgram("ctr") === undefined) return;
    await startContainerd();
    running = true;
  });

  test("ctr: run, exec, pause, kill, rm", async (t) => {
    if (!needs(t, "containerd", "ctr", "containerd-shim-runc-v2")) return;
    assert.ok(running);
    const ctr = (...args: readonly string[]) => call("ctr", ["-a", socket, ...args]);
    const root = path.join(work, "ctr-rootfs");
    fs.mkdirSync(root);
    succeeded(call("tar", ["-xf", rootfs, "-C", root]));
    const words = ["--runc-binary", runtime, "--runc-root", path.join(work, "runc-root"), "--rootfs", root];
    const answer = ctr("run", "--rm", ...words, "c1", "sh", "-c", "echo inside; exit 4");
    assert.deepEqual([answer.status, answer.stdout], [4, "inside\n"], answer.stderr);
    assert.match(ctr("run", "--rm", ...words, "c2", "not-there").stderr, /executable file not found/);
    succeeded(ctr("run", "-d", ...words, "c3", "sleep", "100000"));
    assert.ok(fs.existsSync(path.join(work, "runc-root/default/c3/process")), "it is not our runtime");
    assert.equal(ctr("task", "exec", "--exec-id", "e", "c3", "sh", "-c", "exit 5").status, 5);
    assert.match(succeeded(ctr("task", "metrics", "c3")), /memory\.usage/);
    succeeded(ctr("task", "pause", "c3"));
    assert.match(succeeded(ctr("task", "ls")), /c3\s+\d+\s+PAUSED/);
    succeeded(ctr("task", "resume", "c3"));
    succeeded(ctr("task", "kill", "-s", "KILL", "c3"));
    await until("the end of c3", () => /STOPPED/.test(ctr("task", "ls").stdout));
    ctr("task", "rm", "c3");
    succeeded(ctr("container", "rm", "c3"));
    assert.doesNotMatch(succeeded(ctr("container", "ls")), /c3/);
  });

  test("ctr: its containers are repeated without the engine, each as its own", (t) => {
    if (!needs(t, "containerd", "ctr", "containerd-shim-runc-v2")) return;
    assert.ok(running);
    const ctr = (...args: readonly string[]) => call("ctr", ["-a", socket, ...args]);
    const root = path.join(work, "ctr-rootfs-repeated");
    fs.mkdirSync(root);
    succeeded(call("tar", ["-xf", rootfs, "-C", root]));
    const state = path.join(work, "counted-root");
    const words = ["--runc-binary", counted, "--runc-root", state, "--rootfs", root];
    const run = (name: string) => ctr("run", "-d", ...words, name, "sleep", "100000");
    untilRepeated(12, (turn) => {
      succeeded(run(`many${turn}`));
      const record = fs.readFileSync(path.join(state, `default/many${turn}/state.json`), "utf8");
      const { id, bundle } = JSON.parse(record) as { readonly id: string; readonly bundle: string };
      assert.deepEqual([id, path.basename(bundle)], [`many${turn}`, `many${turn}`]);
    });
    // Each time in another container.
    untilRepeated(12, (turn) => {
      if (!fs.existsSync(path.join(state, `default/many${turn}`))) succeeded(run(`many${turn}`));
      assert.equal(
        ctr("task", "exec", "--exec-id", `e${turn}`, `many${turn}`, "sh", "-c", "exit 5").status,
        5,
      );
    });
    for (const id of succeeded(ctr("container", "ls", "-q"))
      .split("\n")
      .filter((one) => one.startsWith("many"))) {
      ctr("task", "rm", "-f", id);
      succeeded(ctr("container", "rm", id));
    }
  });

  test("docker: run, exec, update, pause, stop, start, rm", async (t) => {
    if (!needs(t, "containerd", "dockerd", "docker")) return;
    assert.ok(running);
    const directory = path.join(work, "docker");
    fs.mkdirSync(directory);
    const host = `unix://${directory}/d.sock`;
    const docker = (...args: readonly string[]) => call("docker", ["-H", host, ...args]);
    await startDaemon(
      "dockerd",
      [
        ...dockerdFlags(directory, host),
        ...["--containerd", socket],
        ...["--add-runtime", `vitrine=${runtime}`, "--add-runtime", `counted=${counted}`],
      ],
      () => docker("version").status === 0,
    );
    succeeded(docker("import", rootfs, "probe:t"));
    const words = ["--runtime", "vitrine", "--network", "none"];
    const answer = docker("run", "--rm", ...words, "probe:t", "sh", "-c", "echo inside; exit 4");
    assert.deepEqual([answer.status, answer.stdout], [4, "inside\n"], answer.stderr);
    assert.match(succeeded(docker("run", "--rm", "-t", ...words, "probe:t", "tty")), /\/dev\/pts\/0/);
    assert.equal(docker("run", "--rm", ...words, "probe:t", "not-there").status, 127);
    succeeded(docker("run", "-d", "--name", "d1", ...words, "probe:t", "sleep", "100000"));
    assert.equal(docker("exec", "d1", "sh", "-c", "exit 5").status, 5);
    succeeded(docker("update", "--memory", "64m", "--memory-swap", "64m", "d1"));
    succeeded(docker("pause", "d1"));
    assert.equal(succeeded(docker("inspect", "--format", "{{.State.Status}}", "d1")), "paused");
    succeeded(docker("unpause", "d1"));
    succeeded(docker("stop", "-t", "0", "d1"));
    succeeded(docker("start", "d1"));
    succeeded(docker("rm", "-f", "d1"));

    const many = ["run", "-d", "--runtime", "counted", "--network", "none", "probe:t", "sleep", "100000"];
    const ids: string[] = [];
    const start = () => ids.push(succeeded(docker(...many)));
    untilRepeated(12, start, () => {
      const id = ids.at(-1)!;
      assert.equal(succeeded(docker("exec", id, "cat", "/etc/hostname")), id.slice(0, 12));
    });
    while (ids.length < 12) start();
    // Each time in another container.
    untilRepeated(12, (turn) => assert.equal(docker("exec", ids[turn - 1]!, "sh", "-c", "exit 5").status, 5));
    succeeded(docker("rm", "-f", ...ids));
    // Docker's own word on what `vitrine kill` is held to.
    for (const [at, { signal, flags, comesBack }] of killCases.entries()) {
      const name = `kill${at}`;
      succeeded(docker("run", "-d", "--name", name, ...words, ...flags, "probe:t", "sh", "-c", killScript));
      const said = () => docker("logs", name).stdout.match(/up/g)?.length ?? 0;
      await until(`${name} to run`, () => said() === 1);
      succeeded(docker("kill", "-s", signal, name));
      const state = () =>
        docker("inspect", "--format", "{{.State.Status}} {{.RestartCount}}", name).stdout.trim();
      const expected = comesBack ? "running 1" : "exited 0";
      await until(`${signal} ${flags.join(" ")}: ${expected}`, () => state() === expected);
      succeeded(docker("rm", "-f", name));
    }
  });
});
