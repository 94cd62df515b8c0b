/** Escapes by volumes that other engines had: a hostile image or a hostile writer in a volume tries to reach the host. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { isRoot, type Result, type World } from "../integration/support.ts";
import { bait, hostileWorld } from "./support.ts";

const rounds = Number(process.env["VITRINE_ATTACK_ROUNDS"] ?? 30);

function run(world: World, flags: readonly string[], script: string): Result {
  return world.run(["run", "--rm", "-q", "--network", "none", ...flags, "box", "sh", "-c", script]);
}

const data = (world: World, name: string): string => path.join(world.root, "volumes", name, "_data");

test("CVE-2018-15664 and its like: a VOLUME whose path is a link takes nothing from the host, and gives it nothing", async () => {
  const up = "../".repeat(24);
  for (const absolute of [true, false]) {
    await using prey = await hostileWorld("prey");
    const { directory, untouched } = bait(prey);
    const target = absolute ? directory : `${up}${directory.slice(1)}`;
    await using world = await hostileWorld("link", [
      { path: "vol", type: "symlink", linkTarget: target },
      { path: "over", type: "symlink", linkTarget: `${target}/new` },
      { path: "etc/evil", type: "symlink", linkTarget: `${target}/file` },
    ]);
    for (const place of ["/vol", "/over", "/vol/file", "/vol/deep/er"]) {
      run(world, ["-v", `taken:${place}`], "true");
      run(world, ["-v", place], `echo x >${place}/made`);
    }
    assert.ok(untouched(), target);
    const seen = fs.existsSync(data(world, "taken")) ? fs.readdirSync(data(world, "taken")) : [];
    assert.ok(!seen.includes("file"), "the bait was copied into the volume");
    // Links in what is copied stay links.
    assert.equal(run(world, ["-v", "copied:/etc"], "true").status, 0);
    assert.equal(fs.readlinkSync(path.join(data(world, "copied"), "evil")), `${target}/file`);
  }
});

test("CVE-2023-3676 and CVE-2017-1002101: the path of a part of a volume is resolved in the volume", async () => {
  await using world = await hostileWorld("subpath", [
    { path: "out", type: "symlink", linkTarget: "/" },
    { path: "etcs", type: "symlink", linkTarget: "/etc" },
  ]);
  const prey = bait(world);
  assert.equal(run(world, ["-v", "vv:/v"], "mkdir /v/dir; echo own >/v/dir/file").status, 0);
  const links = [
    prey.directory,
    `${"../".repeat(24)}${prey.directory.slice(1)}`,
    "/etc",
    "/proc/self/root/etc",
    "/",
  ];
  for (const target of links) {
    assert.equal(run(world, ["-v", "vv:/v"], `rm -rf /v/link; ln -s ${target} /v/link`).status, 0);
    for (const subpath of ["link", "link/file", "link/..", "link/hostname"]) {
      if (subpath.includes("..")) continue;
      const done = run(
        world,
        ["--mount", `type=volume,src=vv,dst=/p,volume-subpath=${subpath}`],
        "cat /p /p/file /p/hostname 2>/dev/null; ls /p; echo owned >/p/owned; true",
      );
      assert.doesNotMatch(done.stdout, /bait/, `${target} ${subpath}`);
      assert.doesNotMatch(
        done.stdout,
        new RegExp(`^${fs.readFileSync("/etc/hostname", "utf8").trim()}$`, "m"),
      );
    }
    // A stopped container's files are looked at in the same way.
    const made = world.run([
      "create",
      "--name",
      "still",
      "--mount",
      "type=volume,src=vv,dst=/p,volume-subpath=link",
      "box",
      "true",
    ]);
    if (made.status === 0) {
      const copied = world.run(["cp", "still:/p/file", "-"]);
      assert.doesNotMatch(copied.stdout, /bait/);
      world.run(["rm", "-f", "still"]);
    }
  }
  assert.ok(prey.untouched());
  // Of an image: what its author made a link of leads nowhere but in it (CVE-2024-1753).
  for (const subpath of ["out", "etcs", "out/etc"]) {
    const done = run(
      world,
      ["--mount", `type=image,src=box,dst=/p,rw=true,subpath=${subpath}`],
      "cat /p/hostname /p/etc/hostname /p/passwd 2>/dev/null; echo x >/p/owned; true",
    );
    assert.doesNotMatch(done.stdout, new RegExp(`^${fs.readFileSync("/etc/hostname", "utf8").trim()}$`, "m"));
    assert.equal(fs.existsSync("/owned"), false);
    assert.equal(fs.existsSync("/etc/owned"), false);
  }
});

test("CVE-2023-3676: a directory that is swapped for a link while it is mounted leads nowhere", async () => {
  await using world = await hostileWorld("swap");
  const prey = bait(world);
  assert.equal(run(world, ["-v", "vv:/v"], "mkdir /v/a; echo own >/v/a/file").status, 0);
  const swapper = swap(data(world, "vv"), prey.directory);
  try {
    let reached = 0;
    for (let round = 0; round < rounds || (reached === 0 && round < 20 * rounds); round++) {
      const done = run(
        world,
        ["--mount", "type=volume,src=vv,dst=/p,volume-subpath=a"],
        "cat /p/file; echo owned >>/p/file; true",
      );
      assert.doesNotMatch(done.stdout, /bait/, `round ${round}`);
      if (/own/.test(done.stdout)) reached++;
    }
    assert.ok(reached > 0, "the directory was never mounted: the test shows nothing");
  } finally {
    await swapper.terminate();
  }
  assert.ok(prey.untouched());
});

test("CVE-2023-0778: an export reads nothing outside of a volume whose directories turn into links", async () => {
  await using world = await hostileWorld("export");
  const prey = bait(world);
  assert.equal(
    run(world, ["-v", "vv:/v"], "mkdir /v/a; echo own >/v/a/file; ln -s /etc/hostname /v/host").status,
    0,
  );
  const swapper = swap(data(world, "vv"), prey.directory);
  let reached = 0;
  try {
    for (let round = 0; round < rounds || (reached === 0 && round < 20 * rounds); round++) {
      const done = world.run(["volume", "export", "vv"]);
      assert.doesNotMatch(done.stdout, /bait\n/, `round ${round}`);
      if (/own\n/.test(done.stdout)) reached++;
    }
    assert.ok(reached > 0, "the directory was never read: the test shows nothing");
    // Nor does an import write there.
    const archive = path.join(world.directory, "in.tar");
    const whole = world.run(["volume", "export", "-o", archive, "vv"]);
    if (whole.status === 0) {
      for (let round = 0; round < rounds; round++) world.run(["volume", "import", "vv", archive]);
    }
  } finally {
    await swapper.terminate();
  }
  assert.ok(prey.untouched());
});

test("CVE-2023-27561 and CVE-2019-16884: /proc is covered by no volume, whatever link leads there", async () => {
  await using world = await hostileWorld("proc", [
    { path: "link", type: "symlink", linkTarget: "/proc" },
    { path: "deep", type: "symlink", linkTarget: "/proc/sys/kernel" },
    { path: "self", type: "symlink", linkTarget: "/proc/self/attr" },
  ]);
  for (const place of ["/link", "/deep", "/self", "/link/sys", "/proc", "/proc/sys", "/proc/self/attr"]) {
    for (const flags of [
      ["-v", `vv:${place}`],
      ["-v", place],
      ["--tmpfs", place],
      ["-v", `${world.directory}:${place}`],
    ]) {
      const done = run(world, flags, "grep -c ' /proc' /proc/self/mounts; cat /proc/self/attr/current");
      assert.equal(done.status, 125, `${flags.join(" ")}: ${done.stdout}`);
    }
  }
  const allowed = path.join(world.directory, "uptime");
  fs.writeFileSync(allowed, "1 1\n");
  if (isRoot) {
    const done = run(world, ["-v", `${allowed}:/proc/uptime:ro`], "cat /proc/uptime");
    assert.equal(done.stdout, "1 1\n", done.stderr);
  }
});

test("U changes nothing behind a link", async () => {
  await using world = await hostileWorld("owner");
  const prey = bait(world);
  const before = fs.statSync(path.join(prey.directory, "file")).uid;
  assert.equal(
    run(world, ["-v", "vv:/v"], `ln -s ${prey.directory} /v/out; ln -s ${prey.directory}/file /v/file`)
      .status,
    0,
  );
  assert.equal(run(world, ["-u", "1000", "-v", "vv:/v:U"], "true").status, 0);
  assert.equal(fs.statSync(path.join(prey.directory, "file")).uid, before);
  assert.ok(prey.untouched());
});

/** `a` of the directory is by turns a directory and a link to `target`. */
function swap(directory: string, target: string): Worker {
  const code = `
    const fs = require("node:fs");
    const [directory, target] = ${JSON.stringify([directory, target])};
    fs.symlinkSync(target, directory + "/link");
    for (;;) {
      try {
        fs.renameSync(directory + "/a", directory + "/b");
        fs.renameSync(directory + "/link", directory + "/a");
        fs.renameSync(directory + "/a", directory + "/link");
        fs.renameSync(directory + "/b", directory + "/a");
      } catch {}
    }`;
  return new Worker(code, { eval: true });
}
