/** Counters of cgroup v1. */
import { countIn, filled, keyed, noMemory, type Read } from "./counts.ts";
import { pageSizes } from "./page-sizes.ts";
import type { BlockIoEntry, ContainerStats, Count, MemoryEntry } from "./stats.ts";

type Counted = Omit<ContainerStats, "cpuset" | "intel_rdt" | "network_interfaces">;

/** USER_HZ is 100 on every machine that Linux runs containers on. */
const tickNanoseconds = 10_000_000;

export function statsOfV1(read: Read): Counted {
  return {
    cpu: cpuOf(read),
    memory: memoryOf(read),
    pids: pidsOf(read),
    blkio: blkioOf(read),
    hugetlb: hugetlbOf(read),
  };
}

function cpuOf(read: Read): Counted["cpu"] {
  const ticks = keyed(read("cpuacct.stat"));
  const throttled = keyed(read("cpu.stat"));
  const throttling = filled({
    periods: throttled["nr_periods"],
    throttledPeriods: throttled["nr_throttled"],
    throttledTime: throttled["throttled_time"],
  });
  return {
    usage: {
      ...filled({
        total: countIn(read("cpuacct.usage")),
        percpu: countsIn(read("cpuacct.usage_percpu")),
        percpu_kernel: countsIn(read("cpuacct.usage_percpu_sys")),
        percpu_user: countsIn(read("cpuacct.usage_percpu_user")),
      }),
      kernel: Number(ticks["system"] ?? 0) * tickNanoseconds,
      user: Number(ticks["user"] ?? 0) * tickNanoseconds,
    },
    throttling,
  };
}

function countsIn(text: string | undefined): readonly Count[] {
  return (text ?? "")
    .trim()
    .split(/\s+/)
    .flatMap((word) => countIn(word) ?? []);
}

function memoryOf(read: Read): Counted["memory"] {
  const raw = keyed(read("memory.stat"));
  const entry = (prefix: string): MemoryEntry => {
    const usage = countIn(read(`${prefix}.usage_in_bytes`));
    if (usage === undefined) return noMemory;
    return {
      limit: countIn(read(`${prefix}.limit_in_bytes`)) ?? 0,
      ...filled({ usage, max: countIn(read(`${prefix}.max_usage_in_bytes`)) }),
      failcnt: countIn(read(`${prefix}.failcnt`)) ?? 0,
    };
  };
  return {
    ...filled({ cache: raw["cache"], raw: Object.keys(raw).length === 0 ? undefined : raw }),
    usage: entry("memory"),
    swap: entry("memory.memsw"),
    kernel: entry("memory.kmem"),
    kernelTCP: entry("memory.kmem.tcp"),
  };
}

function pidsOf(read: Read): Counted["pids"] {
  const limit = read("pids.max")?.trim();
  return filled({ current: countIn(read("pids.current")), limit: limit === "max" ? 0 : countIn(limit) });
}

/** The first group of which the first file is there: BFQ with and without its debugging counters, CFQ, throttling. */
const groups: readonly (readonly (readonly [file: string, key: string])[])[] = [
  ...["blkio.bfq.", "blkio."].flatMap((prefix) => {
    const long = [
      [`${prefix}sectors_recursive`, "sectorsRecursive"],
      [`${prefix}io_service_time_recursive`, "ioServiceTimeRecursive"],
      [`${prefix}io_wait_time_recursive`, "ioWaitTimeRecursive"],
      [`${prefix}io_merged_recursive`, "ioMergedRecursive"],
      [`${prefix}io_queued_recursive`, "ioQueueRecursive"],
      [`${prefix}time_recursive`, "ioTimeRecursive"],
      [`${prefix}io_serviced_recursive`, "ioServicedRecursive"],
      [`${prefix}io_service_bytes_recursive`, "ioServiceBytesRecursive"],
    ] as const;
    return prefix === "blkio.bfq." ? [long, long.slice(6)] : [long];
  }),
  [
    ["blkio.throttle.io_serviced_recursive", "ioServicedRecursive"],
    ["blkio.throttle.io_service_bytes_recursive", "ioServiceBytesRecursive"],
  ],
  [
    ["blkio.throttle.io_serviced", "ioServicedRecursive"],
    ["blkio.throttle.io_service_bytes", "ioServiceBytesRecursive"],
  ],
];

function blkioOf(read: Read): Counted["blkio"] {
  for (const group of groups) {
    // Of a scheduler that no device uses the files are there and say nothing.
    const entries = group.map(([file, key]) => [key, blockEntries(read(file))] as const);
    if ((entries[0]?.[1].length ?? 0) > 0) return filled(Object.fromEntries(entries)) as Counted["blkio"];
  }
  return {};
}

/** Lines of `8:0 Read 4096` or `8:0 4096`, and a total that is no device's. */
function blockEntries(text: string | undefined): readonly BlockIoEntry[] {
  return (text ?? "").split("\n").flatMap((line) => {
    const match = /^(\d+):(\d+)(?: ([A-Za-z]+))? (\d+)$/.exec(line);
    if (match === null) return [];
    return [
      filled({
        major: Number(match[1]),
        minor: Number(match[2]),
        op: match[3],
        value: countIn(match[4]),
      }) as BlockIoEntry,
    ];
  });
}

function hugetlbOf(read: Read): Counted["hugetlb"] {
  return Object.fromEntries(
    pageSizes().flatMap((size) => {
      const prefix = read(`hugetlb.${size}.rsvd.usage_in_bytes`) === undefined ? "" : ".rsvd";
      const number = (name: string) => countIn(read(`hugetlb.${size}${prefix}.${name}`));
      const usage = number("usage_in_bytes");
      if (usage === undefined) return [];
      return [
        [size, { ...filled({ usage, max: number("max_usage_in_bytes") }), failcnt: number("failcnt") ?? 0 }],
      ];
    }),
  );
}
