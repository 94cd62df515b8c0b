/** A container's plan beside what the kernel says of its first process now. Values in, values out. */
import type { Op, OpName, Plan, PlannedOp, ProcessTruth, Reading, TruthWishes } from "../kernel/mod.ts";
import { explainOrigin } from "./plan.ts";
import { cgroupRows, controlFilesOf } from "./truth-cgroup.ts";
import { deviceRows, mountRows } from "./truth-mounts.ts";
import { namespaceRows } from "./truth-namespaces.ts";
import { capabilityRows, seccompRows, securityModuleRows } from "./truth-privileges.ts";
import { processRows } from "./truth-process.ts";
import type { ExplainedOrigin, PlanGroup } from "./types.ts";

/**
 * - `same`: as planned.
 * - `differs`: the kernel says something else.
 * - `gone`: planned, and not there now.
 * - `unplanned`: there, and no op asked for it.
 * - `unreadable`: this user may not see it.
 */
export type TruthState = "same" | "differs" | "gone" | "unplanned" | "unreadable";

export interface TruthRow {
  readonly group: PlanGroup;
  readonly what: string;
  /** null: no op asked for it. */
  readonly planned: {
    readonly text: string;
    readonly pointer: string;
    readonly section: string;
    readonly origin: ExplainedOrigin;
  } | null;
  /** What the kernel says; where it is unreadable, why. */
  readonly now: string;
  readonly state: TruthState;
}

export interface TruthExplanation {
  readonly pid: number;
  readonly rows: readonly TruthRow[];
  /** How many rows are not `same`, by state. */
  readonly differs: number;
  readonly unreadable: number;
}

/** What must be read for `compareTruth`. */
export function truthWishes(plan: Plan, cgroups: readonly string[]): TruthWishes {
  const nodes: string[] = [];
  const sysctls = ["kernel/hostname", "kernel/domainname"];
  const links: string[] = [];
  for (const { op, stage } of plan.ops) {
    if (stage === "cleanup") continue;
    if (op.op === "makeNode" || op.op === "maskPath" || op.op === "readonlyPath") nodes.push(op.path.path);
    if (op.op === "joinNamespace") links.push(op.path.path);
    if (op.op === "writeFile" && op.path.base === "proc" && op.path.path.startsWith("sys/")) {
      sysctls.push(op.path.path.slice(4));
    }
  }
  return { nodes, sysctls, links, controls: controlFilesOf(plan, cgroups) };
}

export function compareTruth(plan: Plan, truth: ProcessTruth): TruthExplanation {
  const rows = [
    ...namespaceRows(plan, truth),
    ...mountRows(plan, truth),
    ...deviceRows(plan, truth),
    ...cgroupRows(plan, truth),
    ...capabilityRows(plan, truth),
    ...seccompRows(plan, truth),
    ...securityModuleRows(plan, truth),
    ...processRows(plan, truth),
  ];
  return {
    pid: truth.pid,
    rows,
    differs: rows.filter(({ state }) => state !== "same" && state !== "unreadable").length,
    unreadable: rows.filter(({ state }) => state === "unreadable").length,
  };
}

// --- for the parts ---

type OpOf<Name extends OpName> = Extract<Op, { readonly op: Name }>;
export type PlannedAs<Name extends OpName> = PlannedOp & { readonly op: OpOf<Name> };

/** The ops of one kind, without those of the clean-up. */
export function opsOf<Name extends OpName>(plan: Plan, name: Name): readonly PlannedAs<Name>[] {
  return plan.ops.filter((one): one is PlannedAs<Name> => one.stage !== "cleanup" && one.op.op === name);
}

export function plannedText({ why }: PlannedOp, text: string): NonNullable<TruthRow["planned"]> {
  return { text, pointer: why.pointer, section: why.section, origin: explainOrigin(why.origin) };
}

/** A row of something planned; `now` is compared with the planned text unless `same` decides. */
export function rowOf(
  group: PlanGroup,
  what: string,
  planned: PlannedOp,
  text: string,
  now: Reading,
  same: (now: string) => boolean = (seen) => seen === text,
): TruthRow {
  const row = { group, what, planned: plannedText(planned, text) };
  if ("error" in now) return { ...row, now: now.error, state: "unreadable" };
  return { ...row, now: now.text, state: same(now.text) ? "same" : "differs" };
}

export function unplanned(group: PlanGroup, what: string, now: string): TruthRow {
  return { group, what, planned: null, now, state: "unplanned" };
}

export function textOfReading(reading: Reading | undefined): string | undefined {
  return reading !== undefined && "text" in reading ? reading.text : undefined;
}

/** One field of /proc/PID/status. */
export function statusField(status: Reading | undefined, name: string): Reading {
  if (status === undefined) return { error: "not read" };
  if ("error" in status) return status;
  const line = status.text.split("\n").find((one) => one.startsWith(`${name}:`));
  return line === undefined
    ? { error: "not told by this kernel" }
    : { text: line.slice(name.length + 1).trim() };
}

export function mapReading(reading: Reading | undefined, change: (text: string) => string): Reading {
  if (reading === undefined) return { error: "not read" };
  return "error" in reading ? reading : { text: change(reading.text) };
}
