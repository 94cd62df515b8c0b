/** Capabilities, no_new_privs, seccomp and security modules: what is planned and what is. */
import type { Plan, ProcessTruth, Reading } from "../kernel/mod.ts";
import { capabilityText } from "./flags.ts";
import { mapReading, opsOf, rowOf, statusField, type TruthRow, textOfReading, unplanned } from "./truth.ts";

export function capabilityRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  const { files } = truth;
  const mask = (field: string): Reading =>
    mapReading(statusField(files["status"], field), (hex) => capabilityText(BigInt(`0x${hex}`)));
  const rows: TruthRow[] = [];
  const bounding = opsOf(plan, "dropBoundingSet").at(-1);
  const sets = opsOf(plan, "setCapabilities").at(-1);
  const user = opsOf(plan, "setUser").at(-1)?.op.uid ?? 0;
  if (bounding !== undefined) {
    rows.push(rowOf("capabilities", "bounding", bounding, capabilityText(bounding.op.keep), mask("CapBnd")));
  }
  if (sets !== undefined) {
    const { inheritable, ambient, effective, permitted } = sets.op;
    // execve computes these anew (capabilities(7)): root gets what is in the bounding set, others keep what is ambient.
    const root = bounding === undefined ? permitted : bounding.op.keep | inheritable;
    const gained = user === 0 ? (bounding === undefined ? effective : root) : ambient;
    rows.push(
      rowOf("capabilities", "permitted", sets, capabilityText(user === 0 ? root : ambient), mask("CapPrm")),
      rowOf("capabilities", "effective", sets, capabilityText(gained), mask("CapEff")),
      rowOf("capabilities", "inheritable", sets, capabilityText(inheritable), mask("CapInh")),
      rowOf("capabilities", "ambient", sets, capabilityText(ambient), mask("CapAmb")),
    );
  }
  const privileges = statusField(files["status"], "NoNewPrivs");
  const asked = opsOf(plan, "noNewPrivileges")[0];
  if (asked !== undefined) rows.push(rowOf("capabilities", "no_new_privs", asked, "1", privileges));
  else if (
    textOfReading(privileges) === "1" &&
    textOfReading(statusField(truth.ownStatus, "NoNewPrivs")) !== "1"
  ) {
    rows.push(unplanned("capabilities", "no_new_privs", "1"));
  }
  return rows;
}

const modes: Readonly<Record<string, string>> = { "0": "off", "1": "strict", "2": "filter" };

export function seccompRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  const planned = opsOf(plan, "seccomp");
  const mode = mapReading(statusField(truth.files["status"], "Seccomp"), (text) => modes[text] ?? text);
  const first = planned[0];
  const rows: TruthRow[] = [];
  if (first !== undefined) rows.push(rowOf("seccomp", "mode", first, "filter", mode));
  const count = (status: Reading | undefined): number | undefined => {
    const text = textOfReading(statusField(status, "Seccomp_filters"));
    return text === undefined ? undefined : Number(text);
  };
  const now = count(truth.files["status"]);
  if (now === undefined) return rows;
  // Filters are inherited, and never taken away.
  const expected = (count(truth.ownStatus) ?? 0) + planned.length;
  if (first !== undefined)
    rows.push(rowOf("seccomp", "filters", first, String(expected), { text: String(now) }));
  else if (now > expected) rows.push(unplanned("seccomp", "filters", String(now)));
  return rows;
}

export function securityModuleRows(plan: Plan, truth: ProcessTruth): readonly TruthRow[] {
  const rows: TruthRow[] = [];
  const own = truth.files["attr/apparmor/current"];
  const shared = truth.files["attr/current"];
  const labelIn = (file: typeof shared) => mapReading(file, (text) => text.replace(/[\n\0]+$/, ""));
  const profile = labelIn(own !== undefined && "text" in own ? own : shared);
  for (const one of opsOf(plan, "apparmorProfile")) {
    const same = (seen: string): boolean => seen.replace(/ \(\w+\)$/, "") === one.op.profile;
    rows.push(rowOf("LSM", "AppArmor profile", one, one.op.profile, profile, same));
  }
  for (const one of opsOf(plan, "selinuxLabel"))
    rows.push(rowOf("LSM", "SELinux label", one, one.op.label, labelIn(shared)));
  return rows;
}
