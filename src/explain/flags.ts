/** Numbers of the kernel as the names people look up: flags, modes, limits. */

import * as kernel from "../kernel/mod.ts";

type Named = readonly (readonly [bit: bigint, name: string])[];

const big = (rows: readonly (readonly [number | bigint, string])[]): Named =>
  rows.map(([bit, name]) => [BigInt(bit), name] as const);

const cloneFlags = big([
  [kernel.CLONE_NEWUSER, "CLONE_NEWUSER"],
  [kernel.CLONE_NEWNS, "CLONE_NEWNS"],
  [kernel.CLONE_NEWPID, "CLONE_NEWPID"],
  [kernel.CLONE_NEWNET, "CLONE_NEWNET"],
  [kernel.CLONE_NEWUTS, "CLONE_NEWUTS"],
  [kernel.CLONE_NEWIPC, "CLONE_NEWIPC"],
  [kernel.CLONE_NEWCGROUP, "CLONE_NEWCGROUP"],
  [kernel.CLONE_NEWTIME, "CLONE_NEWTIME"],
]);

const propagationFlags = big([
  [kernel.MS_SHARED, "MS_SHARED"],
  [kernel.MS_SLAVE, "MS_SLAVE"],
  [kernel.MS_PRIVATE, "MS_PRIVATE"],
  [kernel.MS_UNBINDABLE, "MS_UNBINDABLE"],
  [kernel.MS_REC, "MS_REC"],
]);

const mountAttributes = big([
  [kernel.MOUNT_ATTR_RDONLY, "MOUNT_ATTR_RDONLY"],
  [kernel.MOUNT_ATTR_NOSUID, "MOUNT_ATTR_NOSUID"],
  [kernel.MOUNT_ATTR_NODEV, "MOUNT_ATTR_NODEV"],
  [kernel.MOUNT_ATTR_NOEXEC, "MOUNT_ATTR_NOEXEC"],
  [kernel.MOUNT_ATTR_NODIRATIME, "MOUNT_ATTR_NODIRATIME"],
  [kernel.MOUNT_ATTR_NOSYMFOLLOW, "MOUNT_ATTR_NOSYMFOLLOW"],
]);

/** The access time policy is a field, not a bit: 0 is relatime, the default, and goes unnamed. */
const accessTimes: Named = [
  [kernel.MOUNT_ATTR_NOATIME, "MOUNT_ATTR_NOATIME"],
  [kernel.MOUNT_ATTR_STRICTATIME, "MOUNT_ATTR_STRICTATIME"],
];

