/** Namespaces, id maps, names, clocks: what is planned and what is. */
import type { IdMapRange, Plan, PlannedOp, ProcessTruth, Reading } from "../kernel/mod.ts";
import * as kernel from "../kernel/mod.ts";
import { clockName } from "./flags.ts";
import { mapReading, opsOf, plannedText, rowOf, type TruthRow, textOfReading, unplanned } from "./truth.ts";

const bits: readonly (readonly [name: string, bit: number])[] = [
  ["user", kernel.CLONE_NEWUSER],
  ["mnt", kernel.CLONE_NEWNS],
  ["pid", kernel.CLONE_NEWPID],
  ["net", kernel.CLONE_NEWNET],
  ["uts", kernel.CLONE_NEWUTS],
  ["ipc", kernel.CLONE_NEWIPC],
  ["cgroup", kernel.CLONE_NEWCGROUP],
  ["time", kernel.CLONE_NEWTIME],
];

export function namespaceRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  return [
    ...bits.flatMap(([name, bit]) => namespaceRow(plan, truth, name, bit)),
    ...idMapRows(plan, truth),
    ...nameRows(plan, truth),
    ...clockRows(plan, truth),
    ...networkRows(plan, truth),
  ];
}

function namespaceRow(plan: Plan, truth: ProcessTruth, name: string, bit: number): readonly TruthRow[] {
  const now = truth.namespaces[name] ?? { error: "not read" };
  const ours = textOfReading(truth.ownNamespaces[name]);
  const joined = opsOf(plan, "joinNamespace").find(({ op }) => op.type === bit);
  if (joined !== undefined) {
    const wanted = textOfReading(truth.links[joined.op.path.path]);
    const same = (seen: string): boolean => wanted === undefined || seen === wanted;
    return [rowOf("namespaces", name, joined, `that of ${joined.op.path.path}`, now, same)];
  }
  const made = [...opsOf(plan, "clone"), ...opsOf(plan, "unshareNamespaces")].find(
    ({ op }) => (op.flags & BigInt(bit)) !== 0n,
  );
  if (made !== undefined) return [rowOf("namespaces", name, made, "a new one", now, (seen) => seen !== ours)];
  // A user namespace that an engine made may be entered by way of another op; else the host's is kept.
  const seen = textOfReading(now);
  if (seen === undefined || ours === undefined || opsOf(plan, "cloneInside").length > 0) return [];
  if (seen === ours) {
    return [{ group: "namespaces", what: name, planned: null, now: `the host's, ${seen}`, state: "same" }];
  }
  return [unplanned("namespaces", name, `another than the host's, ${seen}`)];
}

function idMapRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  return opsOf(plan, "idMap").flatMap((planned) => {
    const shown = (map: readonly IdMapRange[]): string =>
      map.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}`).join(", ");
    const now = (file: string): Reading => mapReading(truth.files[file], squeezed);
    return [
      rowOf("namespaces", "user ids", planned, shown(planned.op.uids), now("uid_map")),
      rowOf("namespaces", "group ids", planned, shown(planned.op.gids), now("gid_map")),
      rowOf(
        "namespaces",
        "setgroups",
        planned,
        planned.op.denySetgroups ? "deny" : "allow",
        now("setgroups"),
      ),
    ];
  });
}

/** Lines of numbers as one line: `0 1000 1, 1 100000 65536`. */
export function squeezed(text: string): string {
  return text
    .trim()
    .split("\n")
    .map((line) => line.trim().replace(/\s+/g, " "))
    .join(", ");
}

function nameRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  const now = (file: string): Reading => mapReading(truth.sysctls[file], (text) => text.trim());
  return [
    ...opsOf(plan, "setHostname").map((one) =>
      rowOf("namespaces", "host name", one, one.op.name, now("kernel/hostname")),
    ),
    ...opsOf(plan, "setDomainname").map((one) =>
      rowOf("namespaces", "domain name", one, one.op.name, now("kernel/domainname")),
    ),
  ];
}

function clockRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  return opsOf(plan, "setTimeOffset").map((one) => {
    const name = clockName(one.op.clock);
    const now = mapReading(truth.files["timens_offsets"], (text) => {
      const line = text.split("\n").find((each) => each.startsWith(name)) ?? "";
      return line.slice(name.length).trim().replace(/\s+/g, " ");
    });
    return rowOf("namespaces", `offset of ${name}`, one, `${one.op.seconds} ${one.op.nanoseconds}`, now);
  });
}

/** Devices that the kernel makes in each network namespace by itself. */
const automatic = /^(?:tunl0|sit0|ip6tnl0|gre0|gretap0|erspan0|ip_vti0|ip6_vti0|ip6gre0|teql0)$/;

function networkRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  const table = truth.files["net/dev"];
  const up = opsOf(plan, "loopbackUp")[0];
  const moved = opsOf(plan, "moveNetDevice");
  if (up === undefined && moved.length === 0) return [];
  const names = mapReading(table, (text) => deviceNames(text).join(" "));
  const seen = textOfReading(names)?.split(" ") ?? [];
  const rows: TruthRow[] = [];
  const there = (name: string, planned: PlannedOp, text: string): void => {
    if ("error" in names) rows.push(rowOf("namespaces", `network ${name}`, planned, text, names));
    else if (seen.includes(name)) rows.push(rowOf("namespaces", `network ${name}`, planned, text, { text }));
    else
      rows.push({
        group: "namespaces",
        what: `network ${name}`,
        planned: plannedText(planned, text),
        now: "",
        state: "gone",
      });
  };
  if (up !== undefined) there("lo", up, "there");
  for (const one of moved)
    if (!one.op.name.includes("%")) there(one.op.name, one, `${one.op.device} of the host`);
  const known = new Set(["lo", ...moved.map(({ op }) => op.name)]);
  const numbered = moved.some(({ op }) => op.name.includes("%"));
  for (const name of seen) {
    if (known.has(name) || automatic.test(name) || numbered) continue;
    rows.push(unplanned("namespaces", `network ${name}`, "there"));
  }
  return rows;
}

function deviceNames(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => /^\s*([^\s:]+):/.exec(line)?.[1] ?? []);
}
