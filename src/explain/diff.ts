/** In what two containers differ to the kernel: their plans, op by op, paired by kind and target. */
import type { Op, Plan, PlannedOp, Stage } from "../kernel/mod.ts";
import { type ArgumentText, argumentLine, argumentsOf } from "./arguments.ts";
import { callsOf } from "./calls.ts";
import { groupOf } from "./group.ts";
import { explainOrigin } from "./plan.ts";
import type { ExplainedOrigin, PlanGroup } from "./types.ts";

/** One of the two. */
export interface PlanSide {
  /** As the user named it. */
  readonly label: string;
  readonly plan: Plan;
  /** Texts that are merely its own (ids, its directories), each with the word that stands for it; the longest first. */
  readonly own: readonly (readonly [text: string, word: string])[];
}

export interface SidedOp {
  readonly calls: readonly string[];
  readonly pointer: string;
  readonly section: string;
  readonly origin: ExplainedOrigin;
}

export interface ChangedArgument {
  readonly name: string;
  readonly a: string;
  readonly b: string;
  /** Of a list: what only one of the two has. Empty where only the order differs, and for what is no list. */
  readonly onlyA: readonly string[];
  readonly onlyB: readonly string[];
}

export interface PlanDifference {
  readonly group: PlanGroup;
  readonly stage: Stage;
  readonly op: string;
  /** What it is done to: a path, a limit; empty where there is one such op. */
  readonly target: string;
  readonly kind: "only-a" | "only-b" | "changed";
  readonly changed: readonly ChangedArgument[];
  readonly a?: SidedOp;
  readonly b?: SidedOp;
}

export interface PlanComparison {
  readonly a: string;
  readonly b: string;
  readonly equal: boolean;
  readonly differences: readonly PlanDifference[];
}

/** What holds a container and tells of it: nothing that its processes could see. */
const housekeeping: ReadonlySet<Op["op"]> = new Set([
  "attachSocket",
  "awaitExecute",
  "awaitStart",
  "barrier",
  "attachStreams",
  "captureStreams",
  "countOom",
  "daemonize",
  "healthCheck",
  "keepLog",
  "pipeStreams",
  "recordEvents",
  "release",
  "reportFailure",
  "restart",
  "supervise",
  "writePidFile",
]);

export function comparePlans(a: PlanSide, b: PlanSide): PlanComparison {
  const left = tableOf(a);
  const right = tableOf(b);
  const differences: PlanDifference[] = [];
  for (const [key, one] of left) {
    const other = right.get(key);
    if (other === undefined) {
      differences.push({ ...headOf(one), kind: "only-a", changed: [], a: sided(one) });
      continue;
    }
    const changed = changedArguments(one.args, other.args);
    if (changed.length === 0) continue;
    differences.push({ ...headOf(one), kind: "changed", changed, a: sided(one), b: sided(other) });
  }
  for (const [key, other] of right) {
    if (!left.has(key)) differences.push({ ...headOf(other), kind: "only-b", changed: [], b: sided(other) });
  }
  return { a: a.label, b: b.label, equal: differences.length === 0, differences };
}

interface Entry {
  readonly planned: PlannedOp;
  readonly target: string;
  readonly args: ReadonlyMap<string, ArgumentText>;
  readonly normalise: (text: string) => string;
}

/** Several of one kind at one target are told apart by their number. */
function tableOf({ plan, own }: PlanSide): ReadonlyMap<string, Entry> {
  const normalise = (text: string): string =>
    own.reduce((done, [from, to]) => (from === "" ? done : done.replaceAll(from, to)), text);
  const table = new Map<string, Entry>();
  for (const planned of plan.ops) {
    if (planned.stage === "cleanup" || housekeeping.has(planned.op.op)) continue;
    const args = new Map<string, ArgumentText>();
    for (const [name, value] of argumentsOf(planned.op)) {
      args.set(name, typeof value === "string" ? normalise(value) : value.map(normalise));
    }
    const target = targetOf(planned.op, args);
    const key = [planned.stage, planned.op.op, target].join("\0");
    let number = 0;
    while (table.has(`${key}\0${number}`)) number++;
    table.set(`${key}\0${number}`, { planned, target, args, normalise });
  }
  return table;
}

const targetNames = ["target", "path", "resource", "clock", "device"] as const;

function targetOf(op: Op, args: ReadonlyMap<string, ArgumentText>): string {
  // There is one of each: that it is another directory is a change.
  if (op.op === "setRoot" || op.op === "changeDirectory" || op.op === "memoryPolicy") return "";
  if (op.op === "joinNamespace") return String(args.get("type"));
  if (op.op === "makeSymlink") return String(args.get("path"));
  if (op.op === "runProgram") return `${String(args.get("path"))} ${[args.get("argv")].flat().join(" ")}`;
  for (const name of targetNames) {
    const value = args.get(name);
    if (value !== undefined) return String(value);
  }
  return "";
}

function changedArguments(
  a: ReadonlyMap<string, ArgumentText>,
  b: ReadonlyMap<string, ArgumentText>,
): readonly ChangedArgument[] {
  return [...a].flatMap(([name, one]) => {
    const other = b.get(name) ?? "";
    const texts = { a: argumentLine(one), b: argumentLine(other) };
    if (JSON.stringify(one) === JSON.stringify(other)) return [];
    const lists = typeof one !== "string" && typeof other !== "string";
    const onlyA = lists ? one.filter((item) => !other.includes(item)) : [];
    const onlyB = lists ? other.filter((item) => !one.includes(item)) : [];
    return [{ name, ...texts, onlyA, onlyB }];
  });
}

function headOf({ planned, target }: Entry): Pick<PlanDifference, "group" | "stage" | "op" | "target"> {
  return { group: groupOf(planned), stage: planned.stage, op: planned.op.op, target };
}

function sided({ planned: { op, stage, why }, normalise }: Entry): SidedOp {
  return {
    calls: callsOf(op, stage).map(normalise),
    pointer: why.pointer,
    section: why.section,
    origin: explainOrigin(why.origin),
  };
}
