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
    // Most lines have no global option: then nothing is parsed twice.
    let line: ParsedLine | undefined;
    if (args[0]?.startsWith("-")) {
      line = parseLine(args, {
        options: globalOptions,
        stopAtFirstPositional: true,
        helpCommand: "vitrine --help",
      });
      debug ||= line.options["debug"] === true || line.options["log-level"] === "debug";
    }
    const words = line?.positionals ?? args;
    const globals = resolveGlobals(line, environment);
    const context = makeContext(globals, environment, restart);
    if (line?.options["version"] === true) {
      context.out(`vitrine version ${version}\n`);
      return 0;
    }
    if (line?.help === true || words.length === 0) {
      const help = await import("./help.ts");
      context.out(help.renderOverview());
      return 0;
    }

    const chosen = choose(words);
    if (chosen.entry.load === undefined) {
      const help = await import("./help.ts");
      const rest = words.slice(chosen.path.length);
      if (rest[0] === "--help" || rest[0] === "-h" || rest[0] === "help") {
        context.out(help.renderGroup(chosen.entry));
        return 0;
      }
      throw missingSubcommand(chosen.entry, rest[0]);
    }
    command = (await chosen.entry.load()).command;
    const commandArgs = words.slice(chosen.path.length);
    const helpCommand = `vitrine ${chosen.path.join(" ")} --help`;
    const parsed = command.raw
      ? { options: {}, given: new Set<string>(), positionals: commandArgs, help: false }
      : parseLine(commandArgs, {
          options: command.options,
          stopAtFirstPositional: command.stopAtFirstPositional === true,
          helpCommand,
          globals: globalOptions,
        });
    if (parsed.help) {
      const help = await import("./help.ts");
      context.out(help.renderCommand(chosen.path, chosen.entry, command));
      return 0;
    }
    requirePositionals(command, parsed.positionals, chosen.path, helpCommand);
    if (mayBeUnsettled(globals.root, environment, context.uid)) await context.store();
    const status = await command.run({
      options: parsed.options as never,
      given: parsed.given,
      positionals: parsed.positionals,
      arguments: commandArgs,
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
