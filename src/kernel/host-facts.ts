/**
 * What `compile()` and the engine must know of the machine, as one immutable value.
 *
 * Gathered by `probeHost()` (`host.ts`); tests write it by hand. Everything here is a fact found, never a
 * decision: which cgroup to use or whether to overlay is decided by who reads it.
 */

import type { IdMapRange } from "./ops.ts";

/** `uname -r`, parsed: `6.1.0-18-amd64` is 6, 1, 0. */
export interface KernelRelease {
  readonly text: string;
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** Machine names as `uname -m` spells them; `other` is a machine that vitrine has no system call table for. */
export type Architecture = "x86_64" | "aarch64" | "other";

/** The ids this process runs under, seen from its own user namespace. */
export interface ProcessIdentity {
  readonly uid: number;
  readonly gid: number;
  readonly euid: number;
  readonly egid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  /** From /etc/passwd; empty when the uid has no entry. */
  readonly userName: string;
}

/** Capability sets of this process; bit n is capability n. */
export interface ProcessCapabilities {
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly bounding: bigint;
}

export interface UserNamespaceFacts {
  /** True in the namespace the machine booted with (map `0 0 4294967295`). */
  readonly initial: boolean;
  readonly uidMap: readonly IdMapRange[];
  readonly gidMap: readonly IdMapRange[];
  /** `/proc/self/setgroups` says `deny`: setgroups(2) fails with EPERM here. */
  readonly setgroupsDenied: boolean;
  /** The kernel has user namespaces at all (/proc/self/ns/user). */
  readonly supported: boolean;
  /** /proc/sys/user/max_user_namespaces; 0 forbids every new one. undefined: not readable. */
  readonly maximum: number | undefined;
  /** Debian's /proc/sys/kernel/unprivileged_userns_clone; undefined where the kernel has no such switch. */
  readonly unprivilegedClone: boolean | undefined;
  /** Ubuntu's /proc/sys/kernel/apparmor_restrict_unprivileged_userns is 1. */
  readonly apparmorRestricted: boolean;
  /** The sum of the four rows above: a process without CAP_SYS_ADMIN may clone(CLONE_NEWUSER). */
  readonly unprivilegedAllowed: boolean;
}

/** One line of /etc/subuid or /etc/subgid that belongs to this user: host ids `start` … `start + count - 1`. */
export interface SubordinateRange {
  readonly start: number;
  readonly count: number;
}

export interface SubordinateIds {
  readonly uids: readonly SubordinateRange[];
  readonly gids: readonly SubordinateRange[];
  /** Absolute paths of the tools, empty where not found: as the op `idMap` wants them. */
  readonly newuidmap: string;
  readonly newgidmap: string;
}

/** A cgroup v1 hierarchy. */
export interface CgroupHierarchy {
  /** `["cpu", "cpuacct"]`; empty for a named hierarchy. */
  readonly controllers: readonly string[];
  /** `systemd` of `name=systemd`, else empty. */
  readonly name: string;
  readonly mountPoint: string;
  /** This process's cgroup in /proc/self/cgroup, `/` at the root. */
  readonly ownPath: string;
  /** `ownPath` as a directory of this mount namespace; empty when it lies outside what is mounted. */
  readonly ownDirectory: string;
  /** The mount is read-write and directories may be made in `ownDirectory`. */
  readonly writable: boolean;
}

/** The cgroup v2 hierarchy. */
export interface CgroupUnified {
  readonly mountPoint: string;
  readonly ownPath: string;
  readonly ownDirectory: string;
  /** Controllers that `ownDirectory` may use (cgroup.controllers). */
  readonly controllers: readonly string[];
  /** The mount is read-write and directories may be made in `ownDirectory`. */
  readonly writable: boolean;
  /** Writable, and cgroup.procs and cgroup.subtree_control are too: the directory is ours to divide. */
  readonly delegated: boolean;
  /** Where cgroups may be made; absent where nowhere, or where v1 has the controllers. */
  readonly division?: CgroupDivision;
}

/** A directory of the v2 tree that is ours to divide: the mount point, or what was delegated. */
export interface CgroupDivision {
  readonly directory: string;
  readonly controllers: readonly string[];
  /** It has processes: they must go to a child before controllers can be passed on (cgroup-v2.rst, "No Internal Process"). */
  readonly occupied: boolean;
}

export interface CgroupFacts {
  /** `hybrid`: v1 controllers and a v2 tree beside them. */
  readonly mode: "v1" | "v2" | "hybrid" | "none";
  /** In the order of /proc/self/mountinfo; empty with `v2`. */
  readonly hierarchies: readonly CgroupHierarchy[];
  readonly unified: CgroupUnified | undefined;
}

/** A resource limit; undefined is RLIM_INFINITY. */
export interface ResourceLimit {
  readonly soft: bigint | undefined;
  readonly hard: bigint | undefined;
}

export interface SecurityModules {
  /** /sys/kernel/security/lsm where readable, else those found one by one. */
  readonly enabled: readonly string[];
  /** The kernel has it and it is on. */
  readonly apparmor: boolean;
  /** Names of the profiles that are loaded; undefined where securityfs is not mounted: nothing can be loaded or looked up. */
  readonly apparmorProfiles: readonly string[] | undefined;
  readonly selinux: boolean;
}

export interface SeccompFacts {
  readonly available: boolean;
  /** /proc/sys/kernel/seccomp/actions_avail: `kill_process`, `user_notif`, … */
  readonly actions: readonly string[];
}

export interface OverlayFacts {
  /** In /proc/filesystems. False can also mean a module not loaded yet. */
  readonly registered: boolean;
  /** The kernel takes `userxattr` and mounts in a user namespace (5.11). Whether a mount really works: `vitrine doctor`. */
  readonly userxattr: boolean;
}

export interface HostFacts {
  readonly kernel: KernelRelease;
  readonly arch: Architecture;
  readonly identity: ProcessIdentity;
  readonly capabilities: ProcessCapabilities;
  /** /proc/sys/kernel/cap_last_cap: the highest capability number the kernel knows. */
  readonly lastCapability: number;
  readonly userNamespace: UserNamespaceFacts;
  readonly subordinateIds: SubordinateIds;
  readonly cgroup: CgroupFacts;
  /** By name of /proc/self/limits' rows: `nofile`, `nproc`. The hard maximum cannot be passed without CAP_SYS_RESOURCE. */
  readonly limits: { readonly nofile: ResourceLimit; readonly nproc: ResourceLimit };
  readonly securityModules: SecurityModules;
  readonly seccomp: SeccompFacts;
  /** The kernel has bpf(2). Whether it runs programs on cgroups (CONFIG_CGROUP_BPF) is found by loading one. */
  readonly bpf: boolean;
  readonly overlay: OverlayFacts;
  /** Filesystem types of /proc/filesystems. */
  readonly filesystems: readonly string[];
  /** The kernel has POSIX message queues, so /dev/mqueue can be mounted. */
  readonly mqueue: boolean;
  /** Online CPUs. */
  readonly cpus: number;
  /** Each /sys/devices/system/cpu/cpuN/thermal_throttle there is: temperature is a side channel, so they are masked. */
  readonly thermalThrottlePaths: readonly string[];
  /** Those of the well-known paths that default masks name and this machine has (`maskCandidates` in host.ts). */
  readonly presentPaths: readonly string[];
}
