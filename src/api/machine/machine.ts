/**
 * The machine that containers run on, as whoever opens a door to it sees it: where state lives, where the helper is,
 * what the kernel can do. The command line has one a command, the library one an engine.
 */
import type { HostFacts } from "../../kernel/mod.ts";
import type { Store } from "../../store/mod.ts";

export type StorageDriver = "auto" | "overlay" | "copy";
export type CgroupManager = "cgroupfs" | "systemd";
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Where state lives; see ARCHITECTURE.md, "On disk". Absolute. */
export interface StatePaths {
  readonly root: string;
  readonly runroot: string;
}

/** Everything costly is a function, made on the first call. */
export interface Machine {
  /** Environment variables; BUN_* is dropped. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Effective ids. */
  readonly uid: number;
  readonly gid: number;
  readonly storageDriver: StorageDriver;
  /** undefined: systemd where it runs the machine and can be asked, else cgroupfs. */
  readonly cgroupManager?: CgroupManager | undefined;
  /** Decides ROOT and RUNROOT (and makes a fallback RUNROOT safe). Errors: `runroot-unsafe`, `home-unknown`. */
  paths(): StatePaths;
  /** Absolute path of vitrine-helper. Error: `helper-missing`. */
  helperPath(): string;
  /** Where it is, or where it should be: for work that may not need it. */
  expectedHelper(): string;
  /** The machine's facts, each read when it is first asked for. */
  host(): Promise<HostFacts>;
  /** Opens the image store below ROOT; one object a machine. */
  store(): Promise<Store>;
  /** What the helper runs when an op of this container's plan failed: argv, of an absolute program. */
  failureCommand(id: string): readonly string[];
  /** One line for whoever watches. */
  log(level: LogLevel, message: string): void;
  /** Milliseconds since 1970. */
  now(): number;
}
