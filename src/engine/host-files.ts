/** What the specification asks of the machine's files: device nodes, small text files. */
import * as fs from "node:fs";
import { limits, linesWith } from "../base/mod.ts";
import type { HostDevice } from "./spec/input.ts";

/** Text of a small file of the host; undefined when it cannot be read. */
export function readHostFile(file: string): string | undefined {
  try {
    return fs.readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** A small file of the host as it is; undefined when it cannot be read, or is none. */
export function readHostBytes(file: string): Uint8Array | undefined {
  try {
    const { size } = fs.statSync(file);
    return size <= limits.timezoneBytes ? fs.readFileSync(file) : undefined;
  } catch {
    return undefined;
  }
}

/** The device node at `source` (links followed), or every one below the directory; empty when there is none. */
export function hostDevices(source: string): readonly HostDevice[] {
  let stat: fs.Stats;
  try {
    stat = fs.statSync(source);
  } catch {
    return [];
  }
  if (stat.isDirectory()) return devicesBelow(source);
  const device = deviceOf(source, stat);
  return device === undefined ? [] : [device];
}

function devicesBelow(directory: string): readonly HostDevice[] {
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(directory, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    const file = `${directory}/${entry.name}`;
    if (entry.isDirectory()) return devicesBelow(file);
    return entry.isCharacterDevice() || entry.isBlockDevice() ? hostDevices(file) : [];
  });
}

function deviceOf(file: string, stat: fs.Stats): HostDevice | undefined {
  if (!stat.isCharacterDevice() && !stat.isBlockDevice()) return undefined;
  const { major, minor } = deviceNumbers(stat.rdev);
  const type = stat.isBlockDevice() ? "b" : "c";
  return { path: file, type, major, minor, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
}

/** glibc's major(3) and minor(3): 12 + 20 bits of major and 8 + 24 of minor, interleaved. */
function deviceNumbers(device: number): { readonly major: number; readonly minor: number } {
  const value = BigInt(device);
  return {
    major: Number(((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n)),
    minor: Number((value & 0xffn) | ((value >> 12n) & 0xffffff00n)),
  };
}

/** The soft limit of open files of the process that called vitrine: our own was raised by the JavaScript runtime. */
export function callerOpenFiles(parentPid: number): bigint | undefined {
  const name = "Max open files";
  const line = linesWith([name], () => readHostFile(`/proc/${parentPid}/limits`) ?? "");
  const soft = /^Max open files +(\d+|unlimited)/.exec(line)?.[1];
  if (soft === undefined) return undefined;
  return soft === "unlimited" ? (1n << 64n) - 1n : BigInt(soft);
}
