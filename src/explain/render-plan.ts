import { printable, type Styles, styles } from "../base/mod.ts";
import { type Cell, layOut, longest, type Paint, plain, wrap } from "./columns.ts";
import {
  type ExplainedOp,
  type ExplainedOrigin,
  type PlanExplanation,
  type PlanRenderOptions,
  planGroups,
} from "./types.ts";

/** The plan as text with a final newline. Nothing in it moves the cursor, whatever an image holds. */
export function renderPlan(explanation: PlanExplanation, options: PlanRenderOptions): string {
  const shown = wanted(explanation, options.defaultsOnly);
  const lines =
    options.view === "syscalls" ? syscallLines(shown, options) : groupLines(shown, explanation, options);
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/** `--format json`: the same ops, as data. */
export function renderPlanJson(
  explanation: PlanExplanation,
  options: Pick<PlanRenderOptions, "defaultsOnly">,
): string {
  const value = { ops: wanted(explanation, options.defaultsOnly), notes: explanation.notes };
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** What nobody asked for: defaults, and what the machine led to. */
function wanted(explanation: PlanExplanation, defaultsOnly: boolean): readonly ExplainedOp[] {
  if (!defaultsOnly) return explanation.ops;
  return explanation.ops.filter(({ origin }) => origin.by === "default" || origin.by === "host");
}

/** `--syscalls`: one line a call, in the order of the plan; the number is the op's, as a failure names it. */
function syscallLines(ops: readonly ExplainedOp[], options: PlanRenderOptions): string[] {
  const paint = palette(options.color);
  const numberWidth = String(ops.at(-1)?.index ?? 0).length;
  const stageWidth = longest(ops.map((op) => op.stage));
  const callWidth = Math.max(options.width - numberWidth - stageWidth - 4, 8);
  return ops.flatMap((op) =>
    op.calls.flatMap((call) => {
      const cells: readonly Cell[] = [
        { lines: [String(op.index).padStart(numberWidth)], paint: paint.dim },
        { lines: [op.stage], paint: paint.dim },
        { lines: wrap(printable(call), callWidth), paint: plain },
      ];
      return layOut(cells, [numberWidth, stageWidth, callWidth], "");
    }),
  );
}

function groupLines(
  ops: readonly ExplainedOp[],
  explanation: PlanExplanation,
  options: PlanRenderOptions,
): string[] {
  const paint = palette(options.color);
  const columns = columnsFor(ops, options.width);
  const lines: string[] = [];
  for (const group of planGroups) {
    const members = ops.filter((op) => op.group === group);
    if (members.length === 0) continue;
    if (lines.length > 0) lines.push("");
    lines.push(paint.bold(group));
    let before: ExplainedOp | undefined;
    for (const op of members) {
      lines.push(...opLines(op, before, columns, paint));
      before = op;
    }
  }
  if (explanation.notes.length > 0) {
    lines.push("", paint.bold("notes"));
    for (const note of explanation.notes) {
      const text = note.pointer === "" ? note.text : `${note.pointer}: ${note.text}`;
      lines.push(...wrap(printable(text), Math.max(options.width - 2, 20)).map((line) => `  ${line}`));
    }
  }
  return lines;
}

interface Columns {
  readonly calls: number;
  readonly origin: number;
  readonly field: number;
  /** Too narrow for columns: one below the other. */
  readonly stacked: boolean;
}

function columnsFor(ops: readonly ExplainedOp[], width: number): Columns {
  const inner = width - 2;
  const origin = Math.min(longest(ops.map((op) => originText(op.origin))), 24, Math.floor(inner * 0.22));
  const fields = ops.flatMap((op) => [op.pointer, op.section]);
  const field = Math.min(longest(fields), 44, Math.floor(inner * 0.34));
  const calls = Math.min(
    inner - origin - field - 4,
    Math.max(longest(ops.flatMap((op) => joined(op.calls))), 20),
  );
  if (calls < 36) return { calls: Math.max(inner, 20), origin, field, stacked: true };
  return { calls, origin, field, stacked: false };
}

/** The spec section stands where it changes: a run of devices has one. */
function opLines(
  op: ExplainedOp,
  before: ExplainedOp | undefined,
  columns: Columns,
  paint: Palette,
): string[] {
  const calls = joined(op.calls).flatMap((call) => wrap(shortened(printable(call)), columns.calls));
  const origin = printable(originText(op.origin));
  const pointer = printable(op.pointer);
  const section = op.section === before?.section ? "" : printable(op.section);
  if (columns.stacked) {
    const about = [origin, pointer, section].filter((part) => part !== "").join("  ");
    const below = wrap(about, Math.max(columns.calls - 4, 16)).map(
      (line) => `      ${paint[op.origin.by](line)}`,
    );
    return [...calls.map((line) => `  ${line}`), ...below];
  }
  const field = [
    ...(pointer === "" ? [] : wrap(pointer, columns.field)),
    ...(section === "" ? [] : wrap(section, columns.field)),
  ];
  const cells: readonly Cell[] = [
    { lines: calls, paint: plain },
    { lines: wrap(origin, columns.origin), paint: paint[op.origin.by] },
    { lines: field, paint: paint.dim },
  ];
  return layOut(cells, [columns.calls, columns.origin, columns.field], "  ");
}

/** Ids and digests by their beginning, as elsewhere; `--syscalls` and JSON have them whole. */
export function shortened(call: string): string {
  return call.replace(/\b([0-9a-f]{12})[0-9a-f]{52}\b/g, "$1…");
}

/** Calls that follow one another read as one line; what is more than a call stands alone. */
function joined(calls: readonly string[]): readonly string[] {
  return calls.every((call) => call.endsWith(")")) ? [calls.join(", ")] : calls;
}

export function originText(origin: ExplainedOrigin): string {
  switch (origin.by) {
    case "flag":
      return origin.text;
    case "image":
      return `image ${origin.text}`;
    case "config":
      return "config.json";
    default:
      return origin.text === "" ? origin.by : `${origin.by}: ${origin.text}`;
  }
}

type Palette = Readonly<Record<ExplainedOrigin["by"] | "bold" | "dim", Paint>>;

function palette(color: boolean): Palette {
  const style: Styles = styles({}, color);
  return {
    flag: style.cyan,
    image: style.magenta,
    host: style.yellow,
    config: style.blue,
    default: style.dim,
    bold: style.bold,
    dim: style.dim,
  };
}
