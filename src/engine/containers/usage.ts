/** What a running container uses, as one look: two of them give the share of the CPUs. */
import * as fs from "node:fs";
import { type ContainerStats, type Count, liveCgroup, readStats } from "../../runtime/mod.ts";
import { containerProcesses } from "./processes.ts";
import type { Container, EnginePaths } from "./record.ts";
import { runningProcess } from "./state.ts";

export interface Usage {
  /** Milliseconds, of a clock that only goes forward. */
  readonly time: number;
  /** Nanoseconds since it was started. */
  readonly cpu: number;
  /** Bytes that it could not do without: what the kernel may drop without loss is not counted, as with docker. */
  readonly memory: number;
  /** Its limit, at most the memory of the machine. */
  readonly memoryLimit: number;
  readonly received: number;
  readonly sent: number;
  readonly read: number;
  readonly written: number;
  readonly processes: number;
}

/** undefined: it does not run. */
export function usageOf(paths: EnginePaths, container: Container): Usage | undefined {
  const pid = runningProcess(paths, container)?.pid;
  if (pid === undefined) return undefined;
  const stats = readStats(liveCgroup(container.cgroups));
  const { usage, raw } = stats.memory;
  // What is not counted by a cgroup (`run --rm` in the foreground, no delegated cgroup) is added up from its processes.
  const counted = raw !== undefined && stats.cpu.usage.total !== undefined;
  const processes = counted ? undefined : processesOf(containerProcesses(paths, container));
  const machine = machineMemory();
  const limit = number(usage.limit);
  return {
    time: performance.now(),
    cpu: number(stats.cpu.usage.total ?? processes?.cpu),
    memory: raw === undefined ? (processes?.memory ?? 0) : workingMemory(stats),
    memoryLimit: limit > 0 && limit < machine ? limit : machine,
    ...trafficOf(pid),
    read: blockBytes(stats, "Read"),
    written: blockBytes(stats, "Write"),
    processes: number(stats.pids.current ?? processes?.count),
  };
}

/** 100 is one CPU. 0 where there is no earlier look. */
export function cpuPercent(before: Usage | undefined, now: Usage): number {
  if (before === undefined || now.time <= before.time) return 0;
  return Math.max(0, ((now.cpu - before.cpu) / ((now.time - before.time) * 1e6)) * 100);
}

function number(count: Count | undefined): number {
  return Number(count ?? 0);
}

/** As docker: less the page cache that was not used lately. */
function workingMemory({ memory }: ContainerStats): number {
  const usage = number(memory.usage.usage);
  const inactive = number(memory.raw?.["total_inactive_file"] ?? memory.raw?.["inactive_file"]);
  return inactive < usage ? usage - inactive : usage;
}

function blockBytes({ blkio }: ContainerStats, op: string): number {
  const entries = blkio["ioServiceBytesRecursive"];
  if (!Array.isArray(entries)) return 0;
  return entries.reduce((sum, entry) => sum + (entry.op === op ? number(entry.value) : 0), 0);
}

/** Lines of `  eth0: RECEIVED PACKETS … SENT PACKETS …`; none of a network namespace that is ours as well. */
function trafficOf(pid: number): { readonly received: number; readonly sent: number } {
  let received = 0;
  let sent = 0;
  try {
    if (fs.readlinkSync(`/proc/${pid}/ns/net`) === fs.readlinkSync("/proc/self/ns/net"))
      return { received, sent };
    for (const line of fs.readFileSync(`/proc/${pid}/net/dev`, "latin1").split("\n")) {
      const at = line.indexOf(":");
      const name = line.slice(0, Math.max(at, 0)).trim();
      if (name === "" || name === "lo") continue;
      const words = line
        .slice(at + 1)
        .trim()
        .split(/\s+/);
      received += Number(words[0]);
      sent += Number(words[8]);
    }
  } catch {
    // It ended meanwhile.
  }
  return { received, sent };
}

/** USER_HZ is 100 on every machine that Linux runs containers on. */
const tickNanoseconds = 10_000_000;

function processesOf(pids: readonly number[]): { cpu: number; memory: number; count: number } {
  const sum = { cpu: 0, memory: 0, count: 0 };
  for (const pid of pids) {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // utime, stime, cutime and cstime: fields 14 to 17 of proc_pid_stat(5).
      const ticks = [11, 12, 13, 14].reduce((total, field) => total + Number(fields[field]), 0);
      const resident = /^RssAnon:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, "latin1"));
      sum.cpu += ticks * tickNanoseconds;
      sum.memory += Number(resident?.[1] ?? 0) * 1024;
      sum.count += 1;
    } catch {
      // It ended meanwhile.
    }
  }
  return sum;
}

function machineMemory(): number {
  const match = /^MemTotal:\s+(\d+) kB$/m.exec(fs.readFileSync("/proc/meminfo", "latin1"));
  return Number(match?.[1] ?? 0) * 1024;
}
