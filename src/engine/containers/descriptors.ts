/** What is told of a container's processes in its own terms: the descriptors of `podman top`. */
import * as fs from "node:fs";
import { readBeneath } from "../../base/mod.ts";
import { capabilityNames } from "../../kernel/mod.ts";

/** One process as the kernel tells of it, and what its ids are called. */
interface Looked {
  readonly pid: number;
  /** Rows of /proc/PID/status. */
  readonly status: ReadonlyMap<string, string>;
  /** Fields of /proc/PID/stat from the third, the state, on: proc(5)'s number N is at N - 3. */
  readonly stat: readonly string[];
  readonly commandLine: string;
  readonly label: string;
  readonly names: Names;
  /** Its pid namespaces below ours, that of the container's first process being the last that counts. */
  readonly depth: number;
  readonly uptime: number;
  readonly now: number;
}

interface Names {
  readonly inside: {
    readonly users: ReadonlyMap<number, string>;
    readonly groups: ReadonlyMap<number, string>;
  };
  readonly host: Names["inside"];
  readonly uids: readonly Range[];
  readonly gids: readonly Range[];
}

interface Range {
  readonly inside: number;
  readonly outside: number;
  readonly size: number;
}

interface Descriptor {
  /** ps's own code for it, where it has one. */
  readonly code?: string;
  readonly heading: string;
  readonly of: (process: Looked) => string;
}

const uidAt = (process: Looked, column: number): number => numbersOf(process, "Uid")[column] ?? 0;
const gidAt = (process: Looked, column: number): number => numbersOf(process, "Gid")[column] ?? 0;
const [real, effective] = [0, 1];
const capabilitySet =
  (row: string) =>
  ({ status }: Looked): string =>
    capabilityText(status.get(row) ?? "0");
const ticksPerSecond = 100;
const cpuSeconds = ({ stat }: Looked): number => (Number(stat[11]) + Number(stat[12])) / ticksPerSecond;
const elapsed = ({ stat, uptime }: Looked): number => Math.max(0, uptime - Number(stat[19]) / ticksPerSecond);

export const processDescriptors: Readonly<Record<string, Descriptor>> = {
  args: { code: "%a", heading: "COMMAND", of: (each) => each.commandLine || `[${each.status.get("Name")}]` },
  capamb: { heading: "AMBIENT CAPS", of: capabilitySet("CapAmb") },
  capbnd: { heading: "BOUNDING CAPS", of: capabilitySet("CapBnd") },
  capeff: { heading: "EFFECTIVE CAPS", of: capabilitySet("CapEff") },
  capinh: { heading: "INHERITED CAPS", of: capabilitySet("CapInh") },
  capprm: { heading: "PERMITTED CAPS", of: capabilitySet("CapPrm") },
  comm: { code: "%c", heading: "COMMAND", of: ({ status }) => status.get("Name") ?? "" },
  etime: { code: "%t", heading: "ELAPSED", of: (each) => durationText(elapsed(each)) },
  group: { code: "%G", heading: "GROUP", of: (each) => groupInside(each, gidAt(each, effective)) },
  groups: {
    heading: "GROUPS",
    of: (each) =>
      numbersOf(each, "Groups")
        .map((gid) => groupInside(each, gid))
        .join(","),
  },
  hgroup: { heading: "HGROUP", of: (each) => named(each.names.host.groups, gidAt(each, effective)) },
  // Numbers, as podman has them, though `hgroup` is a name.
  hgroups: { heading: "HGROUPS", of: (each) => numbersOf(each, "Groups").join(",") },
  hpid: { heading: "HPID", of: ({ pid }) => String(pid) },
  huid: { heading: "HUID", of: (each) => String(uidAt(each, effective)) },
  huser: { heading: "HUSER", of: (each) => named(each.names.host.users, uidAt(each, effective)) },
  label: { heading: "LABEL", of: ({ label }) => label || "?" },
  nice: { code: "%n", heading: "NI", of: ({ stat }) => stat[16]! },
  pcpu: {
    code: "%C",
    heading: "%CPU",
    of: (each) => ((100 * cpuSeconds(each)) / (elapsed(each) || 1)).toFixed(3),
  },
  pgid: { code: "%r", heading: "PGID", of: (each) => pidInside(each, "NSpgid") },
  pid: { code: "%p", heading: "PID", of: (each) => pidInside(each, "NSpid") },
  ppid: { code: "%P", heading: "PPID", of: parentInside },
  rgroup: { code: "%g", heading: "RGROUP", of: (each) => groupInside(each, gidAt(each, real)) },
  rss: { heading: "RSS", of: ({ status }) => kibibytes(status.get("VmRSS")) },
  ruser: { code: "%u", heading: "RUSER", of: (each) => userInside(each, uidAt(each, real)) },
  seccomp: {
    heading: "SECCOMP",
    of: ({ status }) => ["disabled", "strict", "filter"][Number(status.get("Seccomp"))] ?? "?",
  },
  state: { heading: "STATE", of: ({ stat }) => stat[0]! },
  stime: {
    heading: "STIME",
    of: (each) =>
      `${new Date(each.now - elapsed(each) * 1000).toISOString().slice(0, 19).replace("T", " ")} +0000 UTC`,
  },
  time: { code: "%x", heading: "TIME", of: (each) => durationText(cpuSeconds(each)) },
  tty: { code: "%y", heading: "TTY", of: ({ stat }) => terminalName(Number(stat[4])) },
  uid: { heading: "UID", of: (each) => String(inside(each.names.uids, uidAt(each, effective)) ?? "?") },
  user: { code: "%U", heading: "USER", of: (each) => userInside(each, uidAt(each, effective)) },
  vsz: { code: "%z", heading: "VSZ", of: ({ status }) => kibibytes(status.get("VmSize")) },
};

