/** Containers that outlive the command that started them: run -d, create, start, stop, kill, wait, restart, rename, rm. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { letEnd, makeRunWorld, until } from "./run-support.ts";
import type { Result } from "./support.ts";

const world = makeRunWorld("live");
after(async () => {
  world.run(["rm", "--all", "--force"]);
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

/** Ends at once with 7 when it is told to stop. */
const waits = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.02; done';

function good(done: Result): string {
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.replace(/\n$/, "");
}

const vitrine = (...args: readonly string[]): string => good(world.run(args));
const detached = (flags: readonly string[], script: string): string =>
  vitrine("run", "-d", "-q", ...flags, "probe", "sh", "-c", script);
const inspect = (name: string, field: string): string => vitrine("inspect", "-f", `{{${field}}}`, name);

const logged = (name: string, text: string): Promise<true> =>
  until(() => (vitrine("logs", name).includes(text) ? true : undefined), `${text} in the log of ${name}`);

test("run -d prints the id when the program runs, and nothing of us stays but the helper", async () => {
  const id = detached(["--name", "web"], waits);
  assert.match(id, /^[0-9a-f]{64}$/);
  assert.equal(inspect("web", ".State.Status"), "running");
  const monitor = Number(inspect(id, ".State.ConmonPid"));
  assert.equal(fs.readFileSync(`/proc/${monitor}/comm`, "utf8"), "vitrine-monitor\n");
  const resident = /VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${monitor}/status`, "utf8"))![1];
  assert.ok(Number(resident) <= 1024, `${resident} kB`);
  // Our own pipes are not held: else this test would still wait for the end of its output.
  for (const fd of ["0", "1", "2"]) {
    assert.equal(fs.readlinkSync(`/proc/${monitor}/fd/${fd}`), "/dev/null");
  }
  await logged("web", "ready");
  const before = performance.now();
  assert.equal(vitrine("stop", "-t", "300", "web"), "web");
  assert.ok(performance.now() - before < 60_000, "it ended at once");
  assert.equal(inspect("web", ".State.ExitCode"), "7");
  assert.equal(vitrine("wait", "web"), "7");
  assert.equal(vitrine("rm", "web"), "web");
});

test("a program that is not there: the status and the message of the foreground, and the container is kept", () => {
  const done = world.run(["run", "-d", "-q", "--name", "none", "probe", "no-such-program"]);
  assert.equal(done.status, 127);
  assert.equal(done.stdout, "");
  assert.match(done.stderr, /no-such-program/);
  assert.equal(inspect("none", ".State.ExitCode"), "127");
  assert.match(inspect("none", ".State.Error"), /no-such-program/);
  vitrine("rm", "none");
});

test("State.Error says why a start failed, until it is started again", () => {
  fs.writeFileSync(path.join(world.directory, "bound"), "");
  vitrine("create", "--name", "bound", "-v", `${world.directory}/bound:/bound`, "probe", "true");
  assert.equal(inspect("bound", ".State.Error"), "");
  vitrine("start", "-a", "bound");
  assert.equal(inspect("bound", ".State.Error"), "");
  fs.rmSync(path.join(world.directory, "bound"));
  const failed = world.run(["start", "bound"]);
  assert.notEqual(failed.status, 0);
  assert.match(inspect("bound", ".State.Error"), /bound/);
  fs.writeFileSync(path.join(world.directory, "bound"), "");
  vitrine("start", "-a", "bound");
  assert.equal(inspect("bound", ".State.Error"), "");
  vitrine("rm", "bound");
});

test("what is started again has its files, and its log goes on", async () => {
  const id = vitrine("create", "--name", "again", "probe", "sh", "-c", "echo x >> /n; wc -l < /n; exit 3");
  assert.equal(inspect("again", ".State.Status"), "created");
  assert.equal(inspect("again", ".State.StartedAt"), "0001-01-01T00:00:00Z");
  for (const count of [1, 2, 3]) {
    const done = world.run(["start", "--attach", "again"]);
    assert.equal(done.status, 3, done.stderr);
    assert.equal(done.stdout, `${count}\n`);
  }
  assert.equal(vitrine("start", "again"), "again");
  assert.equal(vitrine("wait", id), "3");
  assert.equal(vitrine("logs", "again"), "1\n2\n3\n4");
  vitrine("rm", "again");
});

test("wait knows how one of --rm ended, though nothing of it is left", async (t) => {
  const id = detached(["--rm", "--name", "brief"], "while [ ! -e /end ]; do sleep 0.02; done; exit 7");
  const monitor = inspect("brief", ".State.ConmonPid");
  const sockets = (): number =>
    fs
      .readdirSync(`/proc/${monitor}/fd`)
      .filter((fd) => linkOf(`/proc/${monitor}/fd/${fd}`).startsWith("socket:")).length;
  // Init's, the listening one, and one for each client.
  await until(() => (sockets() === 2 ? true : undefined), "whoever started it to leave");
  const waiting = world.start(["wait", "brief"]);
  t.after(() => waiting.kill("SIGKILL"));
  let said = "";
  waiting.stdout!.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise((resolve) => waiting.on("close", resolve));
  await until(() => (sockets() === 3 ? true : undefined), "somebody to wait");
  letEnd(world, "brief");
  assert.deepEqual([await ended, said], [0, "7\n"]);
  assert.equal(world.run(["inspect", id]).status, 125);
});

function linkOf(name: string): string {
  try {
    return fs.readlinkSync(name);
  } catch {
    return "";
  }
}

test("a volume of the image is filled once", () => {
  vitrine("create", "--name", "vol", "-v", "/etc", "probe", "sh", "-c", "rm /etc/passwd || echo gone");
  assert.equal(world.run(["start", "-a", "vol"]).stdout, "");
  assert.equal(world.run(["start", "-a", "vol"]).stdout, "gone\n");
  vitrine("rm", "vol");
});

test("a container of the foreground can be started in the background", async () => {
  assert.equal(world.run(["run", "-q", "--name", "fore", "probe", "sh", "-c", "echo $HOSTNAME"]).status, 0);
  const hostname = inspect("fore", ".Config.Hostname");
  assert.equal(vitrine("logs", "fore"), hostname);
  vitrine("start", "fore");
  vitrine("wait", "fore");
  assert.equal(vitrine("logs", "fore"), `${hostname}\n${hostname}`);
  vitrine("rm", "fore");
});

test("stop: SIGKILL after the time, and the container's own signal", async () => {
  detached(["--name", "deaf"], 'trap "" TERM; echo ready; while :; do sleep 0.02; done');
  await logged("deaf", "ready");
  vitrine("stop", "-t", "0", "deaf");
  assert.equal(inspect("deaf", ".State.ExitCode"), "137");
  detached(
    ["--name", "own", "--stop-signal", "USR1"],
    'trap "exit 9" USR1; echo ready; while :; do sleep 0.02; done',
  );
  await logged("own", "ready");
  vitrine("stop", "-t", "300", "own");
  assert.equal(inspect("own", ".State.ExitCode"), "9");
  assert.equal(vitrine("stop", "own"), "own", "what has ended is stopped");
  vitrine("rm", "deaf", "own");
});

test("kill sends a signal and needs a running container", async () => {
  detached(["--name", "hit"], 'trap "echo hup" HUP; echo ready; while :; do sleep 0.02; done');
  await logged("hit", "ready");
  vitrine("kill", "--signal", "HUP", "hit");
  await logged("hit", "hup");
  vitrine("kill", "hit");
  assert.equal(vitrine("wait", "hit"), "137");
  const again = world.run(["kill", "hit"]);
  assert.notEqual(again.status, 0);
  assert.match(again.stderr, /not running/);
  assert.notEqual(world.run(["kill", "-s", "NOPE", "hit"]).status, 0);
  vitrine("rm", "hit");
});

test("a container without its record: said by name, told by ps, removed by rm; one that runs by rm --force alone", async () => {
  const lose = (id: string): void => {
    const directory = path.join(world.root, "containers", id);
    fs.rmSync(path.join(directory, "container.json"));
    // What changed a moment ago may be just being removed.
    fs.utimesSync(directory, 1, 1);
  };
  const id = vitrine("create", "-q", "--name", "lost", "probe", "true");
  lose(id);
  const short = id.slice(0, 12);
  for (const name of ["lost", id, short]) {
    const done = world.run(["inspect", name]);
    assert.equal(done.status, 125);
    assert.match(done.stderr, new RegExp(`record of container ${short} is missing.*\n.*vitrine rm ${short}`));
  }
  const listed = world.run(["ps", "-a"]);
  assert.equal(listed.status, 0);
  assert.match(listed.stderr, new RegExp(`container ${short} is missing or damaged: vitrine rm ${short}`));
  assert.equal(vitrine("rm", id), id);
  assert.equal(world.run(["ps", "-a"]).stderr, "");
  // Its name is free again, and all of them go with --all.
  const second = vitrine("create", "-q", "--name", "lost", "probe", "true");
  lose(second);
  assert.equal(vitrine("rm", "--all"), second);

  const running = detached(["--name", "lost", "--restart", "always"], waits);
  await logged("lost", "ready");
  const pid = inspect("lost", ".State.Pid");
  lose(running);
  const refused = world.run(["rm", running]);
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /is running[\s\S]*rm --force/);
  assert.ok(fs.existsSync(`/proc/${pid}`));
  assert.equal(vitrine("rm", "-f", running), running);
  assert.ok(!fs.existsSync(`/proc/${pid}`));
  await world.assertClean();
});

test("restart gives a new process", async () => {
  detached(["--name", "re"], waits);
  const first = inspect("re", ".State.Pid");
  await logged("re", "ready");
  assert.equal(vitrine("restart", "re"), "re");
  const second = inspect("re", ".State.Pid");
  assert.notEqual(first, second);
  assert.notEqual(second, "0");
  assert.equal(fs.existsSync(`/proc/${first}`), false);
  vitrine("rm", "-f", "re");
});

test("several at once: one that is not there does not keep the others", () => {
  for (const name of ["a1", "a2"]) vitrine("create", "--name", name, "probe", "sleep", "60");
  const done = world.run(["start", "a1", "missing", "a2"]);
  assert.notEqual(done.status, 0);
  assert.deepEqual(done.stdout.trim().split("\n"), ["a1", "a2"]);
  assert.equal(vitrine("ps", "-q").split("\n").length, 2);
  assert.deepEqual(vitrine("stop", "-t", "0", "--all").split("\n").length, 2);
  vitrine("rm", "a1", "a2");
});

test("a running container is not started twice, and two starts at once give one", async () => {
  vitrine("create", "--name", "once", "probe", "sleep", "60");
  const children = [1, 2, 3, 4].map(() => world.start(["start", "once"]));
  await Promise.all(children.map((child) => new Promise((resolve) => child.on("close", resolve))));
  const pid = inspect("once", ".State.Pid");
  assert.equal(vitrine("start", "once"), "once");
  assert.equal(inspect("once", ".State.Pid"), pid);
  vitrine("rm", "-f", "once");
});

test("a killed monitor takes its container with it, and the truth is told", async () => {
  detached(["--name", "orphan"], waits);
  const pid = inspect("orphan", ".State.Pid");
  process.kill(Number(inspect("orphan", ".State.ConmonPid")), "SIGKILL");
  // What is left for pid 1 to reap has nothing but its number.
  const ended = (): boolean => !fs.existsSync(`/proc/${pid}`) || linkOf(`/proc/${pid}/exe`) === "";
  await until(() => (ended() ? true : undefined), "the container's process to be gone");
  assert.equal(inspect("orphan", ".State.Status"), "exited");
  assert.equal(vitrine("wait", "orphan"), "137");
  assert.deepEqual(fs.readdirSync(path.join(world.runroot, "containers")), []);
  // It can be started again.
  vitrine("start", "orphan");
  assert.equal(inspect("orphan", ".State.Running"), "true");
  vitrine("rm", "-f", "orphan");
});

test("a boot later (no runroot) nothing runs, and containers start again", () => {
  detached(["--name", "boot"], waits);
  vitrine("kill", "boot");
  vitrine("wait", "boot");
  fs.rmSync(world.runroot, { recursive: true, force: true });
  assert.equal(inspect("boot", ".State.Status"), "exited");
  vitrine("start", "boot");
  vitrine("rm", "-f", "boot");
});

test("--rm leaves nothing when it ends by itself", async () => {
  const id = detached(["--rm"], "exit 0");
  await until(
    () => (fs.existsSync(path.join(world.root, "containers", id)) ? undefined : true),
    "the container to be gone",
  );
});

test("rename", () => {
  vitrine("create", "--name", "old", "probe", "true");
  vitrine("create", "--name", "taken", "probe", "true");
  vitrine("rename", "old", "new");
  assert.equal(inspect("new", ".Name"), "new");
  assert.notEqual(world.run(["inspect", "--type", "container", "old"]).status, 0);
  assert.notEqual(world.run(["rename", "new", "taken"]).status, 0);
  assert.notEqual(world.run(["rename", "new", "a b"]).status, 0);
  vitrine("create", "--name", "old", "probe", "true");
  vitrine("rm", "old", "new", "taken");
});

test("container prune removes what does not run", () => {
  detached(["--name", "stays"], waits);
  vitrine("create", "--name", "goes", "-l", "a=b", "probe", "true");
  assert.equal(vitrine("container", "prune", "-f", "--filter", "label=c"), "Total reclaimed space: 0B");
  assert.match(vitrine("container", "prune", "--force"), /Deleted Containers:\n[0-9a-f]{64}\n/);
  assert.equal(vitrine("ps", "-a", "--format", "{{.Names}}"), "stays");
  vitrine("rm", "-f", "stays");
});

test("ps: labels and networks as docker shows them", () => {
  vitrine("create", "--name", "l1", "-l", "k=v", "-l", "bare", "probe", "true");
  vitrine("create", "--name", "l2", "--network", "host", "probe", "true");
  const line = (name: string, format: string): string =>
    vitrine("ps", "-a", "--filter", `name=${name}`, "--format", format);
  assert.equal(line("l1", '{{.Labels}}|{{.Label "k"}}|{{index .Labels "k"}}'), "k=v,bare=|v|v");
  const row = JSON.parse(line("l1", "{{json .}}")) as Readonly<Record<string, unknown>>;
  assert.deepEqual([row["Labels"], row["LocalVolumes"], row["Networks"]], ["k=v,bare=", "0", "none"]);
  assert.equal(line("l2", '{{.Networks}}{{.Label "k"}}'), "host");
  assert.equal(vitrine("ps", "-aq", "--filter", "network=host", "--format", "{{.Names}}").length, 12);
  assert.equal(vitrine("ps", "-a", "--filter", "network=none", "--format", "{{.Names}}"), "l1");
  assert.equal(world.run(["ps", "-a", "--format", "{{.Label}}"]).status, 125);
  vitrine("rm", "l1", "l2");
});

test("ps: filters, sizes, the newest", () => {
  detached(["--name", "f1", "-l", "k=v"], waits);
  vitrine("create", "--name", "f2", "probe", "true");
  const names = (...flags: readonly string[]): readonly string[] =>
    vitrine("ps", ...flags, "--format", "{{.Names}}")
      .split("\n")
      .filter(Boolean)
      .sort();
  assert.deepEqual(names(), ["f1"]);
  assert.deepEqual(names("-a"), ["f1", "f2"]);
  assert.deepEqual(names("-l"), ["f2"]);
  assert.deepEqual(names("--filter", "status=created"), ["f2"]);
  assert.deepEqual(names("-a", "--filter", "name=^f", "--filter", "label=k=v"), ["f1"]);
  assert.deepEqual(names("-a", "--filter", "ancestor=probe", "--filter", "since=f1"), ["f2"]);
  assert.notEqual(world.run(["ps", "--filter", "nmae=x"]).status, 0);
  assert.match(vitrine("ps", "-a", "--size"), /\(virtual \d/);
  assert.match(vitrine("ps", "--no-trunc"), /CONTAINER ID.*COMMAND.*CREATED.*STATUS.*PORTS.*NAMES/);
  vitrine("rm", "-f", "f1", "f2");
});
