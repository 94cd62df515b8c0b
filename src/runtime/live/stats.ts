/** What a container's cgroup counts, in the shape of runc's `events` (its types/events.go). */

import { type LiveCgroup, readControl } from "./control.ts";
import { countIn, type LiveCounts, numbersIn, type Read, zero } from "./counts.ts";
import { statsOfV1 } from "./stats-v1.ts";
import { statsOfV2 } from "./stats-v2.ts";

/** A number of the kernel's; beyond 2^53 exact as a bigint. */
export type Count = LiveCounts;

export interface MemoryEntry {
  readonly limit: Count;
  readonly usage?: Count;
  readonly max?: Count;
  readonly failcnt: Count;
}

export interface BlockIoEntry {
  readonly major?: number;
  readonly minor?: number;
  /** `Read`, `Write`, … */
  readonly op?: string;
  readonly value?: Count;
}

export interface Pressure {
  readonly some: Readonly<Record<"avg10" | "avg60" | "avg300" | "total", number>>;
  readonly full: Readonly<Record<"avg10" | "avg60" | "avg300" | "total", number>>;
}

/** As Go writes it (runc 1.1 to 1.3): what is empty or zero and may be left out is, but for whole parts. */
export interface ContainerStats {
  readonly cpu: {
    /** Nanoseconds. */
    readonly usage: {
      readonly total?: Count;
      readonly percpu?: readonly Count[];
      readonly percpu_kernel?: readonly Count[];
      readonly percpu_user?: readonly Count[];
      readonly kernel: Count;
      readonly user: Count;
    };
    readonly throttling: {
      readonly periods?: Count;
      readonly throttledPeriods?: Count;
      readonly throttledTime?: Count;
    };
    readonly psi?: Pressure;
  };
  readonly cpuset: Readonly<Record<string, Count | readonly number[]>>;
  readonly memory: {
    readonly cache?: Count;
    readonly usage: MemoryEntry;
    /** Memory and swap together. */
    readonly swap: MemoryEntry;
    readonly kernel: MemoryEntry;
    readonly kernelTCP: MemoryEntry;
    /** Absent: memory is not counted. */
    readonly raw?: Readonly<Record<string, Count>>;
    readonly psi?: Pressure;
  };
  readonly pids: { readonly current?: Count; readonly limit?: Count };
  readonly blkio: Readonly<Record<string, readonly BlockIoEntry[] | Pressure>>;
  readonly hugetlb: Readonly<Record<string, { usage?: Count; max?: Count; failcnt: Count }>>;
  readonly intel_rdt: Readonly<Record<string, never>>;
  readonly network_interfaces: null;
}

/** Without a cgroup all is zero. */
export function readStats(cgroup: LiveCgroup): ContainerStats {
  const read: Read = (file) => readControl(cgroup, file);
  const counted = cgroup.mode === "v2" ? statsOfV2(read) : statsOfV1(read);
  const cpuset = cgroup.mode === "v2" ? () => undefined : read;
  return { ...counted, cpuset: cpusetOf(cpuset), intel_rdt: {}, network_interfaces: null };
}

/** How many of its processes were killed because its memory was used up; 0 where nobody counts. */
export function killsForMemory(cgroup: LiveCgroup): number {
  const text = readControl(cgroup, cgroup.mode === "v2" ? "memory.events" : "memory.oom_control");
  return Number(/^oom_kill (\d+)$/m.exec(text ?? "")?.[1] ?? 0);
}

/** v2 counts none of it, and runc's zeros say so. */
function cpusetOf(read: Read): ContainerStats["cpuset"] {
  const lists = (["cpus", "mems"] as const).flatMap((name) => {
    const list = numbersIn(read(`cpuset.${name}`));
    return list.length === 0 ? [] : [[name, list] as const];
  });
  const flags = (
    [
      ["cpu_exclusive", "cpu_exclusive"],
      ["mem_hardwall", "mem_hardwall"],
      ["mem_exclusive", "mem_exclusive"],
      ["memory_migrate", "memory_migrate"],
      ["memory_spread_page", "memory_spread_page"],
      ["memory_spread_slab", "memory_spread_slab"],
      ["memory_pressure", "memory_pressure"],
      ["sched_load_balance", "sched_load_balance"],
      ["sched_relax_domain_level", "sched_relax_domain_level"],
    ] as const
  ).map(([name, file]) => [name, countIn(read(`cpuset.${file}`)) ?? zero] as const);
  return Object.fromEntries([...lists, ...flags]);
}
