/** What a running container uses, as one look: two of them give the share of the CPUs. */
import * as fs from "node:fs";
import { liveCgroup, readCpuTime, readUsage } from "../../runtime/mod.ts";
import { containerProcesses, ProcessTable } from "./processes.ts";
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

/** The share of the CPUs needs an earlier look at this alone. */
export type CpuTime = Pick<Usage, "time" | "cpu">;

/** One look at any number of containers: what they have in common is read once. */
export class UsageLook {
  readonly #paths: EnginePaths;
  #machineMemory: number | undefined;
  #network: string | undefined;
  #processes: ProcessTable | undefined;

  constructor(paths: EnginePaths) {
    this.#paths = paths;
  }

  /** undefined: it does not run, or nobody counts. */
  cpuTime(container: Container): CpuTime | undefined {
    // Before it is read, and at the second look after: we may have to wait for a processor between the two.
    const time = performance.now();
    const cgroup = liveCgroup(container.cgroups);
    const cpu = cgroup.mode === "none" ? undefined : readCpuTime(cgroup);
    if (cpu !== undefined) return { time, cpu };
    const pids = this.#pidsOf(container);
    return pids.length === 0 ? undefined : { time, cpu: processesOf(pids).cpu };
  }

  /** undefined: it does not run. */
  usage(container: Container): Usage | undefined {
    const pid = runningProcess(this.#paths, container)?.pid;
    if (pid === undefined) return undefined;
    const { cpu, memory, processes: count, read, written } = readUsage(liveCgroup(container.cgroups));
    // What is not counted by a cgroup (`run --rm` in the foreground, no delegated cgroup) is added up from its processes.
    const counted = memory !== undefined && cpu !== undefined;
    const processes = counted ? undefined : processesOf(this.#pidsOf(container));
    this.#machineMemory ??= machineMemory();
    this.#network ??= fs.readlinkSync("/proc/self/ns/net");
    const limit = memory?.limit ?? 0;
    return {
      time: performance.now(),
      cpu: cpu ?? processes?.cpu ?? 0,
      memory: memory === undefined ? (processes?.memory ?? 0) : workingMemory(memory),
      memoryLimit: limit > 0 && limit < this.#machineMemory ? limit : this.#machineMemory,
      ...trafficOf(pid, this.#network),
      read,
      written,
      processes: count ?? processes?.count ?? 0,
    };
  }

  #pidsOf(container: Container): readonly number[] {
    this.#processes ??= new ProcessTable();
    return containerProcesses(this.#paths, container, this.#processes);
  }
}

/** 100 is one CPU. 0 where there is no earlier look. */
export function cpuPercent(before: CpuTime | undefined, now: CpuTime): number {
  if (before === undefined || now.time <= before.time) return 0;
  return Math.max(0, ((now.cpu - before.cpu) / ((now.time - before.time) * 1e6)) * 100);
}

/** As docker: less the page cache that was not used lately. */
function workingMemory({ usage, inactive }: { readonly usage: number; readonly inactive: number }): number {
  return inactive < usage ? usage - inactive : usage;
}

/** Lines of `  eth0: RECEIVED PACKETS … SENT PACKETS …`; none of a network namespace that is ours as well. */
function trafficOf(pid: number, own: string): { readonly received: number; readonly sent: number } {
  let received = 0;
  let sent = 0;
  try {
    if (fs.readlinkSync(`/proc/${pid}/ns/net`) === own) return { received, sent };
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
