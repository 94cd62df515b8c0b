/**
 * config.json of the OCI runtime spec 1.3.0 for Linux (config.md, config-linux.md), as `validateRuntimeConfig`
 * returns it. Fields of other platforms are not typed: unknown fields are ignored (config.md#extensibility).
 *
 * Numbers: int64 and uint64 of the spec are `bigint` here (RLIM_INFINITY and seccomp arguments exceed 2^53); whatever
 * fits 32 bits, device numbers included, is `number`. Paths are as written, not resolved.
 */

/** The newest version of the spec that this code knows. */
export const runtimeSpecVersion = "1.3.0";

export interface RuntimeConfig {
  readonly ociVersion: string;
  readonly process?: Process;
  /** Required on Linux. */
  readonly root: Root;
  readonly hostname?: string;
  readonly domainname?: string;
  /** Mounted in this order. */
  readonly mounts?: readonly Mount[];
  readonly hooks?: Hooks;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly linux?: Linux;
}

// --- process (config.md#process) ---

export interface Process {
  readonly terminal?: boolean;
  /** Characters; ignored unless `terminal`. */
  readonly consoleSize?: ConsoleSize;
  readonly user: User;
  /** At least one entry. */
  readonly args: readonly string[];
  readonly env?: readonly string[];
  /** Absolute path in the container. */
  readonly cwd: string;
  readonly capabilities?: LinuxCapabilities;
  readonly rlimits?: readonly Rlimit[];
  readonly noNewPrivileges?: boolean;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  /** -1000 … 1000. */
  readonly oomScoreAdj?: number;
  readonly scheduler?: Scheduler;
  readonly ioPriority?: IoPriority;
  readonly execCPUAffinity?: CpuAffinity;
}

export interface ConsoleSize {
  readonly height: number;
  readonly width: number;
}

/** Ids in the container's user namespace. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly umask?: number;
  readonly additionalGids?: readonly number[];
}

export const capabilitySetNames = ["bounding", "effective", "inheritable", "permitted", "ambient"] as const;
export type CapabilitySetName = (typeof capabilitySetNames)[number];
/** Names with the `CAP_` prefix. Names that the kernel does not know stay in the value; a warning tells of them. */
export type LinuxCapabilities = { readonly [Set in CapabilitySetName]?: readonly string[] };

export const rlimitTypes = [
  "RLIMIT_CPU",
  "RLIMIT_FSIZE",
  "RLIMIT_DATA",
  "RLIMIT_STACK",
  "RLIMIT_CORE",
  "RLIMIT_RSS",
  "RLIMIT_NPROC",
  "RLIMIT_NOFILE",
  "RLIMIT_MEMLOCK",
  "RLIMIT_AS",
  "RLIMIT_LOCKS",
  "RLIMIT_SIGPENDING",
  "RLIMIT_MSGQUEUE",
  "RLIMIT_NICE",
  "RLIMIT_RTPRIO",
  "RLIMIT_RTTIME",
] as const;
/** The index in `rlimitTypes` is the kernel's resource number (x86, arm64, riscv). */
export type RlimitType = (typeof rlimitTypes)[number];
export interface Rlimit {
  readonly type: RlimitType;
  /** 2^64 - 1 is RLIM_INFINITY. */
  readonly soft: bigint;
  readonly hard: bigint;
}

export const schedulerPolicies = [
  "SCHED_OTHER",
  "SCHED_FIFO",
  "SCHED_RR",
  "SCHED_BATCH",
  "SCHED_ISO",
  "SCHED_IDLE",
  "SCHED_DEADLINE",
] as const;
export const schedulerFlags = [
  "SCHED_FLAG_RESET_ON_FORK",
  "SCHED_FLAG_RECLAIM",
  "SCHED_FLAG_DL_OVERRUN",
  "SCHED_FLAG_KEEP_POLICY",
  "SCHED_FLAG_KEEP_PARAMS",
  "SCHED_FLAG_UTIL_CLAMP_MIN",
  "SCHED_FLAG_UTIL_CLAMP_MAX",
] as const;
export interface Scheduler {
  readonly policy: (typeof schedulerPolicies)[number];
  readonly nice?: number;
  readonly priority?: number;
  readonly flags?: readonly (typeof schedulerFlags)[number][];
  /** Nanoseconds, as `deadline` and `period`: SCHED_DEADLINE only. */
  readonly runtime?: bigint;
  readonly deadline?: bigint;
  readonly period?: bigint;
}

