import type { Op } from "./ops.ts";

/**
 * Who runs an op. The names are the same in files, process titles, logs and ARCHITECTURE.md.
 * - `monitor`: the helper, before and around the container's process, on the host.
 * - `init`: the helper's child inside the new namespaces, which becomes the user's program.
 * - `cleanup`: the monitor again, once init is gone or a step failed. Every cleanup op is tried.
 * - `apply`: a helper fed through a pipe (layers, removals), on the host or in a user namespace.
 */
export const stages = ["monitor", "init", "cleanup", "apply"] as const;
export type Stage = (typeof stages)[number];

/** Errnos an op may be allowed to end with: the op then counts as done. Bit n of the wire mask is index n. */
export const toleratedErrnos = [
  "ENOENT",
  "EEXIST",
  "EPERM",
  "EACCES",
  "EINVAL",
  "ENOSYS",
  "EOPNOTSUPP",
  "EROFS",
  "EBUSY",
  "ENOTDIR",
  "ENODEV",
  "ESRCH",
] as const;
export type ToleratedErrno = (typeof toleratedErrnos)[number];

/** Who asked for it. `flag` names the command-line flag, `image` the config field, `host` the fact found on the machine. */
export type Origin =
  | { readonly by: "flag"; readonly flag: string }
  | { readonly by: "image"; readonly field: string }
  | { readonly by: "default"; readonly note?: string }
  | { readonly by: "host"; readonly note: string }
  | { readonly by: "config" };

/** Why an op is in a plan. */
export interface Why {
  /** JSON pointer into config.json, `""` where the op serves the whole (a barrier). */
  readonly pointer: string;
  /** File and anchor of the runtime spec, e.g. `config-linux.md#namespaces`; empty for vitrine's own work. */
  readonly section: string;
  readonly origin: Origin;
}

export interface PlannedOp {
  readonly stage: Stage;
  readonly tolerate: readonly ToleratedErrno[];
  readonly why: Why;
  readonly op: Op;
}

/** Something the config asks for that needs no op here or cannot have one, for people: a capability not held, … */
export interface PlanNote {
  /** JSON pointer into config.json, as in `Why`. */
  readonly pointer: string;
  readonly text: string;
}

/** Everything that will be done to the kernel for one container, in order. An immutable value. */
export interface Plan {
  readonly ops: readonly PlannedOp[];
  /** Not part of the wire form. */
  readonly notes?: readonly PlanNote[];
}

/** How an op ended when it failed: what the helper sends back. */
export interface OpFailure {
  readonly index: number;
  readonly errno: number;
  /** One line from the helper that says which call of the op it was, e.g. `fsconfig(lowerdir)`. */
  readonly detail: string;
}
