import { printable, styles } from "../base/mod.ts";
import { type Cell, layOut, longest, plain, wrap } from "./columns.ts";
import { originText, shortened } from "./render-plan.ts";
import type { TruthExplanation, TruthRow, TruthState } from "./truth.ts";
import { planGroups, type RenderOptions } from "./types.ts";

/** Beside each row: `≠` differs, `-` gone, `+` nobody planned it, `?` this user may not see it. */
const marks: Readonly<Record<TruthState, string>> = {
  same: " ",
  differs: "≠",
  gone: "-",
  unplanned: "+",
  unreadable: "?",
};

export function renderTruth(explanation: TruthExplanation, { width, color }: RenderOptions): string {
  const paint = styles({}, color);
  const { rows } = explanation;
  const what = Math.min(longest(rows.map((row) => printable(row.what))), 30, Math.floor(width * 0.25));
  const asked = Math.min(24, Math.floor(width * 0.18));
  const half = Math.max(Math.floor((width - what - asked - 10) / 2), 12);
  const lines: string[] = [];
  for (const group of planGroups) {
    const members = rows.filter((row) => row.group === group);
    if (members.length === 0) continue;
    if (lines.length > 0) lines.push("");
    lines.push(paint.bold(group));
    for (const row of members) {
      const style = row.state === "same" ? plain : row.state === "unreadable" ? paint.dim : paint.yellow;
      const planned = row.planned === null ? "" : shortened(printable(row.planned.text));
      const cells: readonly Cell[] = [
        { lines: [marks[row.state]], paint: style },
        { lines: wrap(printable(row.what), what), paint: style },
        { lines: wrap(planned === "" && row.planned !== null ? "none" : planned || "—", half), paint: plain },
        { lines: wrap(nowText(row), half), paint: style },
        {
          lines: row.planned === null ? [] : wrap(printable(originText(row.planned.origin)), asked),
          paint: paint.dim,
        },
      ];
      lines.push(...layOut(cells, [1, what, half, half, asked], " "));
    }
  }
  lines.push("", summary(explanation));
  return `${lines.join("\n")}\n`;
}

/** What is as planned need not be read twice. */
function nowText({ state, planned, now }: TruthRow): string {
  if (state === "same" && planned !== null && planned.text === now) return "the same";
  return shortened(printable(state === "unreadable" ? `cannot be read: ${now}` : now)) || "none";
}

function summary({ pid, rows, differs, unreadable }: TruthExplanation): string {
  const more = unreadable === 0 ? "" : `, ${unreadable} cannot be read by this user`;
  const what = differs === 0 ? "all as planned" : `${differs} not as planned`;
  return `process ${pid}: ${rows.length} compared, ${what}${more}`;
}