const filterFlags = big([
  [1, "SECCOMP_FILTER_FLAG_TSYNC"],
  [2, "SECCOMP_FILTER_FLAG_LOG"],
  [4, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
  [8, "SECCOMP_FILTER_FLAG_NEW_LISTENER"],
  [32, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
]);

const unmountFlags = big([
  [1, "MNT_FORCE"],
  [kernel.MNT_DETACH, "MNT_DETACH"],
  [4, "MNT_EXPIRE"],
  [8, "UMOUNT_NOFOLLOW"],
]);

function namesOf(value: number | bigint, names: Named, none = "0"): string {
  let rest = BigInt(value);
  const found: string[] = [];
  for (const [bit, name] of names) {
    if ((rest & bit) !== 0n) {
      found.push(name);
      rest &= ~bit;
    }
  }
  if (rest !== 0n) found.push(`0x${rest.toString(16)}`);
  return found.length === 0 ? none : found.join(" | ");
}

export const cloneFlagNames = (value: number | bigint): string => namesOf(value, cloneFlags);
export const propagationNames = (value: number): string => namesOf(value, propagationFlags);
export const seccompFlagNames = (value: number): string => namesOf(value, filterFlags);
export const unmountFlagNames = (value: number): string => namesOf(value, unmountFlags);

export function mountAttributeNames(value: bigint): string {
  const atime = value & kernel.MOUNT_ATTR__ATIME;
  const policy = accessTimes.find(([bits]) => bits === atime)?.[1];
  const others = namesOf(value & ~kernel.MOUNT_ATTR__ATIME, mountAttributes, "");
  return [others, policy ?? ""].filter((part) => part !== "").join(" | ") || "0";
}

/** What is cleared may be the whole field of the access time. */
export function clearedAttributeNames(value: bigint): string {
  if ((value & kernel.MOUNT_ATTR__ATIME) !== kernel.MOUNT_ATTR__ATIME) return mountAttributeNames(value);
  const others = namesOf(value & ~kernel.MOUNT_ATTR__ATIME, mountAttributes, "");
  return others === "" ? "MOUNT_ATTR__ATIME" : `${others} | MOUNT_ATTR__ATIME`;
}

const fileTypes: readonly (readonly [number, string])[] = [
  [kernel.S_IFIFO, "S_IFIFO"],
  [kernel.S_IFCHR, "S_IFCHR"],
  [kernel.S_IFDIR, "S_IFDIR"],
  [kernel.S_IFBLK, "S_IFBLK"],
  [kernel.S_IFREG, "S_IFREG"],
  [kernel.S_IFLNK, "S_IFLNK"],
];

/** `S_IFCHR | 0666`. */
export function modeNames(mode: number): string {
  const type = fileTypes.find(([bits]) => (mode & 0o170000) === bits)?.[1];
  const permissions = octal(mode & 0o7777);
  return type === undefined ? permissions : `${type} | ${permissions}`;
}

export function octal(mode: number): string {
  return `0${mode.toString(8).padStart(3, "0")}`;
}

export function rlimitName(resource: number): string {
  return kernel.rlimitNames[resource] ?? `resource ${resource}`;
}

export function limitText(value: bigint): string {
  return value === kernel.RLIM_INFINITY ? "RLIM_INFINITY" : String(value);
}

/** Names of a mask, or `all` of the kernel's, or `none`. */
export function capabilityText(mask: bigint): string {
  if (mask === 0n) return "none";
  if (mask === kernel.allCapabilities()) return "all";
  return kernel.namesOfCapabilities(mask).join(", ");
}

export function schedulerName(policy: number): string {
  const found = Object.entries(kernel.schedulerPolicyNumbers).find(([, number]) => number === policy);
  return found?.[0] ?? `policy ${policy}`;
}

export function schedulerFlagNames(flags: bigint): string {
  return namesOf(flags, big(Object.entries(kernel.schedulerFlagBits).map(([name, bit]) => [bit, name])));
}

export function ioPriorityText(packed: number): string {
  const number = packed >> kernel.IOPRIO_CLASS_SHIFT;
  const found = Object.entries(kernel.ioPriorityClassNumbers).find(([, each]) => each === number);
  return `${found?.[0] ?? `class ${number}`}, ${packed & ((1 << kernel.IOPRIO_CLASS_SHIFT) - 1)}`;
}

export function memoryPolicyText(mode: number, flags: number): string {
  const found = Object.entries(kernel.memoryPolicyModeNumbers).find(([, each]) => each === mode);
  const set = namesOf(
    flags,
    big(Object.entries(kernel.memoryPolicyFlagBits).map(([name, bit]) => [bit, name])),
    "",
  );
  return [found?.[0] ?? `mode ${mode}`, set].filter((part) => part !== "").join(" | ");
}

export function personalityText(persona: number): string {
  if (persona === kernel.PER_LINUX) return "PER_LINUX";
  return persona === kernel.PER_LINUX32 ? "PER_LINUX32" : `0x${persona.toString(16)}`;
}

export function clockName(clock: number): string {
  if (clock === kernel.CLOCK_MONOTONIC) return "monotonic";
  return clock === kernel.CLOCK_BOOTTIME ? "boottime" : String(clock);
}

/** Bits of a little-endian mask as a list: `0-3,7`. */
export function bitList(mask: Uint8Array): string {
  const parts: string[] = [];
  let start = -1;
  const bits = mask.length * 8;
  for (let bit = 0; bit <= bits; bit++) {
    const set = bit < bits && ((mask[bit >> 3]! >> (bit & 7)) & 1) === 1;
    if (set && start < 0) start = bit;
    if (!set && start >= 0) {
      parts.push(start === bit - 1 ? String(start) : `${start}-${bit - 1}`);
      start = -1;
    }
  }
  return parts.join(",") || "none";
}
