/**
 * vitrine's own default seccomp profile, as a table of groups, each with its reason. What is not listed ends with
 * EPERM; calls newer than the newest listed one end with ENOSYS (see `rules.ts`).
 *
 * Measured against Docker's and podman's profiles, the stricter of the two wherever the programs people run live with
 * it (Docker's, in most places: podman leaves mount, unshare, keyctl and others to capabilities alone). Differences to
 * Docker are marked "own" or "podman".
 */

import type { ConditionalProfile, ConditionalRule } from "./docker-format.ts";
import type { ResolvedRule } from "./profile.ts";

interface Group {
  /** What the calls do, and why they are treated so. */
  readonly reason: string;
  /** Names between blanks. */
  readonly names: string;
  /** Values of the first argument, compared whole. */
  readonly firstArgument?: readonly number[];
  readonly args?: ResolvedRule["args"];
  /** Counts only with one of these capabilities; missing: always. */
  readonly withAny?: readonly string[];
  /** Counts only without any of these capabilities. */
  readonly without?: readonly string[];
  readonly arches?: readonly string[];
  readonly minKernel?: string;
  /** Denied with this errno; missing: allowed. */
  readonly errno?: number;
}

const ENOSYS = 38;

/** All bits of clone(2) and unshare(2) that make a namespace; CLONE_NEWTIME is unshare's alone. <linux/sched.h> */
const namespaceBits = 0x7e020000n;
const namespaceBitsOfUnshare = namespaceBits | 0x80n;

