/** A plan whose monitor goes to the background and keeps the container's streams, its log and a socket to attach to. */
import type { Op, Origin, Plan, PlannedOp } from "../kernel/mod.ts";

/** How the caller stays attached. */
export interface Attachment {
  readonly input: boolean;
  readonly detachKeys: Uint8Array;
  /** What the caller gets and gives; absent: both outputs, and signals are passed on. */
  readonly streams?: { readonly output: boolean; readonly errors: boolean; readonly signals: boolean };
}

export interface Detachment {
  /** Nobody asked for the background: it is so that the container can go on without its caller. */
  readonly foreground?: boolean;
  readonly monitorFile: string;
  readonly announce: string;
  readonly attach?: Attachment | undefined;
  readonly terminal: boolean;
  readonly input: boolean;
  readonly once: boolean;
  readonly log?: { readonly path: string; readonly maxBytes: number; readonly files: number } | undefined;
  /** Absent: nobody can attach. */
  readonly socket?: string;
}

const byDetach: Origin = { by: "flag", flag: "--detach" };
const byDefault: Origin = { by: "default" };

/** The streams of the caller (`pipeStreams`) are replaced; all the rest is as in the foreground. */
export function detachPlan(plan: Plan, detachment: Detachment): Plan {
  const ops = plan.ops.filter(({ op }) => op.op !== "pipeStreams");
  return withMonitorOps(
    { ...plan, ops },
    detachOps(detachment),
    detachment.foreground === true ? byDefault : byDetach,
  );
}

/** After the program that explains a failure is known, before anything is done. */
export function withMonitorOps(plan: Plan, ops: readonly Op[], origin: Origin): Plan {
  const at = plan.ops.findIndex(({ stage, op }) => stage === "monitor" && op.op !== "reportFailure");
  const added = ops.map(
    (op): PlannedOp => ({ stage: "monitor", tolerate: [], why: { pointer: "", section: "", origin }, op }),
  );
  return { ...plan, ops: [...plan.ops.slice(0, at), ...added, ...plan.ops.slice(at)] };
}

function detachOps({ attach, log, socket, ...rest }: Detachment): readonly Op[] {
  return [
    ...(attach?.streams === undefined ? [] : [{ op: "attachStreams", ...attach.streams } as const]),
    {
      op: "daemonize",
      monitorFile: rest.monitorFile,
      announce: rest.announce,
      attach: attach !== undefined,
      input: attach?.input ?? false,
      detachKeys: attach?.detachKeys ?? new Uint8Array(),
    },
    { op: "captureStreams", terminal: rest.terminal, input: rest.input, once: rest.once },
    ...(log === undefined
      ? []
      : [{ op: "keepLog", path: log.path, maxBytes: BigInt(log.maxBytes), files: log.files } as const]),
    ...(socket === undefined ? [] : [{ op: "attachSocket", path: socket } as const]),
  ];
}
