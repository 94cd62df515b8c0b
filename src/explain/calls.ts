/**
 * Each op as the kernel calls that the helper makes for it, with their real arguments. The text holds what the image
 * and the user wrote as it is: renderers escape it for the terminal.
 */

import { quoted } from "../base/mod.ts";
import {
  type IdMapRange,
  type Op,
  type OpName,
  type OpPath,
  type Stage,
  summarizeFilter,
} from "../kernel/mod.ts";
import {
  bitList,
  capabilityText,
  clearedAttributeNames,
  clockName,
  cloneFlagNames,
  ioPriorityText,
  limitText,
  memoryPolicyText,
  modeNames,
  mountAttributeNames,
  octal,
  personalityText,
  propagationNames,
  rlimitName,
  schedulerFlagNames,
  schedulerName,
  seccompFlagNames,
  unmountFlagNames,
} from "./flags.ts";

type OpOf<Name extends OpName> = Extract<Op, { readonly op: Name }>;
type Describer = { readonly [Name in OpName]: (op: OpOf<Name>, stage: Stage) => readonly string[] };

/** The kernel calls of one op in its stage, in order. */
export function callsOf(op: Op, stage: Stage = "init"): readonly string[] {
  // The table's entry for op.op takes exactly that op; TypeScript cannot follow this through the union.
  const describe = describers[op.op] as (op: Op, stage: Stage) => readonly string[];
  return describe(op, stage);
}

/** `root:/proc` is /proc of the container's root filesystem; a path of the host stands as it is. */
export function pathText(path: OpPath): string {
  return path.base === "host" ? path.path : `${path.base}:${path.path}`;
}

const text = (value: string): string => quoted(value, 200);

function dataText(data: Uint8Array): string {
  if (data.length > 4096) return `${data.length} bytes`;
  const decoded = new TextDecoder().decode(data);
  return decoded.includes("\ufffd") ? `${data.length} bytes` : quoted(decoded, 80);
}

function mapText(ranges: readonly IdMapRange[], separator: string): string {
  return ranges.map((range) => `${range.containerID} ${range.hostID} ${range.size}`).join(separator);
}

