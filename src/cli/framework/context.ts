import type { CgroupManager, LogLevel, Machine, StorageDriver } from "../../api/mod.ts";

export type { LogLevel, StatePaths, StorageDriver } from "../../api/mod.ts";

/** The options before the command, with the environment's VITRINE_* already applied. */
export interface GlobalOptions {
  readonly root: string | undefined;
  readonly runroot: string | undefined;
  readonly storageDriver: StorageDriver;
  readonly cgroupManager?: CgroupManager | undefined;
  readonly logLevel: LogLevel;
  readonly debug: boolean;
}

export const storageDrivers = ["auto", "overlay", "copy"] as const satisfies readonly StorageDriver[];
export const cgroupManagers = ["systemd", "cgroupfs"] as const satisfies readonly CgroupManager[];
export const logLevels = ["debug", "info", "warn", "error"] as const satisfies readonly LogLevel[];

/** What a command may know of the world: the machine, and the terminal. */
export interface Context extends Machine {
  readonly globals: GlobalOptions;
  /**
   * Writes to stdout, all of it. `text` is trusted: pass what images say through base's printable() first.
   * When nobody reads any more, OutputClosed is thrown and the command ends quietly.
   */
  out(text: string): void;
  /** Writes to stderr. */
  err(text: string): void;
  readonly stdinIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  /** Columns of stdout's terminal, Infinity where there is none: text for programs is not cut. */
  terminalWidth(): number;
  /** Where this process runs interpreted: starts the command again, compiled, for long work. See restart.ts. */
  readonly restart?: (() => void) | undefined;
}

/** The reader of our output went away (EPIPE). Not an error to tell about. */
export class OutputClosed extends Error {
  constructor() {
    super("output closed");
    this.name = "OutputClosed";
  }
}
