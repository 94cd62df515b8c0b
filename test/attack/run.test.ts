/**
 * Escapes that other engines had while they started a container, one test a CVE: a hostile image, volume or working
 * directory tries to reach the host. Each test fails on the unpatched behaviour.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { helper, vitrine } from "../integration/support.ts";
import { bait, hostileWorld } from "./support.ts";

const hash = (file: string): string => createHash("sha256").update(fs.readFileSync(file)).digest("hex");

test("CVE-2019-5736: the program that entered the container cannot be overwritten from inside", async () => {
  await using world = await hostileWorld("5736", [
    { path: "entry", type: "symlink", linkTarget: "/proc/self/exe" },
    { path: "bin/script", type: "file", mode: 0o755, body: Buffer.from("#!/proc/self/exe\n") },
  ]);
  const before = [hash(helper), hash(vitrine)];
  // As pid 1 of --init the helper stays in the container; its child holds the binary open and writes once it is idle.
  const overwrite =
    "readlink /proc/1/exe; exec 3</proc/1/exe; for i in 1 2 3; do echo owned >/proc/1/exe; echo owned >/proc/self/fd/3; done; true";
  const init = world.run(["run", "--rm", "--network", "none", "--init", "box", "sh", "-c", overwrite]);
  assert.equal(init.status, 0, init.stderr);
  assert.match(init.stdout, /memfd:/, "pid 1 runs from a sealed copy, not from the host's file");
  // The image makes the runtime execute itself: what runs is at most the sealed copy.
  for (const command of [["/entry"], ["/entry", "reap", "/bin/sh", "-c", overwrite], ["/bin/script"]]) {
    world.run(["run", "--rm", "--network", "none", "--entrypoint", command[0]!, "box", ...command.slice(1)]);
  }
  assert.deepEqual([hash(helper), hash(vitrine)], before);
});

test("CVE-2024-21626: no descriptor of the host is there to be used as a working directory", async () => {
  await using world = await hostileWorld("21626");
  const probe = world.run(["run", "--rm", "--network", "none", "box", "probe", "--json"]);
  assert.equal(probe.status, 0, probe.stderr);
  const facts = JSON.parse(probe.stdout) as { descriptors: Record<string, string>; cwd: string };
  assert.deepEqual(Object.keys(facts.descriptors).sort(), ["0", "1", "2"]);
  for (let fd = 3; fd < 16; fd++) {
    for (const cwd of [`/proc/self/fd/${fd}`, `/proc/self/fd/${fd}/../../..`, `/proc/1/fd/${fd}`]) {
      const done = world.run(["run", "--rm", "--network", "none", "-w", cwd, "box", "cat", "etc/hostname"]);
      assert.notEqual(done.status, 0, `working directory ${cwd} was accepted: ${done.stdout}`);
      assert.doesNotMatch(done.stdout, new RegExp(fs.readFileSync("/etc/hostname", "utf8").trim()));
    }
  }
});

test("CVE-2024-21626: a working directory that is a link to a descriptor is refused", async () => {
  await using world = await hostileWorld("21626b", [
    { path: "cwd", type: "symlink", linkTarget: "/proc/self/fd/" },
    ...[3, 4, 5, 6, 7, 8, 9, 10].map((fd) => ({
      path: `cwd${fd}`,
      type: "symlink" as const,
      linkTarget: `/proc/self/fd/${fd}`,
    })),
  ]);
  for (const fd of [3, 4, 5, 6, 7, 8, 9, 10]) {
    const done = world.run(["run", "--rm", "--network", "none", "-w", `/cwd${fd}`, "box", "ls", ".."]);
    assert.notEqual(done.status, 0, done.stdout);
  }
});

test("CVE-2021-30465: mount targets are resolved inside the root, whatever links lie on the way", async () => {
  await using world = await hostileWorld("30465", []);
  const prey = bait(world);
  const deep = `${"../".repeat(24)}${prey.directory.slice(1)}`;
  const volume = path.join(world.directory, "volume");
  fs.mkdirSync(volume);
  for (const target of [prey.directory, deep, `/${deep}`]) {
    fs.rmSync(path.join(volume, "link"), { force: true });
    fs.symlinkSync(target, path.join(volume, "link"));
    world.run([
      "run",
      "--rm",
      "-v",
      `${volume}:/v`,
      "--tmpfs",
      "/v/link/made",
      "box",
      "touch",
      "/v/link/made/x",
    ]);
    world.run(["run", "--rm", "-v", `${volume}:/v`, "-v", `${volume}:/v/link`, "box", "true"]);
    assert.ok(prey.untouched(), `a mount point was made in the host's directory through ${target}`);
  }
});

test("CVE-2025-31133: a false /dev/null does not become the mask of a path", async () => {
  await using world = await hostileWorld("31133");
  const prey = bait(world);
  const dev = path.join(world.directory, "dev");
  fs.mkdirSync(dev);
  fs.symlinkSync(path.join(prey.directory, "file"), path.join(dev, "null"));
  const done = world.run(["run", "--rm", "-v", `${dev}:/dev`, "box", "cat", "/proc/kcore", "/proc/keys"]);
  assert.doesNotMatch(done.stdout, /bait/);
  fs.rmSync(path.join(dev, "null"));
  fs.symlinkSync("/proc/sys/kernel/core_pattern", path.join(dev, "null"));
  const pattern = world.run([
    "run",
    "--rm",
    "-v",
    `${dev}:/dev`,
    "box",
    "sh",
    "-c",
    "echo owned >/proc/keys",
  ]);
  assert.notEqual(fs.readFileSync("/proc/sys/kernel/core_pattern", "utf8"), "owned\n", pattern.stderr);
  assert.ok(prey.untouched());
});

test("CVE-2025-52565: a false /dev/pts or /dev/console does not become the console", async () => {
  await using world = await hostileWorld("52565", [
    { path: "dev/console", type: "symlink", linkTarget: "/proc/sys/kernel/core_pattern" },
    { path: "dev/pts", type: "symlink", linkTarget: "/proc" },
  ]);
  const prey = bait(world);
  const dev = path.join(world.directory, "dev");
  fs.mkdirSync(dev);
  fs.symlinkSync(path.join(prey.directory, "file"), path.join(dev, "console"));
  const done = world.run(["run", "--rm", "-t", "box", "sh", "-c", "echo seen >/dev/console; tty"]);
  assert.equal(done.status, 0, done.stdout + done.stderr);
  assert.match(done.stdout, /\/dev\/(pts\/0|console)/);
  world.run(["run", "--rm", "-t", "-v", `${dev}:/dev`, "box", "sh", "-c", "echo owned >/dev/console"]);
  assert.ok(prey.untouched());
});

test("CVE-2025-52881: a false procfs does not receive what is meant for /proc/sys or /proc/self/attr", async () => {
  await using world = await hostileWorld("52881");
  const fake = path.join(world.directory, "fake");
  fs.mkdirSync(path.join(fake, "sys/kernel"), { recursive: true });
  fs.writeFileSync(path.join(fake, "sys/kernel/shm_rmid_forced"), "0");
  const sysctl = ["--sysctl", "kernel.shm_rmid_forced=1"];
  const done = world.run(["run", "--rm", ...sysctl, "-v", `${fake}:/proc`, "box", "true"]);
  assert.equal(fs.readFileSync(path.join(fake, "sys/kernel/shm_rmid_forced"), "utf8"), "0", done.stderr);
  // The honest case, so that the test above cannot pass because sysctls are never written.
  const honest = world.run(["run", "--rm", ...sysctl, "box", "cat", "/proc/sys/kernel/shm_rmid_forced"]);
  assert.equal(honest.stdout, "1\n", honest.stderr);
});

test("CVE-2026-41579: an image whose /dev is a link writes nothing outside its root", async () => {
  for (const target of ["absolute", "climbing"]) {
    const world = await hostileWorld("41579");
    await using _ = world;
    const prey = bait(world);
    const link = target === "absolute" ? prey.directory : `${"../".repeat(24)}${prey.directory.slice(1)}`;
    const image = await hostileWorld("41579i", [{ path: "dev", type: "symlink", linkTarget: link }]);
    await using __ = image;
    image.run(["run", "--rm", "--network", "none", "box", "true"]);
    image.run(["run", "--rm", "--network", "none", "-t", "--device", "/dev/null:/dev/extra", "box", "true"]);
    assert.ok(prey.untouched(), `device nodes or links were made in the host's directory (${target})`);
  }
});

test("CVE-2026-55686: a WORKDIR below a link makes no directory on the host", async () => {
  const outside = await hostileWorld("55686");
  await using _ = outside;
  const prey = bait(outside);
  const world = await hostileWorld("55686i", [{ path: "job", type: "symlink", linkTarget: prey.directory }]);
  await using __ = world;
  world.run(["run", "--rm", "--network", "none", "-w", "/job/made", "box", "true"]);
  world.run(["run", "--rm", "--network", "none", "-w", `/job/${"../".repeat(24)}tmp/made`, "box", "true"]);
  assert.ok(prey.untouched());
});

test("CVE-2022-29162, CVE-2022-24769: no capability is inheritable, in run and in exec", async () => {
  await using world = await hostileWorld("29162");
  const caps = ["grep", "-E", "^Cap(Inh|Amb)", "/proc/self/status"];
  const none = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n";
  const net = ["--network", "none"];
  assert.equal(world.run(["run", "--rm", ...net, "box", ...caps]).stdout, none);
  const begun = world.run(["run", "-d", "--name", "held", ...net, "box", "sleep", "1000"]);
  assert.equal(begun.status, 0, begun.stderr);
  assert.equal(world.run(["exec", "held", ...caps]).stdout, none);
  assert.equal(world.run(["exec", "--privileged", "held", ...caps]).stdout, none);
  world.run(["rm", "-f", "held"]);
});

test("CVE-2023-25809: without a cgroup namespace the host's cgroups cannot be written", async () => {
  await using world = await hostileWorld("25809");
  const script =
    "grep -c ' /sys/fs/cgroup' /proc/mounts; for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/owned 2>/dev/null && echo made in $d; done; true";
  for (const namespace of [["--cgroupns", "host"], []]) {
    const done = world.run(["run", "--rm", "--network", "none", ...namespace, "box", "sh", "-c", script]);
    assert.equal(done.status, 0, done.stderr);
    assert.doesNotMatch(done.stdout, /made/);
    assert.notEqual(Number.parseInt(done.stdout, 10), 0, "there is a tree to write to");
  }
});

test("an image's /etc files that are links do not make the host's files readable or writable", async () => {
  const outside = await hostileWorld("etc");
  await using _ = outside;
  const prey = bait(outside);
  const file = path.join(prey.directory, "file");
  const links = ["etc/passwd", "etc/group", "etc/hosts", "etc/resolv.conf", "etc/hostname"];
  const world = await hostileWorld(
    "etci",
    links.map((name) => ({ path: name, type: "symlink" as const, linkTarget: file })),
  );
  await using __ = world;
  const done = world.run(["run", "--rm", "box", "cat", "/etc/passwd"]);
  assert.doesNotMatch(done.stdout, /bait/);
  const named = world.run(["run", "--rm", "-u", "bait", "box", "true"]);
  assert.notEqual(named.status, 0);
  assert.ok(prey.untouched());
});
