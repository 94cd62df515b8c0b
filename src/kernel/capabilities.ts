/** Linux capabilities by name; a set of them is a mask in which bit n is capability n. capabilities(7). */

/** The index is the capability's number (<linux/capability.h>). */
export const capabilityNames = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;
export type CapabilityName = (typeof capabilityNames)[number];

/** The highest capability that this table knows. */
const CAP_LAST_CAP = capabilityNames.length - 1;

/** The bit of one capability: `capabilityBit("CAP_KILL")` is 1n << 5n. undefined: no such name (case counts). */
export function capabilityBit(name: string): bigint | undefined {
  const number = (capabilityNames as readonly string[]).indexOf(name);
  return number < 0 ? undefined : 1n << BigInt(number);
}

/** All capabilities 0 … `last`. */
export function allCapabilities(last: number = CAP_LAST_CAP): bigint {
  return (1n << BigInt(last + 1)) - 1n;
}

/** Names of a mask's bits, lowest first; a bit that this table does not know is `CAP_41`. */
export function namesOfCapabilities(mask: bigint): string[] {
  const names: string[] = [];
  for (let number = 0; mask >> BigInt(number) !== 0n; number++) {
    if ((mask >> BigInt(number)) & 1n) {
      names.push(capabilityNames[number] ?? `CAP_${number}`);
    }
  }
  return names;
}
