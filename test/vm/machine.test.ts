/** The machine is what the tests of test/vm take for granted: its cgroups, LSMs and session, and that a container starts. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { test } from "node:test";
import { makeRunWorld } from "../integration/run-support.ts";
import { isRoot } from "../integration/support.ts";

const read = (file: string): string => fs.readFileSync(file, "utf8").trim();
const own = read("/proc/self/cgroup");

test("the lane is the one that was asked for", () => {
  assert.equal(process.env["VITRINE_TEST_LANE"], isRoot ? "root" : "user");
});

test("cgroup v2 is alone, with every controller", () => {
  assert.match(own, /^0::\/[^\n]*$/);
  const controllers = read("/sys/fs/cgroup/cgroup.controllers").split(" ");
  for (const wanted of ["cpu", "cpuset", "io", "memory", "pids"])
    assert.ok(controllers.includes(wanted), wanted);
});

test("systemd is there where it should be, and gave the user a session", () => {
  const systemd = process.env["VITRINE_TEST_MACHINE"] === "systemd";
  assert.equal(fs.existsSync("/run/systemd/system"), systemd);
  if (systemd && !isRoot) assert.match(own, /\/user\.slice\/user-\d+\.slice\/session-[^/]+\.scope$/);
});

test("a container starts, and leaves nothing", async () => {
  await using world = makeRunWorld("machine");
  const before = complaints();
  assert.equal(world.sh([], "echo $((6 * 7))"), "42");
  await world.assertClean();
  assert.deepEqual(complaints().slice(before.length), [], "the kernel complains of our overlay");
});

/** The overlay of Linux up to 6.4 logs every option that it does not know. Another user than root cannot read the log. */
function complaints(): readonly string[] {
  const log = spawnSync("dmesg", { encoding: "utf8" });
  assert.equal(log.status === 0, isRoot, log.stderr);
  return log.stdout.split("\n").filter((line) => line.includes("overlayfs"));
}
