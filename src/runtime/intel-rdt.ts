/**
 * Shares of the cache and of memory bandwidth, by the resctrl filesystem (config-linux.md#intelrdt; the kernel's
 * Documentation/filesystems/resctrl.rst). A group is a directory with `schemata` and `tasks`.
 */
import { VitrineError } from "../base/mod.ts";
import type { LinuxIntelRdt } from "../oci/mod.ts";
import { bytesOf } from "./bytes.ts";
import { type Draft, type Reason, unsupported } from "./draft.ts";

const section = "config-linux.md#intelrdt";
const pointer = "/linux/intelRdt";
const reason: Reason = { pointer, section };

/** Where the group is, and what of it is ours to remove. */
interface Group {
  readonly directory: string;
  /** A group that the config names is its administrator's. */
  readonly own: boolean;
  /** A group that only counts, within it. */
  readonly monitoring?: string;
}

/** Monitor, while init waits: whatever it starts is in the group. */
export function enterResctrl(draft: Draft): void {
  const rdt = draft.input.config.linux?.intelRdt;
  if (rdt === undefined) {
    return;
  }
  const group = groupOf(draft, rdt);
  const schemata = schemataOf(rdt);
  const path = (name: string) => ({ base: "host", path: `${group.directory}/${name}` }) as const;
  // A group that is named and gets no schemata must be there (config-linux.md#intelrdt): writing to it then fails.
  if (group.own || schemata.length > 0) {
    draft.monitor(
      { op: "makeDirectory", path: { base: "host", path: group.directory }, mode: 0o755, parents: true },
      reason,
    );
  }
  if (schemata.length > 0) {
    draft.monitor(
      {
        op: "writeFile",
        path: path("schemata"),
        data: bytesOf(`${schemata.join("\n")}\n`),
        create: false,
        mode: 0,
      },
      { pointer: `${pointer}/schemata`, section },
    );
  }
  draft.monitor({ op: "cgroupAttach", path: { base: "host", path: group.directory } }, reason);
  if (group.monitoring !== undefined) {
    const monitoring = { base: "host", path: group.monitoring } as const;
    const why = { pointer: `${pointer}/enableMonitoring`, section };
    draft.monitor({ op: "makeDirectory", path: monitoring, mode: 0o755, parents: true }, why);
    draft.monitor({ op: "cgroupAttach", path: monitoring }, why);
  }
  draft.barrier(reason);
}

/** Cleanup: what was made for this container alone. */
export function leaveResctrl(draft: Draft): void {
  const rdt = draft.input.config.linux?.intelRdt;
  if (rdt === undefined) {
    return;
  }
  const group = groupOf(draft, rdt);
  for (const directory of [group.monitoring, group.own ? group.directory : undefined]) {
    if (directory !== undefined) {
      draft.cleanup(
        { op: "removeDirectory", path: { base: "host", path: directory }, retryMilliseconds: 1000 },
        reason,
      );
    }
  }
}

function groupOf(draft: Draft, rdt: LinuxIntelRdt): Group {
  const { closID = "", enableMonitoring } = rdt;
  const { resctrl, container } = draft.input;
  if (resctrl === undefined) throw resctrlMissing();
  const directory = groupDirectory(resctrl, container.id, rdt);
  const own = closID === "";
  return enableMonitoring === true
    ? { directory, own, monitoring: `${directory}/mon_groups/${container.id}` }
    : { directory, own };
}

/**
 * Where `update` writes the schemata of a container that runs: in the group that its config gave it.
 * Errors: `intel-rdt-unavailable`, `intel-rdt-not-in-group`.
 */
export function schemataFile(
  mountPoint: string | undefined,
  id: string,
  rdt: LinuxIntelRdt | undefined,
): string {
  if (mountPoint === undefined) throw resctrlMissing();
  if (rdt === undefined) {
    throw new VitrineError("unsupported", `container ${id} is in no group of resctrl`, {
      code: "intel-rdt-not-in-group",
      operand: id,
      hint: "give it one by linux.intelRdt of its config.json",
    });
  }
  return `${groupDirectory(mountPoint, id, rdt)}/schemata`;
}

function groupDirectory(mountPoint: string, id: string, { closID = "" }: LinuxIntelRdt): string {
  return closID === "/" ? mountPoint : `${mountPoint}/${closID === "" ? id : closID}`;
}

function resctrlMissing(): VitrineError {
  return unsupported(
    "intel-rdt-unavailable",
    pointer,
    "resctrl is not mounted on this machine",
    "on a processor with RDT: mount -t resctrl resctrl /sys/fs/resctrl",
  );
}

/** The deprecated fields first: a line of `schemata` for the same resource goes over them. */
function schemataOf({ l3CacheSchema = "", memBwSchema = "", schemata = [] }: LinuxIntelRdt): string[] {
  return [l3CacheSchema, memBwSchema, ...schemata].filter((line) => line !== "");
}

/** The mount point of resctrl, from /proc/self/mountinfo; undefined: it is not mounted. */
export function resctrlMountPoint(mountInfo: string): string | undefined {
  for (const line of mountInfo.split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    if (right.startsWith("resctrl ")) {
      return left.split(" ")[4];
    }
  }
  return undefined;
}

export const isResctrl = (why: { readonly pointer: string }): boolean => why.pointer === pointer;
