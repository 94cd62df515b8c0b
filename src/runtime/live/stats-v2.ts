/** Counters of cgroup v2, under the names that v1 had for them. */
import { countIn, filled, keyed, noMemory, pressureIn, type Read, unlimited } from "./counts.ts";
import { pageSizes } from "./page-sizes.ts";
import type { BlockIoEntry, ContainerStats, Count, MemoryEntry } from "./stats.ts";

type Counted = Omit<ContainerStats, "cpuset" | "intel_rdt" | "network_interfaces">;

export function statsOfV2(read: Read): Counted {
  return {
    cpu: cpuOf(read),
    memory: memoryOf(read),
    pids: pidsOf(read),
    blkio: blkioOf(read),
    hugetlb: hugetlbOf(read),
  };
}

/** Microseconds to nanoseconds. */
function nanoseconds(count: Count | undefined): Count | undefined {
  return count === undefined ? undefined : typeof count === "bigint" ? count * 1000n : count * 1000;
}

function cpuOf(read: Read): Counted["cpu"] {
  const stat = keyed(read("cpu.stat"));
  const throttling = filled({
    periods: stat["nr_periods"],
    throttledPeriods: stat["nr_throttled"],
    throttledTime: nanoseconds(stat["throttled_usec"]),
  });
  return {
    usage: {
      ...filled({ total: nanoseconds(stat["usage_usec"]) }),
      kernel: nanoseconds(stat["system_usec"]) ?? 0,
      user: nanoseconds(stat["user_usec"]) ?? 0,
    },
    throttling,
    ...filled({ psi: pressureIn(read("cpu.pressure")) }),
  };
}

function memoryOf(read: Read): Counted["memory"] {
  const raw = keyed(read("memory.stat"));
  const usage = entryOf(read, "memory");
  return {
    ...filled({
      cache: raw["file"],
      raw: Object.keys(raw).length === 0 ? undefined : raw,
      psi: pressureIn(read("memory.pressure")),
    }),
    usage: usage ?? noMemory,
    swap: withMemory(entryOf(read, "memory.swap"), usage),
    kernel: noMemory,
    kernelTCP: noMemory,
  };
}

function entryOf(read: Read, prefix: string): MemoryEntry | undefined {
  const usage = countIn(read(`${prefix}.current`));
  if (usage === undefined) return undefined;
  return {
    limit: countIn(read(`${prefix}.max`)) ?? 0,
    ...filled({ usage, max: countIn(read(`${prefix}.peak`)) }),
    failcnt: 0,
  };
}

/** v1 counts memory and swap together, v2 swap alone. */
function withMemory(swap: MemoryEntry | undefined, memory: MemoryEntry | undefined): MemoryEntry {
  if (memory === undefined) return noMemory;
  const limit = swap?.limit ?? 0;
  const both = BigInt(swap?.usage ?? 0) + BigInt(memory.usage ?? 0);
  return {
    limit:
      limit === unlimited || memory.limit === unlimited
        ? unlimited
        : plain(BigInt(limit) + BigInt(memory.limit)),
    ...filled({ usage: plain(both) }),
    failcnt: 0,
  };
}

function plain(value: bigint): Count {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** Where the controller is not enabled the processes are counted. */
function pidsOf(read: Read): Counted["pids"] {
  const limit = read("pids.max")?.trim();
  const current = countIn(read("pids.current")) ?? (read("cgroup.procs") ?? "").split("\n").length - 1;
  return filled({ current, limit: limit === "max" ? 0 : countIn(limit) });
}

const blockKeys: Readonly<Record<string, readonly [table: string, op: string]>> = {
  rbytes: ["ioServiceBytesRecursive", "Read"],
  wbytes: ["ioServiceBytesRecursive", "Write"],
  rios: ["ioServicedRecursive", "Read"],
  wios: ["ioServicedRecursive", "Write"],
};

/** Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`. */
function blkioOf(read: Read): Counted["blkio"] {
  const tables: Record<string, BlockIoEntry[]> = {};
  for (const line of (read("io.stat") ?? "").split("\n")) {
    const [device, ...words] = line.split(" ");
    const [major, minor] = device!.split(":").map(Number);
    if (minor === undefined || Number.isNaN(minor)) continue;
    for (const word of words) {
      const [key, text] = word.split("=", 2);
      const place = blockKeys[key!];
      if (place === undefined) continue;
      const [table, op] = place;
      tables[table] ??= [];
      tables[table].push(filled({ major, minor, op, value: countIn(text) }) as BlockIoEntry);
    }
  }
  return { ...tables, ...filled({ psi: pressureIn(read("io.pressure")) }) };
}

function hugetlbOf(read: Read): Counted["hugetlb"] {
  return Object.fromEntries(
    pageSizes().flatMap((size) => {
      const usage = countIn(read(`hugetlb.${size}.rsvd.current`)) ?? countIn(read(`hugetlb.${size}.current`));
      if (usage === undefined) return [];
      return [[size, { ...filled({ usage }), failcnt: keyed(read(`hugetlb.${size}.events`))["max"] ?? 0 }]];
    }),
  );
}
