import assert from "node:assert/strict";
import { test } from "node:test";
import type { Op, Plan, PlannedOp, Stage } from "../kernel/mod.ts";
import { detachPlan } from "./detach-plan.ts";

const planned = (op: Op, stage: Stage = "monitor"): PlannedOp => ({
  stage,
  tolerate: [],
  why: { pointer: "", section: "", origin: { by: "default" } },
  op,
});
const plan: Plan = {
  ops: [
    planned({ op: "reportFailure", argv: ["/vitrine"] }),
    planned({ op: "pipeStreams" }),
    planned({ op: "clone", flags: 0n, dieWithMonitor: true }),
    planned({ op: "newSession" }, "init"),
  ],
};
const base = { monitorFile: "/m", announce: "id\n", terminal: false, input: false, once: false };
const names = (made: Plan): readonly string[] => made.ops.map(({ op }) => op.op);

test("the monitor detaches before anything is made, and takes the streams", () => {
  const made = detachPlan(plan, { ...base, log: { path: "/log", maxBytes: 5, files: 2 }, socket: "/s" });
  assert.deepEqual(names(made), [
    "reportFailure",
    "daemonize",
    "captureStreams",
    "keepLog",
    "attachSocket",
    "clone",
    "newSession",
  ]);
  assert.deepEqual(made.ops[3]!.op, { op: "keepLog", path: "/log", maxBytes: 5n, files: 2 });
});

test("without a log and a socket there are no ops for them", () => {
  const made = detachPlan(plan, { ...base, attach: { input: true, detachKeys: Uint8Array.of(1) } });
  assert.deepEqual(names(made).slice(1, 4), ["daemonize", "captureStreams", "clone"]);
  assert.deepEqual(made.ops[1]!.op, {
    op: "daemonize",
    monitorFile: "/m",
    announce: "id\n",
    attach: true,
    input: true,
    detachKeys: Uint8Array.of(1),
  });
});
