import assert from "node:assert/strict";
import { test } from "node:test";
import type { Op, Plan, PlannedOp } from "../kernel/mod.ts";
import { encodePlan } from "../kernel/mod.ts";
import { extendPlan } from "./extend-plan.ts";
import { encodeReasons, joinPlan } from "./failure-record.ts";

const planned = (stage: PlannedOp["stage"], op: Op): PlannedOp => ({
  stage,
  tolerate: [],
  why: { pointer: "/root/path", section: "config.md#root", origin: { by: "flag", flag: "--rootfs" } },
  op,
});

const plan: Plan = {
  ops: [
    planned("monitor", { op: "clone", flags: 1n, dieWithMonitor: true }),
    planned("init", { op: "setRoot", path: { base: "host", path: "/merged" } }),
    planned("init", { op: "setUmask", mask: 0 }),
    planned("init", { op: "pivotRoot", noPivot: false }),
    planned("init", { op: "execute", argv: ["true"], env: [] }),
  ],
};

const extended = extendPlan(plan, {
  volumes: [
    { name: "v1", source: "/volumes/v1/_data", target: "/data", copyUp: true },
    { name: "v2", source: "/volumes/v2/_data", target: "/other", copyUp: false },
    { name: "v3", source: "/srv/data", target: "/bound", copyUp: true, lock: "/volumes/v3" },
  ],
  images: [
    {
      at: "/c/images/0",
      target: "/image",
      trees: ["/l/2", "/l/1"],
      mount: { type: "overlay", options: ["lowerdir+=/l/2", "lowerdir+=/l/1"] },
    },
  ],
  chown: [
    { path: "/volumes/v1/_data", uid: 5, gid: 6, host: { uid: 1005, gid: 1006 } },
    { path: "/srv/data", uid: 5, gid: 6 },
  ],
  pointers: new Map([["/data", "/mounts/7"]]),
  origins: new Map([["/mounts/7", { by: "image", field: "config.Volumes" }]]),
});

test("volumes are filled before anything is mounted, files made before the pivot", () => {
  assert.deepEqual(
    extended.ops.map(({ op }) => op.op),
    [
      "changeOwners",
      "clone",
      "setRoot",
      "fillVolume",
      "fillVolume",
      "changeOwners",
      "changeOwners",
      "mountFilesystem",
      "setUmask",
      "makeDirectory",
      "makeSymlink",
      "writeFile",
      "pivotRoot",
      "execute",
    ],
  );
  assert.deepEqual(extended.ops[3]!.op, {
    op: "fillVolume",
    from: { base: "root", path: "/data" },
    to: { base: "host", path: "/volumes/v1/_data" },
    lock: { base: "host", path: "/volumes/v1" },
  });
  assert.deepEqual(extended.ops[3]!.why.origin, { by: "image", field: "config.Volumes" });
  // Its lock is ours, not the directory of the host beside it.
  const [, bound] = extended.ops.filter(({ op }) => op.op === "fillVolume");
  assert.deepEqual(bound!.op.op === "fillVolume" && bound!.op.lock, { base: "host", path: "/volumes/v3" });
});

test("files that the container's root may not give away are given by the host's before", () => {
  const owned = extended.ops.filter(({ op }) => op.op === "changeOwners");
  assert.deepEqual(
    owned.map(({ stage, op }) => [stage, op.op === "changeOwners" && `${op.path.path} ${op.uid}:${op.gid}`]),
    [
      ["monitor", "/volumes/v1/_data 1005:1006"],
      ["init", "/volumes/v1/_data 5:6"],
      ["init", "/srv/data 5:6"],
    ],
  );
});

test("an image that has these files, or cannot take them, is left as it is", () => {
  for (const { op, tolerate } of extended.ops) {
    if (op.op === "makeSymlink" || op.op === "writeFile") assert.ok(tolerate.includes("EEXIST"), op.op);
    if (op.op === "writeFile" || op.op === "makeDirectory") assert.ok(tolerate.includes("EROFS"), op.op);
  }
});

test("the reasons of a plan come back with the plan that the helper read", () => {
  const sorted = (ops: Plan["ops"]) => ops.map((one) => ({ ...one, tolerate: [...one.tolerate].sort() }));
  const joined = joinPlan(encodePlan(extended), encodeReasons(extended));
  assert.deepEqual(sorted(joined.ops), sorted(extended.ops));
});

test("reasons that do not fit the plan say so rather than lie", () => {
  const few = encodeReasons({ ops: extended.ops.slice(0, 1) });
  assert.deepEqual(joinPlan(encodePlan(extended), few).ops[3]!.why.origin, { by: "config" });
});
