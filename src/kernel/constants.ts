/**
 * Numbers of the Linux ABI, under the kernel's own names. Flat constants and small records, so that a reader of
 * one costs nothing for the others. Values are those of x86_64 and arm64 (signals and rlimits differ on MIPS).
 */

/** Namespace bits of clone(2), unshare(2) and setns(2), <linux/sched.h>. */
export const CLONE_NEWTIME = 0x00000080;
export const CLONE_NEWNS = 0x00020000;
export const CLONE_NEWCGROUP = 0x02000000;
export const CLONE_NEWUTS = 0x04000000;
export const CLONE_NEWIPC = 0x08000000;
export const CLONE_NEWUSER = 0x10000000;
export const CLONE_NEWPID = 0x20000000;
export const CLONE_NEWNET = 0x40000000;

/** Propagation bits of mount(2); MS_REC takes the whole tree. <linux/mount.h> */
export const MS_REC = 0x4000;
export const MS_UNBINDABLE = 1 << 17;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;

/** Attributes of one mount, for mount_setattr(2) and fsmount(2). <linux/mount.h> */
export const MOUNT_ATTR_RDONLY = 0x1n;
export const MOUNT_ATTR_NOSUID = 0x2n;
export const MOUNT_ATTR_NODEV = 0x4n;
export const MOUNT_ATTR_NOEXEC = 0x8n;
/** The field that holds one of the three below; cleared as a whole before one is set. RELATIME is 0. */
export const MOUNT_ATTR__ATIME = 0x70n;
export const MOUNT_ATTR_RELATIME = 0x0n;
export const MOUNT_ATTR_NOATIME = 0x10n;
export const MOUNT_ATTR_STRICTATIME = 0x20n;
export const MOUNT_ATTR_NODIRATIME = 0x80n;
export const MOUNT_ATTR_NOSYMFOLLOW = 0x200000n;

/** umount2(2). */
export const MNT_DETACH = 2;

/** File types in a mode, <linux/stat.h>. */
export const S_IFIFO = 0o010000;
export const S_IFCHR = 0o020000;
export const S_IFDIR = 0o040000;
export const S_IFBLK = 0o060000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/** RLIM_INFINITY of prlimit64. */
export const RLIM_INFINITY = 0xffffffffffffffffn;

/** The index is the resource number of prlimit(2). */
export const rlimitNames = [
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
export type RlimitName = (typeof rlimitNames)[number];

/** personality(2): the domains that the runtime spec names. */
export const PER_LINUX = 0x0000;
export const PER_LINUX32 = 0x0008;

/** sched_setattr(2) policies. */
export const schedulerPolicyNumbers = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  /** Reserved by the kernel, never implemented: sched_setattr fails with EINVAL. */
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
} as const;

/** sched_setattr(2) flags. */
export const schedulerFlagBits = {
  SCHED_FLAG_RESET_ON_FORK: 0x01,
  SCHED_FLAG_RECLAIM: 0x02,
  SCHED_FLAG_DL_OVERRUN: 0x04,
  SCHED_FLAG_KEEP_POLICY: 0x08,
  SCHED_FLAG_KEEP_PARAMS: 0x10,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20,
  SCHED_FLAG_UTIL_CLAMP_MAX: 0x40,
} as const;

/** ioprio_set(2): the class stands above IOPRIO_CLASS_SHIFT, the level (0 highest … 7) below. */
export const IOPRIO_CLASS_SHIFT = 13;
export const ioPriorityClassNumbers = {
  IOPRIO_CLASS_RT: 1,
  IOPRIO_CLASS_BE: 2,
  IOPRIO_CLASS_IDLE: 3,
} as const;

/** set_mempolicy(2). */
export const memoryPolicyModeNumbers = {
  MPOL_DEFAULT: 0,
  MPOL_PREFERRED: 1,
  MPOL_BIND: 2,
  MPOL_INTERLEAVE: 3,
  MPOL_LOCAL: 4,
  MPOL_PREFERRED_MANY: 5,
  MPOL_WEIGHTED_INTERLEAVE: 6,
} as const;
export const memoryPolicyFlagBits = {
  MPOL_F_NUMA_BALANCING: 1 << 13,
  MPOL_F_RELATIVE_NODES: 1 << 14,
  MPOL_F_STATIC_NODES: 2 ** 15,
} as const;

/** Clocks of /proc/PID/timens_offsets. */
export const CLOCK_MONOTONIC = 1;
export const CLOCK_BOOTTIME = 7;

/** The index is the signal number, without `SIG`; 32 and 33 belong to the C library. */
const signalNames = [
  "",
  "HUP",
  "INT",
  "QUIT",
  "ILL",
  "TRAP",
  "ABRT",
  "BUS",
  "FPE",
  "KILL",
  "USR1",
  "SEGV",
  "USR2",
  "PIPE",
  "ALRM",
  "TERM",
  "STKFLT",
  "CHLD",
  "CONT",
  "STOP",
  "TSTP",
  "TTIN",
  "TTOU",
  "URG",
  "XCPU",
  "XFSZ",
  "VTALRM",
  "PROF",
  "WINCH",
  "IO",
  "PWR",
  "SYS",
];
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/**
 * The number of a signal as users write it: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`, `RTMAX-1`. undefined: none such.
 */
export function signalNumber(text: string): number | undefined {
  if (/^\d{1,2}$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= SIGRTMAX ? number : undefined;
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const index = name === "" ? -1 : signalNames.indexOf(name);
  if (index > 0) {
    return index;
  }
  if (name === "IOT" || name === "CLD" || name === "POLL" || name === "UNUSED") {
    return { IOT: 6, CLD: 17, POLL: 29, UNUSED: 31 }[name];
  }
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realTime === null) {
    return undefined;
  }
  const offset = Number(realTime[3] ?? 0) * (realTime[2] === "-" ? -1 : 1);
  const number = (realTime[1] === "MIN" ? SIGRTMIN : SIGRTMAX) + offset;
  return number >= SIGRTMIN && number <= SIGRTMAX ? number : undefined;
}

/** `SIGTERM` for 15, `SIGRTMIN+3` for 37; a number that has no name as it is. */
export function signalName(number: number): string {
  const name = signalNames[number];
  if (name !== undefined && name !== "") {
    return `SIG${name}`;
  }
  if (number >= SIGRTMIN && number <= SIGRTMAX) {
    return number === SIGRTMIN ? "SIGRTMIN" : `SIGRTMIN+${number - SIGRTMIN}`;
  }
  return String(number);
}