const groups: readonly Group[] = [
  // --- what every program does ---
  {
    reason: "files: opening, reading, writing, names, attributes; permissions and mounts decide",
    names:
      "access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 " +
      "fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 " +
      "fdatasync file_getattr file_setattr flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat " +
      "getcwd getdents getdents64 ioctl lchown lchown32 link linkat listmount _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat " +
      "name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 " +
      "read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat stat64 " +
      "statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask " +
      "unlink unlinkat utime utimensat utimensat_time64 utimes write writev",
  },
  {
    reason: "extended attributes; the kernel guards trusted.* and security.*",
    names:
      "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr " +
      "lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat",
  },
  {
    reason: "waiting for files and events",
    names:
      "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 " +
      "fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch _newselect poll ppoll ppoll_time64 " +
      "pselect6 pselect6_time64 select signalfd signalfd4",
  },
  {
    reason: "asynchronous I/O of the old kind (libaio)",
    names: "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit",
  },
  {
    reason: "memory of one's own",
    names:
      "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect " +
      "mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages",
  },
  {
    reason: "processes and threads; new namespaces are below",
    names:
      "execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake " +
      "get_robust_list get_thread_area getpgid getpgrp getpid getppid getsid gettid kill pidfd_open pidfd_send_signal " +
      "prctl process_mrelease restart_syscall rseq rseq_slice_yield set_robust_list set_thread_area set_tid_address setpgid setsid tgkill tkill vfork " +
      "wait4 waitid waitpid",
  },
  {
    reason: "the kernel itself calls these from a probed program's trampoline; without them the program dies",
    names: "uprobe uretprobe",
  },
  {
    reason: "signals",
    names:
      "alarm pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait " +
      "rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn",
  },
  {
    reason: "own: older forms of the same, which static 32-bit programs still use",
    names: "nice sigaction signal sigpending sigsuspend",
  },
  {
    reason: "ids and capabilities; the bounding set and no_new_privs decide",
    names:
      "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 " +
      "getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 " +
      "setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32",
  },
  {
    reason: "limits, priorities, scheduling; CAP_SYS_NICE and CAP_SYS_RESOURCE decide",
    names:
      "getcpu getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_getaffinity sched_getattr sched_getparam " +
      "sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 " +
      "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield setpriority setrlimit sysinfo times " +
      "ugetrlimit uname",
  },
  {
    reason: "reading clocks, timers, sleeping; adjusting a clock needs CAP_SYS_TIME, which the kernel checks",
    names:
      "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep " +
      "clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun " +
      "timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 " +
      "timerfd_settime timerfd_settime64",
  },
  {
    reason:
      "sockets once they exist. socketcall hides its arguments in memory, so on 32-bit x86 the families below are not held back: Debian's i386 libc has no other way",
    names:
      "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg " +
      "send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair",
  },
  {
    reason: "IPC, of the container's own IPC namespace",
    names:
      "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink " +
      "msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget",
  },
  {
    reason: "a program may restrict itself further",
    names: "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
  },
  { reason: "randomness", names: "getrandom" },

  // --- what depends on arguments ---
  {
    reason:
      "socket families: local, IPv4, IPv6, netlink, packet and XDP (the kernel wants CAP_NET_RAW), SMC. An allow-list of whole values, " +
      "since the kernel looks at the lower half of the argument only: `not 38` would let 2^32 + 38 pass for AF_ALG. " +
      "own: rare families load their modules at the first socket, which is where most holes of the network stack were",
    names: "socket",
    firstArgument: [1, 2, 10, 16, 17, 43, 44],
  },
  {
    reason:
      "the rest that the kernel still has, for containers that work on networks (CAN, Bluetooth, TIPC, …); neither AF_ALG (38: the kernel's crypto code, copy.fail) nor " +
      "AF_VSOCK (40: the hypervisor, past the network namespace)",
    names: "socket",
    firstArgument: [
      3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42,
      45,
    ],
    withAny: ["CAP_NET_ADMIN", "CAP_NET_RAW"],
  },
  {
    reason:
      "execution domains: Linux, 32-bit Linux, either with UNAME26, and asking; others switch off address space randomisation or are untested code",
    names: "personality",
    firstArgument: [0x0, 0x8, 0x20000, 0x20008, 0xffffffff],
  },
  {
    reason:
      "new processes, but no new namespaces: a user namespace gives a program all capabilities over kernel code that only root reached before",
    names: "clone",
    args: [{ index: 0, value: namespaceBits, valueTwo: 0n, op: "SCMP_CMP_MASKED_EQ" }],
    without: ["CAP_SYS_ADMIN"],
  },
  {
    reason: "its flags lie in memory, out of a filter's sight; with ENOSYS every libc falls back to clone",
    names: "clone3",
    errno: ENOSYS,
    without: ["CAP_SYS_ADMIN"],
  },
  {
    reason: "own: threads that want their own working directory or file table (Samba), but no namespaces",
    names: "unshare",
    args: [{ index: 0, value: namespaceBitsOfUnshare, valueTwo: 0n, op: "SCMP_CMP_MASKED_EQ" }],
    without: ["CAP_SYS_ADMIN"],
  },
  {
    reason: "own: tells of other users' pages in the page cache; with ENOSYS programs use mincore",
    names: "cachestat",
    errno: ENOSYS,
  },

  // --- what depends on the machine ---
  {
    reason:
      "tracing and reading other processes of the same user: before 4.8 a tracer could step around seccomp",
    names: "process_vm_readv process_vm_writev ptrace",
    minKernel: "4.8",
  },
  { reason: "thread pointers and shadow stacks of x86", names: "arch_prctl", arches: ["amd64"] },
  {
    reason: "segments of 16-bit programs under Wine and old 32-bit threads",
    names: "modify_ldt",
    arches: ["amd64"],
  },
  {
    reason: "private calls of 32-bit arm",
    names: "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush get_tls set_tls sync_file_range2",
    arches: ["arm64"],
  },

  // --- what comes with a capability of the container ---
  {
    reason: "opening files by handle leaves the root filesystem (shocker.c)",
    names: "open_by_handle_at",
    withAny: ["CAP_DAC_READ_SEARCH"],
  },
  {
    reason: "mounts, namespaces, host names, quotas, security modules: administration of the system",
    names:
      "clone clone3 fanotify_init fsconfig fsmount fsopen fspick listns lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount " +
      "mount_setattr move_mount open_tree open_tree_attr pivot_root quotactl quotactl_fd setdomainname sethostname setns " +
      "umount umount2 unshare",
    withAny: ["CAP_SYS_ADMIN"],
  },
  { reason: "loading BPF programs into the kernel", names: "bpf", withAny: ["CAP_SYS_ADMIN", "CAP_BPF"] },
  {
    reason: "performance counters, with a long list of holes",
    names: "perf_event_open",
    withAny: ["CAP_SYS_ADMIN", "CAP_PERFMON"],
  },
  { reason: "the kernel's log", names: "syslog", withAny: ["CAP_SYS_ADMIN", "CAP_SYSLOG"] },
  { reason: "reboot, of the container's pid namespace", names: "reboot", withAny: ["CAP_SYS_BOOT"] },
  { reason: "another root directory", names: "chroot", withAny: ["CAP_SYS_CHROOT"] },
  { reason: "kernel modules", names: "delete_module finit_module init_module", withAny: ["CAP_SYS_MODULE"] },
  { reason: "process accounting", names: "acct", withAny: ["CAP_SYS_PACCT"] },
  {
    reason: "looking into processes of other users",
    names: "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
    withAny: ["CAP_SYS_PTRACE"],
  },
  { reason: "I/O ports", names: "ioperm iopl", withAny: ["CAP_SYS_RAWIO"] },
  {
    reason: "setting the clock, which has no namespace",
    names: "clock_settime clock_settime64 settimeofday stime",
    withAny: ["CAP_SYS_TIME"],
  },
  { reason: "hanging up a terminal", names: "vhangup", withAny: ["CAP_SYS_TTY_CONFIG"] },
  {
    reason: "NUMA policies: mostly advice, but they move pages about and have had holes",
    names: "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    withAny: ["CAP_SYS_NICE"],
  },
];

