/** The cgroup: where the process is, and what its control files say beside what was written there. */
import type { Plan, PlannedOp, ProcessTruth } from "../kernel/mod.ts";
import { opsOf, rowOf, type TruthRow, textOfReading, unplanned } from "./truth.ts";
import { squeezed } from "./truth-namespaces.ts";

/** Limits that somebody may have set since (`update`), and what they are where nobody did. */
const limitFiles: Readonly<Record<string, RegExp>> = {
  "memory.max": /^max$/,
  "memory.high": /^max$/,
  "memory.low": /^0$/,
  "memory.swap.max": /^max$/,
  "pids.max": /^max$/,
  "cpu.max": /^max /,
  "cpu.weight": /^100$/,
  "memory.limit_in_bytes": /^\d{19}$/,
  "memory.memsw.limit_in_bytes": /^\d{19}$/,
  "memory.soft_limit_in_bytes": /^\d{19}$/,
  "cpu.shares": /^1024$/,
  "cpu.cfs_quota_us": /^-1$/,
};

interface Write {
  readonly planned: PlannedOp;
  readonly file: string;
  readonly text: string;
}

function writesOf(plan: Plan): readonly Write[] {
  const decode = (data: Uint8Array): string => new TextDecoder().decode(data).trim();
  return plan.ops.flatMap((planned): Write[] => {
    const { op, stage } = planned;
    if (stage === "cleanup" || (op.op !== "writeFile" && op.op !== "writeEither")) return [];
    if (op.path.base !== "host" || !isLimit(planned, op.path.path)) return [];
    const first = { planned, file: op.path.path, text: decode(op.data) };
    return op.op === "writeFile"
      ? [first]
      : [first, { planned, file: op.other.path, text: decode(op.otherData) }];
  });
}

/** Not the writes that only make the directories usable, those above the container's own among them. */
function isLimit({ why }: PlannedOp, file: string): boolean {
  if (!file.includes("/cgroup/") || file.endsWith("/cgroup.subtree_control")) return false;
  return why.pointer.startsWith("/linux/resources");
}

export function controlFilesOf(plan: Plan, cgroups: readonly string[]): readonly string[] {
  const files = new Set(writesOf(plan).map(({ file }) => readableOf(file)));
  for (const directory of cgroups)
    for (const name of Object.keys(limitFiles)) files.add(`${directory}/${name}`);
  return [...files];
}

/** What is written to devices.allow is read in devices.list. */
function readableOf(file: string): string {
  return file.replace(/devices\.(?:allow|deny)$/, "devices.list");
}

export function cgroupRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  const rows: TruthRow[] = [...attachRows(plan, truth)];
  const seen = new Set<string>();
  const last = new Map<string, Write>();
  for (const write of writesOf(plan)) {
    // Lists grow by each write; of other files the last one counts.
    last.set(/devices\.|\bio\.|blkio\./.test(write.file) ? `${write.file} ${write.text}` : write.file, write);
  }
  for (const { planned, file, text } of last.values()) {
    const name = file.slice(file.lastIndexOf("/") + 1);
    const readable = readableOf(file);
    seen.add(readable);
    const now = truth.controls[readable] ?? { error: "not read" };
    if ("error" in now && now.error === "ENOENT") {
      // One of two files, or a controller that this kernel does not have: the plan tolerates it.
      if (planned.op.op === "writeEither" || planned.tolerate.includes("ENOENT")) continue;
    }
    if (name === "devices.deny") continue;
    rows.push(
      rowOf("cgroup", name, planned, text, "error" in now ? now : { text: squeezed(now.text) }, (value) =>
        agrees(name, text, value),
      ),
    );
  }
  for (const [file, reading] of Object.entries(truth.controls)) {
    const name = file.slice(file.lastIndexOf("/") + 1);
    const usual = limitFiles[name];
    const text = textOfReading(reading)?.trim();
    if (usual === undefined || text === undefined || seen.has(file) || usual.test(text)) continue;
    rows.push(unplanned("cgroup", name, text));
  }
  return rows;
}

/** The kernel rounds bytes to pages, fills in defaults, and has more lines than were written. */
function agrees(name: string, written: string, now: string): boolean {
  if (now === written || now.split(", ").includes(written)) return true;
  if (name.startsWith("devices.")) return now === "a *:* rwm" || now.split(", ").includes("a *:* rwm");
  if (/^\d+$/.test(written) && /^\d+$/.test(now) && name.startsWith("memory.")) {
    const page = 4096n;
    return BigInt(now) === (BigInt(written) / page) * page;
  }
  if (written === "-1") return now === "max" || /^\d{19}$/.test(now);
  if (/\bio\.max$/.test(name)) {
    const parts = written.split(" ");
    return now.split(", ").some((line) => parts.every((part) => line.split(" ").includes(part)));
  }
  return name === "cpu.max" && (now === `${written} 100000` || now.startsWith(`${written} `));
}

function attachRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  const table = truth.files["cgroup"] ?? { error: "not read" };
  return opsOf(plan, "cgroupAttach").map((one) => {
    const { path } = one.op.path;
    if ("error" in table) return rowOf("cgroup", "directory", one, path, table);
    const lines = table.text.split("\n").map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
    const line =
      lines.find((match) => match?.[1] !== undefined && match[1] !== "" && path.includes(`/${match[1]}/`)) ??
      lines.find((match) => match?.[1] === "");
    const shown = line?.[2] ?? "";
    return rowOf(
      "cgroup",
      line?.[1] ? `directory, ${line[1]}` : "directory",
      one,
      path,
      { text: shown },
      () => path.endsWith(shown) && shown !== "/",
    );
  });
}
