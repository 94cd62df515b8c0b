/**
 * A command line read as Go's pflag reads it, which is what users of docker and podman are used to. The tokens
 * come from `util.parseArgs`; this file gives them their meaning.
 */
import { type ParseArgsConfig, parseArgs } from "node:util";
import { VitrineError } from "../../base/mod.ts";
import type { OptionDefinition, OptionTable } from "./command.ts";
import { nearest } from "./nearest.ts";

export interface ParsedLine {
  readonly options: Readonly<Record<string, unknown>>;
  readonly given: ReadonlySet<string>;
  readonly positionals: readonly string[];
  /** `--help` or `-h` (where the command has no `h` of its own). */
  readonly help: boolean;
}

export interface ParseRules {
  readonly options: OptionTable;
  readonly stopAtFirstPositional: boolean;
  /** What to type for help, e.g. `vitrine run --help`. */
  readonly helpCommand: string;
}

const helpOption: OptionDefinition = { type: "boolean", help: "show this help" };

/**
 * Reads `args` by `rules`. Throws VitrineError `unknown-flag`, `flag-needs-value`, `invalid-flag-value`.
 * A value that a flag needs is taken as it is, even when it begins with a dash (`--cpu-shares -1`).
 */
export function parseLine(args: readonly string[], rules: ParseRules): ParsedLine {
  const names = nameTable(rules.options);
  const tokens = tokensOf(args, names);
  const values = new Map<string, string[]>();
  const given = new Set<string>();
  const positionals: string[] = [];
  let help = false;
  let skippedIndex = -1;

  for (const token of tokens) {
    if (token.kind === "positional") {
      if (rules.stopAtFirstPositional) {
        positionals.push(...args.slice(token.index));
        break;
      }
      positionals.push(token.value);
      continue;
    }
    if (token.kind === "option-terminator" && rules.stopAtFirstPositional) {
      positionals.push(...args.slice(token.index + 1));
      break;
    }
    if (token.kind !== "option" || token.index === skippedIndex) continue;

    const typed = token.rawName;
    const found = names.get(
      token.name.length === 1 && !typed.startsWith("--") ? `-${token.name}` : token.name,
    );
    if (found === undefined) throw unknownFlag(typed, names, rules.helpCommand);
    let value = token.value;
    const shortWithEquals = shortEquals(args[token.index], typed);
    if (shortWithEquals !== undefined && !takesNext(found.definition)) {
      // `-i=false`: to parseArgs the rest is a group of one-letter flags.
      value = shortWithEquals;
      skippedIndex = token.index;
    } else if (token.inlineValue === true && !typed.startsWith("--") && value?.startsWith("=")) {
      value = value.slice(1); // `-e=A`
    }
    if (value === undefined) {
      if (takesNext(found.definition)) {
        throw new VitrineError("invalid", `flag needs a value: ${typed}`, {
          code: "flag-needs-value",
          operand: typed,
          hint: `see '${rules.helpCommand}'`,
        });
      }
      value = found.definition.type === "boolean" ? "true" : (found.definition.implied ?? "");
    }
    if (found.long === "help" && found.definition === helpOption) {
      help = booleanValue(value, typed, rules.helpCommand);
      continue;
    }
    given.add(found.long);
    const list = values.get(found.long);
    if (list === undefined) values.set(found.long, [value]);
    else list.push(value);
  }
  return { options: help ? {} : convert(rules, values), given, positionals, help };
}

interface NamedOption {
  readonly long: string;
  readonly definition: OptionDefinition;
}

/** Every spelling: `name`, aliases, and `-x` for short ones. */
function nameTable(options: OptionTable): Map<string, NamedOption> {
  const names = new Map<string, NamedOption>();
  for (const [long, definition] of Object.entries(options)) {
    const named = { long, definition };
    names.set(long, named);
    for (const alias of definition.aliases ?? []) names.set(alias, named);
    if (definition.short !== undefined) names.set(`-${definition.short}`, named);
  }
  const help = { long: "help", definition: helpOption };
  if (!names.has("help")) names.set("help", help);
  if (!names.has("-h")) names.set("-h", help);
  return names;
}

