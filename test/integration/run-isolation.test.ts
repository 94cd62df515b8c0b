/** `run`: namespaces, capabilities, seccomp, sysctls, resources: what a container may not do, and what a flag allows. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld, rowsOf } from "./run-support.ts";
import { cannotRun, isRoot } from "./support.ts";

const world = makeRunWorld("isolation");
after(async () => {
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

const kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] as const;
const hostNamespaces = new Map(kinds.map((kind) => [kind, fs.readlinkSync(`/proc/self/ns/${kind}`)]));

function shared(flags: readonly string[]): readonly string[] {
  const links = world.sh(flags, kinds.map((kind) => `readlink /proc/self/ns/${kind}`).join(";")).split("\n");
  return kinds.filter((kind, index) => links[index] === hostNamespaces.get(kind));
}

test("every namespace is the container's own, but root's user namespace", () => {
  assert.deepEqual(shared([]), isRoot ? ["user"] : []);
});

test("each namespace can be the host's", () => {
  const own = isRoot ? ["user"] : [];
  assert.deepEqual(shared(["--network", "host"]), ["net", ...own]);
  assert.deepEqual(shared(["--pid", "host"]), ["pid", ...own]);
  assert.deepEqual(shared(["--ipc", "host"]), ["ipc", ...own]);
  assert.deepEqual(shared(["--uts", "host"]), [...own, "uts"]);
  assert.deepEqual(shared(["--cgroupns", "host"]), ["cgroup", ...own]);
  assert.deepEqual(shared(["--timens", "host"]), ["time", ...own]);
  assert.equal(world.sh(["--uts", "host"], "hostname"), os.hostname());
});

test("without a network there is loopback alone, and it is up", () => {
  assert.equal(world.sh([], "ls /sys/class/net"), "lo");
  assert.match(world.sh([], "cat /sys/class/net/lo/operstate; ip addr show lo"), /127\.0\.0\.1/);
});

function capabilities(flags: readonly string[]) {
  const rows = rowsOf(world.sh(flags, "cat /proc/self/status"));
  return (set: string): bigint => BigInt(`0x${rows.get(`Cap${set}`)}`);
}

/** CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP */
const standard = 0x800405fbn;

test("root has the eleven default capabilities, and what flags add or drop", () => {
  const plain = capabilities([]);
  for (const set of ["Eff", "Prm", "Bnd"]) assert.equal(plain(set), standard, set);
  for (const set of ["Inh", "Amb"]) assert.equal(plain(set), 0n, set);
  assert.equal(capabilities(["--cap-drop", "ALL"])("Bnd"), 0n);
  assert.equal(capabilities(["--cap-drop", "all", "--cap-add", "cap_kill"])("Eff"), 1n << 5n);
  assert.equal(capabilities(["--cap-drop", "KILL"])("Eff"), standard & ~(1n << 5n));
  assert.equal(capabilities(["--cap-add", "NET_RAW"])("Eff"), standard | (1n << 13n));
});

test("another user has none, but those that were added reach through execve", () => {
  const plain = capabilities(["-u", "user"]);
  for (const set of ["Eff", "Prm", "Amb"]) assert.equal(plain(set), 0n, set);
  assert.equal(plain("Bnd"), standard);
  const added = capabilities(["-u", "user", "--cap-add", "NET_RAW"]);
  for (const set of ["Eff", "Prm", "Amb"]) assert.equal(added(set), 1n << 13n, set);
});

test("seccomp filters unless told not to", () => {
  const seccomp = (flags: readonly string[]) =>
    rowsOf(world.sh(flags, "cat /proc/self/status")).get("Seccomp");
  assert.equal(seccomp([]), "2");
  assert.equal(seccomp(["--security-opt", "seccomp=unconfined"]), "0");
  assert.equal(seccomp(["--privileged"]), "0");
  // A new user namespace is refused by the filter, not by a capability.
  assert.equal(world.probe([], "unshare", "-U", "true").status, 1);
});

