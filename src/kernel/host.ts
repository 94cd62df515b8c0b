/**
 * Finds out what the machine is: a few small reads of /proc and /sys, cheap enough for every `run`.
 * Everything read arrives through `HostReader`, so that tests feed other machines.
 */

import { accessSync, closeSync, constants, existsSync, openSync, readdirSync, readSync } from "node:fs";
import { machine, release } from "node:os";
import { linesWith } from "../base/mod.ts";
import { parseCgroups } from "./host-cgroup.ts";
import type {
  Architecture,
  HostFacts,
  KernelRelease,
  ProcessCapabilities,
  ResourceLimit,
  SeccompFacts,
  SecurityModules,
  SubordinateIds,
  SubordinateRange,
  UserNamespaceFacts,
} from "./host-facts.ts";
import type { IdMapRange } from "./ops.ts";

/** What a probe may ask of the filesystem. None of them throws: what cannot be read is not there. */
export interface HostReader {
  /** The file's text, undefined when it is missing or unreadable. */
  read(path: string): string | undefined;
  exists(path: string): boolean;
  /** access(W_OK), which is false too on a read-only mount. */
  writable(path: string): boolean;
  /** access(X_OK). */
  executable(path: string): boolean;
  /** Names in a directory, empty when it cannot be listed. */
  list(path: string): readonly string[];
}

/** What the process knows of itself without a file. */
export interface HostSelf {
  readonly release: string;
  readonly machine: string;
  readonly uid: number;
  readonly gid: number;
  readonly euid: number;
  readonly egid: number;
  readonly groups: readonly number[];
}

/** Paths that default masks and read-only rules name; `HostFacts.presentPaths` says which of them exist. */
const maskCandidates: readonly string[] = [
  "/proc/acpi",
  "/proc/asound",
  "/proc/bus",
  "/proc/fs",
  "/proc/interrupts",
  "/proc/irq",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/sys",
  "/proc/sysrq-trigger",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/sys/devices/virtual/powercap",
  "/sys/firmware",
  "/sys/fs/selinux",
];

const toolDirectories = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/bin", "/run/wrappers/bin"];

const cpuDirectory = "/sys/devices/system/cpu";

/** The facts of this machine. Each part is read when it is first asked for, and kept: a command pays for what it uses. */
export function probeHost(reader: HostReader = systemReader, self: HostSelf = systemSelf()): HostFacts {
  const { release, machine, ...ids } = self;
  const kernel = parseKernelRelease(release);
  const identity = once(() => ({ ...ids, userName: userNameOf(self.uid, reader) }));
  const status = once(() => linesWith(["Cap", "Seccomp:"], () => reader.read("/proc/self/status") ?? ""));
  const capabilities = once(() => parseCapabilities(status()));
  const lastCapability = once(() => numberIn(reader.read("/proc/sys/kernel/cap_last_cap")) ?? 40);
  const userNamespace = once(() => probeUserNamespace(reader));
  const subordinateIds = once(() => probeSubordinateIds(reader, self.uid, identity().userName));
  const cgroup = once(() => parseCgroups(reader));
  const limits = once(() => probeLimits(reader));
  const securityModules = once(() => probeSecurityModules(reader));
  const seccomp = once(() => probeSeccomp(reader, status()));
  const filesystems = once(() => parseFilesystems(reader.read("/proc/filesystems")));
  const cpus = once(() => parseCpuList(reader.read(`${cpuDirectory}/online`)));
  const thermalThrottle = once(() => thermalThrottlePaths(reader, cpus()));
  const presentPaths = once(() => maskCandidates.filter((path) => reader.exists(path)));
  return {
    kernel,
    arch: architectureOf(machine),
    get identity() {
      return identity();
    },
    get capabilities() {
      return capabilities();
    },
    get lastCapability() {
      return lastCapability();
    },
    get userNamespace() {
      return userNamespace();
    },
    get subordinateIds() {
      return subordinateIds();
    },
    get cgroup() {
      return cgroup();
    },
    get limits() {
      return limits();
    },
    get securityModules() {
      return securityModules();
    },
    get seccomp() {
      return seccomp();
    },
    get bpf() {
      return reader.exists("/proc/sys/kernel/unprivileged_bpf_disabled");
    },
    get overlay() {
      return {
        registered: filesystems().includes("overlay"),
        userxattr: kernelAtLeast(kernel, 5, 11),
      };
    },
    get filesystems() {
      return filesystems();
    },
    get mqueue() {
      return filesystems().includes("mqueue");
    },
    get cpus() {
      return Math.max(cpus().length, 1);
    },
    get thermalThrottlePaths() {
      return thermalThrottle();
    },
    get presentPaths() {
      return presentPaths();
    },
  };
}

function once<Value>(compute: () => Value): () => Value {
  let value: { readonly is: Value } | undefined;
  return () => {
    value ??= { is: compute() };
    return value.is;
  };
}

