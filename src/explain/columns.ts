/** Text in columns for terminals of any width. */

/** Lines of at most `width` characters, broken at blanks, else after punctuation, else anywhere; then indented. */
export function wrap(text: string, width: number, indent = 2): string[] {
  const lines: string[] = [];
  let rest = text;
  let prefix = "";
  while (prefix.length + rest.length > width) {
    const room = Math.max(width - prefix.length, 1);
    const end = breakBefore(rest, room);
    lines.push(prefix + rest.slice(0, end).trimEnd());
    rest = rest.slice(end).trimStart();
    prefix = " ".repeat(Math.min(indent, Math.floor(width / 3)));
  }
  if (rest !== "" || lines.length === 0) lines.push(prefix + rest);
  return lines;
}

/** Where the first line ends. A break too near the start would waste the line. */
function breakBefore(text: string, room: number): number {
  const least = room / 3;
  const blank = text.lastIndexOf(" ", room);
  if (blank > least) return blank;
  for (let at = room; at > least; at--) {
    if ("/#-_,.".includes(text[at - 1]!)) return at;
  }
  return room;
}

export type Paint = (text: string) => string;
export const plain: Paint = (text) => text;

export interface Cell {
  readonly lines: readonly string[];
  /** Colours; applied after everything has been measured. */
  readonly paint: Paint;
}

/** Cells side by side, as high as the highest. The last column is not padded. */
export function layOut(cells: readonly Cell[], widths: readonly number[], left: string): string[] {
  const height = Math.max(...cells.map((cell) => cell.lines.length));
  const rows: string[] = [];
  for (let row = 0; row < height; row++) {
    let line = left;
    let pending = 0;
    cells.forEach((cell, column) => {
      const text = cell.lines[row] ?? "";
      if (text !== "") {
        line += " ".repeat(pending) + cell.paint(text);
        pending = 0;
      }
      pending += Math.max((widths[column] ?? 0) - text.length, 0) + 2;
    });
    rows.push(line.trimEnd());
  }
  return rows;
}

export function longest(texts: Iterable<string>): number {
  let most = 0;
  for (const text of texts) most = Math.max(most, text.length);
  return most;
}