/** What is asked of systemd on D-Bus: StartTransientUnit and its properties. */
function scopeCall(request: Uint8Array): string {
  const { unit, properties = [] } = JSON.parse(new TextDecoder().decode(request)) as {
    readonly unit?: string;
    readonly properties?: readonly { readonly name: string; readonly value: unknown }[];
  };
  const words = properties.map(
    ({ name, value }) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return `systemd: StartTransientUnit(${text(unit ?? "")}, PIDs=[PID], ${words.join(", ")})`;
}

/** A descriptor's file, by name, for calls that take one. */
const describers: Describer = {
  joinNamespace: (op) => [
    `open(${pathText(op.path)})`,
    `setns(fd, ${op.type === 0 ? "0" : cloneFlagNames(op.type)})`,
  ],
  clone: (op) => [
    `clone3(${cloneFlagNames(op.flags)})`,
    ...(op.dieWithMonitor ? ["prctl(PR_SET_PDEATHSIG, SIGKILL)"] : []),
  ],
  cloneInto: (op) => [`open(${pathText(op.path)}): clone3(CLONE_INTO_CGROUP)`],
  sendPidfd: (op) => [`connect(${op.socket})`, `sendmsg(${text(op.data)}, SCM_RIGHTS: the pidfd)`],
  notifySocket: (op) => [`bind(${op.directory}/notify.sock)`, `READY goes on to ${op.host}`],
  moveNetDevice: (op) => [
    `RTM_NEWLINK(${op.device} down)`,
    `RTM_NEWLINK(${op.device}, IFLA_NET_NS_FD, IFLA_IFNAME ${text(op.name)})`,
    `RTM_NEWADDR, RTM_NEWLINK(${op.name} up) in the container`,
  ],
  cloneInside: (op) => [
    `open(${op.user}${op.pid === "" ? "" : `, ${op.pid}`})`,
    "fork, setns: the child is started in there (CLONE_PARENT)",
  ],
  idMap: (op) => [
    ...(op.denySetgroups ? ['write(/proc/PID/setgroups, "deny")'] : []),
    op.newuidmap === ""
      ? `write(/proc/PID/uid_map, "${mapText(op.uids, "\\n")}")`
      : `execve(${op.newuidmap} PID ${mapText(op.uids, " ")})`,
    op.newgidmap === ""
      ? `write(/proc/PID/gid_map, "${mapText(op.gids, "\\n")}")`
      : `execve(${op.newgidmap} PID ${mapText(op.gids, " ")})`,
  ],
  barrier: ({ id }, stage) => [
    `${stage === "monitor" ? "wait for init" : "init waits for the monitor"} (barrier ${id})`,
  ],
  cgroupAttach: (op) => [`write(${pathText(op.path)}/cgroup.procs, PID)`],
  deviceProgram: (op) => [
    `bpf(BPF_PROG_LOAD, BPF_PROG_TYPE_CGROUP_DEVICE, ${op.program.length / 8} instructions)`,
    `bpf(BPF_PROG_ATTACH, ${pathText(op.path)}, BPF_CGROUP_DEVICE)`,
  ],
  awaitRemoved: (op) => [`wait until ${pathText(op.path)} is gone, at most ${op.milliseconds} ms`],
  cgroupVacate: (op) => [`write(${pathText(op.to)}/cgroup.procs, each PID in ${pathText(op.from)})`],
  setTimeOffset: (op) => [
    `write(/proc/self/timens_offsets, "${clockName(op.clock)} ${op.seconds} ${op.nanoseconds}")`,
  ],
  supervise: (op) => [
    ...(op.pidFile === "" ? [] : [`write(${op.pidFile}, PID)`]),
    `poll, waitpid${op.forwardSignals ? ", signals passed on" : ""}${op.relayInput ? ", stdin relayed to the terminal" : ""}`,
    ...(op.exitFile === "" ? [] : [`write(${op.exitFile}, the exit status)`]),
  ],
  release: (op) => [
    "wait until init waits for its start, or runs",
    ...(op.processFile === "" ? [] : [`write(${op.processFile}, PID STARTTIME)`]),
    ...(op.pidFile === "" ? [] : [`write(${op.pidFile}, PID)`]),
    "exit: init becomes the subreaper's",
  ],
  endAfter: (op) => [`pidfd_send_signal(PID, SIGKILL) after ${Number(op.milliseconds) / 1000} s`],
  writePidFile: (op) => [`write(${op.path}, PID)`],
  reportFailure: (op) => [`on a failed op: execve(${op.argv.map(text).join(" ")})`],
  runProgram: (op) => [
    ...(op.argv.at(-1) === "__scope" ? [scopeCall(op.stdin)] : []),
    `fork, execve(${text(op.path)}, [${op.argv.map(text).join(", ")}])${op.timeoutSeconds === 0 ? "" : `, at most ${op.timeoutSeconds} s`}`,
  ],
  newSession: () => ["setsid()"],
  sessionKeyring: (op) => [`keyctl(KEYCTL_JOIN_SESSION_KEYRING, ${text(op.name)})`, "keyctl(KEYCTL_SETPERM)"],
  pipeStreams: () => ["pipe2, dup2 in place of stdin, stdout and stderr that are the user's terminal"],
  unshareNamespaces: (op) => [`unshare(${cloneFlagNames(op.flags)})`],
  awaitExecute: () => ["wait until init has become the program"],
  daemonize: (op) => [
    "fork",
    "setsid",
    ...(op.monitorFile === "" ? [] : [`write(${op.monitorFile}, PID STARTTIME)`]),
  ],
  attachStreams: () => [],
  captureStreams: (op) => [
    op.terminal
      ? "take the container's terminal"
      : `pipe2 for ${op.input ? "stdin, stdout" : "stdout"} and stderr`,
  ],
  keepLog: (op) => [`open(${op.path}, O_APPEND)`],
  recordEvents: (op) => [`open(${op.path}, O_APPEND), write: ${op.prefix}start, die and so on`],
  countOom: (op) => [`poll(${op.file}) while it runs, read at its end`],
  linkProcess: (op) => [`symlink(/proc/PID, ${op.path})`],
  healthCheck: (op) => [
    `every ${op.interval} ms: fork, execve(vitrine-helper run ${op.plan}), at most ${op.timeout} ms`,
    `write(${op.stateFile}, the last results)`,
  ],
  restart: (op) => [
    `unless ${op.stopFile} is there: poll (100 ms, then longer), execve(this plan)${
      ["", ` after a failure${op.retries === 0 ? "" : `, at most ${op.retries} times`}`, " always"][
        op.policy
      ] ?? ""
    }`,
  ],
  attachSocket: (op) => ["socket(AF_UNIX, SOCK_SEQPACKET)", `bind(${op.path})`, "listen"],

  setRoot: (op) => [`openat(${pathText(op.path)}, O_PATH | O_DIRECTORY) = root`],
  setWork: (op) => [`openat(${pathText(op.path)}, O_PATH | O_DIRECTORY) = work`],

  mountPropagation: (op) => [
    `mount_setattr(${pathText(op.path)}${op.recursive ? ", AT_RECURSIVE" : ""}, propagation ${propagationNames(op.propagation)})`,
  ],
  mountFilesystem: (op) => [
    `fsopen(${text(op.fstype)})`,
    ...(op.source === "" || op.source === op.fstype ? [] : [`fsconfig(source=${op.source})`]),
    ...op.options.map((option) => `fsconfig(${option})`),
    `fsmount(${mountAttributeNames(op.attributes)})`,
    `move_mount(${pathText(op.target)})`,
  ],
  bindMount: (op) => [
    `open_tree(${pathText(op.source)}, OPEN_TREE_CLONE${op.recursive ? " | AT_RECURSIVE" : ""})`,
    ...bindAttributes(op),
    `move_mount(${pathText(op.target)})`,
  ],
  bindOfProcess: (op) => [
    `setns(${pathText(op.process)}/ns/mnt) in a child`,
    `open_tree(${text(op.source)}, OPEN_TREE_CLONE)`,
    ...bindAttributes({ ...op, recursiveAttributes: false, propagation: 0 }),
    `move_mount(${pathText(op.target)})`,
  ],
  bindNode: (op) => [
    "unshare(CLONE_NEWNS), fsmount(tmpfs) in a child that kept its ids",
    `mknodat(${op.mode.toString(8)}, ${op.major}:${op.minor}), fchownat(${op.uid}:${op.gid})`,
    "open_tree(OPEN_TREE_CLONE)",
    `move_mount(${pathText(op.target)})`,
  ],
  bindIdMapped: (op) => [
    `open_tree(${pathText(op.source)}, OPEN_TREE_CLONE${op.recursive ? " | AT_RECURSIVE" : ""})`,
    `mount_setattr(${op.idMapRecursive ? "AT_RECURSIVE, " : ""}MOUNT_ATTR_IDMAP, ${
      op.idMapNamespace === ""
        ? `uids ${mapText(op.uids, ", ")}; gids ${mapText(op.gids, ", ")}`
        : op.idMapNamespace
    })`,
    ...bindAttributes(op),
    `move_mount(${pathText(op.target)})`,
  ],
  clearUnasked: (op) => [
    `mount_setattr(${pathText(op.path)}${attributeChange(0n, op.clear)}), but for what is locked`,
  ],
  tmpfsOver: (op) => [
    `fstat(${pathText(op.target)}), else mkdirat`,
    "fsopen(tmpfs)",
    ...op.options.map((option) => `fsconfig(${option})`),
    "fsconfig(mode=, the directory's)",
    `fsmount(${mountAttributeNames(op.attributes)})`,
    `move_mount(${pathText(op.target)})`,
  ],
  makeMountPointFor: (op) => [
    `openat2(${pathText(op.path)}), else as ${pathText(op.source)} is: mkdirat, or create an empty file`,
  ],
  mountAttributes: (op) => [
    `mount_setattr(${pathText(op.path)}${op.recursive ? ", AT_RECURSIVE" : ""}${attributeChange(op.set, op.clear)})`,
  ],
  makeMountPoint: (op) => [
    `openat2(${pathText(op.path)}), else ${op.file ? "create an empty file" : "mkdirat"}`,
  ],
  pivotRoot: (op) =>
    op.noPivot
      ? ["mount(root, /, MS_MOVE)", "chroot(.)"]
      : ["pivot_root(root, old root)", "umount2(old root, MNT_DETACH)", "chdir(/)"],
  reconfigureFilesystem: (op) => [
    `fspick(${pathText(op.path)})`,
    ...op.options.map((option) => `fsconfig(${option})`),
    "fsconfig(FSCONFIG_CMD_RECONFIGURE)",
  ],
  changeRoot: () => ["fchdir(root)", "chroot(.)", "chdir(/)"],
  maskPath: (op) => [
    `openat2(${pathText(op.path)}, O_PATH)`,
    "move_mount(/dev/null over a file | an empty read-only tmpfs over a directory)",
  ],
  readonlyPath: (op) => [
    `open_tree(${pathText(op.path)}, OPEN_TREE_CLONE | AT_RECURSIVE)`,
    "mount_setattr(set MOUNT_ATTR_RDONLY)",
    "move_mount(over itself)",
  ],
  unmount: (op) => [`umount2(${pathText(op.path)}, ${unmountFlagNames(op.flags)})`],
  tmpCopyUp: (op) => [
    `fsopen("tmpfs")`,
    ...op.options.map((option) => `fsconfig(${option})`),
    `fsmount(${mountAttributeNames(op.attributes)})`,
    `copy of ${pathText(op.target)}`,
    `move_mount(${pathText(op.target)})`,
  ],

  makeDirectory: (op) => [
    `mkdirat(${pathText(op.path)}, ${octal(op.mode)})${op.parents ? " with its parents" : ""}`,
  ],
  writeFile: (op) => [
    `openat2(${pathText(op.path)}, O_WRONLY${op.create ? " | O_CREAT | O_TRUNC" : ""}${op.create ? `, ${octal(op.mode)}` : ""})`,
    `write(${dataText(op.data)})`,
  ],
  writeEither: (op) => [
    `openat2(${pathText(op.path)}, O_WRONLY)`,
    `write(${dataText(op.data)})`,
    `where it is not there: openat2(${pathText(op.other)}, O_WRONLY), write(${dataText(op.otherData)})`,
  ],
  makeSymlink: (op) => [`symlinkat(${text(op.target)}, ${pathText(op.path)})`],
  makeNode: (op) => [
    `mknodat(${pathText(op.path)}, ${modeNames(op.mode)}, ${op.major}:${op.minor})`,
    ...(op.uid === 0 && op.gid === 0 ? [] : [`fchownat(${op.uid}, ${op.gid})`]),
  ],
  removeTree: (op) => [`unlinkat(${pathText(op.path)} and all below it)`],
  removeDirectory: (op) => [
    `unlinkat(${pathText(op.path)}, AT_REMOVEDIR)${op.retryMilliseconds === 0 ? "" : `, tried for ${op.retryMilliseconds} ms`}`,
  ],
  rename: (op) => [
    `renameat2(${pathText(op.from)}, ${pathText(op.to)}${op.noReplace ? ", RENAME_NOREPLACE" : ""})`,
  ],
  fillVolume: (op) => [
    `flock(${pathText(op.lock)}, LOCK_EX)`,
    `copy_file_range(${pathText(op.from)} and all below it, ${pathText(op.to)} if it is empty)`,
  ],
  changeOwners: (op) => [`fchownat(${pathText(op.path)} and all below it, ${op.uid}, ${op.gid})`],
  copyTree: (op) => [`copy_file_range(${pathText(op.from)} and all below it, ${pathText(op.to)})`],
  changeOwner: (op) => [`fchownat(${pathText(op.path)}, ${op.uid}, ${op.gid}, AT_SYMLINK_NOFOLLOW)`],
  syncTree: (op) => [`syncfs(${pathText(op.path)})`],

  setHostname: (op) => [`sethostname(${text(op.name)})`],
  setDomainname: (op) => [`setdomainname(${text(op.name)})`],
  loopbackUp: () => ["ioctl(SIOCSIFFLAGS, lo, IFF_UP)"],
  setRlimit: (op) => [
    `prlimit64(${rlimitName(op.resource)}, soft ${limitText(op.soft)}, hard ${limitText(op.hard)})`,
  ],
  setUmask: (op) => [`umask(${octal(op.mask)})`],
  noNewPrivileges: () => ["prctl(PR_SET_NO_NEW_PRIVS, 1)"],
  setPersonality: (op) => [`personality(${personalityText(op.persona)})`],
  setScheduler: (op) => [`sched_setattr(${schedulerText(op)})`],
  setIoPriority: (op) => [`ioprio_set(${ioPriorityText(op.priority)})`],
  dropBoundingSet: (op) => [`prctl(PR_CAPBSET_DROP, all but: ${capabilityText(op.keep)})`],
  setUser: (op) => [
    op.skipGroups ? "setgroups left out: it is denied here" : `setgroups([${op.groups.join(", ")}])`,
    `setresgid(${op.gid}, ${op.gid}, ${op.gid})`,
    `setresuid(${op.uid}, ${op.uid}, ${op.uid})`,
  ],
  setCapabilities: (op) => [
    `capset(${capabilitySets(op)})`,
    ...(op.ambient === 0n ? [] : [`prctl(PR_CAP_AMBIENT, ${capabilityText(op.ambient)})`]),
  ],
  seccomp: (op) => [
    `seccomp(SECCOMP_SET_MODE_FILTER, ${seccompFlagNames(op.flags)}, ${op.program.length / 8} instructions)`,
    ...filterLines(op.program),
    ...(op.listenerPath === "" ? [] : [`sendmsg(${op.listenerPath}, the listener)`]),
  ],
  apparmorProfile: (op) => [`write(/proc/self/attr/apparmor/exec, ${text(`exec ${op.profile}`)})`],
  selinuxLabel: (op) => [`write(/proc/self/attr/exec, ${text(op.label)})`],
  changeDirectory: (op) => [
    ...(op.create ? [`mkdirat(root:${op.path}, 0755) where missing`] : []),
    `chdir(${text(op.path)})`,
    "getcwd() is inside the root",
  ],
  openTerminal: (op) => [
    "open(/dev/pts/ptmx)",
    `ioctl(TIOCSWINSZ, ${op.columns} x ${op.rows})`,
    ...(op.uid === 0 ? [] : [`fchown(terminal, ${op.uid})`]),
    ...(op.bindConsole ? ["move_mount(terminal over root:/dev/console)"] : []),
    "setsid()",
    "ioctl(TIOCSCTTY)",
    "dup2(terminal, 0 1 2)",
    op.consoleSocket === ""
      ? "sendmsg(the other end to the monitor)"
      : `sendmsg(the other end to ${op.consoleSocket})`,
  ],
  standardInput: (op) => [op.mode === 0 ? "stdin is the caller's" : "open(/dev/null), dup2(null, 0)"],
  closeDescriptors: (op) => [`close_range(${op.first}, ~0, CLOSE_RANGE_CLOEXEC)`],
  awaitStart: (op) => [`open(${op.fifo}), read: wait for start`],
  execute: (op) => [
    `execve(${op.argv.map(text).join(" ")})`,
    `environment: ${op.env.length === 0 ? "empty" : op.env.map((each) => quoted(each, 400)).join(" ")}`,
  ],
  initReaper: () => ["fork, waitpid: stay as pid 1, pass signals on, reap"],
  cpuAffinity: (op) => [`sched_setaffinity(CPUs ${bitList(op.mask)})`],
  memoryPolicy: (op) => [`set_mempolicy(${memoryPolicyText(op.mode, op.flags)}, nodes ${bitList(op.nodes)})`],

  layerEntry: (op) => [`make ${text(layerPath(op.path))}`],
  layerData: (op) => [`pwrite(${op.data.length} bytes at ${op.offset})`],
  layerInflated: (op) => (op.length === 0n ? [] : [`pwrite(${op.length} bytes at ${op.offset})`]),
  layerWhiteout: (op) => [`hide ${text(layerPath(op.path))}`],
  layerOpaque: (op) => [`hide what is below in ${text(layerPath(op.path))}`],
  layerEnd: (op) => ["utimensat", ...(op.sync ? ["syncfs"] : [])],
  layerOptions: () => [],
  layerCopy: (op) => [`copy ${text(op.from.path)} to ${text(layerPath(op.path))}`],
  answer: () => [],
  readEntry: (op) => [`openat2(${text(op.path.path)}, O_PATH), fstat`],
  readTree: (op) => [`read ${text(op.path.path)} and all below it`],
  detachRoot: () => ["open_tree(root, OPEN_TREE_CLONE)"],
};

function attributeChange(set: bigint, clear: bigint): string {
  const parts: string[] = [];
  if (set !== 0n) parts.push(`set ${mountAttributeNames(set)}`);
  if (clear !== 0n) parts.push(`clear ${clearedAttributeNames(clear)}`);
  return parts.length === 0 ? "" : `, ${parts.join(", ")}`;
}

function bindAttributes(
  op: Pick<OpOf<"bindMount">, "set" | "clear" | "recursiveAttributes" | "propagation">,
): readonly string[] {
  const change = attributeChange(op.set, op.clear);
  const tree = op.recursiveAttributes ? "AT_RECURSIVE, " : "";
  return [
    ...(change === "" ? [] : [`mount_setattr(${tree}${change.slice(2)})`]),
    ...(op.propagation === 0 ? [] : [`mount_setattr(propagation ${propagationNames(op.propagation)})`]),
  ];
}

/** Sets that are the same are named once. */
function capabilitySets(op: OpOf<"setCapabilities">): string {
  const effective = capabilityText(op.effective);
  const permitted = capabilityText(op.permitted);
  const both =
    op.effective === op.permitted
      ? `effective and permitted: ${effective}`
      : `effective: ${effective}; permitted: ${permitted}`;
  return `${both}; inheritable: ${capabilityText(op.inheritable)}`;
}

function schedulerText(op: OpOf<"setScheduler">): string {
  const parts = [schedulerName(op.policy)];
  if (op.flags !== 0n) parts.push(schedulerFlagNames(op.flags));
  if (op.nice !== 0) parts.push(`nice ${op.nice}`);
  if (op.priority !== 0) parts.push(`priority ${op.priority}`);
  if (op.runtime !== 0n) parts.push(`runtime ${op.runtime} of ${op.period} ns, deadline ${op.deadline} ns`);
  return parts.join(", ");
}

function filterLines(program: Uint8Array): readonly string[] {
  const summary = summarizeFilter(program);
  if (summary === undefined) return [];
  const outcomes = summary.outcomes.map(([outcome, calls]) => `${outcome} ${calls}`).join(", ");
  const conditional = summary.conditional.length === 0 ? "" : `, by arguments ${summary.conditional.length}`;
  return [`${summary.machine} system calls: ${outcomes}${conditional}; unknown ones ${summary.unknown}`];
}

function layerPath(path: string | Uint8Array): string {
  return typeof path === "string" ? path : new TextDecoder().decode(path);
}
