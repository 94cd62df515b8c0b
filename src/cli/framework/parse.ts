/**
 * A command line read as Go's pflag reads it, which is what users of docker and podman are used to. By hand:
 * loading node:util for its parseArgs costs more than everything else before a command's body, and its rules for
 * `-x=value`, booleans with a value and the first positional are others.
 */
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
  /** Flags that belong before the command: said when one is unknown here. */
  readonly globals?: OptionTable;
}

const helpOption: OptionDefinition = { type: "boolean", help: "show this help" };

/**
 * Reads `args` by `rules`. Throws VitrineError `unknown-flag`, `flag-needs-value`, `invalid-flag-value`.
 * A value that a flag needs is taken as it is, even when it begins with a dash (`--cpu-shares -1`).
 */
export function parseLine(args: readonly string[], rules: ParseRules): ParsedLine {
  const names = nameTable(rules.options);
  const values = new Map<string, string[]>();
  const given = new Set<string>();
  const positionals: string[] = [];
  let help = false;

  const take = (typed: string, found: NamedOption, value: string): void => {
    if (found.definition === helpOption) {
      help = booleanValue(value, typed, rules.helpCommand);
      return;
    }
    const { long } = found;
    given.add(long);
    const list = values.get(long);
    if (list === undefined) values.set(long, [value]);
    else list.push(value);
  };
  const lookUp = (typed: string): NamedOption => {
    const found = names.get(typed);
    if (found === undefined) throw unknownFlag(typed, names, rules);
    return found;
  };

  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    if (arg === "--") {
      positionals.push(...args.slice(at + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      if (rules.stopAtFirstPositional) {
        positionals.push(...args.slice(at));
        break;
      }
      positionals.push(arg);
      continue;
    }
    /** The value of a flag that needs one: the next argument, whatever it looks like. */
    const next = (typed: string): string => {
      const value = args[++at];
      if (value === undefined) throw missingValue(typed, rules.helpCommand);
      return value;
    };
    if (arg.startsWith("--")) {
      const equals = arg.indexOf("=");
      const typed = equals === -1 ? arg : arg.slice(0, equals);
      const found = lookUp(typed);
      take(
        typed,
        found,
        equals === -1 ? (valueAlone(found.definition) ?? next(typed)) : arg.slice(equals + 1),
      );
      continue;
    }
    // `-abc`: flags of one letter; the first that needs a value has the rest of the argument, or the next one.
    for (let letter = 1; letter < arg.length; letter++) {
      const typed = `-${arg[letter]}`;
      const found = lookUp(typed);
      const rest = arg.slice(letter + 1);
      const alone = valueAlone(found.definition);
      if (rest.startsWith("=")) take(typed, found, rest.slice(1));
      else if (alone !== undefined) take(typed, found, alone);
      else take(typed, found, rest === "" ? next(typed) : rest);
      if (alone === undefined || rest.startsWith("=")) break;
    }
  }
  return { options: help ? {} : convert(rules, values), given, positionals, help };
}

interface NamedOption {
  readonly long: string;
  readonly definition: OptionDefinition;
}

/** Every spelling as it is typed: `--name`, its aliases, `-n`. */
function nameTable(options: OptionTable): ReadonlyMap<string, NamedOption> {
  const help = { long: "help", definition: helpOption };
  const names = new Map<string, NamedOption>([
    ["--help", help],
    ["-h", help],
  ]);
  for (const [long, definition] of Object.entries(options)) {
    const named = { long, definition };
    names.set(`--${long}`, named);
    for (const alias of definition.aliases ?? []) names.set(`--${alias}`, named);
    if (definition.short !== undefined) names.set(`-${definition.short}`, named);
  }
  return names;
}

/** What a flag means without `=value`; undefined where it then takes the next argument. */
function valueAlone(definition: OptionDefinition): string | undefined {
  return definition.type === "boolean" ? "true" : definition.implied;
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

function missingValue(typed: string, helpCommand: string): VitrineError {
  return new VitrineError("invalid", `flag needs an argument: ${typed}`, {
    code: "flag-needs-value",
    operand: typed,
    hint: `see '${helpCommand}'`,
  });
}

function unknownFlag(
  typed: string,
  names: ReadonlyMap<string, NamedOption>,
  { helpCommand, globals }: ParseRules,
): VitrineError {
  const isLong = typed.startsWith("--");
  const known = [...names].flatMap(([name, { definition }]) =>
    name.startsWith("--") && definition.hidden !== true ? [name.slice(2)] : [],
  );
  const close = isLong ? nearest(typed.slice(2), known) : undefined;
  return new VitrineError("invalid", `${isLong ? "unknown flag" : "unknown shorthand flag"}: ${typed}`, {
    code: "unknown-flag",
    operand: typed,
    hint:
      globals !== undefined && isLong && Object.hasOwn(globals, typed.slice(2))
        ? `${typed} goes before the command: vitrine ${typed} … COMMAND`
        : close === undefined
          ? `see '${helpCommand}'`
          : `did you mean '--${close}'? See '${helpCommand}'`,
  });
}
