/** Which devices the container may open or make (config-linux.md#allowed-device-list), for the v1 controller or v2's program. */
import {
  type CgroupHierarchy,
  capabilityBit,
  compileDeviceProgram,
  type DeviceRule,
  type HostFacts,
} from "../kernel/mod.ts";
import type { LinuxDeviceRule } from "../oci/mod.ts";
import type { Draft } from "./draft.ts";

/** One rule for one type of device. */
export interface DeviceLine {
  readonly allow: boolean;
  /** `all`: of everything, to begin with. */
  readonly about: "all" | Omit<DeviceRule, "allow">;
  /** Index in resources.devices; undefined: a default of ours. */
  readonly index: number | undefined;
}

/** `allow-all`: nothing to enforce, the parent's rules stay. */
export type DeviceRules = "allow-all" | readonly DeviceLine[];

/** What every container needs of the default devices, /dev/pts and mknod; runc and Docker allow the same. */
const defaultLines: readonly Omit<DeviceRule, "allow">[] = [
  ...(["c", "b"] as const).map((type) => ({ type, major: undefined, minor: undefined, access: "m" })),
  ...(
    [
      [1, 3],
      [1, 5],
      [1, 7],
      [1, 8],
      [1, 9],
      [5, 0],
      [5, 1],
      [5, 2],
      [136, undefined],
    ] as const
  ).map(([major, minor]) => ({ type: "c" as const, major, minor, access: "rwm" })),
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
    lines.push({ allow: false, about: "all", index: undefined });
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
  const written = lines.map(textOf);
  for (const about of defaultLines) {
    const line = { allow: true, about, index: undefined };
    if (!written.includes(textOf(line))) {
      lines.push(line);
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
  const { allow } = rule;
  if (isAll(rule)) {
    lines.push({ allow, about: "all", index });
    return;
  }
  const type = rule.type ?? "a";
  const numbers = { major: numberOf(rule.major), minor: numberOf(rule.minor), access: accessOf(rule) };
  // The v1 controller reads nothing after an `a`, so a rule for all types that is not for all devices becomes two.
  for (const each of type === "a" ? (["c", "b"] as const) : [type]) {
    lines.push({ allow, about: { type: each, ...numbers }, index });
  }
}

function numberOf(value: number | undefined): number | undefined {
  return value === undefined || value < 0 ? undefined : value;
}

/** What v1's devices.allow and devices.deny read: `c 1:3 rwm`, or `a` for everything. */
export function textOf({ about }: DeviceLine): string {
  if (about === "all") {
    return "a";
  }
  const { type, major = "*", minor = "*", access } = about;
  return `${type} ${major}:${minor} ${access}`;
}

/** The program of v2 (BPF_PROG_TYPE_CGROUP_DEVICE). */
export function programOf(lines: readonly DeviceLine[]): Uint8Array {
  let allow = true;
  let rules: DeviceRule[] = [];
  for (const { allow: allows, about } of lines) {
    if (about === "all") {
      allow = allows;
      rules = [];
    } else {
      rules.push({ allow: allows, ...about });
    }
  }
  return compileDeviceProgram({ allow, rules });
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

/** An eBPF program on the v2 directory enforces them: we may load one. */
export function hasDeviceProgram(draft: Draft): boolean {
  const { container, host } = draft.input;
  return (
    container.cgroup.mode === "v2" &&
    host.bpf &&
    host.userNamespace.initial &&
    (host.capabilities.effective & sysAdmin) !== 0n
  );
}

const sysAdmin = capabilityBit("CAP_SYS_ADMIN") ?? 0n;

/**
 * Rules that forbid something, and no cgroup to enforce them. Then device nodes of the root filesystem must be dead
 * (nodev) and none may be made (no CAP_MKNOD): else root in the container could open the host's disks.
 */
export function deviceRulesUnenforced(draft: Draft): boolean {
  return (
    !hasDeviceController(draft) &&
    !hasDeviceProgram(draft) &&
    !allowAll(draft.input.config.linux?.resources?.devices ?? [])
  );
}
