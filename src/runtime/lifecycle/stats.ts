/** What the cgroup of a container counts: the `data` of runc's `events`. Numbers are as the kernel gives them. */
import * as fs from "node:fs";
import type { LifecycleRecord } from "./record.ts";

interface MemoryUsage {
  readonly limit?: number;
  readonly usage?: number;
  readonly max?: number;
  readonly failcnt: number;
}

export interface ContainerStats {
  readonly cpu: {
    /** Nanoseconds. */
    readonly usage: {
      readonly total: number;
      readonly percpu?: readonly number[];
      readonly kernel: number;
      readonly user: number;
    };
    readonly throttling: {
      readonly periods?: number;
      readonly throttledPeriods?: number;
      readonly throttledTime?: number;
    };
  };
  readonly memory: {
    readonly cache?: number;
    readonly usage: MemoryUsage;
    readonly swap: MemoryUsage;
    readonly raw: Readonly<Record<string, number>>;
  };
  readonly pids: { readonly current?: number; readonly limit?: number };
}

export function readStats({ cgroup }: LifecycleRecord): ContainerStats {
  const [first = ""] = cgroup.directories;
  return cgroup.mode === "v2" ? statsOfV2(first) : statsOfV1(cgroup.directories);
}

function statsOfV1(directories: readonly string[]): ContainerStats {
  /** The file lies in the directory of its controller's hierarchy. */
  const read = (file: string): string | undefined => {
    for (const directory of directories) {
      const text = readIfThere(`${directory}/${file}`);
      if (text !== undefined) return text;
    }
    return undefined;
  };
  const number = (file: string) => numberIn(read(file));
  const ticks = keyed(read("cpuacct.stat"));
  const throttled = keyed(read("cpu.stat"));
  const raw = keyed(read("memory.stat"));
  const usage = (prefix: string): MemoryUsage => ({
    limit: number(`${prefix}.limit_in_bytes`),
    usage: number(`${prefix}.usage_in_bytes`),
    max: number(`${prefix}.max_usage_in_bytes`),
    failcnt: number(`${prefix}.failcnt`) ?? 0,
  });
  const percpu = read("cpuacct.usage_percpu")?.trim().split(/\s+/).map(Number);
  return {
    cpu: {
      usage: {
        total: number("cpuacct.usage") ?? 0,
        ...(percpu === undefined ? {} : { percpu }),
        kernel: (ticks["system"] ?? 0) * tickNanoseconds,
        user: (ticks["user"] ?? 0) * tickNanoseconds,
      },
      throttling: throttling(throttled, throttled["throttled_time"]),
    },
    memory: { cache: raw["cache"] ?? 0, usage: usage("memory"), swap: usage("memory.memsw"), raw },
    pids: pidsOf(number("pids.current"), number("pids.max")),
  };
}

/** USER_HZ is 100 on every machine that Linux runs containers on. */
const tickNanoseconds = 10_000_000;

function statsOfV2(directory: string): ContainerStats {
  const read = (file: string) => readIfThere(`${directory}/${file}`);
  const number = (file: string) => numberIn(read(file));
  const cpu = keyed(read("cpu.stat"));
  const raw = keyed(read("memory.stat"));
  const failed = keyed(read("memory.events"))["max"] ?? 0;
  return {
    cpu: {
      usage: {
        total: (cpu["usage_usec"] ?? 0) * 1000,
        kernel: (cpu["system_usec"] ?? 0) * 1000,
        user: (cpu["user_usec"] ?? 0) * 1000,
      },
      throttling: throttling(
        cpu,
        cpu["throttled_usec"] === undefined ? undefined : cpu["throttled_usec"] * 1000,
      ),
    },
    memory: {
      cache: raw["file"] ?? 0,
      usage: {
        limit: number("memory.max"),
        usage: number("memory.current"),
        max: number("memory.peak"),
        failcnt: failed,
      },
      swap: { limit: number("memory.swap.max"), usage: number("memory.swap.current"), failcnt: 0 },
      raw,
    },
    pids: pidsOf(number("pids.current"), number("pids.max")),
  };
}

function throttling(stat: Readonly<Record<string, number>>, time: number | undefined) {
  return {
    ...(stat["nr_periods"] === undefined ? {} : { periods: stat["nr_periods"] }),
    ...(stat["nr_throttled"] === undefined ? {} : { throttledPeriods: stat["nr_throttled"] }),
    ...(time === undefined ? {} : { throttledTime: time }),
  };
}

function pidsOf(current: number | undefined, limit: number | undefined) {
  return { ...(current === undefined ? {} : { current }), ...(limit === undefined ? {} : { limit }) };
}

/** `max` is no number: no limit. */
function numberIn(text: string | undefined): number | undefined {
  const word = text?.trim() ?? "";
  return /^-?\d+$/.test(word) ? Number(word) : undefined;
}

function keyed(text: string | undefined): Readonly<Record<string, number>> {
  const values: Record<string, number> = {};
  for (const line of (text ?? "").split("\n")) {
    const [key, value] = line.split(" ", 2);
    if (key !== undefined && value !== undefined && /^\d+$/.test(value)) values[key] = Number(value);
  }
  return values;
}

function readIfThere(path: string): string | undefined {
  try {
    return fs.readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
