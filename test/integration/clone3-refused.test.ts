/**
 * vitrine inside a container whose seccomp profile refuses clone3 with ENOSYS, as the default ones of Docker and podman did
 * for years: namespaces are then made by clone and unshare, the time namespace too.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld } from "./run-support.ts";
import { fixtures, vitrine } from "./support.ts";

const world = makeRunWorld("clone3");
after(async () => {
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

/** The host's directories in an empty root, so that the built vitrine runs there as it does here. */
function hostVolumes(root: string): readonly string[] {
  const own = new Set(["dev", "proc", "sys"]);
  return fs.readdirSync("/", { withFileTypes: true }).flatMap((entry) => {
    const place = `/${entry.name}`;
    if (entry.isSymbolicLink()) fs.symlinkSync(fs.readlinkSync(place), path.join(root, entry.name));
    return entry.isDirectory() && !own.has(entry.name) ? ["-v", `${place}:${place}`] : [];
  });
}

test("clone3 refused: a container has all its namespaces all the same", () => {
  const root = path.join(world.directory, "outer");
  const inner = path.join(world.directory, "inner");
  fs.mkdirSync(root);
  fs.mkdirSync(inner);
  const profile = path.join(world.directory, "no-clone3.json");
  const refused = { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 };
  fs.writeFileSync(profile, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [refused] }));
  const namespaces = "for type in time pid mnt net; do readlink /proc/self/ns/$type; done";
  const run = `${vitrine} run --rm -q --cgroups=disabled --sysctl net.ipv4.ping_group_range="0 0" probe sh -c '${namespaces}; wc -l </proc/self/timens_offsets'`;
  const script = [
    `export VITRINE_ROOT=${inner}/root VITRINE_RUNROOT=${inner}/run`,
    `${vitrine} import -q ${path.join(fixtures, "probe.tar")} probe >/dev/null`,
    // One that a record of the launcher repeats goes the same way.
    ...Array.from({ length: 5 }, () => `echo ${"-"} && ${run}`),
    `echo - && ${namespaces} && echo 2`,
  ].join(" && ");
  const flags = ["--rootfs", "--privileged", "--network", "host", "--pid", "host", "--cgroupns", "host"];
  const seccomp = ["--security-opt", `seccomp=${profile}`];
  const all = [...flags, ...seccomp, ...hostVolumes(root), root, "sh", "-ec", script];
  const done = world.run(["run", "--rm", "-q", ...all]);
  assert.equal(done.status, 0, done.stderr);
  const told = done.stdout.split("-\n").slice(1);
  const runs = told.map((text) => text.trim().split("\n"));
  const outer = runs.pop()!;
  assert.equal(runs.length, 5);
  for (const lines of runs) {
    assert.equal(lines.length, 5, lines.join(" "));
    assert.equal(lines[4], "2", "both clocks have an offset");
    for (let at = 0; at < 4; at++) assert.notEqual(lines[at], outer[at]);
  }
});