const byCode = new Map(
  Object.entries(processDescriptors).flatMap(([name, { code }]) =>
    code === undefined ? [] : [[code, name]],
  ),
);

/** The descriptors that all of the words are, which may also be joined by commas; undefined: some word is none, and ps is meant. */
export function descriptorsOf(words: readonly string[]): readonly string[] | undefined {
  const names = words.flatMap((word) => word.split(",")).map((word) => byCode.get(word) ?? word);
  return names.every((name) => Object.hasOwn(processDescriptors, name)) ? names : undefined;
}

/** A row for each that is still there, the headings first. */
export function describeProcesses(
  pids: readonly number[],
  descriptors: readonly string[],
  now: number,
): readonly (readonly string[])[] {
  const chosen = descriptors.map((name) => processDescriptors[name]!);
  const [first] = pids;
  const depth = first === undefined ? 1 : statusOf(first).get("NSpid")!.split("\t").length;
  const uptime = Number(fs.readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  const rows: (readonly string[])[] = [chosen.map(({ heading }) => heading)];
  const host = namesOf((file) => fs.readFileSync(file));
  for (const pid of pids) {
    try {
      const process = look(pid, { depth, uptime, now, host });
      rows.push(chosen.map((descriptor) => descriptor.of(process)));
    } catch {
      // It ended meanwhile.
    }
  }
  return rows;
}

function look(
  pid: number,
  { host, ...rest }: Pick<Looked, "depth" | "uptime" | "now"> & { readonly host: Names["inside"] },
): Looked {
  const read = (name: string): string => fs.readFileSync(`/proc/${pid}/${name}`, "utf8");
  const stat = read("stat");
  return {
    pid,
    ...rest,
    status: statusOf(pid),
    stat: stat
      .slice(stat.lastIndexOf(")") + 2)
      .trimEnd()
      .split(" "),
    commandLine: read("cmdline").replaceAll("\0", " ").trimEnd(),
    label: optional(() => read("attr/current").replace(/[\0\n]+$/, "")),
    names: {
      inside: namesOf((file) => readBeneath(`/proc/${pid}/root`, file)),
      host,
      uids: rangesOf(read("uid_map")),
      gids: rangesOf(read("gid_map")),
    },
  };
}

function statusOf(pid: number): ReadonlyMap<string, string> {
  const lines = fs.readFileSync(`/proc/${pid}/status`, "utf8").split("\n");
  return new Map(
    lines.map(
      (line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()] as const,
    ),
  );
}

/** Without a security module the file cannot be read. */
function optional(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

function numbersOf({ status }: Looked, row: string): readonly number[] {
  return (status.get(row) ?? "").split(/\s+/).filter(Boolean).map(Number);
}

// --- ids and names ---

function rangesOf(text: string): readonly Range[] {
  return text
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([inside = 0, outside = 0, size = 0]) => ({ inside, outside, size }));
}

function inside(ranges: readonly Range[], id: number): number | undefined {
  const range = ranges.find(({ outside, size }) => id >= outside && id < outside + size);
  return range === undefined ? undefined : range.inside + id - range.outside;
}

const unknown = "?";
const named = (names: ReadonlyMap<number, string>, id: number | undefined): string =>
  id === undefined ? unknown : (names.get(id) ?? String(id));
const userInside = ({ names }: Looked, uid: number): string =>
  named(names.inside.users, inside(names.uids, uid));
const groupInside = ({ names }: Looked, gid: number): string =>
  named(names.inside.groups, inside(names.gids, gid));

/** Of passwd and group; whoever runs in the container may have written them. */
function namesOf(read: (file: string) => Uint8Array | undefined): Names["inside"] {
  const namesIn = (file: string): ReadonlyMap<number, string> => {
    const text = optional(() => new TextDecoder().decode(read(file)));
    const entries = text.split("\n").map((line) => line.split(":"));
    // Of several with one id the first counts.
    return new Map(
      entries
        .filter(([name = "", , id = ""]) => name !== "" && /^\d{1,10}$/.test(id))
        .map(([name = "", , id = ""]) => [Number(id), name] as const)
        .reverse(),
    );
  };
  return { users: namesIn("/etc/passwd"), groups: namesIn("/etc/group") };
}

// --- pids: a row has the number in each namespace, ours first ---

function pidInside({ status, depth, pid }: Looked, row: string): string {
  return status.get(row)?.split("\t")[depth - 1] ?? String(pid);
}

/** 0: it is not one of the container's namespace. */
function parentInside({ status, depth }: Looked): string {
  const parent = Number(status.get("PPid"));
  return optional(() => statusOf(parent).get("NSpid")?.split("\t")[depth - 1] ?? "") || "0";
}

// --- texts ---

/** Without their prefix, in the order of the alphabet; `none`, or `full` for all that there are. */
function capabilityText(hex: string): string {
  const mask = BigInt(`0x${hex}`);
  if (mask === 0n) return "none";
  const names = capabilityNames.filter((_, number) => ((mask >> BigInt(number)) & 1n) === 1n);
  if (names.length === capabilityNames.length) return "full";
  return names
    .map((name) => name.slice("CAP_".length))
    .sort()
    .join(",");
}

/** As Go prints a duration: 1h2m3.5s. */
export function durationText(seconds: number): string {
  if (seconds < 1 && seconds > 0) return `${Number((seconds * 1000).toFixed(3))}ms`;
  const whole = Math.floor(seconds / 60);
  const rest = `${Number((seconds - whole * 60).toFixed(6))}s`;
  const hours = Math.floor(whole / 60);
  return hours > 0 ? `${hours}h${whole % 60}m${rest}` : whole > 0 ? `${whole}m${rest}` : rest;
}

function kibibytes(text: string | undefined): string {
  return text === undefined ? "0" : text.split(" ")[0]!;
}

/** A device number as stat(5) packs it: major 136 to 143 are those of devpts. */
function terminalName(device: number): string {
  if (device === 0) return unknown;
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
  return major === 4 && minor < 64 ? `tty${minor}` : major === 4 ? `ttyS${minor - 64}` : `${major}:${minor}`;
}
