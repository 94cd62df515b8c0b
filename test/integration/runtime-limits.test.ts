/** pause, resume, update, ps and events of the runtime's command line; the same assertions hold for runc where it is installed. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { version } from "./limits-support.ts";
import { until } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, isRoot, repository, slowness } from "./support.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-runtime-limits-"));
const bundle = path.join(directory, "bundle");
const ours = path.join(repository, "dist/vitrine-runtime");
const runc = findProgram("runc");
const runtimes = [ours, ...(runc === undefined ? [] : [runc])];
const why = "its cgroup is root's to make";
after(() => fs.rmSync(directory, { recursive: true, force: true }));

const mebibyte = 1 << 20;

if (isRoot) {
  fs.mkdirSync(path.join(bundle, "rootfs"), { recursive: true });
  spawnSync("tar", [
    "-xf",
    path.join(fixtures, "probe.tar"),
    "-C",
    path.join(bundle, "rootfs"),
    "--no-same-owner",
  ]);
  spawnSync(ours, ["spec", "--bundle", bundle]);
}

/** A container that runs `script`, with limits; removed at the end. */
class Container implements Disposable {
  readonly id = `vt-${process.pid}-${Math.random().toString(16).slice(2, 10)}`;
  readonly #runtime: string;
  readonly #state: string;

