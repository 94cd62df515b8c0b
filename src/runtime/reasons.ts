/**
 * Why each op of a plan is there, written beside the plan: the helper needs only the ops, but when one fails, another
 * process (`vitrine __failed`) must tell the user which field and which flag asked for it.
 */
import { decodePlan, type Origin, type Plan } from "../kernel/mod.ts";

interface Reasons {
  readonly origins: readonly Origin[];
  readonly sections: readonly string[];
  /** For each op: pointer, index into `sections`, index into `origins`. */
  readonly ops: readonly (readonly [string, number, number])[];
}

/** Compact JSON: the same few sections and origins stand behind hundreds of ops. */
export function encodeReasons(plan: Plan): string {
  const sections = new Map<string, number>();
  const origins = new Map<Origin, number>();
  const indexOf = <T>(table: Map<T, number>, value: T): number => {
    const known = table.get(value);
    if (known !== undefined) return known;
    table.set(value, table.size);
    return table.size - 1;
  };
  const ops = plan.ops.map(
    ({ why }) => [why.pointer, indexOf(sections, why.section), indexOf(origins, why.origin)] as const,
  );
  const reasons: Reasons = { origins: [...origins.keys()], sections: [...sections.keys()], ops };
  return JSON.stringify(reasons);
}

/** The plan as it was before it was written: ops from the helper's file, reasons from ours. Both are our own files. */
export function joinPlan(planBytes: Uint8Array, reasonsText: string): Plan {
  const { ops } = decodePlan(planBytes);
  const reasons = JSON.parse(reasonsText) as Reasons;
  return {
    ops: ops.map((wire, index) => {
      const [pointer, section, origin] = reasons.ops[index] ?? ["", -1, -1];
      return {
        ...wire,
        why: {
          pointer,
          section: reasons.sections[section] ?? "",
          origin: reasons.origins[origin] ?? { by: "config" },
        },
      };
    }),
  };
}
