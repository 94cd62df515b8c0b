import { printable, styles } from "../base/mod.ts";
import { type Cell, layOut, longest, type Paint, plain, wrap } from "./columns.ts";
import type { Check, Diagnosis, RenderOptions, Severity } from "./types.ts";

/** A table: severity, what was looked at, what was found; below a problem its effect and the command that mends it. */
export function renderDiagnosis({ checks, worst }: Diagnosis, options: RenderOptions): string {
  const paint = palette(options.color);
  const titleWidth = longest(checks.map((check) => check.title));
  const severityWidth = longest(checks.map((check) => check.severity));
  const rest = Math.max(options.width - severityWidth - titleWidth - 4, 24);
  const lines: string[] = [];
  for (const check of checks) {
    const cells: readonly Cell[] = [
      { lines: [check.severity], paint: paint[check.severity] },
      { lines: [check.title], paint: plain },
      { lines: aboutLines(check, rest), paint: plain },
    ];
    lines.push(...layOut(cells, [severityWidth, titleWidth, rest], ""));
  }
  return `${lines.join("\n")}\n\n${paint[worst](summary(checks))}\n`;
}

/** A command stays in one piece where it can, so that it can be copied. */
function aboutLines(check: Check, width: number): string[] {
  const lines = wrap(printable(check.found), width);
  if (check.effect !== "") lines.push(...wrap(printable(check.effect), width));
  if (check.command !== "") lines.push(`$ ${printable(check.command)}`);
  return lines;
}

function summary(checks: readonly Check[]): string {
  const count = (severity: Severity): number => checks.filter((check) => check.severity === severity).length;
  const parts = [
    [count("error"), "error"] as const,
    [count("warning"), "warning"] as const,
    [count("note"), "note"] as const,
  ].filter(([number]) => number > 0);
  if (parts.length === 0) return `all ${checks.length} checks are well`;
  return parts.map(([number, word]) => `${number} ${word}${number === 1 ? "" : "s"}`).join(", ");
}

export function renderDiagnosisJson(diagnosis: Diagnosis): string {
  return `${JSON.stringify(diagnosis, undefined, 2)}\n`;
}

function palette(color: boolean): Readonly<Record<Severity, Paint>> {
  const style = styles({}, color);
  return { ok: style.green, note: style.blue, warning: style.yellow, error: style.red };
}