export const ioPriorityClasses = ["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"] as const;
export interface IoPriority {
  readonly class: (typeof ioPriorityClasses)[number];
  /** 0 (highest) … 7. */
  readonly priority: number;
}

/** CPU lists as `0-3,7`. Applies to exec, not to the container's init. */
export interface CpuAffinity {
  readonly initial?: string;
  readonly final?: string;
}

// --- root, mounts, hooks ---

export interface Root {
  /** Absolute, or relative to the bundle. */
  readonly path: string;
  readonly readonly?: boolean;
}

export interface Mount {
  /** Path in the container. Relative ones (deprecated) are relative to `/`. */
  readonly destination: string;
  readonly type?: string;
  /** For a bind mount absolute or relative to the bundle. */
  readonly source?: string;
  readonly options?: readonly string[];
  readonly uidMappings?: readonly LinuxIdMapping[];
  readonly gidMappings?: readonly LinuxIdMapping[];
}

export const hookNames = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
export type HookName = (typeof hookNames)[number];
export type Hooks = { readonly [Name in HookName]?: readonly Hook[] };
export interface Hook {
  /** Absolute. */
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Seconds, > 0. */
  readonly timeout?: number;
}

// --- linux (config-linux.md) ---

export interface Linux {
  readonly namespaces?: readonly LinuxNamespace[];
  readonly uidMappings?: readonly LinuxIdMapping[];
  readonly gidMappings?: readonly LinuxIdMapping[];
  readonly timeOffsets?: { readonly [Clock in TimeOffsetClock]?: LinuxTimeOffset };
  readonly devices?: readonly LinuxDevice[];
  /** By name of the device on the host. */
  readonly netDevices?: Readonly<Record<string, LinuxNetDevice>>;
  readonly cgroupsPath?: string;
  readonly resources?: LinuxResources;
  readonly rootfsPropagation?: RootfsPropagation;
  readonly seccomp?: LinuxSeccomp;
  readonly sysctl?: Readonly<Record<string, string>>;
  readonly maskedPaths?: readonly string[];
  readonly readonlyPaths?: readonly string[];
  readonly mountLabel?: string;
  readonly intelRdt?: LinuxIntelRdt;
  readonly memoryPolicy?: LinuxMemoryPolicy;
  readonly personality?: LinuxPersonality;
}

export const namespaceTypes = ["pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"] as const;
export type NamespaceType = (typeof namespaceTypes)[number];
export interface LinuxNamespace {
  readonly type: NamespaceType;
  /** Absolute path of a namespace to join; without it a new one is made. */
  readonly path?: string;
}

export interface LinuxIdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export const timeOffsetClocks = ["monotonic", "boottime"] as const;
export type TimeOffsetClock = (typeof timeOffsetClocks)[number];
export interface LinuxTimeOffset {
  readonly secs?: bigint;
  readonly nanosecs?: number;
}

