/** Containers that live, beside podman's with runc below it: the same words on both engines, the same answers. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld, until } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, isRoot } from "./support.ts";

const world = makeRunWorld("live-peers");
const usable = isRoot && findProgram("podman") !== undefined && findProgram("runc") !== undefined;
const reason = "podman with runc, as root, is the witness";
const storage = path.join(world.directory, "podman");
after(async () => {
  world.run(["rm", "--all", "--force"]);
  if (usable) podman("rm", "--all", "--force", "--time", "0");
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

/** What podman needs on a machine where rlimits cannot be raised. */
const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=20000:20000"];

function podman(...args: readonly string[]): string {
  const places = ["--root", `${storage}/root`, "--runroot", `${storage}/run`, "--tmpdir", `${storage}/tmp`];
  const done = spawnSync("podman", [...places, "--runtime", "runc", ...args], { encoding: "utf8" });
  assert.equal(done.status, 0, `podman ${args.join(" ")}: ${done.stderr}`);
  return done.stdout;
}

function vitrine(...args: readonly string[]): string {
  const done = world.run(args);
  assert.equal(done.status, 0, `${args.join(" ")}: ${done.stderr}`);
  return done.stdout;
}

/** Cells of a table, a row a line. What little processor time a start takes, the clock's ticks decide: none. */
const cells = (text: string): readonly string[] =>
  text
    .trim()
    .replaceAll(/\b\d{1,2}0ms *$/gm, "0s")
    .split("\n")
    .map((line) =>
      line
        .trim()
        .split(/\s{2,}/)
        .join(" | "),
    );

test("top: podman's descriptors say of a process what podman says", async (t) => {
  if (!usable) return cannotRun(t, reason);
  podman("import", "-q", path.join(fixtures, "probe.tar"), "probe");
  for (const flags of [
    ["--user", "user", "--cap-add", "kill"],
    ["--cap-drop", "all", "--cap-add", "chown,kill"],
    ["--privileged"],
  ]) {
    const run = ["run", "-d", "--name", "top", "--network", "none", ...flags];
    const command = ["probe", "sh", "-c", "sleep 1000 & wait"];
    podman(...run, ...limits, ...command);
    vitrine(...run, ...limits, ...command);
    const asked = [
      "user,ppid pgid args comm",
      "huser ruser",
      "group hgroup rgroup",
      // Root's own: docker's and ours is the group 0, podman's none.
      ...(flags[0] === "--user" ? ["groups hgroups"] : []),
      "nice state tty seccomp time",
      "%U %P %r %c %G %n %y",
      ...(flags[0] === "--privileged" ? [] : ["capeff capprm", "capbnd", "capinh capamb"]),
    ];
    for (const text of asked) {
      const words = text.split(" ");
      // The shell has started its child, and both sleep.
      await until(
        () => (cells(vitrine("top", "top", "state")).join() === "STATE,S,S" ? true : undefined),
        "two that sleep",
      );
      await until(
        () => (cells(podman("top", "top", "state")).join() === "STATE,S,S" ? true : undefined),
        "podman's two",
      );
      assert.deepEqual(cells(vitrine("top", "top", ...words)), cells(podman("top", "top", ...words)), text);
    }
    podman("rm", "-f", "-t", "0", "top");
    vitrine("rm", "-f", "top");
  }
});