export function parseKernelRelease(text: string): KernelRelease {
  const [major, minor, patch] = text.split(".");
  return {
    text,
    major: leadingNumber(major),
    minor: leadingNumber(minor),
    patch: leadingNumber(patch),
  };
}

/** `1-rc2` is 1. */
function leadingNumber(text: string | undefined): number {
  const number = Number.parseInt(text ?? "", 10);
  return Number.isNaN(number) ? 0 : number;
}

export function kernelAtLeast(kernel: KernelRelease, major: number, minor: number): boolean {
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

function architectureOf(name: string): Architecture {
  if (name === "x86_64" || name === "aarch64") return name;
  return name === "arm64" ? "aarch64" : "other";
}

/** Rows of /proc/self/status: `CapEff:\t000001ffffffffff`. */
function parseCapabilities(status: string): ProcessCapabilities {
  const set = (row: string): bigint => {
    const at = status.indexOf(row);
    return at < 0 ? 0n : BigInt(`0x${status.slice(at + row.length, at + row.length + 16)}`);
  };
  return { effective: set("CapEff:\t"), permitted: set("CapPrm:\t"), bounding: set("CapBnd:\t") };
}

/** One row of /proc/self/limits: name, soft, hard, unit; `unlimited` is RLIM_INFINITY. */
function parseLimit(text: string, name: string): ResourceLimit {
  const at = text.indexOf(name);
  const [soft, hard] = at < 0 ? [] : words(text.slice(at + name.length, text.indexOf("\n", at)));
  return { soft: limitIn(soft), hard: limitIn(hard) };
}

function probeLimits(reader: HostReader): HostFacts["limits"] {
  const text = reader.read("/proc/self/limits") ?? "";
  return { nofile: parseLimit(text, "Max open files"), nproc: parseLimit(text, "Max processes") };
}

function probeSeccomp(reader: HostReader, status: string): SeccompFacts {
  const actions = words(reader.read("/proc/sys/kernel/seccomp/actions_avail"));
  return { available: actions.length > 0 || status.includes("\nSeccomp:"), actions };
}

function limitIn(word: string | undefined): bigint | undefined {
  return word === undefined || word === "unlimited" ? undefined : BigInt(word);
}

/** Rows are `nodev\tproc` or `\text4`. */
function parseFilesystems(text: string | undefined): readonly string[] {
  const types: string[] = [];
  for (const line of lines(text)) types.push(line.slice(line.indexOf("\t") + 1));
  return types;
}

function parseIdMap(text: string | undefined): readonly IdMapRange[] {
  const ranges: IdMapRange[] = [];
  for (const line of lines(text)) {
    const [containerID, hostID, size] = words(line);
    ranges.push({ containerID: Number(containerID), hostID: Number(hostID), size: Number(size) });
  }
  return ranges;
}

function probeUserNamespace(reader: HostReader): UserNamespaceFacts {
  const uidMap = parseIdMap(reader.read("/proc/self/uid_map"));
  const first = uidMap[0];
  const supported = first !== undefined;
  const maximum = numberIn(reader.read("/proc/sys/user/max_user_namespaces"));
  const clone = numberIn(reader.read("/proc/sys/kernel/unprivileged_userns_clone"));
  const unprivilegedClone = clone === undefined ? undefined : clone !== 0;
  const apparmorRestricted =
    numberIn(reader.read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")) === 1;
  return {
    initial:
      first !== undefined && first.containerID === 0 && first.hostID === 0 && first.size === 4294967295,
    uidMap,
    gidMap: parseIdMap(reader.read("/proc/self/gid_map")),
    setgroupsDenied: reader.read("/proc/self/setgroups")?.trim() === "deny",
    supported,
    maximum,
    unprivilegedClone,
    apparmorRestricted,
    unprivilegedAllowed: supported && maximum !== 0 && unprivilegedClone !== false && !apparmorRestricted,
  };
}

/** Root needs no setuid tool: it writes the maps itself. */
function probeSubordinateIds(reader: HostReader, uid: number, userName: string): SubordinateIds {
  const find = (tool: string): string =>
    uid === 0
      ? ""
      : (toolDirectories.map((directory) => `${directory}/${tool}`).find((path) => reader.executable(path)) ??
        "");
  return {
    uids: parseSubordinate(reader.read("/etc/subuid"), uid, userName),
    gids: parseSubordinate(reader.read("/etc/subgid"), uid, userName),
    newuidmap: find("newuidmap"),
    newgidmap: find("newgidmap"),
  };
}

/** subuid(5): `user:start:count`, where user is a login name or a uid (of /etc/subgid as well). */
function parseSubordinate(
  text: string | undefined,
  uid: number,
  userName: string,
): readonly SubordinateRange[] {
  const ranges: SubordinateRange[] = [];
  for (const line of lines(text)) {
    const [owner, start, count] = line.trim().split(":");
    if (owner !== String(uid) && (owner !== userName || userName === "")) continue;
    const range = { start: Number(start), count: Number(count) };
    if (Number.isSafeInteger(range.start) && Number.isSafeInteger(range.count) && range.count > 0) {
      ranges.push(range);
    }
  }
  return ranges;
}

function userNameOf(uid: number, reader: HostReader): string {
  if (uid === 0) return "root";
  for (const line of lines(reader.read("/etc/passwd"))) {
    const fields = line.split(":");
    if (fields[2] === String(uid)) return fields[0] ?? "";
  }
  return "";
}

function probeSecurityModules(reader: HostReader): SecurityModules {
  const apparmor = reader.read("/sys/module/apparmor/parameters/enabled")?.trim() === "Y";
  const selinux = reader.exists("/sys/fs/selinux/enforce");
  const listed = reader.read("/sys/kernel/security/lsm")?.trim().split(",");
  const enabled = listed ?? [...(apparmor ? ["apparmor"] : []), ...(selinux ? ["selinux"] : [])];
  const profiles = once(() => (apparmor ? loadedProfiles(reader) : undefined));
  return {
    enabled,
    apparmor,
    get apparmorProfiles() {
      return profiles();
    },
    selinux,
  };
}

/** Root reads the list; everybody may look into the directory, where a profile is NAME.NUMBER. */
function loadedProfiles(reader: HostReader): readonly string[] | undefined {
  const directory = "/sys/kernel/security/apparmor";
  if (!reader.exists(directory)) return undefined;
  const listed = reader.read(`${directory}/profiles`);
  if (listed !== undefined)
    return listed
      .split("\n")
      .flatMap((line) => (/ \(\w+\)$/.test(line) ? [line.slice(0, line.lastIndexOf(" ("))] : []));
  return reader.list(`${directory}/policy/profiles`).map((name) => name.replace(/\.\d+$/, ""));
}

/** `0-3,8` is five CPUs. */
function parseCpuList(text: string | undefined): readonly number[] {
  const cpus: number[] = [];
  for (const part of (text ?? "").trim().split(",")) {
    const [from, to] = part.split("-");
    const first = numberIn(from);
    if (first === undefined) continue;
    const last = Math.min(numberIn(to) ?? first, first + 8191);
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu);
  }
  return cpus;
}

/** Machines have the directory for each CPU or for none, so one look decides about the rest in most cases. */
function thermalThrottlePaths(reader: HostReader, cpus: readonly number[]): readonly string[] {
  const path = (cpu: number): string => `${cpuDirectory}/cpu${cpu}/thermal_throttle`;
  const first = cpus[0];
  if (first === undefined || !reader.exists(path(first))) return [];
  return cpus.map(path).filter((each) => reader.exists(each));
}

/** Lines that are neither empty nor comments. */
function lines(text: string | undefined): readonly string[] {
  const found: string[] = [];
  const all = text ?? "";
  for (let start = 0; start < all.length; ) {
    const newline = all.indexOf("\n", start);
    const end = newline < 0 ? all.length : newline;
    if (end > start && all[start] !== "#") found.push(all.slice(start, end));
    start = end + 1;
  }
  return found;
}

/** Words between blanks. No regular expression: compiling one costs more than all of this. */
function words(text: string | undefined): readonly string[] {
  const found: string[] = [];
  let start = -1;
  const all = text ?? "";
  for (let at = 0; at <= all.length; at++) {
    const blank = at === all.length || all.charCodeAt(at) <= 0x20;
    if (blank && start >= 0) found.push(all.slice(start, at));
    if (blank) start = -1;
    else if (start < 0) start = at;
  }
  return found;
}

function numberIn(text: string | undefined): number | undefined {
  const trimmed = text?.trim();
  if (trimmed === undefined || trimmed === "") return undefined;
  const number = Number(trimmed);
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

function accessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/**
 * Reads with one small buffer. `readFileSync` asks the kernel for 64 KiB and more at once, which /proc/sys answers by
 * allocating and zeroing as much: ten times the cost of these reads.
 */
function readSmall(path: string): string {
  const descriptor = openSync(path, "r");
  try {
    const chunks: Buffer[] = [];
    for (;;) {
      const buffer = Buffer.allocUnsafe(4000);
      const count = readSync(descriptor, buffer, 0, buffer.length, null);
      if (count === 0) return Buffer.concat(chunks).toString("utf8");
      chunks.push(buffer.subarray(0, count));
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The running machine. */
export const systemReader: HostReader = {
  read(path) {
    // A thrown ENOENT costs more than the question.
    if (!existsSync(path)) return undefined;
    try {
      return readSmall(path);
    } catch {
      return undefined;
    }
  },
  exists: existsSync,
  writable: (path) => accessible(path, constants.W_OK),
  executable: (path) => accessible(path, constants.X_OK),
  list(path) {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  },
};

function systemSelf(): HostSelf {
  return {
    release: release(),
    machine: machine(),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    euid: process.geteuid?.() ?? 0,
    egid: process.getegid?.() ?? 0,
    groups: process.getgroups?.() ?? [],
  };
}
