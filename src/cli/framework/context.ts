import type { HostFacts } from "../../kernel/mod.ts";
import type { Store } from "../../store/mod.ts";

/** The options before the command, with the environment's VITRINE_* already applied. */
export interface GlobalOptions {
  readonly root: string | undefined;
  readonly runroot: string | undefined;
  readonly storageDriver: StorageDriver;
  readonly logLevel: LogLevel;
  readonly debug: boolean;
}

export const storageDrivers = ["auto", "overlay", "copy"] as const;
export type StorageDriver = (typeof storageDrivers)[number];

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/** Where state lives; see ARCHITECTURE.md, "On disk". Absolute. */
export interface StatePaths {
  readonly root: string;
  readonly runroot: string;
}

/** What a command may know of the world. Everything costly is a function, made on the first call. */
export interface Context {
  readonly globals: GlobalOptions;
  /** The environment, as it was at start; BUN_* is dropped. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Effective ids. */
  readonly uid: number;
  readonly gid: number;
  /** Decides ROOT and RUNROOT (and makes a fallback RUNROOT safe). Errors: `runroot-unsafe`, `home-unknown`. */
  paths(): StatePaths;
  /** Absolute path of vitrine-helper. Error: `helper-missing`. */
  helperPath(): string;
  /** The machine's facts, each read when it is first asked for. */
  host(): Promise<HostFacts>;
  /** Opens the image store below ROOT; one object a command. */
  store(): Promise<Store>;
  /**
   * Writes to stdout, all of it. `text` is trusted: pass what images say through base's printable() first.
   * When nobody reads any more, OutputClosed is thrown and the command ends quietly.
   */
  out(text: string): void;
  /** Writes to stderr. */
  err(text: string): void;
  /** One line to stderr when the log level allows it, e.g. `warning: …`. */
  log(level: LogLevel, message: string): void;
  readonly stdinIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  /** Columns of stdout's terminal, Infinity where there is none: text for programs is not cut. */
  terminalWidth(): number;
  /** Milliseconds since 1970. */
  now(): number;
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
