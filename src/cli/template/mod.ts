/** `--format`: Go templates, `table …` and `json`, as docker and podman know them. */
import { printable } from "../../base/mod.ts";
import { jsonText } from "../format/json.ts";
import { layTable } from "../format/table.ts";
import { prepare } from "./evaluate.ts";
import { type Block, type Operand, parseTemplate } from "./parse.ts";

export { labelMap, labelOf } from "./labels.ts";

const keep = (text: string): string => text;
const lines = (text: string): string => printable(text, { lines: true });

/** A compiled template over one value. Throws `template-syntax`; applying it throws `template-evaluation`. */
export function compileTemplate(source: string): (data: unknown, forTerminal: boolean) => string {
  const apply = prepare(parseTemplate(unescapeShell(source)));
  return (data, forTerminal) => apply(data, forTerminal ? lines : keep);
}

/** Docker and podman read `\t` and `\n` of a format typed in single quotes as tab and newline. */
function unescapeShell(source: string): string {
  // Inside an action they are left alone: there they belong to string literals.
  return source.replace(/\{\{[\s\S]*?\}\}|\\t|\\n/g, (found) =>
    found === "\\t" ? "\t" : found === "\\n" ? "\n" : found,
  );
}

export interface RowFormat<Row extends object> {
  /** Heading of each field, e.g. `{ ID: "IMAGE ID" }`; a field without one has its name in capitals. */
  readonly headings: Partial<Readonly<Record<keyof Row & string, string>>>;
  /** The table that is printed without `--format`, as a template after `table `. */
  readonly standard: string;
}

export interface RowOptions {
  /** The value of `--format`, if any. */
  readonly format: string | undefined;
  readonly heading: boolean;
  readonly forTerminal: boolean;
}

/**
 * Rows as text. `format` is a template (a line a row), `table TEMPLATE` (aligned, with headings), `table`, `json`
 * (one array, as podman) or undefined for the standard table.
 */
export function renderRows<Row extends object>(
  rows: readonly Row[],
  shape: RowFormat<Row>,
  options: RowOptions,
): string {
  const format = options.format?.trim() === "" ? undefined : options.format;
  if (format === "json") return `${jsonText(rows, 4)}\n`;
  const isTable = format === undefined || format === "table" || /^table\s/.test(format);
  if (!isTable) {
    const apply = compileTemplate(format);
    return rows.map((row) => endLine(apply(row, options.forTerminal))).join("");
  }
  const source =
    format === undefined || format === "table" ? shape.standard : format.replace(/^table\s+/, "");
  const block = parseTemplate(unescapeShell(source));
  const apply = prepare(block);
  const cells = rows.map((row) => apply(row, printable).split("\t"));
  if (options.heading) cells.unshift(headingsOf(block, shape.headings).split("\t"));
  return layTable(cells);
}

/** The template's line with every field printed as its heading. */
function headingsOf(block: Block, headings: Readonly<Record<string, string | undefined>>): string {
  const nameOf = (operand: Operand): string | undefined =>
    operand.kind === "fields"
      ? (headings[operand.names.at(-1)!] ?? operand.names.at(-1)!.toUpperCase())
      : undefined;
  return block
    .map((node) => {
      if (node.kind === "text") return node.text;
      if (node.kind !== "print") return "";
      for (const command of node.pipeline.commands) {
        for (const operand of command) {
          const name = nameOf(operand);
          if (name !== undefined) return name;
        }
      }
      return "";
    })
    .join("");
}

function endLine(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}
