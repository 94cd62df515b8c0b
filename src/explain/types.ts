/** The values that explain/ makes and renders. Everything here is plain data: `--format json` prints it as it is. */

import type { VitrineError } from "../base/mod.ts";
import type { HostFacts, OpFailure, Plan, Stage } from "../kernel/mod.ts";

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

// The doors' signatures, for callers:
export type ExplainPlan = (plan: Plan) => PlanExplanation;
export type RenderPlan = (explanation: PlanExplanation, options: PlanRenderOptions) => string;
/** JSON text with bigints as decimal strings, two spaces of indentation, a final newline. */
export type RenderPlanJson = (
  explanation: PlanExplanation,
  options: Pick<PlanRenderOptions, "defaultsOnly">,
) => string;
export type ExplainFailure = (plan: Plan, failure: OpFailure) => ContainerFailure;

/** What a failed op means for people, and the exit status of `run`: 125, 126 or 127 as Docker's. */
export interface ContainerFailure {
  readonly error: VitrineError;
  readonly exitCode: 125 | 126 | 127;
}

/** What `doctor` needs to look at beside the host facts; each of them answers, none throws. */
export interface DoctorProbes {
  readonly host: HostFacts;
  /** Tries a real overlay mount in a child; see `probeOverlay` in kernel/. */
  readonly overlay: OverlayProbeResult;
  /** By name of the tool: its absolute path, or undefined. */
  readonly tools: ReadonlyMap<string, string>;
  readonly store: StoreProbeResult;
  readonly environment: Readonly<Record<string, string | undefined>>;
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
