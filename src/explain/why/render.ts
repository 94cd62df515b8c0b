import { printable, styles } from "../../base/mod.ts";
import { wrap } from "../columns.ts";
import type { RenderOptions } from "../types.ts";
import type { Cause } from "./search.ts";

export interface ProbeOutcome {
  readonly exitCode: number;
  /** It still ran when its time was over. */
  readonly timedOut: boolean;
  /** The last of what it wrote to stderr, or to stdout where that is empty. */
  readonly output: string;
}

export interface WhyExplanation {
  readonly id: string;
  readonly name: string;
  readonly command: readonly string[];
  /** How the container itself ended last; null: it did not yet. */
  readonly recorded: { readonly exitCode: number; readonly oomKilled: boolean } | null;
  /** The command again, with every restriction in place. */
  readonly again: ProbeOutcome;
  readonly failed: boolean;
  readonly causes: readonly Cause[];
  readonly probes: number;
  readonly notes: readonly string[];
}

export function renderWhy(why: WhyExplanation, { width, color }: RenderOptions): string {
  const paint = styles({}, color);
  const lines: string[] = [];
  const add = (text: string, indent = 0, style = (line: string): string => line): void => {
    for (const line of wrap(printable(text), Math.max(width - indent, 20)))
      lines.push(style(" ".repeat(indent) + line));
  };
  add(`command: ${why.command.join(" ")}`, 0, paint.bold);
  if (why.recorded !== null) {
    const memory = why.recorded.oomKilled ? ", and the kernel killed a process of it for want of memory" : "";
    add(`it ended with ${why.recorded.exitCode}${memory}`);
  }
  add(again(why));
  for (const line of why.again.output.split("\n").slice(-3)) if (line.trim() !== "") add(line, 2, paint.dim);
  if (why.failed && why.causes.length === 0) {
    lines.push("");
    add("no restriction of the container stands in the way: it fails with all of them lifted, too");
  }
  for (const { restrictions, sure } of why.causes) {
    lines.push("");
    for (const { kind, item, flag, cost } of restrictions) {
      add(`${kind}: ${item}`, 0, paint.yellow);
      add(`lifted by  ${flag}`, 2);
      add(`at a cost  ${cost}`, 2);
    }
    add(
      sure === "alone"
        ? "sure: the command works when only this is lifted"
        : "sure: the command works when these are lifted together, and with none of them left out",
      2,
      paint.dim,
    );
  }
  for (const note of why.notes) {
    lines.push("");
    add(`note: ${note}`);
  }
  return `${lines.join("\n")}\n`;
}

function again({ again: { exitCode, timedOut }, failed }: WhyExplanation): string {
  if (timedOut) return "run again it did not end in its time: nothing failed";
  return failed ? `run again it ended with ${exitCode}` : "run again it did not fail";
}
