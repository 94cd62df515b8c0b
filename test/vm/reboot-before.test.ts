/** The half of the reboot tests that runs before: it leaves containers in every state, and commands at work. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { until } from "../integration/run-support.ts";
import { fixtures, vitrine } from "../integration/support.ts";
import { good, inspect, left, noteFile, sleeping } from "./reboot.ts";

test("containers of every state are left behind", async () => {
  // This file may have been begun before: guest/files.
  good("rm", "--all", "--force", "--volumes");
  good("import", path.join(fixtures, "probe.tar"), "probe");
  for (const [name, { flags, script }] of Object.entries(left))
    good("run", "-d", "-q", "--name", name, ...flags, "probe", "sh", "-c", script);
  good("run", "-d", "-q", "--name", "gone", "--rm", "-v", "/anonymous", "probe", "sh", "-c", sleeping);
  good("run", "-d", "-q", "--name", "stopped", "--restart", "always", "probe", "sh", "-c", sleeping);
  good("stop", "stopped");
  good("run", "-d", "-q", "--name", "still", "probe", "sh", "-c", sleeping);
  good("pause", "still");
  good("create", "--name", "made", "probe", "sh", "-c", "echo made");
  assert.equal(spawnSync(vitrine, ["run", "-q", "--name", "ended", "probe", "sh", "-c", "exit 7"]).status, 7);
  spawn(vitrine, ["run", "-q", "--name", "front", "probe", "sh", "-c", sleeping], {
    stdio: "ignore",
    detached: true,
  }).unref();
  await until(() => (inspectedRunning("front") ? true : undefined), "the container in the foreground");
  good("exec", "-d", "plain", "sh", "-c", sleeping);
  await until(() => (Number(inspect("backoff", ".RestartCount")) > 0 ? true : undefined), "a restart");
  const ids = Object.fromEntries(
    [...Object.keys(left), "stopped", "still", "made", "ended", "front"].map((name) => [
      name,
      inspect(name, ".Id"),
    ]),
  );
  fs.writeFileSync(
    noteFile,
    JSON.stringify({
      ids,
      boot: fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8"),
      clean: fs.readFileSync("/proc/cmdline", "utf8").includes("vitrine.end=clean"),
    }),
  );
  // What was there for a while has reached the disk; what comes now may or may not.
  assert.equal(spawnSync("sync").status, 0);
});

function inspectedRunning(name: string): boolean {
  return (
    spawnSync(vitrine, ["inspect", "-f", "{{.State.Running}}", name], { encoding: "utf8" }).stdout ===
    "true\n"
  );
}

test("and commands that are at work when it happens", async () => {
  const round = path.join(os.tmpdir(), `vt-reboot-round-${process.pid}`);
  const script = `while :; do
    "$0" run -q --rm -v /some probe true
    "$0" create -q --name churn probe true; "$0" start churn; "$0" commit -q churn churned
    "$0" run -d -q --name more -v churn:/x probe sh -c 'echo x >/x/x'
    "$0" rm -f churn more; "$0" rmi churned; "$0" volume rm churn
    touch "$1"; sleep 1
  done`;
  spawn("setsid", ["nice", "-n", "19", "sh", "-c", script, vitrine, round], {
    stdio: "ignore",
    detached: true,
  }).unref();
  await until(() => (fs.existsSync(round) ? true : undefined), "a first round", 90_000);
});
