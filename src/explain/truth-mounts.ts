/** Mounts and device nodes: what is planned and what is. */

import type { Plan, PlannedOp, ProcessTruth } from "../kernel/mod.ts";
import * as kernel from "../kernel/mod.ts";
import { modeNames } from "./flags.ts";
import { opsOf, plannedText, rowOf, type TruthRow, unplanned } from "./truth.ts";
import type { PlanGroup } from "./types.ts";

interface Expected {
  readonly planned: PlannedOp;
  fstype: string | undefined;
  set: bigint;
  clear: bigint;
  /** It is mounted only where the path exists. */
  readonly where?: "masked" | "read-only";
}

interface Seen {
  readonly fstype: string;
  readonly flags: readonly string[];
  /** Options of the filesystem itself. */
  readonly superFlags: readonly string[];
}

const words: readonly (readonly [bigint, string])[] = [
  [kernel.MOUNT_ATTR_NOSUID, "nosuid"],
  [kernel.MOUNT_ATTR_NODEV, "nodev"],
  [kernel.MOUNT_ATTR_NOEXEC, "noexec"],
  [kernel.MOUNT_ATTR_NODIRATIME, "nodiratime"],
];
const shown = ["ro", "rw", "nosuid", "nodev", "noexec", "nodiratime", "noatime", "nosymfollow"];

export function mountRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  const expected = expectedMounts(plan);
  const table = truth.files["mountinfo"] ?? { error: "not read" };
  const rows: TruthRow[] = [];
  if ("error" in table) {
    return [...expected].map(([point, one]) => rowOf(groupAt(point), point, one.planned, textOf(one), table));
  }
  const found = parseMountinfo(table.text);
  for (const [point, one] of expected) {
    const mount = found.get(point);
    const planned = plannedText(one.planned, textOf(one));
    if (mount !== undefined) {
      const state = matches(one, mount) ? "same" : "differs";
      rows.push({ group: groupAt(point), what: point, planned, now: seenText(mount), state });
    } else if (one.where !== undefined && isAbsent(truth, point)) {
      rows.push({ group: "mounts", what: point, planned, now: "there is no such path", state: "same" });
    } else {
      rows.push({ group: groupAt(point), what: point, planned, now: "not mounted", state: "gone" });
    }
  }
  const trees = bindTrees(plan);
  for (const [point, mount] of found) {
    if (expected.has(point) || trees.some((tree) => point.startsWith(`${tree}/`))) continue;
    rows.push(unplanned("mounts", point, seenText(mount)));
  }
  return rows;
}

function groupAt(point: string): PlanGroup {
  return point === "/" ? "root filesystem" : "mounts";
}

/** What is mounted below a bound tree comes with it. */
function bindTrees(plan: Plan): readonly string[] {
  return plan.ops.flatMap(({ op }) =>
    (op.op === "bindMount" || op.op === "bindIdMapped") && op.recursive && op.target.base === "root"
      ? [op.target.path]
      : [],
  );
}

function isAbsent({ nodes }: ProcessTruth, path: string): boolean {
  const node = nodes[path];
  return node !== undefined && "error" in node && (node.error === "ENOENT" || node.error === "ENOTDIR");
}

/** In the order of the ops: the last at a point wins. */
function expectedMounts(plan: Plan): Map<string, Expected> {
  const expected = new Map<string, Expected>();
  const all =
    kernel.MOUNT_ATTR_RDONLY | kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NODEV | kernel.MOUNT_ATTR_NOEXEC;
  const whole = (set: bigint): Pick<Expected, "set" | "clear"> => ({ set, clear: all & ~set });
  let root: string | undefined;
  for (const planned of plan.ops) {
    const { op, stage } = planned;
    if (stage !== "init") continue;
    if (op.op === "mountFilesystem" && op.target.base === "host") root = op.fstype;
    else if (op.op === "setRoot") expected.set("/", { planned, fstype: root, set: 0n, clear: 0n });
    else if (op.op === "mountFilesystem" && op.target.base === "root") {
      expected.set(op.target.path, { planned, fstype: op.fstype, ...whole(op.attributes) });
    } else if (op.op === "tmpCopyUp" || op.op === "tmpfsOver") {
      expected.set(op.target.path, { planned, fstype: "tmpfs", ...whole(op.attributes) });
    } else if ((op.op === "bindMount" || op.op === "bindIdMapped") && op.target.base === "root") {
      expected.set(op.target.path, { planned, fstype: undefined, set: op.set, clear: op.clear });
    } else if (op.op === "bindOfProcess" && op.target.base === "root") {
      expected.set(op.target.path, { planned, fstype: undefined, set: op.set, clear: op.clear });
    } else if (op.op === "bindNode") {
      const set = kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NOEXEC;
      expected.set(op.target.path, { planned, fstype: "tmpfs", set, clear: 0n });
    } else if (op.op === "mountAttributes") {
      const mount = expected.get(op.path.path);
      if (mount === undefined) continue;
      mount.set = (mount.set & ~op.clear) | op.set;
      mount.clear = (mount.clear & ~op.set) | op.clear;
    } else if (op.op === "clearUnasked") {
      // What is locked stays, so nothing more is known than what is not set.
      const mount = expected.get(op.path.path);
      if (mount !== undefined) mount.set &= ~op.clear;
    } else if (op.op === "maskPath") {
      expected.set(op.path.path, { planned, fstype: undefined, set: 0n, clear: 0n, where: "masked" });
    } else if (op.op === "readonlyPath") {
      const set = kernel.MOUNT_ATTR_RDONLY;
      expected.set(op.path.path, { planned, fstype: undefined, set, clear: 0n, where: "read-only" });
    } else if (op.op === "openTerminal" && op.bindConsole) {
      expected.set("/dev/console", { planned, fstype: undefined, set: 0n, clear: 0n });
    } else if (op.op === "unmount" && op.path.base === "root") expected.delete(op.path.path);
  }
  return expected;
}

