import { VitrineError } from "../../base/mod.ts";
import type { OptionTable } from "./command.ts";
import {
  cgroupManagers,
  type GlobalOptions,
  type LogLevel,
  logLevels,
  type StorageDriver,
  storageDrivers,
} from "./context.ts";
import type { ParsedLine } from "./parse.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What may stand before the command. */
export const globalOptions = {
  root: {
    type: "string",
    value: "DIR",
    completion: "directory",
    help: "where images and containers are kept",
  },
  runroot: {
    type: "string",
    value: "DIR",
    completion: "directory",
    help: "where the state of this boot is kept",
  },
  "storage-driver": {
    type: "string",
    value: "DRIVER",
    choices: storageDrivers,
    help: "how layers become a root filesystem: overlay, copy or auto",
  },
  "cgroup-manager": {
    type: "string",
    value: "MANAGER",
    choices: cgroupManagers,
    help: "who makes cgroups: systemd (where it runs the machine) or cgroupfs",
  },
  "log-level": {
    type: "string",
    value: "LEVEL",
    choices: logLevels,
    help: "what is told on stderr: debug, info, warn or error",
  },
  debug: { type: "boolean", short: "D", help: "log level debug, and the causes of an error" },
  version: { type: "boolean", short: "v", help: "print the version" },
} as const satisfies OptionTable;

/** Flags over environment over defaults. Error: `invalid-environment`. */
export function resolveGlobals(line: ParsedLine | undefined, environment: Environment): GlobalOptions {
  const flags: Readonly<Record<string, unknown>> = line?.options ?? {};
  const text = (flag: string, variable: string): string | undefined => {
    const value = flags[flag];
    if (typeof value === "string") return value;
    const inherited = environment[variable];
    return inherited === "" ? undefined : inherited;
  };
  const debug = flags["debug"] === true;
  const level = choice(text("log-level", "VITRINE_LOG_LEVEL"), logLevels, "VITRINE_LOG_LEVEL");
  return {
    root: text("root", "VITRINE_ROOT"),
    runroot: text("runroot", "VITRINE_RUNROOT"),
    storageDriver:
      choice<StorageDriver>(
        text("storage-driver", "VITRINE_STORAGE_DRIVER"),
        storageDrivers,
        "VITRINE_STORAGE_DRIVER",
      ) ?? "auto",
    cgroupManager: choice(
      text("cgroup-manager", "VITRINE_CGROUP_MANAGER"),
      cgroupManagers,
      "VITRINE_CGROUP_MANAGER",
    ),
    logLevel: debug ? "debug" : (level ?? ("warn" satisfies LogLevel)),
    debug: debug || level === "debug",
  };
}

/** The parser checked flags already, so what is wrong here came from the environment. */
function choice<T extends string>(
  value: string | undefined,
  choices: readonly T[],
  variable: string,
): T | undefined {
  if (value === undefined) return undefined;
  const found = choices.find((known) => known === value);
  if (found !== undefined) return found;
  throw new VitrineError("invalid", `invalid value ${JSON.stringify(value)} in ${variable}`, {
    code: "invalid-environment",
    operand: variable,
    hint: `it can be ${choices.join(", ")}`,
  });
}
