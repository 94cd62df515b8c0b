/**
 * The seccomp profile that the compiler takes. It has the shape of the runtime spec's `linux.seccomp`
 * (config-linux.md#seccomp), spelled here structurally so that the spec's own type is assignable to it.
 */

export const seccompActions = [
  "SCMP_ACT_KILL",
  "SCMP_ACT_KILL_PROCESS",
  "SCMP_ACT_KILL_THREAD",
  "SCMP_ACT_TRAP",
  "SCMP_ACT_ERRNO",
  "SCMP_ACT_TRACE",
  "SCMP_ACT_ALLOW",
  "SCMP_ACT_LOG",
  "SCMP_ACT_NOTIFY",
] as const;
export type SeccompAction = (typeof seccompActions)[number];

export const seccompOperators = [
  "SCMP_CMP_NE",
  "SCMP_CMP_LT",
  "SCMP_CMP_LE",
  "SCMP_CMP_EQ",
  "SCMP_CMP_GE",
  "SCMP_CMP_GT",
  "SCMP_CMP_MASKED_EQ",
] as const;
export type SeccompOperator = (typeof seccompOperators)[number];

export interface SeccompArgument {
  /** 0 to 5. */
  readonly index: number;
  /** An unsigned 64-bit value. JSON numbers above 2^53 arrive rounded; a bigint does not. */
  readonly value: number | bigint;
  /** The datum of SCMP_CMP_MASKED_EQ: `(argument & value) == valueTwo`. */
  readonly valueTwo?: number | bigint | undefined;
  readonly op: string;
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: string;
  /** For ERRNO and TRACE; 0 to 65535. Default EPERM. */
  readonly errnoRet?: number | undefined;
  /** All of them must hold; two for one index are alternatives, as in runc. */
  readonly args?: readonly SeccompArgument[] | undefined;
}

export interface SeccompProfile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number | undefined;
  /** `SCMP_ARCH_*`; empty or missing: the native one alone. */
  readonly architectures?: readonly string[] | undefined;
  readonly flags?: readonly string[] | undefined;
  readonly listenerPath?: string | undefined;
  readonly listenerMetadata?: string | undefined;
  readonly syscalls?: readonly SeccompRule[] | undefined;
}

/** A profile ready for seccomp(2). */
export interface SeccompFilter {
  /** struct sock_filter[], 8 bytes each, in the byte order of the machine (little endian on all we know). */
  readonly program: Uint8Array;
  /** SECCOMP_FILTER_FLAG_* bits; SECCOMP_FILTER_FLAG_NEW_LISTENER is set when a rule notifies. */
  readonly flags: number;
  /** What was left out, for people: unknown system calls, rules equal to the default, unknown flags. */
  readonly warnings: readonly string[];
  /** System calls that no machine has, as far as we know; absent: none. */
  readonly unknown?: readonly string[];
}

export const seccompArchitectures = [
  "SCMP_ARCH_X86",
  "SCMP_ARCH_X86_64",
  "SCMP_ARCH_X32",
  "SCMP_ARCH_ARM",
  "SCMP_ARCH_AARCH64",
  "SCMP_ARCH_MIPS",
  "SCMP_ARCH_MIPS64",
  "SCMP_ARCH_MIPS64N32",
  "SCMP_ARCH_MIPSEL",
  "SCMP_ARCH_MIPSEL64",
  "SCMP_ARCH_MIPSEL64N32",
  "SCMP_ARCH_PPC",
  "SCMP_ARCH_PPC64",
  "SCMP_ARCH_PPC64LE",
  "SCMP_ARCH_S390",
  "SCMP_ARCH_S390X",
  "SCMP_ARCH_PARISC",
  "SCMP_ARCH_PARISC64",
  "SCMP_ARCH_RISCV64",
  "SCMP_ARCH_LOONGARCH64",
  "SCMP_ARCH_M68K",
  "SCMP_ARCH_SH",
  "SCMP_ARCH_SHEB",
] as const;
export type SeccompArchitecture = (typeof seccompArchitectures)[number];

export const seccompFlags = [
  "SECCOMP_FILTER_FLAG_TSYNC",
  "SECCOMP_FILTER_FLAG_LOG",
  "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
  "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
] as const;
export type SeccompFlag = (typeof seccompFlags)[number];

/** A profile whose words have all been checked, with nothing conditional left: it can stand in config.json. */
export interface ResolvedProfile {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly SeccompArchitecture[];
  readonly flags?: readonly SeccompFlag[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls?: readonly ResolvedRule[];
}

export interface ResolvedRule {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number;
  readonly args?: readonly {
    readonly index: number;
    readonly value: bigint;
    readonly valueTwo?: bigint;
    readonly op: SeccompOperator;
  }[];
}
