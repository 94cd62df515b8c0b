import { printable, styles } from "../base/mod.ts";
import { wrap } from "./columns.ts";
import type { ChangedArgument, PlanComparison, PlanDifference, SidedOp } from "./diff.ts";
import { originText } from "./render-plan.ts";
import { planGroups, type RenderOptions } from "./types.ts";

/** As diff: `-` what only the first does, `+` only the second, `~` both and differently. Empty when they are equal. */
export function renderComparison(comparison: PlanComparison, { width, color }: RenderOptions): string {
  if (comparison.equal) return "";
  const paint = styles({}, color);
  const lines = [paint.red(`--- ${printable(comparison.a)}`), paint.green(`+++ ${printable(comparison.b)}`)];
  const add = (mark: string, text: string, style: (line: string) => string): void => {
    const room = Math.max(width - 4, 20);
    wrap(printable(text), room).forEach((line, at) => {
      lines.push(style(`  ${at === 0 ? mark : " "} ${line}`));
    });
  };
  for (const group of planGroups) {
    const members = comparison.differences.filter((one) => one.group === group);
    if (members.length === 0) continue;
    lines.push("", paint.bold(group));
    for (const one of members) {
      if (one.a !== undefined && one.kind === "only-a") add("-", whole(one.a), paint.red);
      else if (one.b !== undefined && one.kind === "only-b") add("+", whole(one.b), paint.green);
      else if (one.a !== undefined && one.b !== undefined) {
        add("~", heading(one), paint.yellow);
        for (const argument of one.changed) {
          for (const [sign, text] of changeLines(argument)) {
            add(` ${sign}`, text, sign === "-" ? paint.red : paint.green);
          }
        }
        const [a, b] = [reason(one.a), reason(one.b)];
        add("  ", a === b ? a : `${a}  →  ${b}`, paint.dim);
      }
    }
  }
  return `${lines.join("\n")}\n`;
}

function heading({ op, target }: PlanDifference): string {
  return target === "" ? op : `${op} ${target}`;
}

function whole(side: SidedOp): string {
  return `${side.calls.join(", ")}  [${reason(side)}]`;
}

function reason({ origin, pointer }: SidedOp): string {
  return [originText(origin), pointer].filter((part) => part !== "").join(" ");
}

function changeLines({ name, a, b, onlyA, onlyB }: ChangedArgument): readonly (readonly [string, string])[] {
  if (onlyA.length + onlyB.length === 0) {
    return [
      ["-", `${name} ${a}`],
      ["+", `${name} ${b}`],
    ];
  }
  return [
    ...onlyA.map((item) => ["-", `${name} ${item}`] as const),
    ...onlyB.map((item) => ["+", `${name} ${item}`] as const),
  ];
}
