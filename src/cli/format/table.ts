/**
 * Columns as Go's text/tabwriter lays them out (podman's settings: at least 12 wide, 2 apart): every cell but the
 * last of its row is padded, so that no line ends in blanks.
 */
const minimumWidth = 12;
const gap = 2;

/** Rows of printable cells → lines, each with its newline. */
export function layTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.slice(0, -1).entries()) {
      widths[column] = Math.max(widths[column] ?? minimumWidth, displayWidth(cell) + gap);
    }
  }
  return rows
    .map((row) => {
      const cells = row.map((cell, column) =>
        column === row.length - 1 ? cell : cell + " ".repeat(widths[column]! - displayWidth(cell)),
      );
      return `${cells.join("")}\n`;
    })
    .join("");
}

/** Columns of a terminal: East Asian wide characters take two, combining marks none. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) {
    if (/\p{M}/u.test(character)) continue;
    width += wide.test(character) ? 2 : 1;
  }
  return width;
}

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