function takesNext(definition: OptionDefinition): boolean {
  return definition.type !== "boolean" && definition.implied === undefined;
}

function tokensOf(args: readonly string[], names: ReadonlyMap<string, NamedOption>) {
  const config: NonNullable<ParseArgsConfig["options"]> = {};
  for (const [name, { definition }] of names) {
    const type = takesNext(definition) ? "string" : "boolean";
    // A one-letter key serves both `-x` and `--x`; the name table above tells them apart.
    config[name.startsWith("-") ? name.slice(1) : name] = name.startsWith("-")
      ? { type, short: name.slice(1) }
      : { type };
  }
  return parseArgs({ args: [...args], options: config, strict: false, allowPositionals: true, tokens: true })
    .tokens;
}

/** The `false` of `-i=false`, when `raw` is exactly that flag with a value. */
function shortEquals(raw: string | undefined, typed: string): string | undefined {
  if (raw === undefined || typed.startsWith("--") || !raw.startsWith(`${typed}=`)) return undefined;
  return raw.slice(typed.length + 1);
}

function convert(
  rules: ParseRules,
  values: ReadonlyMap<string, readonly string[]>,
): Readonly<Record<string, unknown>> {
  const result: Record<string, unknown> = {};
  for (const [long, definition] of Object.entries(rules.options)) {
    const list = values.get(long);
    const last = list?.at(-1);
    if (definition.choices !== undefined) {
      for (const value of list ?? []) requireChoice(value, long, definition.choices, rules.helpCommand);
    }
    switch (definition.type) {
      case "boolean":
        result[long] =
          last === undefined
            ? definition.default === true
            : booleanValue(last, `--${long}`, rules.helpCommand);
        break;
      case "number":
        result[long] =
          last === undefined ? definition.default : numberValue(last, `--${long}`, rules.helpCommand);
        break;
      case "string":
        result[long] = last ?? definition.default;
        break;
      case "strings":
        result[long] = list ?? [];
        break;
    }
  }
  return result;
}

/** The spellings of Go's strconv.ParseBool. */
function booleanValue(text: string, flag: string, helpCommand: string): boolean {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(text)) return false;
  throw invalidValue(text, flag, "expected true or false", helpCommand);
}

function numberValue(text: string, flag: string, helpCommand: string): number {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw invalidValue(text, flag, "expected an integer", helpCommand);
  return value;
}

function requireChoice(text: string, long: string, choices: readonly string[], helpCommand: string): void {
  if (choices.includes(text)) return;
  const close = nearest(text, choices);
  const expected = close === undefined ? `expected one of ${choices.join(", ")}` : `did you mean '${close}'?`;
  throw invalidValue(text, `--${long}`, expected, helpCommand);
}

function invalidValue(text: string, flag: string, expected: string, helpCommand: string): VitrineError {
  return new VitrineError("invalid", `invalid value ${JSON.stringify(text)} for ${flag}: ${expected}`, {
    code: "invalid-flag-value",
    operand: flag,
    hint: `see '${helpCommand}'`,
  });
}

function unknownFlag(
  typed: string,
  names: ReadonlyMap<string, NamedOption>,
  helpCommand: string,
): VitrineError {
  const long = typed.startsWith("--");
  const known = [...names].filter(
    ([name, { definition }]) => !name.startsWith("-") && definition.hidden !== true,
  );
  const close = long
    ? nearest(
        typed.slice(2),
        known.map(([name]) => name),
      )
    : undefined;
  const message = long ? `unknown flag: ${typed}` : `unknown shorthand flag: ${typed}`;
  return new VitrineError("invalid", message, {
    code: "unknown-flag",
    operand: typed,
    hint: close === undefined ? `see '${helpCommand}'` : `did you mean '--${close}'? See '${helpCommand}'`,
  });
}
