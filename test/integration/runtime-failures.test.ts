/** vitrine-runtime when things go wrong: the error of the spec, and nothing left behind. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { decodePlan, encodePlan, probeHost } from "../../src/kernel/mod.ts";
import { type CreateOptions, compileBundle, lifecycleFiles, writeContainer } from "../../src/runtime/mod.ts";
import { baseConfig, type Config, makeRoot } from "../conformance/runtime/support.ts";
import { dyingAt } from "../support/dying-plan.ts";
import { cannotRun, helper, isRoot, repository } from "./support.ts";

const runtime = path.join(repository, "dist/vitrine-runtime");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "vt-runtime-"));
fs.chmodSync(work, 0o755);
const root = path.join(work, "root");
const logFile = path.join(work, "log");
/** Beside other containers of this machine. */
const prefix = `vt-failures-${process.pid}-`;
const a = `${prefix}a`;
const twin = `${prefix}twin`;
let count = 0;

before(() => makeRoot(path.join(work, "rootfs")));
after(() => fs.rmSync(work, { recursive: true, force: true }));

function asRoot(name: string, body: (t: TestContext) => void | Promise<void>): void {
  test(name, async (t) => (isRoot ? await body(t) : cannotRun(t, "needs root")));
}

/** Streams are files, since a container keeps them. */
function call(...args: readonly string[]) {
  const out = path.join(work, `out-${count++}`);
  const fd = fs.openSync(out, "w");
  fs.rmSync(logFile, { force: true });
  const words = ["--root", root, "--log", logFile, "--log-format", "json", ...args];
  const done = spawnSync(runtime, words, { stdio: ["ignore", fd, fd], timeout: 120_000 });
  fs.closeSync(fd);
  const log = fs.existsSync(logFile) ? fs.readFileSync(logFile, "utf8").trim().split("\n") : [];
  return { status: done.status, text: fs.readFileSync(out, "utf8"), log };
}

/** Mounts, cgroups and processes of these tests that are there, once all had the time to go. */
async function leftBehind(): Promise<readonly string[]> {
  for (let turn = 0; turn < 3000 && traces().length > 0; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return traces();
}

function traces(): readonly string[] {
  const mounts = fs.readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  const cgroups = ["", "pids", "memory", "freezer", "unified"].flatMap((hierarchy) => {
    const directory = path.join("/sys/fs/cgroup", hierarchy, "vitrine");
    return fs.existsSync(directory)
      ? fs.readdirSync(directory).map((name) => path.join(directory, name))
      : [];
  });
  const processes = fs.readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && isOurs(pid));
  return [
    ...mounts.filter((line) => line.includes(work)),
    ...cgroups.filter((name) => name.includes(prefix)),
    ...processes.map((pid) => `process ${pid}`),
  ];
}

function isOurs(pid: string): boolean {
  try {
    const read = (name: string) => fs.readFileSync(`/proc/${pid}/${name}`, "utf8");
    return read("comm").startsWith("vitrine-") && (read("cmdline") + read("mountinfo")).includes(work);
  } catch {
    return false;
  }
}

function bundle(script: string, change: (config: Config) => void = () => {}): string {
  const directory = path.join(work, `bundle-${count++}`);
  fs.mkdirSync(directory);
  const config = baseConfig(script);
  config.root.path = path.join(work, "rootfs");
  change(config);
  fs.writeFileSync(path.join(directory, "config.json"), JSON.stringify(config));
  return directory;
}

