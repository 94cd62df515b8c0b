/** Help as text, from the registry and the commands' tables. */
import { displayWidth } from "../format/table.ts";
import { registry } from "../registry.ts";
import type { Command, CommandEntry, CommandGroup, OptionDefinition, OptionTable } from "./command.ts";
import { globalOptions } from "./globals.ts";

/** Lines are broken here, whatever the terminal: help is the same in a pipe, a test and a man page. */
const lineWidth = 100;
/** Names of options wider than this have their help on the next line. */
const widestName = 34;

const groupOrder: readonly CommandGroup[] = [
  "Run",
  "Images",
  "Registries",
  "See through",
  "System",
  "Management",
];

/** `vitrine --help` */
export function renderOverview(): string {
  const visible = registry.filter((entry) => entry.hidden !== true);
  const groups = groupOrder.map((group) => {
    const entries = visible.filter((entry) => entry.group === group);
    return `${group}:\n${columns(entries.map((entry) => [entry.name, entry.summary]))}`;
  });
  return [
    "Usage:  vitrine [GLOBAL OPTIONS] COMMAND [ARG...]\n",
    "vitrine runs OCI images without a daemon, and shows every step of it.\n",
    ...groups,
    `Global options:\n${optionLines(globalOptions)}`,
    "Examples:\n  vitrine run --rm hello\n  vitrine explain run --rm hello\n  vitrine doctor\n",
    "See 'vitrine COMMAND --help' for a command, and the man page vitrine(1).\n",
  ].join("\n");
}

/** `vitrine image --help` */
export function renderGroup(entry: CommandEntry): string {
  const subcommands = (entry.subcommands ?? []).filter((subcommand) => subcommand.hidden !== true);
  return [
    `Usage:  vitrine ${entry.name} COMMAND [ARG...]\n`,
    `${entry.summary}\n`,
    `Commands:\n${columns(subcommands.map((subcommand) => [subcommand.name, subcommand.summary]))}`,
    `See 'vitrine ${entry.name} COMMAND --help' for one of them.\n`,
  ].join("\n");
}

/** `vitrine COMMAND --help`; `path` holds the words that chose it. */
export function renderCommand(path: readonly string[], entry: CommandEntry, command: Command): string {
  const parts = [`Usage:  ${usageLines(path, command).join("\n        ")}\n`, `${entry.summary}\n`];
  if (command.description !== undefined) {
    const paragraphs = command.description.trim().split(/\n\s*\n/);
    parts.push(
      `${paragraphs.map((paragraph) => wrap(paragraph.replace(/\s+/g, " "), lineWidth).join("\n")).join("\n\n")}\n`,
    );
  }
  const aliases = otherNames(entry, path);
  if (aliases.length > 0) parts.push(`Aliases:\n${aliases.map((alias) => `  ${alias}\n`).join("")}`);
  for (const [section, options] of sections(command.options))
    parts.push(`${section}:\n${optionLines(options)}`);
  if (command.examples !== undefined && command.examples.length > 0) {
    const lines = command.examples.map(({ command: line, does }) => `  # ${does}\n  ${line}\n`);
    parts.push(`Examples:\n${lines.join("\n")}`);
  }
  return parts.join("\n");
}

/** Every way to write the command, `vitrine` included. */
export function usageLines(path: readonly string[], command: Command): readonly string[] {
  const own = `vitrine ${path.join(" ")}`;
  if (command.usage !== undefined) return command.usage.map((line) => `${own} ${line}`.trimEnd());
  const positionals = command.positionals.map(({ name, optional, variadic }) => {
    const shown = variadic ? `${name}...` : name;
    return optional ? `[${shown}]` : variadic ? `${name} [${name}...]` : shown;
  });
  const options = Object.keys(command.options).length > 0 ? ["[OPTIONS]"] : [];
  return [[own, ...options, ...positionals].join(" ")];
}

/** The same command under its other names: `vitrine image ls` is `vitrine images`. */
export function otherNames(entry: CommandEntry, path: readonly string[]): string[] {
  const names: string[] = [];
  const add = (words: readonly string[], candidate: CommandEntry): void => {
    if (candidate.load !== entry.load || candidate.hidden) return;
    for (const name of [candidate.name, ...(candidate.aliases ?? [])]) names.push([...words, name].join(" "));
  };
  for (const candidate of registry) {
    if (candidate.subcommands === undefined) add([], candidate);
    for (const subcommand of candidate.subcommands ?? []) add([candidate.name], subcommand);
  }
  return names.filter((name) => name !== path.join(" ")).map((name) => `vitrine ${name}`);
}

/** Visible options by their section, `Options` first. */
export function sections(options: OptionTable): ReadonlyMap<string, OptionTable> {
  const grouped = new Map<string, Record<string, OptionDefinition>>([["Options", {}]]);
  for (const [long, definition] of Object.entries(options)) {
    if (definition.hidden === true) continue;
    const section = definition.section ?? "Options";
    const table = grouped.get(section) ?? {};
    table[long] = definition;
    grouped.set(section, table);
  }
  for (const [section, table] of grouped) if (Object.keys(table).length === 0) grouped.delete(section);
  return grouped;
}

/** `-e, --env NAME=VALUE`; a flag without a short form is indented to align with those that have one. */
export function optionName(long: string, definition: OptionDefinition): string {
  const short = definition.short === undefined ? "    " : `-${definition.short}, `;
  const value = valueName(definition);
  if (value === undefined) return `${short}--${long}`;
  return `${short}--${long}${definition.implied === undefined ? ` ${value}` : `[=${value}]`}`;
}

function valueName(definition: OptionDefinition): string | undefined {
  if (definition.type === "boolean") return undefined;
  return definition.value ?? (definition.type === "number" ? "int" : "string");
}

/** The help text with what the flag is when not given. */
export function optionHelp(definition: OptionDefinition): string {
  const { default: value, defaultText, help } = definition;
  const text =
    defaultText ?? (value === undefined || value === false || value === "" ? undefined : String(value));
  return text === undefined ? help : `${help} (default ${text})`;
}

function optionLines(options: OptionTable): string {
  return columns(
    Object.entries(options).map(([long, definition]) => [
      optionName(long, definition),
      optionHelp(definition),
    ]),
  );
}

/** Two columns, the second wrapped. */
function columns(rows: readonly (readonly [string, string])[]): string {
  const widths = rows.map(([name]) => displayWidth(name)).filter((width) => width <= widestName);
  const indent = Math.max(0, ...widths) + 5;
  return rows
    .map(([name, text]) => {
      const lines = wrap(text, lineWidth - indent);
      const fits = displayWidth(name) <= widestName;
      const first = fits ? `  ${name}`.padEnd(indent) + (lines.shift() ?? "") : `  ${name}`;
      return [first, ...lines.map((line) => " ".repeat(indent) + line)].map((line) => `${line}\n`).join("");
    })
    .join("");
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
