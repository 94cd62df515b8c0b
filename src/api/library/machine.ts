/** The machine as a program sees it that uses the library. */
import { fileURLToPath } from "node:url";
import { probeHost } from "../../kernel/mod.ts";
import type { Store } from "../../store/mod.ts";
import { expectedHelper, findHelper, statePaths } from "../locations.ts";
import type { LogLevel, Machine, StatePaths, StorageDriver } from "../machine/machine.ts";
import { openMachineStore } from "../machine/storage.ts";

export interface EngineOptions {
  /** Where images and containers are kept. Default: as the command, $VITRINE_ROOT or /var/lib/vitrine, rootless below XDG_DATA_HOME. */
  readonly root?: string;
  /** State of this boot. Default: as the command, $VITRINE_RUNROOT or /run/vitrine, rootless below XDG_RUNTIME_DIR. */
  readonly runroot?: string;
  readonly storageDriver?: StorageDriver;
  /** What the command would print as warnings and notes. Default: warnings go to `process.emitWarning`. */
  readonly onLog?: (level: LogLevel, message: string) => void;
}

export function libraryMachine(options: EngineOptions): Machine {
  const environment = withoutRuntimeVariables(process.env);
  const uid = process.geteuid?.() ?? 0;
  const log = options.onLog ?? warnOnly;
  let paths: StatePaths | undefined;
  let helper: string | undefined;
  let store: Promise<Store> | undefined;
  const machine: Machine = {
    environment,
    uid,
    gid: process.getegid?.() ?? 0,
    storageDriver: options.storageDriver ?? "auto",
    paths() {
      const chosen = {
        root: options.root ?? nonEmpty(environment["VITRINE_ROOT"]),
        runroot: options.runroot ?? nonEmpty(environment["VITRINE_RUNROOT"]),
      };
      paths ??= statePaths(chosen, environment, uid, (message) => log("warn", message));
      return paths;
    },
    helperPath() {
      helper ??= findHelper(environment, libraryFile);
      return helper;
    },
    expectedHelper: () => expectedHelper(environment, libraryFile),
    host: async () => probeHost(),
    store() {
      store ??= openMachineStore(machine);
      return store;
    },
    // Each container and program has a report of its own: see launch.ts.
    failureCommand: () => [],
    log,
    now: Date.now,
  };
  return machine;
}

/** The helper lies beside the directory of the built library, as it does beside the executable. */
const libraryFile = import.meta.dirname;

function withoutRuntimeVariables(environment: NodeJS.ProcessEnv): Machine["environment"] {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("BUN_")));
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function warnOnly(level: LogLevel, message: string): void {
  if (level === "warn" || level === "error") process.emitWarning(message, { type: "VitrineWarning" });
}

/**
 * What the helper runs when an op failed: this runtime on failed.ts. None where the program is one file that has its
 * runtime inside: started again it would be the program itself.
 */
export function failureProgram(): readonly string[] {
  const url = import.meta.url;
  if (!url.startsWith("file:") || url.includes("/$bunfs/")) return [];
  return [process.execPath, fileURLToPath(new URL(url.endsWith(".ts") ? "failed.ts" : "failed.js", url))];
}
