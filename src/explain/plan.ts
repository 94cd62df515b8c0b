import type { Origin, Plan } from "../kernel/mod.ts";
import { callsOf } from "./calls.ts";
import { groupOf } from "./group.ts";
import type { ExplainedOrigin, PlanExplanation } from "./types.ts";

/** A plan as plain data: every op with its kernel calls, its part, and who asked for it. */
export function explainPlan(plan: Plan): PlanExplanation {
  return {
    ops: plan.ops.map((planned, index) => ({
      index,
      stage: planned.stage,
      group: groupOf(planned),
      op: planned.op.op,
      calls: callsOf(planned.op, planned.stage),
      tolerated: planned.tolerate,
      pointer: planned.why.pointer,
      section: planned.why.section,
      origin: explainOrigin(planned.why.origin),
    })),
    notes: plan.notes ?? [],
  };
}

export function explainOrigin(origin: Origin): ExplainedOrigin {
  switch (origin.by) {
    case "flag":
      return { by: "flag", text: origin.flag };
    case "image":
      return { by: "image", text: origin.field };
    case "default":
      return { by: "default", text: origin.note ?? "" };
    case "host":
      return { by: "host", text: origin.note };
    case "config":
      return { by: "config", text: "" };
  }
}
