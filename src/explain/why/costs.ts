/** What lifting a restriction costs, a line each. */

export const costs = {
  noNewPrivileges: "setuid programs and file capabilities in it give privileges again",
  systemCall: "one more part of the kernel can be reached, and its bugs with it",
  writableRoot: "what breaks into it can change its programs and stay until it is removed",
  writableMount: "the container can change those files of the host",
  readonlyPath: "settings of the kernel that are not namespaced can be changed, for the whole machine",
  maskedPath: "the container reads what the kernel tells of the whole machine",
  noexec: "programs that were written there can be run",
  nosuid: "setuid programs that were written there can be used",
  nodev: "device nodes that were made there can be opened",
  memory: "it can take the memory that others need",
  pids: "a fork bomb in it can fill the process table",
  rlimit: "one process of it can use more of that resource",
  tmpfsSize: "its files there are memory: it can take what others need",
  device: "it talks to that driver and the device behind it directly",
  deviceRule: "every device of the host can be opened, disks too, once there is a node for it",
  network: "it sees and uses the host's network: local services, abstract sockets, every port",
  lsm: "only the other layers confine it",
  root: "what breaks into it is root of the container",
} as const;

const ofCapabilities: Readonly<Record<string, string>> = {
  CAP_SYS_ADMIN: "nearly root of the host: it can mount, and many ways out begin here",
  CAP_SYS_MODULE: "it can load code into the kernel: root of the host",
  CAP_SYS_RAWIO: "it can reach memory and ports of the machine: root of the host",
  CAP_SYS_PTRACE: "it can read and change any process that it sees",
  CAP_DAC_READ_SEARCH: "it can open any file by its handle, also outside (open_by_handle_at)",
  CAP_BPF: "it can load programs into the kernel",
  CAP_PERFMON: "it can trace the kernel and what others do",
  CAP_SYS_BOOT: "it can restart the machine",
  CAP_SYS_TIME: "it can set the clock of the whole machine",
  CAP_SYSLOG: "it reads the kernel's log and addresses",
  CAP_NET_ADMIN:
    "it can change its network's addresses, routes and firewall; with --network host those of the machine",
  CAP_NET_RAW: "it can send forged packets into its network",
  CAP_MKNOD: "it can make device nodes; which may be opened the device rules say",
  CAP_SYS_CHROOT: "it can change its root directory",
  CAP_SYS_NICE: "it can take CPU time from others",
  CAP_SYS_RESOURCE: "it can pass its resource limits and quotas",
  CAP_DAC_OVERRIDE: "the modes of files in it do not hold for its root",
  CAP_CHOWN: "it can give its files to any of its users",
  CAP_FOWNER: "it can change modes of files of any of its users",
  CAP_SETUID: "it can become any of its users",
  CAP_SETGID: "it can become any of its groups",
  CAP_KILL: "it can signal any process that it sees",
  CAP_NET_BIND_SERVICE: "it can serve ports below 1024",
  CAP_IPC_LOCK: "it can lock memory beyond its limit",
  CAP_AUDIT_WRITE: "it can write to the audit log",
};

export function capabilityCost(name: string): string {
  return ofCapabilities[name] ?? "see capabilities(7) for what it allows";
}
