/** checkpoint and restore by criu, where criu works: not on every host, but on the kernel of these machines. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, type TestContext, test } from "node:test";
import {
  bundle,
  type Config,
  call,
  newId,
  refused,
  runtime,
  start,
  state,
  succeeded,
} from "../conformance/runtime/support.ts";
import { until } from "../integration/run-support.ts";

const work = fs.mkdtempSync(path.join(os.tmpdir(), "vt-criu-"));
after(() => fs.rmSync(work, { recursive: true, force: true }));
let images = 0;
const newImages = (): string => path.join(work, `images-${images++}`);

/** Counts in a variable of the shell, which is nowhere but in its memory. */
const counting =
  "i=0; while :; do i=$((i+1)); echo $i >/data/new; mv /data/new /data/count; sleep 0.05; done";
/** Of the last counting bundle: each has its own, so that one that went wrong counts in nobody else's. */
let data = "";

function countingBundle(change: (config: Config) => void = () => {}): string {
  data = fs.mkdtempSync(path.join(work, "data-"));
  return bundle(counting, (config) => {
    config.mounts.push({ destination: "/data", type: "bind", source: data, options: ["rbind", "rw"] });
    config.linux.resources = { memory: { limit: 64 << 20 }, pids: { limit: 77 } };
    config.linux.namespaces.push({ type: "cgroup" });
    change(config);
  });
}

function count(): number | undefined {
  const file = path.join(data, "count");
  return fs.existsSync(file) ? Number(fs.readFileSync(file, "utf8")) : undefined;
}

const counted = (least: number): Promise<number> =>
  until(() => ((count() ?? 0) >= least ? count() : undefined), `a count of ${least}`);

/** What it counted last, taken away: whatever is seen next was counted after the restore. */
function takeCount(): number {
  const stood = count()!;
  fs.rmSync(path.join(data, "count"));
  return stood;
}

/** It went on, and did not begin again: the first number that is seen is beyond `stood`. */
async function wentOn(stood: number): Promise<void> {
  const first = await counted(1);
  assert.ok(first > stood, `${stood} went on as ${first}`);
}

const cgroupOf = (pid: number): string => fs.readFileSync(`/proc/${pid}/cgroup`, "utf8").trim();

/** Point, type and options of every mount, without the numbers that a new mount gets. */
function mountsOf(pid: number): string[] {
  return fs
    .readFileSync(`/proc/${pid}/mountinfo`, "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const words = line.split(" ");
      const dash = words.indexOf("-");
      return `${words[4]} ${words[dash + 1]} ${words[5]}`;
    })
    .sort();
}

/**
 * One of a process whose files criu could not dump at that moment (now and then, of a shell that opens and renames all
 * the time) is asked for again, and said: the container goes on after a checkpoint that failed.
 */
function checkpoint(t: TestContext, id: string, ...words: readonly string[]): void {
  for (let left = 2; ; left--) {
    const done = call(["checkpoint", ...words, id]);
    if (done.status === 0 || left === 0 || !/Dump files .* failed/.test(done.stderr))
      return void succeeded(done);
    t.diagnostic(done.stderr);
    assert.equal(state(id).status, "running");
  }
}

const gone = (id: string): void => refused(call(["state", id]));
const remove = (id: string): void => {
  succeeded(call(["delete", "--force", id]));
};

test("a counting process goes on where it was, with its pid, cgroup, limits and mounts", async (t) => {
  const directory = countingBundle();
  const id = start(directory);
  await counted(5);
  const before = state(id).pid;
  const [cgroup, mounts] = [cgroupOf(before), mountsOf(before)];
  const to = newImages();
  checkpoint(t, id, "--image-path", to);
  gone(id);
  assert.equal(fs.existsSync(`/sys/fs/cgroup${cgroup.slice(3)}`), false, "the cgroup stayed");
  const stood = count()!;
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(takeCount(), stood, "it is still counting");

  const pidFile = path.join(work, "pid");
  const restored = ["--image-path", to, "--bundle", directory, "--pid-file", pidFile];
  succeeded(call(["restore", "--detach", ...restored, id]));
  await wentOn(stood);
  const now = state(id);
  assert.equal(now.status, "running");
  assert.equal(fs.readFileSync(pidFile, "utf8").trim(), String(now.pid));
  assert.equal(cgroupOf(now.pid), cgroup);
  assert.deepEqual(mountsOf(now.pid), mounts);
  const limit = fs.readFileSync(`/sys/fs/cgroup${cgroup.slice(3)}/memory.max`, "utf8").trim();
  assert.equal(limit, String(64 << 20));
  const inside = succeeded(call(["exec", id, "/bin/sh", "-c", "cat /proc/1/cmdline | head -c 7; hostname"]));
  assert.equal(inside.stdout.replaceAll("\0", " "), "/bin/shconform\n");
  succeeded(call(["pause", id]));
  succeeded(call(["resume", id]));
  // And once more, from what was restored.
  const again = newImages();
  checkpoint(t, id, "--image-path", again);
  gone(id);
  const stoodAgain = takeCount();
  succeeded(call(["restore", "--detach", "--image-path", again, "--bundle", directory, id]));
  await wentOn(stoodAgain);
  remove(id);
  gone(id);
  assert.equal(fs.existsSync(`/sys/fs/cgroup${cgroup.slice(3)}`), false, "the cgroup stayed");
});