  constructor(runtime: string, script: string) {
    this.#runtime = runtime;
    this.#state = path.join(directory, `state-${path.basename(runtime)}`);
    const file = path.join(bundle, "config.json");
    const config = JSON.parse(fs.readFileSync(file, "utf8")) as Record<string, Record<string, unknown>>;
    for (const mark of ["go", "done"]) fs.rmSync(path.join(bundle, "rootfs", mark), { force: true });
    config["process"] = {
      ...config["process"],
      terminal: false,
      rlimits: [],
      args: ["sh", "-c", script],
    };
    config["root"] = { ...config["root"], readonly: false };
    config["linux"] = {
      ...config["linux"],
      devices: [{ path: "/dev/vt", type: "c", major: 240, minor: 7, fileMode: 438 }],
      cgroupsPath: `/vt-runtime-${process.pid}/${this.id}`,
      resources: {
        devices: [{ allow: false, access: "rwm" }],
        memory: { limit: 64 * mebibyte },
        pids: { limit: 20 },
        cpu: { quota: 50_000, period: 100_000 },
      },
    };
    fs.writeFileSync(file, JSON.stringify(config));
    const made = spawnSync(this.#runtime, [...this.words(), "run", "--detach", "--bundle", bundle, this.id], {
      stdio: "ignore",
    });
    assert.equal(made.status, 0);
  }

  words(): readonly string[] {
    return ["--root", this.#state];
  }

  run(...words: readonly string[]) {
    return spawnSync(this.#runtime, [...this.words(), ...words], { encoding: "utf8" });
  }

  good(...words: readonly string[]): string {
    const done = this.run(...words);
    assert.equal(done.status, 0, done.stderr);
    return done.stdout;
  }

  watch(...words: readonly string[]) {
    return spawn(this.#runtime, [...this.words(), ...words], { stdio: ["ignore", "pipe", "inherit"] });
  }

  status(): unknown {
    return (JSON.parse(this.good("state", this.id)) as { status: unknown }).status;
  }

  /** A file of its cgroup: v1's controller and file, v2's file. */
  file(v1: string, v2: string): string {
    const found = version === 1 ? v1 : v2;
    const [controller, name] = version === 1 ? found.split("/") : ["", found];
    const base = `/sys/fs/cgroup/${controller}/vt-runtime-${process.pid}/${this.id}`.replaceAll("//", "/");
    return fs.readFileSync(`${base}/${name}`, "utf8").trim();
  }

  [Symbol.dispose](): void {
    this.run("delete", "--force", this.id);
  }
}

after(() => {
  if (!isRoot) return;
  const roots = version === 2 ? [""] : fs.readdirSync("/sys/fs/cgroup");
  for (const each of roots) {
    const made = path.join("/sys/fs/cgroup", each, `vt-runtime-${process.pid}`);
    if (!fs.existsSync(made)) continue;
    const left = fs.readdirSync(made, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    assert.deepEqual(
      left.map(({ name }) => name),
      [],
      "a cgroup is left",
    );
    fs.rmdirSync(made);
  }
});

for (const runtime of runtimes) {
  const name = path.basename(runtime);

  test(`${name}: pause and resume`, (t) => {
    if (!isRoot) return cannotRun(t, why);
    using container = new Container(runtime, "sleep 1000");
    container.good("pause", container.id);
    assert.equal(container.status(), "paused");
    assert.match(container.good("list"), new RegExp(`${container.id}\\s+\\d+\\s+paused`));
    assert.notEqual(container.run("exec", container.id, "true").status, 0);
    container.good("resume", container.id);
    assert.equal(container.status(), "running");
    assert.notEqual(container.run("resume", container.id).status, 0);
    container.good("pause", container.id);
  });

  test(`${name}: ps tells the processes, as a table of ps and as JSON`, (t) => {
    if (!isRoot) return cannotRun(t, why);
    using container = new Container(runtime, "sleep 1000 & sleep 1000; true");
    const pids = (): unknown[] =>
      JSON.parse(container.good("ps", "--format", "json", container.id)) as unknown[];
    const deadline = Date.now() + 60_000;
    while (pids().length < 2 && Date.now() < deadline);
    assert.ok(pids().length >= 2);
    assert.match(container.good("ps", container.id), /^UID\s+PID.*\n(.*sleep 1000\n?)+/m);
  });

  test(`${name}: update by flags and by JSON`, (t) => {
    if (!isRoot) return cannotRun(t, why);
    using container = new Container(runtime, "sleep 1000");
    const memory = () => container.file("memory/memory.limit_in_bytes", "memory.max");
    const quota = () => container.file("cpu/cpu.cfs_quota_us", "cpu.max");
    container.good("update", "--memory", String(96 * mebibyte), "--pids-limit", "30", container.id);
    assert.equal(memory(), String(96 * mebibyte));
    assert.equal(container.file("pids/pids.max", "pids.max"), "30");
    assert.equal(quota(), version === 1 ? "50000" : "50000 100000");
    const resources = path.join(directory, "resources.json");
    fs.writeFileSync(
      resources,
      JSON.stringify({ cpu: { quota: 20_000, period: 100_000 }, memory: { limit: 80 * mebibyte } }),
    );
    container.good("update", "--resources", resources, container.id);
    assert.equal(memory(), String(80 * mebibyte));
    assert.equal(quota(), version === 1 ? "20000" : "20000 100000");
  });

  test(`${name}: checkBeforeUpdate keeps a limit from killing`, (t) => {
    if (!isRoot) return cannotRun(t, why);
    if (version === 1)
      return cannotRun(t, "runc checks it on cgroup v2 alone; the kernel refuses such a limit of v1 itself");
    if (runtime !== ours) return cannotRun(t, "runc knows it since 1.2, and Debian's is older");
    using container = new Container(runtime, "head -c 30000000 /dev/zero | tail & sleep 1000");
    const used = () => Number(container.file("memory/memory.usage_in_bytes", "memory.current"));
    const deadline = Date.now() + 60_000;
    while (used() < 8 * mebibyte && Date.now() < deadline);
    const resources = path.join(directory, "resources.json");
    fs.writeFileSync(resources, JSON.stringify({ memory: { limit: mebibyte, checkBeforeUpdate: true } }));
    assert.notEqual(container.run("update", "--resources", resources, container.id).status, 0);
    assert.equal(container.status(), "running");
  });

  test(`${name}: events tells of statistics and of memory that ran out`, async (t) => {
    if (!isRoot) return cannotRun(t, why);
    using container = new Container(
      runtime,
      "while [ ! -e /go ]; do sleep 0.05; done; tail /dev/zero; sleep 1000",
    );
    const watcher = container.watch("events", "--interval", "300ms", container.id);
    let text = "";
    watcher.stdout.on("data", (data: Buffer) => {
      text += data.toString();
    });
    const types = () =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { type: string }).type);
    await until(() => (types().includes("stats") ? true : undefined), "statistics");
    container.good("exec", container.id, "touch", "/go");
    await until(() => (types().includes("oom") ? true : undefined), "an oom event");
    const ended = new Promise((resolve) => watcher.once("close", resolve));
    container.good("delete", "--force", container.id);
    watcher.kill("SIGTERM");
    await ended;
  });
}

/** Every place where a value stands. */
function placesOf(value: unknown, place = ""): readonly string[] {
  if (Array.isArray(value)) return [`${place}[]`];
  if (typeof value !== "object" || value === null) return [place];
  const entries = Object.entries(value);
  return entries.length === 0
    ? [`${place}{}`]
    : entries.flatMap(([key, each]) => placesOf(each, `${place}/${key}`));
}

test("events --stats has runc's shape, and numbers of the same size", (t) => {
  if (!isRoot) return cannotRun(t, why);
  if (runc === undefined) return cannotRun(t, "runc is not installed");
  const statsOf = (runtime: string) => {
    using container = new Container(
      runtime,
      "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; : > /done; sleep 1000",
    );
    const deadline = Date.now() + 60_000 * slowness;
    while (container.run("exec", container.id, "test", "-e", "/done").status !== 0)
      assert.ok(Date.now() < deadline, "the loop does not end");
    return JSON.parse(container.good("events", "--stats", container.id)) as {
      data: {
        cpu: { usage: { total: number } };
        memory: { usage: { limit: number } };
        pids: { limit: number };
      };
    };
  };
  const [mine, theirs] = [statsOf(ours), statsOf(runc)];
  // What happens to be zero is left out by both.
  const steady = (places: readonly string[]) =>
    [...new Set(places)].filter((place) => !/failcnt|throttl|blkio|cache|max$|raw|psi/.test(place)).sort();
  assert.deepEqual(steady(placesOf(mine)), steady(placesOf(theirs)));
  assert.equal(mine.data.memory.usage.limit, theirs.data.memory.usage.limit);
  assert.equal(mine.data.pids.limit, theirs.data.pids.limit);
  const ratio = mine.data.cpu.usage.total / theirs.data.cpu.usage.total;
  assert.ok(ratio > 0.1 && ratio < 10, String(ratio));
});

test("a denied device is denied anew by update, and an allowed one opens", (t) => {
  if (!isRoot) return cannotRun(t, why);
  using container = new Container(ours, "sleep 1000");
  const open = () => container.run("exec", container.id, "sh", "-c", ": < /dev/vt").stderr;
  assert.match(open(), /not permitted/);
  const resources = path.join(directory, "devices.json");
  const rule = { allow: true, type: "c", major: 240, minor: 7, access: "rw" };
  fs.writeFileSync(resources, JSON.stringify({ devices: [{ allow: false, access: "rwm" }, rule] }));
  container.good("update", "--resources", resources, container.id);
  assert.match(open(), /No such device/);
  fs.writeFileSync(resources, JSON.stringify({ devices: [{ allow: false, access: "rwm" }] }));
  container.good("update", "--resources", resources, container.id);
  assert.match(open(), /not permitted/);
  assert.equal(container.run("exec", container.id, "sh", "-c", ": > /dev/null").status, 0);
});