function matches({ fstype, set, clear, where }: Expected, { fstype: found, flags }: Seen): boolean {
  if (fstype !== undefined && fstype !== found) return false;
  if (where === "masked") return true;
  const has = (word: string, wanted: boolean): boolean => flags.includes(word) === wanted;
  if ((set & kernel.MOUNT_ATTR_RDONLY) !== 0n && !has("ro", true)) return false;
  if ((clear & kernel.MOUNT_ATTR_RDONLY) !== 0n && !has("rw", true)) return false;
  const bits = words.every(
    ([bit, word]) => ((set & bit) === 0n || has(word, true)) && ((clear & bit) === 0n || has(word, false)),
  );
  const noatime = (set & kernel.MOUNT_ATTR__ATIME) === kernel.MOUNT_ATTR_NOATIME;
  return bits && (!noatime || has("noatime", true));
}

function textOf({ planned, fstype, set, clear, where }: Expected): string {
  if (where !== undefined) return where;
  const { op } = planned;
  const kind =
    fstype ??
    (op.op === "bindMount" || op.op === "bindIdMapped"
      ? `bind of ${op.source.path}`
      : op.op === "bindOfProcess"
        ? `${op.source} of another container`
        : "");
  const readonly = (set & kernel.MOUNT_ATTR_RDONLY) !== 0n;
  const writable = (clear & kernel.MOUNT_ATTR_RDONLY) !== 0n;
  const flags = words.filter(([bit]) => (set & bit) !== 0n).map(([, word]) => word);
  return [kind, [...(readonly ? ["ro"] : writable ? ["rw"] : []), ...flags].join(",")]
    .filter((part) => part !== "")
    .join(" ");
}

function seenText({ fstype, flags, superFlags }: Seen): string {
  const kept = shown.filter((word) => flags.includes(word));
  const readonly = superFlags.includes("ro") && !kept.includes("ro") ? " (the filesystem is ro)" : "";
  return `${fstype} ${kept.join(",")}${readonly}`;
}

/** By mount point, the uppermost at each. */
function parseMountinfo(text: string): ReadonlyMap<string, Seen> {
  const found = new Map<string, Seen>();
  for (const line of text.split("\n")) {
    const [head = "", tail = ""] = line.split(" - ");
    const fields = head.split(" ");
    const point = fields[4];
    if (point === undefined) continue;
    const [fstype = "", , superFlags = ""] = tail.split(" ");
    found.set(unescapeOctal(point), {
      fstype,
      flags: (fields[5] ?? "").split(","),
      superFlags: superFlags.split(","),
    });
  }
  return found;
}

/** Blanks in names are `\040` there. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

export function deviceRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  return opsOf(plan, "makeNode").map((one) => {
    const { op } = one;
    const text = `${modeNames(op.mode)} ${op.major}:${op.minor}`;
    const now = truth.nodes[op.path.path] ?? { error: "not read" };
    const gone = "error" in now && now.error === "ENOENT";
    if (gone) {
      return {
        group: "devices",
        what: op.path.path,
        planned: plannedText(one, text),
        now: "not there",
        state: "gone",
      };
    }
    const seen = "error" in now ? now : { text: `${modeNames(now.mode)} ${now.major}:${now.minor}` };
    return rowOf("devices", op.path.path, one, text, seen);
  });
}
