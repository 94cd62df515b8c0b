/** The values that explain/ makes and renders. Everything here is plain data: `--format json` prints it as it is. */

import type { VitrineError } from "../base/mod.ts";
import type { HostFacts, Stage, UserTrials } from "../kernel/mod.ts";

/** The parts of a plan as people think of them, in the order they are shown. */
export const planGroups = [
  "namespaces",
  "root filesystem",
  "mounts",
  "devices",
  "cgroup",
  "capabilities",
  "seccomp",
  "LSM",
  "process",
  "clean-up",
] as const;
export type PlanGroup = (typeof planGroups)[number];

/** Who asked: `text` is the flag, the image's field, the note of the default or of the host fact. */
export interface ExplainedOrigin {
  readonly by: "flag" | "image" | "default" | "host" | "config";
  readonly text: string;
}

export interface ExplainedOp {
  /** Index in the plan: what a failed op is reported by. */
  readonly index: number;
  readonly stage: Stage;
  readonly group: PlanGroup;
  readonly op: string;
  /** Kernel calls with their real arguments, in order: `clone3(CLONE_NEWNS | CLONE_NEWPID)`. */
  readonly calls: readonly string[];
  /** Errnos it may end with and still count as done. */
  readonly tolerated: readonly string[];
  readonly pointer: string;
  readonly section: string;
  readonly origin: ExplainedOrigin;
}

export interface PlanExplanation {
  readonly ops: readonly ExplainedOp[];
  readonly notes: readonly { readonly pointer: string; readonly text: string }[];
}

export interface RenderOptions {
  /** Columns of the terminal; lines are cut or wrapped to it. Infinity: never. */
  readonly width: number;
  /** ANSI colours: the caller decides (terminal, NO_COLOR). */
  readonly color: boolean;
}

export interface PlanRenderOptions extends RenderOptions {
  /** `groups`: for people; `syscalls`: the raw list in order. */
  readonly view: "groups" | "syscalls";
  /** Only what no flag and no image asked for. */
  readonly defaultsOnly: boolean;
}

export type Severity = "ok" | "note" | "warning" | "error";

/** One thing that `vitrine doctor` looked at. */
export interface Check {
  /** Stable, kebab-case: `userns-disabled`. */
  readonly code: string;
  readonly title: string;
  readonly severity: Severity;
  /** What was found. */
  readonly found: string;
  /** What does not work because of it; empty when `ok`. */
  readonly effect: string;
  /** The exact command that mends it; empty when there is none or nothing to mend. */
  readonly command: string;
}

export interface Diagnosis {
  readonly checks: readonly Check[];
  /** The worst severity of all checks. */
  readonly worst: Severity;
}

/** What a failed op means for people, and the exit status of `run`: 125, 126 or 127 as Docker's. */
export interface ContainerFailure {
  readonly error: VitrineError;
  readonly exitCode: 125 | 126 | 127;
}

/** What `diagnose` looks at: facts and trials as values. */
export interface DoctorProbes {
  readonly host: HostFacts;
  /** Absolute path of vitrine-helper, undefined where it is missing. */
  readonly helper: string | undefined;
  readonly user: UserTrials;
  /** A real overlay, mounted as a container would get it. */
  readonly overlay: OverlayProbeResult;
  /** By name of the tool: its absolute path. */
  readonly tools: ReadonlyMap<string, string>;
  readonly store: StoreProbeResult;
}

export type OverlayProbeResult =
  | { readonly works: true; readonly how: string }
  | { readonly works: false; readonly errno: string; readonly detail: string };

export interface StoreProbeResult {
  readonly root: string;
  readonly writable: boolean;
  /** Bytes free on the filesystem, undefined when not known. */
  readonly free: bigint | undefined;
}
