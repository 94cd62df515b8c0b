/** Records, names, states and sweeping, on real directories: no container runs. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, beforeEach, test } from "node:test";
import { processStartTime, removeTree as removeAll } from "../../base/mod.ts";
import { findContainer } from "./find.ts";
import { makeRecord } from "./fixtures.ts";
import { claimName, generateName, idOfName, releaseName } from "./names.ts";
import {
  type Container,
  containerDirectory,
  createContainer,
  listContainers,
  readContainer,
  runDirectory,
} from "./record.ts";
import { removeContainer } from "./remove.ts";
import { livesNow, ownPidNamespace, stateOf } from "./state.ts";
import { sweepLost } from "./sweep.ts";

const base = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-containers-"));
after(() => fs.rmSync(base, { recursive: true, force: true }));
const paths = { root: path.join(base, "root"), runroot: path.join(base, "run") };
beforeEach(() => {
  for (const directory of [paths.root, paths.runroot]) fs.rmSync(directory, { recursive: true, force: true });
});

const idOf = (digit: string): string => digit.repeat(64);
const removeTree = async (tree: string): Promise<void> => removeAll(tree);

/** A process that has ended and was reaped: nobody has its pid and start time. */
const dead = (() => {
  const { pid } = spawnSync("true");
  return { pid, startTime: "1", pidNamespace: ownPidNamespace() };
})();
const alive = () => ({
  pid: process.pid,
  startTime: processStartTime(process.pid) ?? "",
  pidNamespace: ownPidNamespace(),
});

function make(digit: string, more: Partial<Container> = {}): Container {
  const id = idOf(digit);
  const container = makeRecord({ id, name: `name-${digit}`, monitor: dead, ...more });
  createContainer(paths, container);
  fs.mkdirSync(runDirectory(paths, id), { recursive: true });
  return container;
}

test("a record is read as it was written, and a damaged one is passed over", () => {
  const container = make("a");
  assert.deepEqual(readContainer(paths, container.id), container);
  make("b");
  fs.writeFileSync(path.join(containerDirectory(paths, idOf("b")), "container.json"), "{");
  fs.mkdirSync(path.join(paths.root, "containers", "not-an-id"));
  assert.deepEqual(listContainers(paths), [container]);
});

test("a name is one container's, until it is given back or its container is gone", async () => {
  make("a");
  make("b");
  await claimName(paths, idOf("a"), "web");
  assert.equal(idOfName(paths, "web"), idOf("a"));
  await assert.rejects(claimName(paths, idOf("b"), "web"), { code: "name-in-use" });
  releaseName(paths, "web", idOf("b"));
  assert.equal(idOfName(paths, "web"), idOf("a"), "only its own container gives a name back");
  fs.rmSync(containerDirectory(paths, idOf("a")), { recursive: true });
  await claimName(paths, idOf("b"), "web");
  assert.equal(idOfName(paths, "web"), idOf("b"));
});

test("made-up names are words, then words with a number", () => {
  const values = [0, 0.5, 0.999999];
  for (const value of values)
    assert.match(
      generateName(() => value),
      /^[a-z]+_[a-z]+$/,
    );
  assert.match(
    generateName(() => 0.5, 20),
    /^[a-z]+_[a-z]+\d+$/,
  );
});

test("containers are found by name, id and unique prefix", async () => {
  const container = make("a");
  make("b");
  await claimName(paths, container.id, "web");
  for (const wanted of ["web", container.id, "aaaa"])
    assert.equal(findContainer(paths, wanted).id, container.id);
  const twin = `b${"c".repeat(63)}`;
  fs.mkdirSync(containerDirectory(paths, twin));
  assert.throws(() => findContainer(paths, "b"), { code: "container-ambiguous" });
  assert.throws(() => findContainer(paths, twin.slice(0, 4)), { code: "container-record-invalid" });
  for (const wanted of ["nothing", "../names/web", "f", ""]) {
    assert.throws(() => findContainer(paths, wanted), { code: "container-not-found" }, wanted);
  }
  // Somebody removes it at this moment: the directory goes before the name.
  fs.rmSync(containerDirectory(paths, container.id), { recursive: true });
  assert.equal(idOfName(paths, "web"), container.id);
  assert.throws(() => findContainer(paths, "web"), { code: "container-not-found" });
});

test("a container whose command was killed before it took its name is found by it all the same", () => {
  make("a");
  assert.equal(idOfName(paths, "name-a"), undefined);
  assert.equal(findContainer(paths, "name-a").id, idOf("a"));
});

test("a monitor that handed its container over as we looked leaves it held", () => {
  const pidNamespace = "pid:[1]";
  const [front, monitor] = [
    { pid: 7, startTime: "1", pidNamespace },
    { pid: 8, startTime: "2", pidNamespace },
  ];
  const reading = (...found: readonly (typeof front | undefined)[]) => {
    const left = [...found];
    return () => (left.length > 1 ? left.shift() : left[0]);
  };
  const isMonitor = ({ pid }: { readonly pid: number }) => pid === monitor!.pid;
  assert.equal(livesNow(reading(front, monitor), isMonitor), true);
  assert.equal(livesNow(reading(monitor), isMonitor), true);
  assert.equal(livesNow(reading(front), isMonitor), false);
  assert.equal(
    livesNow(reading(front, monitor, front), () => false),
    false,
  );
  assert.equal(livesNow(reading(front, undefined), isMonitor), false);
  assert.equal(livesNow(reading(undefined), isMonitor), false);
});

