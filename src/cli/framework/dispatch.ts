/** From words to a running command. Loads only the command that was asked for. */
import { mayBeUnsettled } from "../../api/locations.ts";
import { VitrineError } from "../../base/mod.ts";
import { findEntry, registry } from "../registry.ts";
import { version } from "../version.ts";
import type { Command, CommandEntry } from "./command.ts";
import { type Failure, failureOf } from "./failure.ts";
import { globalOptions, resolveGlobals } from "./globals.ts";
import { nearest } from "./nearest.ts";
import { type ParsedLine, parseLine } from "./parse.ts";
import { makeContext } from "./world.ts";

/** Runs one command line and returns its exit status; an error is told by `report` and has its own. */
export async function dispatch(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  report: (failure: Failure) => void,
  restart?: () => void,
): Promise<number> {
  let debug = environment["VITRINE_LOG_LEVEL"] === "debug";
  let command: Command | undefined;
  try {
    const line = globalLine(args);
    debug ||= line?.options["debug"] === true || line?.options["log-level"] === "debug";
    const words = line?.positionals ?? args;
    const globals = resolveGlobals(line, environment);
    const context = makeContext(globals, environment, restart);
    const told = line?.options["version"] === true ? `vitrine version ${version}\n` : undefined;
    const chosen = told === undefined && line?.help !== true && words.length > 0 ? choose(words) : undefined;
    if (chosen?.entry.load === undefined) {
      context.out(told ?? (await helpOf(chosen, words)));
      return 0;
    }
    command = (await chosen.entry.load()).command;
    const parsed = parseCommandLine(command, chosen, words);
    if (parsed.help) {
      const help = await import("./help.ts");
      context.out(help.renderCommand(chosen.path, chosen.entry, command));
      return 0;
    }
    requirePositionals(command, parsed.positionals, chosen.path, helpCommandOf(chosen));
    if (mayBeUnsettled(globals.root, environment, context.uid)) await context.store();
    const status = await command.run({
      options: parsed.options as never,
      given: parsed.given,
      positionals: parsed.positionals,
      arguments: words.slice(chosen.path.length),
      path: chosen.path,
      context,
    });
    return status ?? 0;
  } catch (error) {
    const failure = failureOf(error, debug, command);
    report(failure);
    return failure.status;
  }
}

/** Most lines have no global option: then nothing is parsed twice. */
function globalLine(args: readonly string[]): ParsedLine | undefined {
  if (args[0]?.startsWith("-") !== true) return undefined;
  return parseLine(args, {
    options: globalOptions,
    stopAtFirstPositional: true,
    helpCommand: "vitrine --help",
  });
}

/** Of vitrine, or of a group. Errors: `missing-command`, `unknown-command`, where no help was asked for. */
async function helpOf(group: Chosen | undefined, words: readonly string[]): Promise<string> {
  const help = await import("./help.ts");
  if (group === undefined) return help.renderOverview();
  const word = words[group.path.length];
  if (word === "--help" || word === "-h" || word === "help") return help.renderGroup(group.entry);
  throw missingSubcommand(group.entry, word);
}

function parseCommandLine(command: Command, chosen: Chosen, words: readonly string[]): ParsedLine {
  const args = words.slice(chosen.path.length);
  if (command.raw) return { options: {}, given: new Set<string>(), positionals: args, help: false };
  return parseLine(args, {
    options: command.options,
    stopAtFirstPositional: command.stopAtFirstPositional === true,
    helpCommand: helpCommandOf(chosen),
    globals: globalOptions,
  });
}

function helpCommandOf({ path }: Chosen): string {
  return `vitrine ${path.join(" ")} --help`;
}

interface Chosen {
  readonly entry: CommandEntry;
  /** The words that led to it, aliases as typed. */
  readonly path: readonly string[];
}

function choose(words: readonly string[]): Chosen {
  const name = words[0]!;
  const entry = findEntry(registry, name);
  if (entry === undefined) throw unknownCommand(name);
  const subcommand =
    entry.subcommands && words[1] !== undefined ? findEntry(entry.subcommands, words[1]) : undefined;
  if (subcommand === undefined) return { entry, path: [name] };
  return { entry: subcommand, path: [name, words[1]!] };
}

function unknownCommand(name: string): VitrineError {
  const group = registry.find(({ subcommands }) => subcommands && findEntry(subcommands, name));
  if (group !== undefined) return noCommand(name, `${group.name} ${name}`);
  const close = nearest(
    name,
    registry
      .filter((entry) => entry.hidden !== true)
      .flatMap((entry) => [entry.name, ...(entry.aliases ?? [])]),
  );
  return noCommand(name, close);
}

function noCommand(name: string, close: string | undefined): VitrineError {
  return new VitrineError("invalid", `unknown command: ${name}`, {
    code: "unknown-command",
    operand: name,
    hint:
      close === undefined ? "see 'vitrine --help'" : `did you mean 'vitrine ${close}'? See 'vitrine --help'`,
  });
}

function missingSubcommand(entry: CommandEntry, word: string | undefined): VitrineError {
  const names = (entry.subcommands ?? []).map((subcommand) => subcommand.name);
  const close = word === undefined ? undefined : nearest(word, names);
  const see = `see 'vitrine ${entry.name} --help'`;
  return new VitrineError(
    "invalid",
    word === undefined
      ? `missing command after 'vitrine ${entry.name}'`
      : `unknown command: ${entry.name} ${word}`,
    {
      code: word === undefined ? "missing-command" : "unknown-command",
      operand: entry.name,
      hint:
        close === undefined
          ? `it can be ${names.join(", ")}; ${see}`
          : `did you mean 'vitrine ${entry.name} ${close}'?`,
    },
  );
}

function requirePositionals(
  command: Command,
  positionals: readonly string[],
  path: readonly string[],
  helpCommand: string,
): void {
  if (command.raw) return;
  const name = `vitrine ${path.join(" ")}`;
  const required = command.positionals.filter((positional) => positional.optional !== true);
  const missing = required[positionals.length];
  if (missing !== undefined) {
    throw missingArgument(name, missing.name, helpCommand);
  }
  const open = command.stopAtFirstPositional === true || command.positionals.at(-1)?.variadic === true;
  if (!open && positionals.length > command.positionals.length) {
    const surplus = positionals[command.positionals.length]!;
    throw new VitrineError("invalid", `'${name}' takes no argument '${surplus}'`, {
      code: "surplus-argument",
      operand: surplus,
      hint: `see '${helpCommand}'`,
    });
  }
}

export function missingArgument(name: string, argument: string, helpCommand: string): VitrineError {
  return new VitrineError("invalid", `'${name}' needs ${argument}`, {
    code: "missing-argument",
    operand: argument,
    hint: `see '${helpCommand}'`,
  });
}
