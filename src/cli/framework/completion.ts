/** What may stand next on a command line, computed from the registry and the commands' tables. */
import { VitrineError } from "../../base/mod.ts";
import { findEntry, registry } from "../registry.ts";
import type { Command, CommandEntry, CompletionKind, OptionDefinition, OptionTable } from "./command.ts";
import type { Context } from "./context.ts";
import { globalOptions } from "./globals.ts";

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

export interface Offer {
  /** Those that begin with what was typed. */
  readonly candidates: readonly Candidate[];
  readonly also: "files" | "directories" | "none";
}

const nothing: Offer = { candidates: [], also: "none" };

/** `words` are those after `vitrine`; the last one is being typed and may be empty. */
export async function completeLine(words: readonly string[], context: Context): Promise<Offer> {
  const current = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  const globals = scan(before, globalOptions, true);
  if (globals.awaiting !== undefined) return valuesOf(globals.awaiting, current, "", context);
  const rest = before.slice(globals.end);
  if (rest.length === 0) {
    return current.startsWith("-") ? flags(globalOptions, current, context) : commands(registry, current);
  }
  let entry = findEntry(registry, rest[0]!);
  let args = rest.slice(1);
  if (entry?.subcommands !== undefined) {
    if (args.length === 0) return commands(entry.subcommands, current);
    entry = findEntry(entry.subcommands, args[0]!);
    args = args.slice(1);
  }
  if (entry?.load === undefined) return nothing;
  return completeCommand(entry, args, current, context);
}

async function completeCommand(
  entry: CommandEntry,
  args: readonly string[],
  current: string,
  context: Context,
): Promise<Offer> {
  const { command } = await entry.load!();
  const state = scan(args, command.options, command.stopAtFirstPositional === true);
  if (state.awaiting !== undefined) return valuesOf(state.awaiting, current, "", context);
  if (current.startsWith("-") && !state.onlyPositionals) return flags(command.options, current, context);
  if (entry.name === "help") return commands(registry, current);
  // `explain run …` reads as `run …` from there on.
  if (entry.name === "explain" && state.positionals[0] === "run") {
    return completeCommand(findEntry(registry, "run")!, args.slice(state.end + 1), current, context);
  }
  const offer = await positional(command, state.positionals.length, current, context);
  if (entry.name !== "explain" || state.positionals.length > 0) return offer;
  return {
    ...offer,
    candidates: [...commands([findEntry(registry, "run")!], current).candidates, ...offer.candidates],
  };
}

interface Scan {
  /** The option whose value is the next word. */
  readonly awaiting: OptionDefinition | undefined;
  readonly positionals: readonly string[];
  /** Flags are no flags any more. */
  readonly onlyPositionals: boolean;
  /** Index of the first positional, or the number of words. */
  readonly end: number;
}

function scan(words: readonly string[], options: OptionTable, stopAtFirst: boolean): Scan {
  const positionals: string[] = [];
  let awaiting: OptionDefinition | undefined;
  let onlyPositionals = false;
  let end = words.length;
  for (const [index, word] of words.entries()) {
    if (awaiting !== undefined) {
      awaiting = undefined;
    } else if (!onlyPositionals && word === "--") {
      onlyPositionals = true;
    } else if (!onlyPositionals && word.startsWith("-") && word.length > 1) {
      awaiting = word.includes("=") ? undefined : lastOption(word, options);
    } else {
      if (positionals.length === 0) end = index;
      positionals.push(word);
      onlyPositionals ||= stopAtFirst;
    }
  }
  return { awaiting, positionals, onlyPositionals, end };
}

/** The option at the end of `--name` or `-abc` that takes the next word. */
function lastOption(word: string, options: OptionTable): OptionDefinition | undefined {
  const found = word.startsWith("--")
    ? options[word.slice(2)]
    : Object.values(options).find(({ short }) => short === word.at(-1));
  if (found === undefined || found.type === "boolean" || found.implied !== undefined) return undefined;
  return found;
}

