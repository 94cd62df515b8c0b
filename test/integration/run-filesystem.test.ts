/** `run`: mounts, volumes, tmpfs, devices, what is hidden and what is read-only. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { makeRunWorld, mountOptions } from "./run-support.ts";
import { isRoot } from "./support.ts";

const world = makeRunWorld("filesystem");
const shared = path.join(world.directory, "shared");
before(() => {
  fs.mkdirSync(path.join(shared, "inner"), { recursive: true });
  fs.writeFileSync(path.join(shared, "file"), "on the host\n");
});
after(async () => {
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

const mounts = (flags: readonly string[]): string => world.sh(flags, "cat /proc/self/mounts");

test("a volume is the host's directory", () => {
  assert.equal(world.sh(["-v", `${shared}:/data`], "cat /data/file; echo made >/data/new"), "on the host");
  assert.equal(fs.readFileSync(path.join(shared, "new"), "utf8"), "made\n");
  fs.rmSync(path.join(shared, "new"));
  const options = mountOptions(mounts(["-v", `${shared}:/data`]), "/data")!;
  assert.ok(options.includes("rw") && options.includes("nosuid") && options.includes("nodev"));
});

test("relative sources begin at the caller's directory", () => {
  assert.equal(world.sh(["-v", "./shared:/data"], "cat /data/file"), "on the host");
});

test("read-only volumes cannot be written, nor can what is mounted below them", () => {
  for (const flags of [
    ["-v", `${shared}:/data:ro`],
    ["-v", `${shared}:/data:rro`],
    ["--mount", `type=bind,source=${shared},target=/data,readonly`],
  ]) {
    const done = world.probe(flags, "sh", "-c", "cat /data/file; echo x >/data/file");
    assert.equal(done.status, 1, flags.join(" "));
    assert.equal(done.stdout, "on the host\n");
  }
  assert.equal(fs.readFileSync(path.join(shared, "file"), "utf8"), "on the host\n");
});

test("a file can be bound over a file, and mounts nest whatever their order is", () => {
  assert.equal(world.sh(["-v", `${shared}/file:/etc/motd`], "cat /etc/motd"), "on the host");
  const nested = world.sh(
    ["-v", `${shared}:/data/deep`, "--tmpfs", "/data"],
    "cat /data/deep/file; ls /data",
  );
  assert.equal(nested, "on the host\ndeep");
});

test("a source that is not there is an error with a hint, and is not made", () => {
  const missing = path.join(world.directory, "missing");
  const done = world.probe(["-v", `${missing}:/data`], "true");
  assert.equal(done.status, 125);
  assert.match(done.stderr, /hint: .*mkdir/);
  assert.equal(fs.existsSync(missing), false);
});

test("two mounts on one target are refused", () => {
  assert.equal(world.probe(["-v", `${shared}:/data`, "--tmpfs", "/data"], "true").status, 125);
});

test("tmpfs: size, mode and flags", () => {
  const flags = ["--tmpfs", "/t:size=1m,mode=700,exec"];
  const options = mountOptions(mounts(flags), "/t")!;
  assert.ok(options.includes("size=1024k") && options.includes("mode=700") && options.includes("nosuid"));
  assert.ok(!options.includes("noexec"));
  assert.ok(mountOptions(mounts(["--tmpfs", "/t"]), "/t")!.includes("noexec"));
  assert.equal(world.probe(flags, "sh", "-c", "dd if=/dev/zero of=/t/big bs=1M count=2").status, 1);
  assert.equal(world.sh(["--mount", "type=tmpfs,target=/t,tmpfs-mode=0700"], "stat -c %a /t"), "700");
});

test("--read-only: nothing but tmpfs and volumes can be written", () => {
  assert.equal(world.probe(["--read-only"], "sh", "-c", "touch /x").status, 1);
  assert.equal(world.probe(["--read-only"], "sh", "-c", "echo 1.2.3.4 x >>/etc/hosts").status, 1);
  assert.equal(world.sh(["--read-only"], "touch /tmp/x /run/x /var/tmp/x && stat -c %a /tmp"), "1777");
  assert.equal(world.probe(["--read-only", "--read-only-tmpfs=false"], "sh", "-c", "touch /tmp/x").status, 1);
  assert.equal(
    world.sh(["--read-only", "-v", `${shared}/inner:/w`], "touch /w/x && rm /w/x && echo ok"),
    "ok",
  );
});

test("an anonymous volume begins with what the image has there and ends with the container", () => {
  assert.equal(world.sh(["-v", "/etc"], "ls /etc/group; echo x >/etc/new; cat /etc/new"), "/etc/group\nx");
  assert.equal(
    world
      .sh(["--read-only", "-v", "/home"], "stat -c %u:%a /home/user; touch /home/x && echo ok")
      .split("\n")[1],
    "ok",
  );
  assert.equal(world.sh(["-v", "/not/there"], "ls /not/there; touch /not/there/x && echo ok"), "ok");
});

test("/dev holds the standard nodes only", () => {
  const names = world.sh([], "ls /dev").split("\n");
  assert.deepEqual(
    names.sort(),
    [
      "fd",
      "full",
      "mqueue",
      "null",
      "ptmx",
      "pts",
      "random",
      "shm",
      "stderr",
      "stdin",
      "stdout",
      "tty",
      "urandom",
      "zero",
    ].filter((name) => name !== "mqueue" || names.includes("mqueue")),
  );
  assert.equal(
    world.sh([], "echo gone >/dev/null; head -c 4 /dev/zero | wc -c; readlink /dev/ptmx"),
    "4\npts/ptmx",
  );
});

test("a device of the host is added, and only as it was asked for", () => {
  const device = ["/dev/fuse", "/dev/net/tun", "/dev/kmsg"].find((file) => fs.existsSync(file));
  if (device === undefined) return;
  assert.match(world.sh(["--device", device], `ls -l ${device}`), /^c/);
  assert.match(world.sh(["--device", `${device}:/dev/other:r`], "ls -l /dev/other"), /^c/);
  assert.equal(world.probe(["--device", "/dev/no-such-device"], "true").status, 125);
  assert.equal(world.probe(["--device", "/etc/passwd"], "true").status, 125);
});

test("/dev/shm has the size that was asked for", () => {
  assert.ok(mountOptions(mounts([]), "/dev/shm")!.includes("size=65536k"));
  assert.ok(mountOptions(mounts(["--shm-size", "1m"]), "/dev/shm")!.includes("size=1024k"));
});

test("files of the network are made for the container", () => {
  assert.match(world.sh([], "cat /etc/hosts"), /^127\.0\.0\.1\tlocalhost$/m);
  assert.match(world.sh(["--add-host", "db:10.1.2.3"], "cat /etc/hosts"), /^10\.1\.2\.3\tdb$/m);
  assert.equal(
    world.sh(["--dns", "10.9.8.7", "--dns-search", "a.b"], "cat /etc/resolv.conf"),
    "nameserver 10.9.8.7\nsearch a.b",
  );
  assert.equal(
    world.sh(["--network", "host"], "cat /etc/resolv.conf"),
    fs.readFileSync("/etc/resolv.conf", "utf8").replace(/\n$/, ""),
  );
  assert.equal(world.sh(["--no-hosts"], "grep -c /etc/hosts /proc/self/mounts || true"), "0");
});

test("what tells of the host is hidden, what would change it is read-only", () => {
  const seen = world.sh([], "cat /proc/keys /proc/timer_list 2>/dev/null | wc -c; ls /sys/firmware | wc -l");
  assert.equal(seen, "0\n0");
  assert.equal(world.probe([], "sh", "-c", "echo 1 >/proc/sys/kernel/panic").status, 1);
  assert.equal(world.probe([], "sh", "-c", "echo h >/proc/sysrq-trigger").status, 1);
  assert.match(
    world.sh(["--security-opt", "unmask=/proc/timer*"], "mount | grep timer_list || echo none"),
    /none/,
  );
  assert.equal(world.sh(["--security-opt", "mask=/etc/group"], "wc -c </etc/group"), "0");
  const open = mounts(["--security-opt", "unmask=ALL"]);
  assert.equal(mountOptions(open, "/proc/sys"), undefined);
});

test("the container leaves marks that programs look for", () => {
  assert.equal(world.sh([], "cat /run/.containerenv; readlink /etc/mtab"), 'engine="vitrine"\n/proc/mounts');
});

test("propagation is private unless asked for", { skip: !isRoot }, () => {
  const info = (flags: readonly string[]): string => world.sh(flags, "cat /proc/self/mountinfo");
  assert.doesNotMatch(info([]), /shared:|master:/);
});
