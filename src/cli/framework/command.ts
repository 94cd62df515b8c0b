/**
 * What a command is. A file in `commands/` exports one `command` made by `defineCommand`; the registry
 * (`../registry.ts`) names it and loads it only when it was asked for. Help, completion and the man page
 * are generated from these values.
 */
import type { ErrorKind } from "../../base/mod.ts";
import type { Context } from "./context.ts";

/**
 * - `boolean`: `--x`, `--x=false`, `-x`.
 * - `string`: the last one given wins.
 * - `strings`: may be repeated; all values in order.
 * - `number`: a decimal integer, negative allowed.
 */
export type OptionType = "boolean" | "string" | "strings" | "number";

/** What the shell offers for a value: `image`, `container` and `command` are asked of vitrine itself. */
export type CompletionKind =
  | "file"
  | "directory"
  | "image"
  | "container"
  | "container or image"
  | "volume"
  | "command"
  | "none";

export interface OptionDefinition {
  readonly type: OptionType;
  /** One letter, without the dash. */
  readonly short?: string;
  /** How the value is called in help; default `string` or `int`. */
  readonly value?: string;
  /** The value when the flag is not given; without it the value is undefined (boolean: false, strings: []). */
  readonly default?: string | number | boolean;
  /** A default that is decided elsewhere, for help only, e.g. `the image's`. */
  readonly defaultText?: string;
  /** The value when the flag is given without `=value`; such a flag never takes the next argument. */
  readonly implied?: string;
  readonly help: string;
  readonly hidden?: boolean;
  /** Other spellings of the long name. */
  readonly aliases?: readonly string[];
  readonly choices?: readonly string[];
  readonly completion?: CompletionKind;
  /** Heading in help, for commands with many flags. */
  readonly section?: string;
}

/** Keyed by the long name without dashes. */
export type OptionTable = Readonly<Record<string, OptionDefinition>>;

interface ValueTypes {
  boolean: boolean;
  string: string;
  strings: readonly string[];
  number: number;
}

type ValueOf<Definition extends OptionDefinition> = Definition["type"] extends "boolean" | "strings"
  ? ValueTypes[Definition["type"]]
  : Definition extends { readonly default: string | number }
    ? ValueTypes[Definition["type"]]
    : ValueTypes[Definition["type"]] | undefined;

export type OptionValues<Table extends OptionTable> = {
  readonly [Name in keyof Table]: ValueOf<Table[Name]>;
};

export interface PositionalDefinition {
  /** As shown in usage, e.g. `IMAGE`. */
  readonly name: string;
  readonly optional?: boolean;
  /** Takes all that follow; only the last one may. */
  readonly variadic?: boolean;
  readonly completion?: CompletionKind;
}

export interface Example {
  readonly command: string;
  readonly does: string;
}

/** A parsed command line, handed to the body. */
export interface Invocation<Table extends OptionTable = OptionTable> {
  readonly options: OptionValues<Table>;
  /** Long names of the flags that stood on the command line (a default is not `given`). */
  readonly given: ReadonlySet<string>;
  readonly positionals: readonly string[];
  /** The arguments after the command's name as they were typed. */
  readonly arguments: readonly string[];
  /** The words that chose the command, e.g. `["image", "ls"]`. */
  readonly path: readonly string[];
  readonly context: Context;
}

export interface CommandDefinition<Table extends OptionTable = OptionTable> {
  /** What follows the command's name, e.g. `[OPTIONS] IMAGE [COMMAND] [ARG...]`; made from the rest when missing. */
  readonly usage?: readonly string[];
  /** Paragraphs below the summary. */
  readonly description?: string;
  readonly examples?: readonly Example[];
  readonly options: Table;
  readonly positionals: readonly PositionalDefinition[];
  /** Everything from the first positional on is positional, flags too (`run IMAGE ls -l`). */
  readonly stopAtFirstPositional?: boolean;
  /** Nothing is parsed: all arguments are positionals (`__complete`). */
  readonly raw?: boolean;
  /** Exit status for errors of a kind, where it is not 125. */
  readonly exitCodes?: Partial<Readonly<Record<ErrorKind, number>>>;
  /** Does the work. Resolves to the exit status (nothing: 0); errors are thrown as VitrineError. */
  readonly run: (invocation: Invocation<Table>) => Promise<number | undefined> | number | undefined;
}

/** A command as the registry and help know it, whatever its table. */
export type Command = Omit<CommandDefinition, "run"> & {
  readonly run: (invocation: Invocation) => Promise<number | undefined> | number | undefined;
};

/** Keeps the types of the option table for the body and forgets them for everybody else. */
export function defineCommand<const Table extends OptionTable>(
  definition: CommandDefinition<Table>,
): Command {
  // The parser builds `options` from the same table, so that the values have the types the body sees.
  return definition as unknown as Command;
}

export type CommandGroup = "Run" | "Images" | "Registries" | "See through" | "System" | "Management";

/** One line of the registry: all that start-up and the command list need, without loading the command. */
export interface CommandEntry {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly group: CommandGroup;
  /** One line, without a full stop. */
  readonly summary: string;
  readonly hidden?: boolean;
  /** Loads the command's file. Either this or `subcommands`. */
  readonly load?: () => Promise<{ readonly command: Command }>;
  readonly subcommands?: readonly CommandEntry[];
}