/**
 * Never allowed, whatever the capability: `--security-opt seccomp=unconfined` or a profile of one's own is the way. It
 * is the list that a test holds against the groups above, so that a call of a new kernel is put here or there.
 */
export const neverAllowed: Readonly<Record<string, string>> = {
  "keys of the kernel: keyrings are not divided by namespaces": "add_key keyctl request_key",
  "io_uring does I/O past this very filter": "io_uring_enter io_uring_register io_uring_setup",
  "lets a program stall the kernel at a page fault, a tool of exploits": "userfaultfd",
  "podman: splicing memory into pipes without a copy, a tool of exploits (Dirty Pipe's kin)": "vmsplice",
  "another kernel": "kexec_file_load kexec_load",
  "swap has no namespace": "swapoff swapon",
  "moves pages of other processes": "migrate_pages move_pages",
  "removed or never used interfaces":
    "_sysctl afs_syscall bdflush break create_module ftime get_kernel_syms getpmsg gtty idle lock lookup_dcookie mpx nfsservctl oldfstat " +
    "oldlstat oldolduname oldstat olduname pciconfig_iobase pciconfig_read pciconfig_write prof profil putpmsg query_module readdir security sgetmask " +
    "ssetmask stty sysfs tuxcall ulimit uselib ustat usr26 usr32 vm86 vm86old vserver",
};

/**
 * Sets of capabilities whose filters are compiled beforehand: of those that the profile asks about, a container has
 * CAP_SYS_CHROOT by default and none with `--cap-drop ALL`.
 */
export const compiledCapabilities: readonly (readonly string[])[] = [["CAP_SYS_CHROOT"], []];

/** The profile's only condition on kernels holds from 4.8 on; older ones run nothing of vitrine. */
export const compiledKernel = { major: 5, minor: 4 };

let built: ConditionalProfile | undefined;

/** The default profile in Docker's format; always the same value. On the way of every `run`, hence plain loops. */
export function defaultProfile(): ConditionalProfile {
  if (built !== undefined) return built;
  const syscalls: ConditionalRule[] = [];
  for (const group of groups) addRules(syscalls, group);
  built = {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    // own: no x32. Hardly a kernel has it switched on, and it doubles what a filter must get right.
    archMap: [
      { architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] },
      { architecture: "SCMP_ARCH_AARCH64", subArchitectures: ["SCMP_ARCH_ARM"] },
    ],
    syscalls,
  };
  return built;
}

/** Docker's `includes.caps` means all of them, so one rule for each capability that is enough. */
function addRules(into: ConditionalRule[], group: Group): void {
  const { arches, minKernel } = group;
  const excludes = group.without === undefined ? undefined : { caps: group.without };
  for (const rule of resolvedRules(group)) {
    if (group.withAny === undefined) {
      const always = arches === undefined && minKernel === undefined;
      into.push({ rule, includes: always ? undefined : { arches, minKernel }, excludes });
    } else {
      for (const cap of group.withAny) {
        into.push({ rule, includes: { caps: [cap], arches, minKernel }, excludes });
      }
    }
  }
}

/** One rule a value: runc takes several conditions on one argument as alternatives, crun only up to six. */
function resolvedRules(group: Group): readonly ResolvedRule[] {
  const names = group.names.split(" ");
  if (group.errno !== undefined) return [{ names, action: "SCMP_ACT_ERRNO", errnoRet: group.errno }];
  if (group.args !== undefined) return [{ names, action: "SCMP_ACT_ALLOW", args: group.args }];
  if (group.firstArgument === undefined) return [{ names, action: "SCMP_ACT_ALLOW" }];
  const rules: ResolvedRule[] = [];
  for (const value of group.firstArgument) {
    const args = [{ index: 0, value: BigInt(value), op: "SCMP_CMP_EQ" as const }];
    rules.push({ names, action: "SCMP_ACT_ALLOW", args });
  }
  return rules;
}
