/** What `stats` shows of a cgroup, from as few files as it takes: it looks at hundreds of them within its interval. */
import * as fs from "node:fs";
import { readForNow } from "../../base/mod.ts";
import type { LiveCgroup } from "./control.ts";
import { countIn, keyed } from "./counts.ts";

/** undefined: it is not counted. */
export interface CgroupUsage {
  /** Nanoseconds. */
  readonly cpu: number | undefined;
  /** Bytes; `inactive`: of files that were not used lately. */
  readonly memory: { readonly usage: number; readonly limit: number; readonly inactive: number } | undefined;
  readonly processes: number | undefined;
  /** Bytes from and to block devices. */
  readonly read: number;
  readonly written: number;
}

/** The time of CPUs alone. */
export function readCpuTime(cgroup: LiveCgroup): number | undefined {
  if (cgroup.mode !== "v2") return number(inHierarchy(cgroup, "cpuacct", "cpuacct.usage")("cpuacct.usage"));
  const micro = keyed(text(`${cgroup.directories[0]}/cpu.stat`))["usage_usec"];
  return micro === undefined ? undefined : Number(micro) * 1000;
}

export function readUsage(cgroup: LiveCgroup): CgroupUsage {
  return cgroup.mode === "v2" ? usageOfV2(cgroup) : usageOfV1(cgroup);
}

function usageOfV1(cgroup: LiveCgroup): CgroupUsage {
  const memory = inHierarchy(cgroup, "memory", "memory.stat");
  const stat = keyed(memory("memory.stat"));
  const counted = Object.keys(stat).length > 0;
  const blocks = inHierarchy(cgroup, "blkio", "blkio.throttle.io_service_bytes_recursive");
  return {
    cpu: readCpuTime(cgroup),
    memory: counted
      ? {
          usage: number(memory("memory.usage_in_bytes")) ?? 0,
          limit: number(memory("memory.limit_in_bytes")) ?? 0,
          inactive: Number(stat["total_inactive_file"] ?? stat["inactive_file"] ?? 0),
        }
      : undefined,
    processes: number(inHierarchy(cgroup, "pids", "pids.current")("pids.current")),
    ...blockBytesOfV1(blocks),
  };
}

/** The first that has anything to say: BFQ, CFQ, throttling. Of a scheduler that no device uses the file says nothing. */
function blockBytesOfV1(read: (file: string) => string | undefined) {
  const files = ["bfq.io_service_bytes_recursive", "io_service_bytes_recursive"];
  for (const file of [...files, "throttle.io_service_bytes_recursive", "throttle.io_service_bytes"]) {
    const lines = read(`blkio.${file}`) ?? "";
    if (!/^\d+:\d+ /m.test(lines)) continue;
    const sum = (op: string) =>
      [...lines.matchAll(new RegExp(`^\\d+:\\d+ ${op} (\\d+)$`, "gm"))].reduce(
        (total, match) => total + Number(match[1]),
        0,
      );
    return { read: sum("Read"), written: sum("Write") };
  }
  return { read: 0, written: 0 };
}

function usageOfV2(cgroup: LiveCgroup): CgroupUsage {
  const read = (file: string) => text(`${cgroup.directories[0]}/${file}`);
  const usage = number(read("memory.current"));
  const blocks = read("io.stat") ?? "";
  const sum = (key: string) =>
    [...blocks.matchAll(new RegExp(` ${key}=(\\d+)`, "g"))].reduce(
      (total, match) => total + Number(match[1]),
      0,
    );
  return {
    cpu: readCpuTime(cgroup),
    memory:
      usage === undefined
        ? undefined
        : {
            usage,
            limit: number(read("memory.max")) ?? 0,
            inactive: Number(keyed(read("memory.stat"))["inactive_file"] ?? 0),
          },
    // Where the controller is not enabled they are listed all the same.
    processes: number(read("pids.current")) ?? (read("cgroup.procs") ?? "").split("\n").length - 1,
    read: sum("rbytes"),
    written: sum("wbytes"),
  };
}

/**
 * Reads files of the directory of a v1 hierarchy that has `probe`. The one named after the controller is asked first; a
 * hierarchy may be mounted anywhere.
 */
function inHierarchy({ directories }: LiveCgroup, controller: string, probe: string) {
  const named = directories.filter((directory) => directory.includes(controller));
  const place = [...named, ...directories].find((directory) => fs.existsSync(`${directory}/${probe}`));
  return (file: string): string | undefined => (place === undefined ? undefined : text(`${place}/${file}`));
}

/** undefined: it is not there, or the kernel has nothing to say (EOPNOTSUPP). */
function text(file: string): string | undefined {
  try {
    const bytes = readForNow(file);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  } catch {
    return undefined;
  }
}

function number(word: string | undefined): number | undefined {
  const count = countIn(word);
  return count === undefined ? undefined : Number(count);
}