/** The error is in the log, as engines read it, and nothing stays. */
async function refused(
  args: readonly string[],
  pattern: RegExp,
  leaves: readonly string[] = [],
): Promise<void> {
  const { status, log } = call(...args);
  assert.equal(status, 1);
  const last = JSON.parse(log.at(-1)!) as { level: string; msg: string; time: string };
  assert.equal(last.level, "error");
  assert.match(last.msg, pattern);
  assert.match(last.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.deepEqual(names(), leaves);
  if (leaves.length === 0) assert.deepEqual(await leftBehind(), []);
}

const names = (): string[] => (fs.existsSync(root) ? fs.readdirSync(root).sort() : []);

const wrong: readonly (readonly [name: string, pattern: RegExp, change: (config: Config) => void])[] = [
  [
    "an ociVersion of another major",
    /ociVersion/,
    (config) => Object.assign(config, { ociVersion: "2.0.0" }),
  ],
  ["a root that is missing", /root\/path/, (config) => Object.assign(config.root, { path: "/not/there" })],
  ["the host's own root", /root\/path/, (config) => Object.assign(config.root, { path: "/" })],
  [
    "a mount option that no filesystem knows",
    /\/mounts\/\d+/,
    (config) =>
      config.mounts.push({ destination: "/opt", type: "tmpfs", source: "tmpfs", options: ["nonsense=1"] }),
  ],
  [
    "a filesystem that there is not",
    /\/mounts\/\d+/,
    (config) => config.mounts.push({ destination: "/opt", type: "no-such-fs", source: "x" }),
  ],
  [
    "maps that overlap",
    /Mappings/,
    (config) => {
      config.linux.namespaces.push({ type: "user" });
      config.linux.uidMappings = [
        { containerID: 0, hostID: 1000, size: 10 },
        { containerID: 5, hostID: 9000, size: 10 },
      ];
      config.linux.gidMappings = [{ containerID: 0, hostID: 1000, size: 10 }];
    },
  ],
  [
    "a program that is missing",
    /executable file not found in \$PATH/,
    (config) => Object.assign(config.process, { args: ["no-such"] }),
  ],
  [
    "a path that is missing",
    /no such file or directory/,
    (config) => Object.assign(config.process, { args: ["/no/such"] }),
  ],
  [
    "a file that may not be run",
    /permission denied/,
    (config) => Object.assign(config.process, { args: ["/etc/passwd"] }),
  ],
  ["a terminal without a socket", /terminal/, (config) => Object.assign(config.process, { terminal: true })],
  [
    "a hook that fails",
    /error running createRuntime hook #0: \/bin\/false: exit status 1/,
    (config) => Object.assign(config, { hooks: { createRuntime: [{ path: "/bin/false" }] } }),
  ],
  [
    "a limit that the kernel refuses",
    /resources/,
    (config) => Object.assign(config.linux.resources, { cpu: { cpus: "4000" } }),
  ],
  [
    "a namespace file that is missing",
    /namespaces/,
    (config) => config.linux.namespaces.splice(2, 1, { type: "ipc", path: "/not/there" }),
  ],
];

for (const [name, pattern, change] of wrong) {
  asRoot(`create refuses ${name}`, () => refused(["create", "--bundle", bundle("true", change), a], pattern));
}

asRoot("create refuses a bundle without config.json, a broken one, and a bad id", async () => {
  const empty = path.join(work, "empty");
  fs.mkdirSync(empty);
  await refused(["create", "--bundle", empty, a], /config\.json/);
  fs.writeFileSync(path.join(empty, "config.json"), '{"ociVersion":');
  await refused(["create", "--bundle", empty, a], /config\.json/);
  for (const id of ["..", "a/b", "", "a b", "x".repeat(300)]) {
    await refused(["create", "--bundle", bundle("true"), id], /invalid container id/);
  }
});

asRoot("kill of a stopped container, delete of a running one, a second start", async () => {
  assert.equal(call("run", "--detach", "--bundle", bundle("exec sleep 100000"), a).status, 0);
  await refused(["start", a], /cannot start/, [a]);
  await refused(["delete", a], /not stopped: running/, [a]);
  await refused(["create", "--bundle", bundle("true"), a], /already exists/, [a]);
  assert.equal(call("kill", a, "KILL").status, 0);
  for (let turn = 0; turn < 6000 && !call("state", a).text.includes('"stopped"'); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await refused(["kill", a, "KILL"], /container not running/, [a]);
  await refused(["kill", a, "NONSENSE"], /unknown signal/, [a]);
  assert.equal(call("delete", a).status, 0);
  await refused(["delete", a], /does not exist/);
  assert.equal(call("delete", "--force", a).status, 0);
});

asRoot("of two creations at once one succeeds", async () => {
  const directory = bundle("exec sleep 100000");
  const children = Array.from({ length: 8 }, () =>
    spawn(runtime, ["--root", root, "create", "--bundle", directory, twin], { stdio: "ignore" }),
  );
  const results = await Promise.all(children.map((child) => once(child, "close")));
  assert.equal(results.filter(([status]) => status === 0).length, 1);
  assert.match(call("state", twin).text, /"created"/);
  assert.equal(call("delete", "--force", twin).status, 0);
  assert.deepEqual(names(), []);
  assert.deepEqual(await leftBehind(), []);
});

asRoot("of two starts at once one succeeds", async () => {
  assert.equal(call("create", "--bundle", bundle("exec sleep 100000"), twin).status, 0);
  const children = Array.from({ length: 6 }, () =>
    spawn(runtime, ["--root", root, "start", twin], { stdio: "ignore" }),
  );
  const results = await Promise.all(children.map((child) => once(child, "close")));
  assert.equal(results.filter(([status]) => status === 0).length, 1);
  assert.equal(call("delete", "--force", twin).status, 0);
});

asRoot("kill -9 of the runtime before any op: delete --force leaves nothing", async (t) => {
  const options = (id: string): CreateOptions => ({
    id,
    bundle: bundle("true"),
    root,
    waits: true,
    detach: true,
    noPivot: false,
    keepKeyring: false,
    preserveDescriptors: 0,
    environment: [],
    reportFailure: ["/bin/true"],
  });
  const host = { facts: probeHost(), now: Date.now };
  let tried = 0;
  for (let at = 0; ; at++) {
    const id = `${prefix}${at}`;
    const create = options(id);
    const plan = writeContainer(await compileBundle(create, host), create, host);
    const { ops } = decodePlan(fs.readFileSync(plan));
    if (at >= ops.length || ops[at]!.stage === "cleanup") {
      fs.rmSync(path.dirname(plan), { recursive: true });
      break;
    }
    const waits = ops.findIndex(({ op }) => op.op === "awaitStart");
    // What init does after its start it does alone: the monitor is gone by then.
    if (ops[at]!.stage === "init" && at > waits) {
      fs.rmSync(path.dirname(plan), { recursive: true });
      continue;
    }
    fs.writeFileSync(lifecycleFiles(path.dirname(plan)).plan, encodePlan({ ops: dyingAt(ops, at) }));
    const done = spawnSync(helper, ["run", plan], { stdio: "ignore", timeout: 120_000 });
    assert.equal(done.signal, "SIGKILL", `op ${at} (${ops[at]!.op.op}): ${done.status}`);
    const removed = call("delete", "--force", id);
    assert.equal(removed.status, 0, `op ${at} (${ops[at]!.op.op}): ${removed.text}`);
    assert.deepEqual(names(), [], `op ${at} (${ops[at]!.op.op})`);
    tried += 1;
  }
  assert.deepEqual(await leftBehind(), []);
  t.diagnostic(`${tried} boundaries`);
  assert.ok(tried > 40);
});
