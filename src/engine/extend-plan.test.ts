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
    { source: "/c/volumes/0", target: "/data", copyUp: true },
    { source: "/c/volumes/1", target: "/other", copyUp: false },
  ],
  volumePointers: new Map([["/c/volumes/0", "/mounts/7"]]),
  origins: new Map([["/mounts/7", { by: "image", field: "config.Volumes" }]]),
});

test("volumes are filled before anything is mounted, files made before the pivot", () => {
  assert.deepEqual(
    extended.ops.map(({ op }) => op.op),
    [
      "clone",
      "setRoot",
      "copyTree",
      "setUmask",
      "makeDirectory",
      "makeSymlink",
      "writeFile",
      "pivotRoot",
      "execute",
    ],
  );
  assert.deepEqual(extended.ops[2]!.op, {
    op: "copyTree",
    from: { base: "root", path: "/data" },
    to: { base: "host", path: "/c/volumes/0" },
  });
  assert.deepEqual(extended.ops[2]!.why.origin, { by: "image", field: "config.Volumes" });
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
