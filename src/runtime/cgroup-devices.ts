/** Which devices the container may open or make (config-linux.md#allowed-device-list), as lines of the v1 controller. */
import type { CgroupHierarchy, HostFacts } from "../kernel/mod.ts";
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
  if (allowAll(rules)) {
    return "allow-all";
  }
  const [first] = rules;
  const lines: DeviceLine[] = [];
  const startsOpen = first?.allow === true && isAll(first);
  if (!startsOpen && (first === undefined || !isAll(first))) {
    lines.push({ file: "devices.deny", data: "a", index: undefined });
  }
  for (let index = startsOpen ? 1 : 0; index < rules.length; index++) {
    addLines(lines, rules[index]!, index);
  }
  if (!startsOpen) {
    addDefaults(lines);
  }
  return lines;
}

function allowAll(rules: readonly LinuxDeviceRule[]): boolean {
  const [first] = rules;
  return rules.length === 1 && first !== undefined && first.allow && isAll(first);
}

function addDefaults(lines: DeviceLine[]): void {
  const written: string[] = [];
  for (const line of lines) {
    written.push(line.data);
  }
  for (const data of defaultLines) {
    if (!written.includes(data)) {
      lines.push({ file: "devices.allow", data, index: undefined });
    }
  }
}

function isAll(rule: LinuxDeviceRule): boolean {
  return (
    (rule.type ?? "a") === "a" && (rule.major ?? -1) < 0 && (rule.minor ?? -1) < 0 && accessOf(rule) === "rwm"
  );
}

/** In the controller's own order, each letter once. */
function accessOf({ access }: LinuxDeviceRule): string {
  if (access === undefined || access === "" || access === "rwm") {
    return "rwm";
  }
  const has = (letter: string) => (access.includes(letter) ? letter : "");
  return has("r") + has("w") + has("m");
}

function addLines(lines: DeviceLine[], rule: LinuxDeviceRule, index: number): void {
  const file = rule.allow ? "devices.allow" : "devices.deny";
  if (isAll(rule)) {
    lines.push({ file, data: "a", index });
    return;
  }
  const type = rule.type ?? "a";
  const rest = ` ${numberOf(rule.major)}:${numberOf(rule.minor)} ${accessOf(rule)}`;
  // The kernel reads nothing after an `a`, so a rule for all types that is not for all devices becomes two.
  for (const letter of type === "a" ? ["c", "b"] : [type]) {
    lines.push({ file, data: letter + rest, index });
  }
}

function numberOf(value: number | undefined): string {
  return value === undefined || value < 0 ? "*" : String(value);
}

/** The v1 hierarchy of a controller. */
export function hierarchyOf(host: HostFacts, controller: string): CgroupHierarchy | undefined {
  for (const hierarchy of host.cgroup.hierarchies) {
    if (hierarchy.controllers.includes(controller)) {
      return hierarchy;
    }
  }
  return undefined;
}

/** The rules of this container. */
export function rulesOf(draft: Draft): DeviceRules {
  return deviceRules(draft.input.config.linux?.resources?.devices);
}

/** The v1 controller is there to enforce the rules. */
export function hasDeviceController(draft: Draft): boolean {
  const { container, host } = draft.input;
  return container.cgroup.mode === "v1" && hierarchyOf(host, "devices") !== undefined;
}

/**
 * Rules that forbid something, and no cgroup to enforce them. Then device nodes of the root filesystem must be dead
 * (nodev) and none may be made (no CAP_MKNOD): else root in the container could open the host's disks.
 */
export function deviceRulesUnenforced(draft: Draft): boolean {
  return !hasDeviceController(draft) && !allowAll(draft.input.config.linux?.resources?.devices ?? []);
}
