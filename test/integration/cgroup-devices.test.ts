/**
 * The eBPF program of device rules on a real cgroup v2 directory, which a hybrid machine has as well: the kernel's verifier
 * takes it, and the kernel's answers are those of the rules.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { VitrineError } from "../../src/base/mod.ts";
import { compileDeviceProgram, type DevicePolicy, type DeviceRule, runApply } from "../../src/kernel/mod.ts";
import { testedHelper } from "../support/containers.ts";
import { until } from "./run-support.ts";
import { cannotRun, isRoot } from "./support.ts";

const mounted = fs
  .readFileSync("/proc/self/mounts", "utf8")
  .split("\n")
  .find((line) => line.split(" ")[2] === "cgroup2");
const root = mounted?.split(" ")[1];
const directory = `${root}/vt-devices-${process.pid}`;
const usable = isRoot && root !== undefined;

before(() => {
  if (usable) fs.mkdirSync(directory);
});
after(() => {
  // The last process in it may still be on its way out.
  for (let tries = 0; usable && fs.existsSync(directory); tries++) {
    try {
      fs.rmdirSync(directory);
    } catch (error) {
      if (tries > 3000) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
});

function put(policy: DevicePolicy): void {
  putProgram(compileDeviceProgram(policy));
}

function putProgram(program: Uint8Array): void {
  const path = { base: "host", path: directory } as const;
  runApply({ helperPath: testedHelper }, [{ op: "deviceProgram", path, program }]);
}

/** In the directory: opens each file and says which could be opened. */
function openable(files: Readonly<Record<string, string>>): Record<string, boolean> {
  const script = Object.entries(files)
    .map(([name, command]) => `if (${command}) 2>&-; then echo '${name} true'; else echo '${name} false'; fi`)
    .join("\n");
  const done = spawnSync("sh", ["-c", `echo $$ > ${directory}/cgroup.procs && ${script}`], {
    encoding: "utf8",
  });
  assert.equal(done.stderr, "");
  return Object.fromEntries(
    done.stdout
      .trim()
      .split("\n")
      .map((line) => [line.split(" ")[0], line.endsWith("true")]),
  );
}

const rule = (allow: boolean, major: number, minor: number | undefined, access: string): DeviceRule => ({
  allow,
  type: "c",
  major,
  minor,
  access,
});
const tries = {
  "read-null": ": < /dev/null",
  "write-null": ": > /dev/null",
  "both-null": ": <> /dev/null",
  "read-zero": ": < /dev/zero",
};

test("what no rule allows cannot be opened", (t) => {
  if (!usable) return cannotRun(t, "it takes root and a cgroup v2 tree");
  put({ allow: false, rules: [rule(true, 1, 3, "r")] });
  assert.deepEqual(openable(tries), {
    "read-null": true,
    "write-null": false,
    "both-null": false,
    "read-zero": false,
  });
});

test("new rules take the place of the old ones", (t) => {
  if (!usable) return cannotRun(t, "it takes root and a cgroup v2 tree");
  put({ allow: false, rules: [rule(true, 1, undefined, "rw"), rule(false, 1, 5, "r")] });
  const expected = { "read-null": true, "write-null": true, "both-null": true, "read-zero": false };
  assert.deepEqual(openable(tries), expected);
  const bpftool = spawnSync("bpftool", ["cgroup", "show", directory], { encoding: "utf8" });
  if (bpftool.error === undefined)
    assert.equal(bpftool.stdout.split("\n").filter((line) => /device/.test(line)).length, 1);
});

test("rules that are exchanged while somebody opens devices are never absent", async (t) => {
  if (!usable) return cannotRun(t, "it takes root and a cgroup v2 tree");
  const allowed = { allow: false, rules: [rule(true, 1, 3, "rw")] };
  put(allowed);
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "vt-devices-"));
  const [seen, end] = [path.join(scratch, "seen"), path.join(scratch, "end")];
  const watcher = spawn("sh", [
    "-c",
    `echo $$ > ${directory}/cgroup.procs; while [ ! -e ${end} ]; do (: < /dev/zero) 2>&- && echo open; done > ${seen}`,
  ]);
  const ended = new Promise((resolve) => watcher.once("exit", resolve));
  try {
    await until(() => (fs.existsSync(seen) ? true : undefined), "somebody to open devices");
    for (let turn = 0; turn < 40; turn++) {
      put(allowed);
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    fs.writeFileSync(end, "");
    await ended;
  }
  assert.equal(fs.readFileSync(seen, "utf8"), "");
  fs.rmSync(scratch, { recursive: true });
});

test("a program that the verifier refuses is an error that says so", (t) => {
  if (!usable) return cannotRun(t, "it takes root and a cgroup v2 tree");
  assert.throws(
    () => putProgram(new Uint8Array(8)),
    (error: unknown) =>
      error instanceof VitrineError && /BPF_PROG_LOAD/.test(String(error.cause ?? error) + error.message),
  );
});
