/**
 * The systemd driver: the container's cgroup is a transient scope (systemd.scope(5)), made by systemd on request and
 * named by `linux.cgroupsPath` as `SLICE:PREFIX:NAME` (runc's syntax). Pure: the request is data of the plan.
 */
import type { UnitProperty } from "../kernel/mod.ts";
import type { LinuxCpu, LinuxResources } from "../oci/mod.ts";
import { parseBitList } from "./bit-list.ts";
import { bytesOf } from "./bytes.ts";
import { swapOf } from "./cgroup-v1.ts";
import { swapAlone, weightOfShares } from "./cgroup-v2.ts";
import { invalid } from "./draft.ts";

/** The systemd that is asked: the machine's, or the user's own. */
export interface SystemdPlace {
  readonly user: boolean;
  /** Who asks: a program in a user namespace has another number for itself. */
  readonly uid: number;
  readonly socket: string;
  /** False: systemd's own socket, without a bus. */
  readonly bus: boolean;
  /** Its cgroup: empty for the machine's, `/user.slice/user-1000.slice/user@1000.service`. */
  readonly controlGroup: string;
  /** Controllers of cgroup v2 that it can pass on. */
  readonly controllers: readonly string[];
  /** How the helper starts the program that asks. */
  readonly command: readonly string[];
}

export interface ScopePlacement extends SystemdPlace {
  /** `vitrine-ID.scope`. */
  readonly unit: string;
  readonly slice: string;
}

const pointer = "/linux/cgroupsPath";

/** `machine.slice:vitrine:ID`; without one what runc takes, in the slice of the system's or the user's services. */
export function placeScope(place: SystemdPlace, id: string, cgroupsPath: string | undefined): ScopePlacement {
  const [slice, prefix, name, ...more] = (cgroupsPath ?? `:vitrine:${id}`).split(":");
  if (name === undefined || more.length > 0) {
    throw invalid(
      "cgroup-path-invalid",
      pointer,
      `${JSON.stringify(cgroupsPath)} is not SLICE:PREFIX:NAME, which the systemd driver takes`,
      "leave --systemd-cgroup out for a path, or give one as system.slice:vitrine:NAME",
    );
  }
  if (!/^[\w.:@-]{1,200}$/.test(name) || !/^[\w.:@-]{0,100}$/.test(prefix!) || name.endsWith(".slice")) {
    throw invalid("cgroup-path-invalid", pointer, `${JSON.stringify(cgroupsPath)} cannot name a scope`);
  }
  const chosen = slice === "" ? (place.user ? "user.slice" : "system.slice") : slice!;
  expandSlice(chosen);
  return { ...place, slice: chosen, unit: `${prefix === "" ? "" : `${prefix}-`}${name}.scope` };
}

/** Whether a path of cgroups is one that this driver made. */
export function isScopePath(cgroupsPath: string | undefined): boolean {
  return cgroupsPath !== undefined && /^[^/:]*:[^/:]*:[^/:]+$/.test(cgroupsPath);
}