test("a profile of one's own, in docker's format", () => {
  const file = path.join(world.directory, "profile.json");
  const profile = {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    syscalls: [
      { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28, includes: {}, excludes: {} },
      { names: ["chmod", "fchmodat"], action: "SCMP_ACT_ERRNO", includes: { caps: ["CAP_SYS_ADMIN"] } },
    ],
  };
  fs.writeFileSync(file, JSON.stringify(profile));
  const done = world.probe(
    ["--security-opt", `seccomp=${file}`],
    "sh",
    "-c",
    "chmod 700 /tmp && mkdir /tmp/x",
  );
  assert.equal(done.status, 1);
  assert.match(done.stderr, /No space left/);
  fs.writeFileSync(file, "{");
  assert.equal(world.probe(["--security-opt", `seccomp=${file}`], "true").status, 125);
  assert.equal(world.probe(["--security-opt", "seccomp=/no/such/file"], "true").status, 125);
});

test("--privileged takes the walls away", () => {
  assert.equal(world.probe(["--privileged"], "sh", "-c", "mount -t tmpfs none /tmp").status, 0);
  assert.equal(world.probe([], "sh", "-c", "mount -t tmpfs none /tmp").status, 1);
  const options = world.sh(["--privileged"], "cat /proc/self/mounts");
  assert.doesNotMatch(options, /^\S+ \/proc\/sys /m);
});

test("sysctls of the container's own namespaces can be set, others are refused", () => {
  assert.equal(
    world.sh(["--sysctl", "net.ipv4.ip_default_ttl=77"], "cat /proc/sys/net/ipv4/ip_default_ttl"),
    "77",
  );
  assert.equal(world.sh([], "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "0");
  assert.equal(world.probe(["--sysctl", "kernel.panic=1"], "true").status, 125);
  assert.equal(world.probe(["--network", "host", "--sysctl", "net.core.somaxconn=1"], "true").status, 125);
});

test("a user other than root may ping itself and bind port 80", () => {
  assert.equal(world.sh(["-u", "user"], "cat /proc/sys/net/ipv4/ping_group_range").split("\t")[0], "0");
  const bound = world.sh(
    ["-u", "user"],
    "(nc -l -p 80 >/tmp/got &); until grep -q ':0050 [0-9A-F:]* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.05; done; " +
      "echo hi | nc -w 60 127.0.0.1 80; until [ -s /tmp/got ]; do sleep 0.05; done; cat /tmp/got",
  );
  assert.equal(bound, "hi");
});

test("resources", (t) => {
  if (!isRoot) return cannotRun(t, "an unprivileged user has no cgroup to divide");
  const read = (flags: readonly string[], controller: string, file: string): string =>
    world.sh(flags, `cat /sys/fs/cgroup/${controller}/${file} 2>/dev/null || cat /sys/fs/cgroup/${file}`);
  assert.equal(read([], "pids", "pids.max"), "2048");
  assert.equal(read(["--pids-limit", "7"], "pids", "pids.max"), "7");
  assert.equal(read(["--pids-limit", "-1"], "pids", "pids.max"), "max");
  const memory = read(
    ["-m", "64m"],
    "memory",
    "memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max",
  );
  assert.equal(memory, String(64 << 20));
  const forks = world.probe(
    ["--pids-limit", "5"],
    "sh",
    "-c",
    "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait",
  );
  assert.match(forks.stderr, /fork|Resource temporarily unavailable/);
});

test("limits that cannot be kept are an error, not a silence", (t) => {
  if (isRoot) return cannotRun(t, "root has cgroups here");
  const done = world.probe(["-m", "64m"], "true");
  assert.equal(done.status, 125);
  assert.match(done.stderr, /cgroup/);
});

test("the unprivileged user is root inside only", (t) => {
  if (isRoot) return cannotRun(t, "root's containers have root's ids");
  const uid = process.getuid!();
  const map = world.sh([], "cat /proc/self/uid_map").split("\n")[0]!.trim().split(/\s+/);
  assert.deepEqual(map, ["0", String(uid), "1"]);
  const kept = world.sh(["--userns", "keep-id"], "id -u; touch /tmp/x; stat -c %u /tmp/x");
  assert.equal(kept, `${uid}\n${uid}`);
  const file = path.join(world.directory, "mine");
  fs.mkdirSync(file);
  world.sh(["-v", `${file}:/mine`], "touch /mine/x");
  assert.equal(fs.statSync(path.join(file, "x")).uid, uid);
});

test("root has no id of its own to keep", (t) => {
  if (!isRoot) return cannotRun(t, "for root only");
  assert.equal(world.probe(["--userns", "keep-id"], "true").status, 125);
  assert.equal(world.probe(["--userns", "nomap"], "true").status, 125);
});