test("states are told from files and processes", () => {
  const created = make("a", { monitor: alive() });
  assert.deepEqual(stateOf(paths, created), { status: "created" });
  const { pid, startTime } = alive();
  fs.writeFileSync(path.join(runDirectory(paths, created.id), "pid"), `${pid} ${startTime}\n`);
  assert.deepEqual(stateOf(paths, created), { status: "running", pid, paused: false });
  // It has ended, and its monitor has not said so yet.
  fs.writeFileSync(path.join(runDirectory(paths, created.id), "pid"), `${pid} 1\n`);
  assert.deepEqual(stateOf(paths, created), { status: "running", pid, paused: false });
  fs.writeFileSync(path.join(containerDirectory(paths, created.id), "exit"), "3 0 5000000\n");
  assert.deepEqual(stateOf(paths, created), { status: "exited", code: 3, finished: 5 });
  assert.deepEqual(stateOf(paths, make("b")), { status: "lost" });
  const reused = { ...alive(), startTime: "1" };
  assert.deepEqual(stateOf(paths, make("c", { monitor: reused })), { status: "lost" });
});

test("only what a dead monitor left is swept", async () => {
  const keep = make("a", { monitor: alive(), remove: true });
  const lost = make("b");
  const cgroup = path.join(base, "cgroup-of-c");
  fs.mkdirSync(cgroup);
  const gone = make("c", { remove: true, cgroups: [cgroup] });
  const foreign = make("d", { remove: true, monitor: { ...dead, pidNamespace: "pid:[1]" } });
  await claimName(paths, gone.id, gone.name);
  fs.mkdirSync(runDirectory(paths, idOf("e")));

  assert.deepEqual([...(await sweepLost(paths, removeTree, 7))].sort(), [lost.id, gone.id].sort());
  assert.deepEqual(
    fs.readdirSync(path.join(paths.runroot, "containers")).sort(),
    [keep.id, foreign.id].sort(),
  );
  assert.deepEqual(
    fs.readdirSync(path.join(paths.root, "containers")).sort(),
    [keep.id, lost.id, foreign.id].sort(),
  );
  assert.equal(idOfName(paths, gone.name), undefined);
  assert.equal(fs.existsSync(cgroup), false);
  assert.deepEqual(stateOf(paths, lost), { status: "exited", code: 137, finished: 7 });
  assert.deepEqual(await sweepLost(paths, removeTree, 8), []);
});

test("what was killed before or after it had state of this boot is swept by a whole look", async () => {
  const early = make("a", { remove: true });
  const settled = make("b");
  fs.writeFileSync(path.join(containerDirectory(paths, settled.id), "exit"), "0 0 1\n");
  for (const { id } of [early, settled]) fs.rmSync(runDirectory(paths, id), { recursive: true });
  assert.deepEqual(await sweepLost(paths, removeTree, 7, 8), []);
  assert.deepEqual(await sweepLost(paths, removeTree, 7), [early.id]);
  assert.deepEqual(listContainers(paths), [settled]);
});

test("names whose container went before them are swept, others stay", async () => {
  const kept = make("a", { monitor: alive() });
  await claimName(paths, kept.id, "kept");
  await claimName(paths, idOf("b"), "orphan");
  await sweepLost(paths, removeTree, 7);
  assert.deepEqual(fs.readdirSync(path.join(paths.root, "names")), ["kept"]);
});

test("a container's directory has its record from the first moment", () => {
  const container = make("a");
  assert.throws(() => createContainer(paths, container), "the id is taken");
  assert.deepEqual(fs.readdirSync(path.join(paths.root, "tmp")), []);
});

test("an ended container is removed whole; a running one by force alone", async () => {
  const ended = make("a");
  await claimName(paths, ended.id, ended.name);
  await removeContainer(paths, ended, { force: false }, removeTree);
  assert.deepEqual(fs.readdirSync(path.join(paths.root, "containers")), []);
  assert.equal(idOfName(paths, ended.name), undefined);

  // The same process stands for the monitor and the program: killed, both are gone.
  const child = spawn("sleep", ["30"]);
  const exited = new Promise((resolve) => child.on("exit", resolve));
  const monitor = { ...alive(), pid: child.pid!, startTime: processStartTime(child.pid!) ?? "" };
  const running = make("b", { monitor });
  fs.writeFileSync(
    path.join(runDirectory(paths, running.id), "pid"),
    `${monitor.pid} ${monitor.startTime}\n`,
  );
  await assert.rejects(removeContainer(paths, running, { force: false }, removeTree), {
    code: "container-running",
  });
  await removeContainer(paths, running, { force: true }, removeTree);
  await exited;
  assert.deepEqual(fs.readdirSync(path.join(paths.root, "containers")), []);
});

test("one that has ended is removed once its monitor has cleaned up, not refused", async () => {
  const monitor = spawn("sleep", ["1000"], { stdio: "ignore" });
  try {
    const pid = monitor.pid!;
    const held = { pid, startTime: processStartTime(pid)!, pidNamespace: ownPidNamespace() };
    const ended = make("a", { monitor: held });
    fs.writeFileSync(path.join(containerDirectory(paths, ended.id), "exit"), "0 0 5\n");
    let done = false;
    const removal = removeContainer(paths, ended, { force: false }, removeTree).then(() => {
      done = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(done, false, "its monitor still works");
    monitor.kill("SIGKILL");
    await removal;
    assert.deepEqual(listContainers(paths), []);
  } finally {
    monitor.kill("SIGKILL");
  }
});