/** `a-b.slice` lies in `a.slice` (systemd.slice(5)): `/a.slice/a-b.slice`; `-.slice` is the root. */
export function expandSlice(slice: string): string {
  const name = slice.slice(0, -".slice".length);
  if (!slice.endsWith(".slice") || !/^(-|[\w.:@\\]+(-[\w.:@\\]+)*)$/.test(name)) {
    throw invalid("cgroup-slice-invalid", pointer, `${JSON.stringify(slice)} is not the name of a slice`);
  }
  if (name === "-") return "";
  const parts = name.split("-");
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("-")}.slice`).join("");
}

/** The cgroup that systemd will make, from the root of the hierarchy. */
export function scopeGroup({ controlGroup, slice, unit }: ScopePlacement): string {
  return `${controlGroup}${expandSlice(slice)}/${unit}`;
}

/** What the program of `command` reads: the helper puts init's pid in the place of the 0. */
export function scopeRequest(
  scope: ScopePlacement,
  version: "v1" | "v2",
  id: string,
  resources: LinuxResources,
): Uint8Array {
  const text = (name: string, value: string): UnitProperty => ({ name, type: "s", value });
  const yes = (name: string): UnitProperty => ({ name, type: "b", value: true });
  const properties: UnitProperty[] = [
    text("Description", `vitrine container ${id}`),
    text("Slice", scope.slice),
    yes("Delegate"),
    yes("MemoryAccounting"),
    yes("CPUAccounting"),
    yes(version === "v2" ? "IOAccounting" : "BlockIOAccounting"),
    yes("TasksAccounting"),
    { name: "DefaultDependencies", type: "b", value: false },
    // One whose program was killed for want of memory failed, and its name would stay taken.
    { name: "CollectMode", type: "s", value: "inactive-or-failed", since: 236 },
    ...oomPolicy(resources),
    ...resourceProperties(resources, version),
  ];
  const { unit, socket, bus, uid } = scope;
  const request = { pid: 0, uid, unit, socket, bus, controlGroup: scopeGroup(scope), properties };
  return bytesOf(JSON.stringify(request));
}

/** Fixed once the scope is there. */
function oomPolicy({ unified }: LinuxResources): readonly UnitProperty[] {
  const group = unified?.["memory.oom.group"];
  if (group !== "0" && group !== "1") return [];
  return [{ name: "OOMPolicy", type: "s", value: group === "1" ? "kill" : "continue", since: 253 }];
}

const infinity = String(2n ** 64n - 1n);
/** systemd's -1 is the largest number. */
const amount = (value: bigint): string => (value < 0n ? infinity : String(value));

/** As runc maps them; what systemd has no property for is written to the cgroup alone. */
export function resourceProperties(resources: LinuxResources, version: "v1" | "v2"): readonly UnitProperty[] {
  const { memory, cpu, pids, blockIO } = resources;
  const found: UnitProperty[] = [];
  const add = (name: string, value: string, since?: number) => {
    found.push({ name, type: "t", value, ...(since === undefined ? {} : { since }) });
  };
  const limit = memory?.limit ?? 0n;
  if (limit !== 0n) add(version === "v2" ? "MemoryMax" : "MemoryLimit", amount(limit));
  if (version === "v2") {
    if (memory?.reservation !== undefined && memory.reservation !== 0n)
      add("MemoryLow", amount(memory.reservation));
    const swap = memory === undefined ? undefined : swapOf(memory);
    if (swap !== undefined && swap !== 0n) {
      const alone = swapAlone(swap, memory?.limit);
      add("MemorySwapMax", alone === "max" ? infinity : alone);
    }
  }
  if (version === "v2" && cpu?.idle === 1n) add("CPUWeight", "0", 252);
  else if (cpu?.shares !== undefined && cpu.shares !== 0n) {
    if (version === "v2") add("CPUWeight", String(weightOfShares(cpu.shares)));
    else add("CPUShares", String(cpu.shares));
  }
  addQuota(cpu, add);
  if (version === "v1" && blockIO?.weight !== undefined && blockIO.weight !== 0) {
    add("BlockIOWeight", String(blockIO.weight));
  }
  // systemd does not take 0.
  if (pids?.limit !== undefined) add("TasksMax", pids.limit === 0n ? "1" : amount(pids.limit));
  for (const [name, list, field] of [
    ["AllowedCPUs", cpu?.cpus, "cpus"],
    ["AllowedMemoryNodes", cpu?.mems, "mems"],
  ] as const) {
    if (list === undefined || list === "") continue;
    const bits = parseBitList(list, `/linux/resources/cpu/${field}`);
    found.push({ name, type: "ay", value: [...bits], since: 244 });
  }
  return [...found, ...unifiedProperties(resources.unified ?? {})];
}

/** systemd counts hundredths of a CPU: a quota is rounded up to the next, as runc does. */
function addQuota(
  cpu: LinuxCpu | undefined,
  add: (name: string, value: string, since?: number) => void,
): void {
  const { quota = 0n, period = 0n } = cpu ?? {};
  if (period !== 0n) add("CPUQuotaPeriodUSec", String(period), 242);
  if (quota === 0n && period === 0n) return;
  if (quota <= 0n) {
    add("CPUQuotaPerSecUSec", infinity);
    return;
  }
  const perSecond = (quota * 1_000_000n) / (period === 0n ? 100_000n : period);
  add("CPUQuotaPerSecUSec", String(((perSecond + 9_999n) / 10_000n) * 10_000n));
}

const unifiedNames: Readonly<Record<string, string>> = {
  "cpu.weight": "CPUWeight",
  "memory.high": "MemoryHigh",
  "memory.low": "MemoryLow",
  "memory.min": "MemoryMin",
  "memory.max": "MemoryMax",
  "memory.swap.max": "MemorySwapMax",
  "pids.max": "TasksMax",
};

function unifiedProperties(unified: Readonly<Record<string, string>>): readonly UnitProperty[] {
  return Object.entries(unified).flatMap(([file, text]) => {
    const name = unifiedNames[file];
    const value = text.trim();
    if (name === undefined || !/^(\d{1,19}|max)$/.test(value)) return [];
    return [{ name, type: "t" as const, value: value === "max" ? infinity : value }];
  });
}
