/** What a verb of the runtime's command line is. Each lies in a file of `verbs/`, loaded when it is asked for. */
import type { OptionTable, OptionValues } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import type { RuntimeLog } from "./log.ts";

export interface RuntimeGlobals {
  /** Absolute: a directory for each container. */
  readonly root: string;
  readonly systemdCgroup: boolean;
  readonly debug: boolean;
  /** The global options as they were given, to start ourselves again with them. */
  readonly words: readonly string[];
}

export interface VerbInvocation<Table extends OptionTable = OptionTable> {
  readonly options: OptionValues<Table>;
  readonly given: ReadonlySet<string>;
  readonly positionals: readonly string[];
  readonly globals: RuntimeGlobals;
  readonly log: RuntimeLog;
  readonly context: Context;
}

export interface VerbDefinition<Table extends OptionTable = OptionTable> {
  readonly summary: string;
  /** What follows the options: `CONTAINER [COMMAND]`. */
  readonly usage: string;
  readonly options: Table;
  /** At least and at most so many positionals. */
  readonly positionals: readonly [number, number];
  readonly stopAtFirstPositional?: boolean;
  /** The status of an error; default 1. */
  readonly failure?: number;
  readonly run: (invocation: VerbInvocation<Table>) => Promise<number | undefined> | number | undefined;
}

export type Verb = Omit<VerbDefinition, "run"> & {
  readonly run: (invocation: VerbInvocation) => Promise<number | undefined> | number | undefined;
};

export function defineVerb<const Table extends OptionTable>(definition: VerbDefinition<Table>): Verb {
  // The parser builds `options` from the same table, so that the values have the types the body sees.
  return definition as unknown as Verb;
}