export const deviceTypes = ["c", "b", "u", "p"] as const;
export interface LinuxDevice {
  /** `u` is an unbuffered character device (as `c`), `p` a FIFO. */
  readonly type: (typeof deviceTypes)[number];
  readonly path: string;
  /** Present unless `type` is `p`. */
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

export interface LinuxNetDevice {
  /** Name in the container; may hold one `%d`. */
  readonly name?: string;
}

export const rootfsPropagations = [
  "shared",
  "slave",
  "private",
  "unbindable",
  "rshared",
  "rslave",
  "rprivate",
  "runbindable",
] as const;
/** The recursive words are not in the spec's table; runc, crun and Docker write them. */
export type RootfsPropagation = (typeof rootfsPropagations)[number];

export interface LinuxIntelRdt {
  readonly closID?: string;
  readonly schemata?: readonly string[];
  readonly l3CacheSchema?: string;
  readonly memBwSchema?: string;
  readonly enableMonitoring?: boolean;
}

export const memoryPolicyModes = [
  "MPOL_DEFAULT",
  "MPOL_BIND",
  "MPOL_INTERLEAVE",
  "MPOL_WEIGHTED_INTERLEAVE",
  "MPOL_PREFERRED",
  "MPOL_PREFERRED_MANY",
  "MPOL_LOCAL",
] as const;
export const memoryPolicyFlags = [
  "MPOL_F_NUMA_BALANCING",
  "MPOL_F_RELATIVE_NODES",
  "MPOL_F_STATIC_NODES",
] as const;
export interface LinuxMemoryPolicy {
  readonly mode: (typeof memoryPolicyModes)[number];
  /** A list as `0-3,7`. */
  readonly nodes?: string;
  readonly flags?: readonly (typeof memoryPolicyFlags)[number][];
}

export const personalityDomains = ["LINUX", "LINUX32"] as const;
export interface LinuxPersonality {
  readonly domain: (typeof personalityDomains)[number];
  /** The spec defines none yet. */
  readonly flags?: readonly string[];
}

// --- seccomp (config-linux.md#seccomp) ---

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

export interface LinuxSeccomp {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly SeccompArchitecture[];
  readonly flags?: readonly SeccompFlag[];
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls?: readonly SeccompSyscall[];
}

export interface SeccompSyscall {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArg[];
}

export interface SeccompArg {
  /** 0 … 5. */
  readonly index: number;
  readonly value: bigint;
  /** With SCMP_CMP_MASKED_EQ: `(argument & value) == valueTwo`. */
  readonly valueTwo?: bigint;
  readonly op: SeccompOperator;
}

// --- resources (config-linux.md#control-groups) ---

export interface LinuxResources {
  /** Applied in this order. */
  readonly devices?: readonly LinuxDeviceRule[];
  readonly memory?: LinuxMemory;
  readonly cpu?: LinuxCpu;
  readonly pids?: LinuxPids;
  readonly blockIO?: LinuxBlockIo;
  readonly hugepageLimits?: readonly LinuxHugepageLimit[];
  readonly network?: LinuxNetwork;
  /** By name of the RDMA device. */
  readonly rdma?: Readonly<Record<string, LinuxRdma>>;
  /** cgroup v2 files and what is written to them. */
  readonly unified?: Readonly<Record<string, string>>;
}

export const deviceRuleTypes = ["a", "c", "b"] as const;
export interface LinuxDeviceRule {
  readonly allow: boolean;
  /** Absent: all. */
  readonly type?: (typeof deviceRuleTypes)[number];
  /** Absent or -1: all. */
  readonly major?: number;
  readonly minor?: number;
  /** Some of `r`, `w`, `m`. */
  readonly access?: string;
}

/** Bytes; -1 is unlimited. */
export interface LinuxMemory {
  readonly limit?: bigint;
  readonly reservation?: bigint;
  /** Memory plus swap. */
  readonly swap?: bigint;
  readonly kernel?: bigint;
  readonly kernelTCP?: bigint;
  /** 0 … 100. */
  readonly swappiness?: bigint;
  readonly disableOOMKiller?: boolean;
  readonly useHierarchy?: boolean;
  readonly checkBeforeUpdate?: boolean;
}

/** Times in microseconds. */
export interface LinuxCpu {
  readonly shares?: bigint;
  readonly quota?: bigint;
  readonly burst?: bigint;
  readonly period?: bigint;
  readonly realtimeRuntime?: bigint;
  readonly realtimePeriod?: bigint;
  readonly cpus?: string;
  readonly mems?: string;
  readonly idle?: bigint;
}

export interface LinuxPids {
  /** -1: no limit. */
  readonly limit?: bigint;
}

export interface LinuxBlockIo {
  readonly weight?: number;
  readonly leafWeight?: number;
  readonly weightDevice?: readonly LinuxWeightDevice[];
  readonly throttleReadBpsDevice?: readonly LinuxThrottleDevice[];
  readonly throttleWriteBpsDevice?: readonly LinuxThrottleDevice[];
  readonly throttleReadIOPSDevice?: readonly LinuxThrottleDevice[];
  readonly throttleWriteIOPSDevice?: readonly LinuxThrottleDevice[];
}

export interface LinuxWeightDevice {
  readonly major: number;
  readonly minor: number;
  readonly weight?: number;
  readonly leafWeight?: number;
}

export interface LinuxThrottleDevice {
  readonly major: number;
  readonly minor: number;
  /** Bytes or operations a second. */
  readonly rate: bigint;
}

export interface LinuxHugepageLimit {
  /** As `2MB`. */
  readonly pageSize: string;
  readonly limit: bigint;
}

export interface LinuxNetwork {
  readonly classID?: number;
  readonly priorities?: readonly LinuxInterfacePriority[];
}

export interface LinuxInterfacePriority {
  readonly name: string;
  readonly priority: number;
}

export interface LinuxRdma {
  readonly hcaHandles?: number;
  readonly hcaObjects?: number;
}