test("--leave-running: the container goes on; its images come back under another name beside it", async (t) => {
  const directory = countingBundle();
  const id = start(directory);
  await counted(3);
  const { pid } = state(id);
  const to = newImages();
  checkpoint(t, id, "--leave-running", "--image-path", to);
  assert.deepEqual([state(id).status, state(id).pid], ["running", pid]);
  await counted(count()! + 1);
  remove(id);
  const other = newId();
  succeeded(call(["restore", "-d", "--image-path", to, "--bundle", directory, other]));
  await counted(count()! + 1);
  assert.match(cgroupOf(state(other).pid), new RegExp(`/${other}$`));
  remove(other);
});

test("what forks without end is frozen as one, a process of exec too; a paused container stays paused", (t) => {
  const id = start(bundle("while :; do /bin/true; /bin/true & done"));
  succeeded(call(["exec", "--detach", id, "/bin/sleep", "1000"]));
  for (let round = 0; round < 3; round++) checkpoint(t, id, "--pre-dump", "--image-path", newImages());
  succeeded(call(["pause", id]));
  checkpoint(t, id, "--leave-running", "--image-path", newImages());
  assert.equal(state(id).status, "paused");
  remove(id);
});

test("--pre-dump, then only what was written since: --parent-path", async (t) => {
  const directory = countingBundle();
  const id = start(directory);
  await counted(3);
  const to = path.join(newImages(), "last");
  const first = path.join(path.dirname(to), "first");
  checkpoint(t, id, "--pre-dump", "--image-path", first);
  assert.equal(state(id).status, "running");
  checkpoint(t, id, "--parent-path", "../first", "--image-path", to);
  gone(id);
  const stood = takeCount();
  succeeded(call(["restore", "-d", "--image-path", to, "--bundle", directory, id]));
  await wentOn(stood);
  remove(id);
});

test("pipes are those of who restores; in the foreground the program's status is the runtime's", async () => {
  const directory = bundle("trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done");
  const id = newId();
  const globals = ["--root", path.join(work, "root")];
  after(() => spawnSync(runtime, [...globals, "delete", "--force", id]));
  // By a shell: what node calls a pipe is a socket, which criu takes for somebody else's.
  const piped = (file: string, ...words: readonly string[]) =>
    spawn(
      "bash",
      ["-c", 'exec "$@" </dev/null > >(exec cat >"$0") 2>"$0.err"', file, runtime, ...globals, ...words],
      {
        stdio: "ignore",
      },
    );
  const lines = (file: string): string[] =>
    fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
  const [one, two] = [path.join(work, "one"), path.join(work, "two")];
  const first = piped(one, "run", "--bundle", directory, id);
  await until(() => (lines(one).length > 5 ? true : undefined), "output");
  const to = newImages();
  const done = spawnSync(runtime, [...globals, "checkpoint", "--image-path", to, id], { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  await once(first, "close");

  const second = piped(two, "restore", "--image-path", to, "--bundle", directory, id);
  await until(() => (lines(two).length > 2 ? true : undefined), "output after the restore");
  // What the first one said last may still be on its way to the file.
  await until(
    () => (Number(lines(two)[0]) === Number(lines(one).at(-1)) + 1 ? true : undefined),
    "the number after the last one",
  );
  const stopped = spawnSync(runtime, [...globals, "kill", id, "TERM"], { encoding: "utf8" });
  assert.equal(stopped.status, 0, stopped.stderr);
  const [status] = await once(second, "close");
  assert.equal(status, 7);
  assert.notEqual(spawnSync(runtime, [...globals, "state", id]).status, 0, "it was not deleted");
});

test("a joined network namespace is joined again", async (t) => {
  spawnSync("ip", ["netns", "delete", "vt-criu"]);
  assert.equal(spawnSync("ip", ["netns", "add", "vt-criu"]).status, 0);
  try {
    const directory = countingBundle((config) => {
      const network = config.linux.namespaces.find(({ type }: { type: string }) => type === "network");
      network.path = "/run/netns/vt-criu";
    });
    const inode = fs.statSync("/run/netns/vt-criu").ino;
    const id = start(directory);
    await counted(3);
    const to = newImages();
    checkpoint(t, id, "--image-path", to);
    succeeded(call(["restore", "-d", "--image-path", to, "--bundle", directory, id]));
    await counted(count()! + 1);
    assert.equal(fs.statSync(`/proc/${state(id).pid}/ns/net`).ino, inode);
    remove(id);
  } finally {
    spawnSync("ip", ["netns", "delete", "vt-criu"]);
  }
});

test("what cannot be: said before anything is done, and nothing stays", async () => {
  const directory = countingBundle();
  const id = newId();
  succeeded(call(["create", "--bundle", directory, id]));
  const waiting = call(["checkpoint", "--image-path", newImages(), id]);
  refused(waiting);
  assert.match(waiting.stderr, /created/);
  remove(id);
  const nothing = call(["restore", "-d", "--image-path", path.join(work, "none"), "--bundle", directory, id]);
  refused(nothing);
  assert.match(nothing.stderr, /no checkpoint in/);
  gone(id);
  const broken = newImages();
  fs.mkdirSync(broken);
  fs.writeFileSync(path.join(broken, "inventory.img"), "rubbish");
  fs.writeFileSync(path.join(broken, "descriptors.json"), "[]");
  const failed = call(["restore", "-d", "--image-path", broken, "--bundle", directory, id]);
  refused(failed);
  assert.match(failed.stderr, /criu cannot restore the container: .*restore\.log/s);
  gone(id);
});
