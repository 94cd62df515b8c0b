/** The ABIs a program can enter the kernel by, and which of them one machine has. */

import { type SeccompArchitecture, seccompArchitectures } from "./profile.ts";
import type { SyscallTable } from "./syscalls.ts";

/** Machines that vitrine compiles filters for. */
export type SeccompMachine = "x86_64" | "aarch64";

/** __X32_SYSCALL_BIT: x32 shares x86_64's audit arch and marks its numbers with this bit. */
export const x32Bit = 0x4000_0000;

export interface Abi {
  readonly name: string;
  readonly table: SyscallTable;
  /** AUDIT_ARCH_* as seccomp_data.arch has it, <linux/audit.h>. */
  readonly auditArch: number;
  /** Added to every number. */
  readonly offset: number;
  /** Arguments are 32 bits wide: the kernel hands over zero upper halves, so both sides are compared as 32 bits. */
  readonly narrow: boolean;
}

const abis = {
  SCMP_ARCH_X86_64: { table: "x86_64", auditArch: 0xc000003e, offset: 0, narrow: false },
  SCMP_ARCH_X86: { table: "x86", auditArch: 0x40000003, offset: 0, narrow: true },
  // x32 passes whole 64-bit registers, whatever its pointers: comparing halves would let the upper ones differ.
  SCMP_ARCH_X32: { table: "x32", auditArch: 0xc000003e, offset: x32Bit, narrow: false },
  SCMP_ARCH_AARCH64: { table: "aarch64", auditArch: 0xc00000b7, offset: 0, narrow: false },
  SCMP_ARCH_ARM: { table: "arm", auditArch: 0x40000028, offset: 0, narrow: true },
} as const satisfies Record<string, Omit<Abi, "name">>;

/** The native ABI first. */
const abisOfMachine: Readonly<Record<SeccompMachine, readonly (keyof typeof abis)[]>> = {
  x86_64: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  aarch64: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
};

export function isArchitectureName(name: string): name is SeccompArchitecture {
  return (seccompArchitectures as readonly string[]).includes(name);
}

/** The ABIs of `machine` that `names` allow; the native one always (as libseccomp adds it always). */
export function abisFor(machine: SeccompMachine, names: readonly string[]): readonly Abi[] {
  const [native] = abisOfMachine[machine];
  return abisOfMachine[machine]
    .filter((name) => name === native || names.includes(name))
    .map((name) => ({ name, ...abis[name] }));
}

/** All ABIs of a machine by name, the native one first. */
export function architecturesOf(machine: SeccompMachine): readonly SeccompArchitecture[] {
  return abisOfMachine[machine];
}

/** How `includes.arches` of Docker's profiles spell the machine: GOARCH, or the kernel's name. */
export function machineNames(machine: SeccompMachine): readonly string[] {
  return machine === "x86_64" ? ["amd64", "x86_64"] : ["arm64", "aarch64"];
}