function commands(entries: readonly CommandEntry[], current: string): Offer {
  const candidates = entries
    .filter((entry) => entry.hidden !== true && entry.name.startsWith(current))
    .map(({ name, summary }) => ({ value: name, description: summary }));
  return { candidates, also: "none" };
}

async function flags(options: OptionTable, current: string, context: Context): Promise<Offer> {
  const equals = current.indexOf("=");
  if (equals !== -1) {
    const definition = options[current.slice(2, equals)];
    if (definition === undefined) return nothing;
    return valuesOf(definition, current.slice(equals + 1), current.slice(0, equals + 1), context);
  }
  const candidates = Object.entries(options)
    .filter(([long, { hidden }]) => hidden !== true && `--${long}`.startsWith(current))
    .map(([long, { help }]) => ({ value: `--${long}`, description: help }));
  if ("--help".startsWith(current)) candidates.push({ value: "--help", description: "show help" });
  return { candidates, also: "none" };
}

async function valuesOf(
  definition: OptionDefinition,
  current: string,
  prefix: string,
  context: Context,
): Promise<Offer> {
  if (definition.choices !== undefined) {
    const values = definition.choices.filter((choice) => choice.startsWith(current));
    return { candidates: values.map((value) => ({ value: prefix + value, description: "" })), also: "none" };
  }
  const offer = await ofKind(definition.completion ?? "none", current, context);
  return {
    ...offer,
    candidates: offer.candidates.map((found) => ({ ...found, value: prefix + found.value })),
  };
}

function positional(
  command: Command,
  index: number,
  current: string,
  context: Context,
): Promise<Offer> | Offer {
  const last = command.positionals.at(-1);
  const definition = command.positionals[index] ?? (last?.variadic ? last : undefined);
  if (definition === undefined) return nothing;
  return ofKind(definition.completion ?? "none", current, context);
}

async function ofKind(kind: CompletionKind, current: string, context: Context): Promise<Offer> {
  switch (kind) {
    case "file":
      return { candidates: [], also: "files" };
    case "directory":
      return { candidates: [], also: "directories" };
    case "command":
      return commands(registry, current);
    case "image":
      return named(await imageNames(current, context), current);
    case "container":
      return named(await containerNames(context), current);
    case "container or image":
      return named([...(await containerNames(context)), ...(await imageNames(current, context))], current);
    case "volume":
      return named((await import("../volumes/names.ts")).namesOf(context), current);
    case "none":
      return nothing;
  }
}

function named(values: readonly string[], current: string): Offer {
  const matching = [...new Set(values)].filter((value) => value.startsWith(current)).sort();
  return { candidates: matching.map((value) => ({ value, description: "" })), also: "none" };
}

/** Short names, and whole ones once something of them was typed. */
async function imageNames(current: string, context: Context): Promise<readonly string[]> {
  const { familiarReference, parsed, shortId } = await import("../images/names.ts");
  const store = await context.store();
  const listed = store.list().flatMap(({ name, id }) => {
    if (name === undefined) return [shortId(id)];
    const reference = parsed(name);
    const short = reference === undefined ? name : familiarReference(reference);
    return current === "" || short.startsWith(current) ? [short] : [name, shortId(id)];
  });
  // The image that the executable carries is there even when it is not yet in the store.
  return ["hello", ...listed];
}

async function containerNames(context: Context): Promise<readonly string[]> {
  const fs = await import("node:fs");
  const path = await import("node:path");
  const directory = path.join(context.paths().root, "containers");
  if (!fs.existsSync(directory)) return [];
  return fs.readdirSync(directory).flatMap((id) => {
    try {
      const record: unknown = JSON.parse(fs.readFileSync(path.join(directory, id, "container.json"), "utf8"));
      const name =
        record !== null && typeof record === "object" && "name" in record ? record.name : undefined;
      return typeof name === "string" && name !== "" ? [name] : [id.slice(0, 12)];
    } catch (error) {
      if (error instanceof VitrineError) throw error;
      return [];
    }
  });
}
