/** What the kernel says now of a process, as plain values: /proc and files of the host, read once. Changes nothing. */
import * as fs from "node:fs";
import { errnoOf } from "../base/mod.ts";

/** A file's text, or why there is none: `EACCES`. */
export type Reading = { readonly text: string } | { readonly error: string };

export interface NodeReading {
  /** With S_IF* bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly major: number;
  readonly minor: number;
}

export type Readings = Readonly<Record<string, Reading>>;

export interface ProcessTruth {
  readonly pid: number;
  /** By the names of /proc/PID/ns: `mnt:[4026531841]`. */
  readonly namespaces: Readings;
  /** Of the process that reads. */
  readonly ownNamespaces: Readings;
  readonly ownStatus: Reading;
  /** By the path below /proc/PID: `status`, `mountinfo`, `attr/current`; links by their text. */
  readonly files: Readings;
  /** By the path inside the root of the process; nothing is followed on the way. */
  readonly nodes: Readonly<Record<string, NodeReading | { readonly error: string }>>;
  /** By the path below /proc/sys, as the process's namespaces have it. */
  readonly sysctls: Readings;
  /** By the absolute path on the host: control files of the cgroup. */
  readonly controls: Readings;
  /** Links of the host: /proc/PID/ns/net of a namespace that was joined. */
  readonly links: Readings;
}

/** What is of interest besides /proc/PID. */
export interface TruthWishes {
  readonly nodes: readonly string[];
  readonly sysctls: readonly string[];
  readonly controls: readonly string[];
  readonly links: readonly string[];
}

const processFiles = [
  "status",
  "mountinfo",
  "uid_map",
  "gid_map",
  "setgroups",
  "cgroup",
  "limits",
  "oom_score_adj",
  "personality",
  "timens_offsets",
  "attr/current",
  "attr/apparmor/current",
  "cmdline",
  "environ",
  "net/dev",
] as const;
const namespaceNames = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] as const;

export function readProcessTruth(pid: number, wishes: TruthWishes): ProcessTruth {
  const base = `/proc/${pid}`;
  const by = <T>(names: readonly string[], read: (name: string) => T): Readonly<Record<string, T>> =>
    Object.fromEntries(names.map((name) => [name, read(name)]));
  return {
    pid,
    namespaces: by(namespaceNames, (name) => readLink(`${base}/ns/${name}`)),
    ownNamespaces: by(namespaceNames, (name) => readLink(`/proc/self/ns/${name}`)),
    ownStatus: readText("/proc/self/status"),
    files: {
      ...by(processFiles, (name) => readText(`${base}/${name}`)),
      ...by(["root", "cwd"], (name) => readLink(`${base}/${name}`)),
    },
    nodes: by(wishes.nodes, (name) => readNode(`${base}/root`, name)),
    sysctls: readSysctls(pid, wishes.sysctls),
    controls: by(wishes.controls, readText),
    links: by(wishes.links, readLink),
  };
}

const mostBytes = 4 * 1024 * 1024;

/** Bounded: what a container makes can be large. */
function readText(file: string): Reading {
  let fd: number | undefined;
  try {
    fd = fs.openSync(file, "r");
    const chunks: Buffer[] = [];
    for (let total = 0; total < mostBytes; ) {
      const chunk = Buffer.alloc(65536);
      const length = fs.readSync(fd, chunk);
      if (length === 0) break;
      chunks.push(chunk.subarray(0, length));
      total += length;
    }
    return { text: Buffer.concat(chunks).toString("utf8") };
  } catch (error) {
    return { error: errnoOf(error) ?? String(error) };
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}

function readLink(file: string): Reading {
  try {
    return { text: fs.readlinkSync(file) };
  } catch (error) {
    return { error: errnoOf(error) ?? String(error) };
  }
}

/** A link of the container on the way would lead into the host's files: it ends the walk. */
function readNode(root: string, path: string): NodeReading | { readonly error: string } {
  try {
    let at = `${root}/.`;
    const names = path.split("/").filter((name) => name !== "");
    let found = fs.lstatSync(at);
    for (const [index, name] of names.entries()) {
      at += `/${name}`;
      found = fs.lstatSync(at);
      if (found.isSymbolicLink() && index < names.length - 1) return { error: "ELOOP" };
    }
    const { mode, uid, gid, rdev } = found;
    return { mode, uid, gid, major: majorOf(rdev), minor: minorOf(rdev) };
  } catch (error) {
    return { error: errnoOf(error) ?? String(error) };
  }
}

/** makedev(3), the 64-bit form of Linux. */
const majorOf = (rdev: number): number => Math.floor(rdev / 256) & 0xfff;
const minorOf = (rdev: number): number => (rdev & 0xff) + (Math.floor(rdev / 4096) & 0xfff00);

/**
 * What is below /proc/sys depends on the namespaces of who reads it, so that util-linux's nsenter reads it, with the
 * host's files: no program of the container is run.
 */
function readSysctls(pid: number, names: readonly string[]): Readings {
  if (names.length === 0) return {};
  // Loaded where it is needed: this folder's door is on the way of every run.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  // One that is the reader's own already may not be his to enter.
  const others = [
    ["user", ["--user", "--preserve-credentials"]],
    ["uts", ["--uts"]],
    ["ipc", ["--ipc"]],
    ["net", ["--net"]],
  ] as const;
  const entered = others.flatMap(([name, flags]) => (isShared(pid, name) ? [] : flags));
  const words = ["--target", String(pid), ...entered, "--"];
  const files = names.map((name) => `/proc/sys/${name}`);
  const script = 'for f; do if [ -r "$f" ]; then printf "%s\\0" "$f"; cat -- "$f"; printf "\\0"; fi; done';
  const done = spawnSync("nsenter", [...words, "sh", "-c", script, "sh", ...files], {
    encoding: "utf8",
    timeout: 10_000,
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
  });
  const failed =
    done.error === undefined ? (done.stderr.trim().split("\n")[0] ?? "") : "nsenter is not there";
  const found = new Map<string, string>();
  const parts = (done.stdout ?? "").split("\0");
  for (let at = 0; at + 1 < parts.length; at += 2) found.set(parts[at]!, parts[at + 1]!);
  return Object.fromEntries(
    names.map((name, index): [string, Reading] => {
      const text = found.get(files[index]!);
      return [name, text === undefined ? { error: failed === "" ? "ENOENT" : failed } : { text }];
    }),
  );
}

function isShared(pid: number, name: string): boolean {
  const [theirs, ours] = [readLink(`/proc/${pid}/ns/${name}`), readLink(`/proc/self/ns/${name}`)];
  return "text" in theirs && "text" in ours && theirs.text === ours.text;
}
