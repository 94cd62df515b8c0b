/** What both versions of cgroups have in writing limits down. */
import type { Reason } from "./draft.ts";
import type { CompileInput } from "./types.ts";

/** One write to a control file. */
export interface CgroupWrite {
  /** Absolute host path. */
  readonly directory: string;
  readonly file: string;
  readonly data: string;
  /** The same limit in another file, where that one is not there. */
  readonly other?: { readonly file: string; readonly data: string };
  readonly reason: Reason;
}

/** Notes one write. The empty controller of v2: files of every cgroup (`cgroup.*`). */
export type WriteLimit = (
  controller: string,
  file: string,
  data: string,
  reason: Reason,
  other?: CgroupWrite["other"],
) => void;

/** Controllers of v2 that containers can have. */
export function controllersAvailable({
  host,
  container: { cgroup },
}: Pick<CompileInput, "host" | "container">): readonly string[] {
  const own = cgroup.mode === "v2" ? cgroup.scope?.controllers : undefined;
  return own ?? host.cgroup.unified?.division?.controllers ?? [];
}

/** The spec's -1 is the kernel's `max` (v2) or -1 (v1). */
export function orMax(value: bigint): string {
  return value < 0n ? "max" : String(value);
}

/** 0 is as 1, the first process: no more may be made (runc's reading; systemd takes no 0). */
export function processes(limit: bigint): string {
  return limit === 0n ? "1" : orMax(limit);
}

export const resources = "/linux/resources";

export function limitReason(area: string, field: string, anchor: string): Reason {
  return { pointer: `${resources}/${area}/${field}`, section: `config-linux.md#${anchor}` };
}
