/** `container:NAME`: namespaces of another container, found anew at each start. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { after, test } from "node:test";
import { makeLiveWorld, until } from "../support/live.ts";

const world = makeLiveWorld("shared");
const { vitrine, detached, inspect } = world;
after(() => world.end());

const namespace = (name: string, type: string): string =>
  fs.readlinkSync(`/proc/${inspect(name, ".State.Pid")}/ns/${type}`);

test("network, pid, ipc and uts of a container that runs", () => {
  const id = detached(
    ["--name", "owner", "--hostname", "theirs", "--add-host", "peer:10.1.2.3"],
    "sleep 1000",
  );
  for (const [flag, type] of [
    ["--network", "net"],
    ["--pid", "pid"],
    ["--ipc", "ipc"],
    ["--uts", "uts"],
  ] as const) {
    detached(["--name", "guest", flag, "container:owner"], "sleep 1000");
    for (const other of ["net", "pid", "ipc", "uts"]) {
      const same = namespace("guest", other) === namespace("owner", other);
      assert.equal(same, other === type, `${flag}: ${other}`);
    }
    vitrine("rm", "-f", "guest");
  }
  detached(
    [
      "--name",
      "guest",
      "--network",
      "container:owner",
      "--uts",
      `container:${id.slice(0, 12)}`,
      "--pid",
      "container:owner",
    ],
    "sleep 1000",
  );
  assert.equal(inspect("guest", ".HostConfig.NetworkMode"), `container:${id}`);
  assert.equal(inspect("guest", "json .Dependencies"), `["${id}"]`);
  assert.equal(vitrine("exec", "guest", "hostname"), "theirs");
  assert.match(vitrine("exec", "guest", "cat", "/etc/hosts"), /10\.1\.2\.3\tpeer/);
  // Its programs are seen from here: pid 1 is the owner's.
  assert.match(vitrine("exec", "guest", "cat", "/proc/1/cmdline"), /^sh\0-c\0sleep 1000|^sleep\0/);
  vitrine("rm", "-f", "guest", "owner");
});

test("the owner must be there and run; who depends on it is known", async () => {
  assert.notEqual(world.run(["run", "--rm", "--network", "container:nobody", "probe", "true"]).status, 0);
  vitrine("create", "--name", "idle", "probe", "sleep", "1000");
  const refused = world.run(["run", "--rm", "--network", "container:idle", "probe", "true"]);
  assert.equal(refused.status, 125);
  assert.match(refused.stderr, /container idle: it does not run/);
  vitrine("start", "idle");
  detached(["--name", "user", "--network", "container:idle"], "sleep 1000");
  const kept = world.run(["rm", "idle"]);
  assert.notEqual(kept.status, 0);
  assert.match(kept.stderr, /user/);
  // The owner gets a new process: the next start finds it.
  vitrine("stop", "-t", "0", "user", "idle");
  const late = world.run(["start", "user"]);
  assert.notEqual(late.status, 0);
  assert.match(late.stderr, /idle/);
  vitrine("start", "idle");
  vitrine("start", "user");
  assert.equal(namespace("user", "net"), namespace("idle", "net"));
  vitrine("rm", "-f", "--depend", "idle");
  assert.equal(vitrine("ps", "-aq"), "");
});

test("one that is run again finds the namespaces that are there then", async () => {
  detached(["--name", "base"], "sleep 1000");
  detached(
    ["--name", "comes", "--network", "container:base", "--restart", "always"],
    "readlink /proc/self/ns/net; while [ ! -e /go ]; do sleep 0.05; done; rm /go; exit 1",
  );
  await until(() => (vitrine("logs", "comes") === "" ? undefined : true), "the first run");
  // It is not run again while the other does not run.
  vitrine("restart", "-t", "0", "base");
  world.run(["exec", "comes", "touch", "/go"]);
  await until(
    () => (vitrine("logs", "comes").endsWith(namespace("base", "net")) ? true : undefined),
    "a run in the new namespace",
  );
  vitrine("rm", "-f", "comes");
  vitrine("rm", "-f", "base");
});

test("words that contradict each other are refused", () => {
  detached(["--name", "o"], "sleep 1000");
  for (const flags of [
    ["--uts", "container:o", "--hostname", "x"],
    ["--network", "container:o", "--hostname", "x"],
    ["--network", "container:"],
  ]) {
    assert.equal(world.run(["run", "--rm", ...flags, "probe", "true"]).status, 125, flags.join(" "));
  }
  vitrine("run", "--rm", "-q", "--userns", "container:o", "probe", "true");
  vitrine("rm", "-f", "o");
});

test("--ipc container: /dev/shm is that container's, and stays when it is started again", async () => {
  const written = (name: string, file: string, text: string): Promise<true> =>
    until(
      () => (world.run(["exec", name, "cat", file]).stdout === `${text}\n` ? true : undefined),
      `${file} in ${name}`,
    );
  const sizeOf = (name: string): string => vitrine("exec", name, "stat", "-fc", "%b", "/dev/shm");
  detached(["--name", "donor", "--shm-size", "1m"], "echo there > /dev/shm/word; sleep 1000");
  assert.equal(inspect("donor", ".HostConfig.IpcMode"), "shareable");
  detached(["--name", "guest", "--ipc", "container:donor"], "echo back > /dev/shm/answer; sleep 1000");
  await written("guest", "/dev/shm/word", "there");
  await written("donor", "/dev/shm/answer", "back");
  assert.equal(sizeOf("guest"), sizeOf("donor"));
  assert.match(
    vitrine("exec", "guest", "grep", " /dev/shm ", "/proc/mounts"),
    /^\S+ \/dev\/shm tmpfs rw,nosuid,nodev,noexec/,
  );
  assert.match(vitrine("explain", "guest"), /\/dev\/shm/);
  // A third one, by way of the second.
  assert.equal(vitrine("run", "--rm", "--ipc", "container:guest", "probe", "cat", "/dev/shm/answer"), "back");
  vitrine("stop", "-t", "0", "guest");
  vitrine("cp", "guest:/etc/hostname", "-");
  vitrine("restart", "-t", "0", "donor");
  vitrine("start", "guest");
  assert.equal(vitrine("exec", "donor", "ls", "/dev/shm").split("\n").sort().join(" "), "answer word");
  vitrine("rm", "-f", "guest", "donor");
});

test("--ipc private and none are shared with nobody; host is the host's", () => {
  for (const mode of ["private", "none"]) {
    detached(["--name", "closed", "--ipc", mode], "sleep 1000");
    assert.equal(inspect("closed", ".HostConfig.IpcMode"), mode);
    const refused = world.run(["run", "--rm", "--ipc", "container:closed", "probe", "true"]);
    assert.equal(refused.status, 125);
    assert.match(refused.stderr, /container closed shares its IPC with nobody/);
    vitrine("rm", "-f", "closed");
  }
  const mounts = vitrine("run", "--rm", "--ipc=none", "probe", "cat", "/proc/mounts");
  assert.doesNotMatch(mounts, / \/dev\/shm /);
  detached(["--name", "open", "--ipc", "host"], "sleep 1000");
  assert.equal(inspect("open", ".HostConfig.IpcMode"), "host");
  assert.equal(namespace("open", "ipc"), fs.readlinkSync("/proc/self/ns/ipc"));
  vitrine("rm", "-f", "open");
});
