/** For `explain`: who asked for ops that stand for no field of config.json, so that no origin is noted for them. */
import type { Op, Origin, Plan, PlannedOp } from "../kernel/mod.ts";

export interface Asked {
  readonly init: boolean;
  readonly remove: boolean;
  /** ROOT: what a container keeps there goes only with --rm. */
  readonly root: string;
}

export function withFlagOrigins(plan: Plan, asked: Asked): Plan {
  return { ...plan, ops: plan.ops.map((planned) => withOrigin(planned, flagOf(planned.op, asked))) };
}

function flagOf(op: Op, { init, remove, root }: Asked): string | undefined {
  if (op.op === "initReaper" && init) return "--init";
  if (op.op === "closeDescriptors" && op.first > 3) return "--preserve-fds";
  if (op.op === "writePidFile") return "--pidfile";
  if (op.op === "removeTree" && remove && op.path.path.startsWith(`${root}/`)) return "--rm";
  return undefined;
}

function withOrigin(planned: PlannedOp, flag: string | undefined): PlannedOp {
  if (flag === undefined) return planned;
  const origin: Origin = { by: "flag", flag };
  return { ...planned, why: { ...planned.why, origin } };
}
