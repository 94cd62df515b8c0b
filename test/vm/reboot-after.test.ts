/** The half of the reboot tests that runs after: `ps` tells the truth, everything can be started and removed, nothing is left. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { after, test } from "node:test";
import { until } from "../integration/run-support.ts";
import { call, exists, good, inspect, left, noteFile, root, runroot } from "./reboot.ts";

const note = JSON.parse(fs.readFileSync(noteFile, "utf8")) as {
  ids: Record<string, string>;
  boot: string;
  clean: boolean;
};
after(() => fs.rmSync(noteFile, { force: true }));

test("the machine was booted again, and nothing runs", () => {
  assert.notEqual(fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8"), note.boot);
  assert.equal(exists(`${runroot}/containers`) && fs.readdirSync(`${runroot}/containers`).length > 0, false);
  assert.equal(good("ps", "-q"), "");
});

test("ps -a and inspect say how each ended", () => {
  const rows = good("ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.State}} {{.ID}}").split("\n");
  for (const [name, id] of Object.entries(note.ids)) {
    const state = name === "made" ? "created" : "exited";
    assert.ok(rows.includes(`${name} ${state} ${id}`), `${name} ${state} in ${rows.join("\n")}`);
    assert.equal(inspect(name, ".State.Running"), "false");
    assert.equal(inspect(name, ".State.Pid"), "0");
  }
  assert.equal(inspect("ended", ".State.ExitCode"), "7");
  assert.ok(!rows.some((row) => row.startsWith("gone ")), "a container of --rm is still there");
});

test("the store is whole, and usable", () => {
  const checked = call("system", "check");
  if (note.clean) assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  // A container that was being made when the power went may have half of its files: said, and mended.
  for (const id of Object.values(note.ids))
    assert.ok(!checked.stdout.includes(id.slice(0, 12)), checked.stdout);
  good("system", "check", "--repair", "--force");
  good("system", "check");
  assert.equal(good("run", "--rm", "-q", "probe", "echo", "fine"), "fine");
  assert.match(good("logs", "plain"), /^line$/m);
});

test("start works for each that was left", async () => {
  for (const name of [...Object.keys(left), "front", "stopped", "made", "still"]) good("start", name);
  assert.equal(good("exec", "ever", "echo", "inside"), "inside");
  assert.match(good("exec", "plain", "cat", "/data/log"), /\d\d:\d\d/);
  assert.equal(inspect("still", ".State.Paused"), "false");
  await until(() => (Number(inspect("backoff", ".RestartCount")) > 0 ? true : undefined), "a restart");
  await until(
    () => (inspect("checked", ".State.Health.Status") === "healthy" ? true : undefined),
    "a health check",
  );
  await until(
    () => (good("logs", "made") === "made" ? true : undefined),
    "the output of what was only created",
  );
});

test("rm frees all, and nothing is left", async () => {
  good("rm", "--all", "--force", "--volumes");
  good("volume", "prune", "--force");
  good("volume", "rm", "--force", "kept", "churn");
  good("rmi", "--all", "--force");
  good("system", "prune", "--force");
  const remains = (): readonly string[] =>
    [
      `${root}/containers`,
      `${root}/names`,
      `${root}/volumes`,
      `${root}/tmp`,
      `${root}/oci/blobs/sha256`,
      `${runroot}/containers`,
    ]
      .filter(exists)
      .flatMap((directory) => fs.readdirSync(directory).map((entry) => `${directory}/${entry}`));
  await until(
    () => (remains().length === 0 ? true : undefined),
    `nothing to be left of ${remains().join(", ")}`,
  );
  const checked = call("system", "check");
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
});
