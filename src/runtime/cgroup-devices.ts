/** Which devices the container may open or make (config-linux.md#allowed-device-list), as lines of the v1 controller. */
import type { LinuxDeviceRule } from "../oci/mod.ts";
import type { Draft } from "./draft.ts";

export interface DeviceLine {
  readonly file: "devices.allow" | "devices.deny";
  /** `c 1:3 rwm`, or `a` for everything. */
  readonly data: string;
  /** Index in resources.devices; undefined: a default of ours. */
  readonly index: number | undefined;
}

/** `allow-all`: nothing to write, the parent's rules stay. */
export type DeviceRules = "allow-all" | readonly DeviceLine[];

/** What every container needs of the default devices, /dev/pts and mknod; runc and Docker allow the same. */
const defaultLines = [
  "c *:* m",
  "b *:* m",
  "c 1:3 rwm",
  "c 1:5 rwm",
  "c 1:7 rwm",
  "c 1:8 rwm",
  "c 1:9 rwm",
  "c 5:0 rwm",
  "c 5:1 rwm",
  "c 5:2 rwm",
  "c 136:* rwm",
];

/**
 * The rules in order. All is denied to begin with unless the first rule allows all, and the default devices are
 * allowed at the end of a list that denies.
 */
export function deviceRules(rules: readonly LinuxDeviceRule[] = []): DeviceRules {
  const first = rules[0];
  if (first?.allow === true && isAll(first)) {
    const rest = rules.slice(1).flatMap((rule, index) => linesOf(rule, index + 1));
    return rest.length === 0 ? "allow-all" : rest;
  }
  const lines: DeviceLine[] = [];
  if (first === undefined || first.allow || !isAll(first)) {
    lines.push({ file: "devices.deny", data: "a", index: undefined });
  }
  for (const [index, rule] of rules.entries()) {
    lines.push(...linesOf(rule, index));
  }
  const written = new Set(lines.map((line) => line.data));
  for (const data of defaultLines) {
    if (!written.has(data)) {
      lines.push({ file: "devices.allow", data, index: undefined });
    }
  }
  return lines;
}

function isAll(rule: LinuxDeviceRule): boolean {
  return (
    (rule.type ?? "a") === "a" && (rule.major ?? -1) < 0 && (rule.minor ?? -1) < 0 && accessOf(rule) === "rwm"
  );
}

/** In the controller's own order, each letter once. */
function accessOf(rule: LinuxDeviceRule): string {
  const { access } = rule;
  return access === undefined || access === ""
    ? "rwm"
    : [..."rwm"].filter((letter) => access.includes(letter)).join("");
}

function linesOf(rule: LinuxDeviceRule, index: number): DeviceLine[] {
  const file = rule.allow ? "devices.allow" : "devices.deny";
  if (isAll(rule)) {
    return [{ file, data: "a", index }];
  }
  // The kernel reads nothing after an `a`, so a rule for all types that is not for all devices becomes two.
  const type = rule.type ?? "a";
  const types = type === "a" ? ["c", "b"] : [type];
  const number = (value: number | undefined) => (value === undefined || value < 0 ? "*" : String(value));
  return types.map((letter) => ({
    file,
    data: `${letter} ${number(rule.major)}:${number(rule.minor)} ${accessOf(rule)}`,
    index,
  }));
}

/** The rules of this container. */
export function rulesOf(draft: Draft): DeviceRules {
  return deviceRules(draft.input.config.linux?.resources?.devices);
}

/** The v1 controller is there to enforce the rules. */
export function hasDeviceController(draft: Draft): boolean {
  const { container, host } = draft.input;
  return (
    container.cgroup.mode === "v1" &&
    host.cgroup.hierarchies.some((one) => one.controllers.includes("devices"))
  );
}

/**
 * Rules that forbid something, and no cgroup to enforce them. Then device nodes of the root filesystem must be dead
 * (nodev) and none may be made (no CAP_MKNOD): else root in the container could open the host's disks.
 */
export function deviceRulesUnenforced(draft: Draft): boolean {
  return !hasDeviceController(draft) && rulesOf(draft) !== "allow-all";
}
