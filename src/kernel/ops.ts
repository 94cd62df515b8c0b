/**
 * The op vocabulary: everything vitrine does to the kernel, as data.
 *
 * This table is the only place an op is defined. The TypeScript union (`Op`), the plan encoding
 * (`encode.ts`), the C header (`native/ops.gen.h`) and the reference (`docs/ops.md`) all come from it:
 * `make generate` writes the last two. Codes are wire values: append, never renumber.
 */

/** Argument types and their encoding, little endian. See `encode.ts`. */
export type ArgType =
  | "bool" // u8
  | "u32"
  | "i32"
  | "u64" // bigint in TypeScript
  | "i64" // bigint in TypeScript
  | "str" // u32 length, bytes, NUL (the NUL is not counted)
  | "raw" // as str, but any bytes except NUL: a file name of a layer need not be UTF-8
  | "bytes" // u32 length, bytes
  | "strs" // u32 count, then each a str
  | "u32s" // u32 count, then each a u32
  | "path" // u8 base, then a str; see PathBase
  | "maps"; // u32 count, then three u32 each: container id, host id, size

/**
 * Where a path begins.
 * - `host`: opened as it is, with the process's own view. Never for a name that an image author chose.
 * - `root`: beneath the root handle set by `setRoot`, by openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).
 * - `proc`: in a procfs that the helper mounted itself with fsopen and verified (CVE-2025-52881: a container
 *   can put a fake file in place of /proc/sys or /proc/self/attr), by openat2(RESOLVE_BENEATH |
 *   RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS), `self` is spelled `self` and resolved by the helper.
 * - `work`: beneath the work handle set by `setWork` (a layer being unpacked, a container's own directory).
 */
export const pathBases = ["host", "root", "proc", "work"] as const;
export type PathBase = (typeof pathBases)[number];
export interface OpPath {
  readonly base: PathBase;
  readonly path: string;
}

/** One range of a user-namespace map, as in runtime-spec `linux.uidMappings`. */
export interface IdMapRange {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

interface OpDefinition {
  readonly code: number;
  /** The kernel calls it makes, in order, for people. */
  readonly calls: string;
  readonly doc: string;
  readonly args: Readonly<Record<string, ArgType>>;
}

export const opTable = {
  // --- process and namespaces (monitor) ---
  joinNamespace: {
    code: 1,
    calls: "open, setns",
    doc: "Enters an existing namespace. `type` is the CLONE_NEW* bit (0 lets the kernel tell from the file). In the monitor it comes before `clone`, which it serves (a pid namespace can be entered in no other way): the monitor returns to its own namespace after it. In init the process becomes undumpable, so that what already runs there cannot trace it. In apply it also becomes root of a user namespace.",
    args: { path: "path", type: "u32" },
  },
  clone: {
    code: 2,
    calls: "clone3",
    doc: "Starts `init` in new namespaces: `flags` are CLONE_NEW* bits. Ops of stage init run in the child, the rest in the monitor. A cgroup namespace has its root where the process is when it is made: where the child is to see its own cgroup as the root, leave CLONE_NEWCGROUP out here and use `unshareNamespaces` after `cgroupAttach`. With `dieWithMonitor` the child is killed when the monitor dies.",
    args: { flags: "u64", dieWithMonitor: "bool" },
  },
  idMap: {
    code: 3,
    calls: "write /proc/PID/{setgroups,uid_map,gid_map} | newuidmap, newgidmap",
    doc: "Maps the ids of the child's user namespace; the child becomes uid 0 and gid 0 of it at the next barrier. With `newuidmap`/`newgidmap` set these setuid tools write the maps; else the monitor does. `denySetgroups` is needed for a single-id map without privilege. As root, a second process of the monitor then opens for init those paths of the host that its new ids may not reach, until `pivotRoot`.",
    args: { uids: "maps", gids: "maps", denySetgroups: "bool", newuidmap: "str", newgidmap: "str" },
  },
  barrier: {
    code: 4,
    calls: "write, read (a socket pair)",
    doc: "Monitor and init wait for each other at point `id`; both stages hold the same op.",
    args: { id: "u32" },
  },
  cgroupAttach: {
    code: 5,
    calls: "open, write cgroup.procs | tasks",
    doc: "In the monitor: puts the child into the cgroup directory `path` (or the resctrl group, which has `tasks` alone). In init: moves itself there, for v1 through `tasks`, which takes no lock that waits.",
    args: { path: "path" },
  },
  deviceProgram: {
    code: 17,
    calls: "bpf(BPF_PROG_LOAD), bpf(BPF_PROG_QUERY), bpf(BPF_PROG_ATTACH), bpf(BPF_PROG_DETACH)",
    doc: "Puts an eBPF program (struct bpf_insn array) of type BPF_PROG_TYPE_CGROUP_DEVICE on the cgroup v2 directory `path`, in place of whatever program of that kind is on it: in one step where there is one.",
    args: { path: "path", program: "bytes" },
  },
  cgroupVacate: {
    code: 18,
    calls: "open, read cgroup.procs, write cgroup.procs",
    doc: "Moves every process in the cgroup v2 directory `from` into `to`, until `from` has none: controllers go to the children of an empty directory only.",
    args: { from: "path", to: "path" },
  },
  awaitRemoved: {
    code: 64,
    calls: "openat2, nanosleep",
    doc: "Waits until the directory `path` is gone, at most so long; it may stay. systemd removes the cgroup of a scope when it notes that it is empty, and a scope whose cgroup another removed before that is never over.",
    args: { path: "path", milliseconds: "u32" },
  },
  setTimeOffset: {
    code: 6,
    calls: "unshare, write /proc/self/timens_offsets",
    doc: "Offsets a clock (1 monotonic, 7 boottime) of the time namespace that `clone` makes. Offsets are fixed once a process is inside, so `clone` writes them, wherever this op stands.",
    args: { clock: "u32", seconds: "i64", nanoseconds: "u32" },
  },
  supervise: {
    code: 7,
    calls: "poll, read, write, waitpid, pidfd_send_signal",
    doc: "Waits for init: passes signals on, relays the terminal, records the exit status. `exitFile` empty: not recorded. `pidFile` empty: not written (PID STARTTIME; CODE SIGNAL TIME_NS). With `relayInput` the monitor's stdin goes to the container's terminal. Cleanup ops follow with `cleanUp`: else they serve a failure.",
    args: { exitFile: "str", pidFile: "str", forwardSignals: "bool", relayInput: "bool", cleanUp: "bool" },
  },
  reportFailure: {
    code: 8,
    calls: "fork, execve",
    doc: "Names the program that explains a failed op: it is run with argv plus stage, op index, errno and detail, and its exit status becomes the helper's.",
    args: { argv: "strs" },
  },
  runProgram: {
    code: 9,
    calls: "fork, execve, waitpid",
    doc: 'Runs a program on the host (hooks, newuidmap-like tools) with `stdin` as its input, at most `timeoutSeconds` (0: no limit). Its stdout goes to /dev/null, or where `outputFile` and `errorFile` name files of the host, they are added to. A non-zero exit is failure ECHILD. With `stateOnStdin` every `"pid":0` of `stdin` gets init\'s pid: as the monitor sees it, or in stage init as it is in the container.',
    args: {
      path: "str",
      argv: "strs",
      env: "strs",
      stdin: "bytes",
      timeoutSeconds: "u32",
      stateOnStdin: "bool",
      outputFile: "str",
      errorFile: "str",
    },
  },
  newSession: {
    code: 10,
    calls: "setsid",
    doc: "Makes the process a session leader without a controlling terminal.",
    args: {},
  },
  sessionKeyring: {
    code: 11,
    calls: "keyctl(KEYCTL_JOIN_SESSION_KEYRING), keyctl(KEYCTL_SETPERM)",
    doc: "A new session keyring, so that the host's keys are not reachable.",
    args: { name: "str" },
  },
  pipeStreams: {
    code: 12,
    calls: "isatty, pipe2, dup2",
    doc: "Before `clone`: those of stdin, stdout and stderr that are a terminal of the host become pipes that `supervise` relays, so that the container never holds the user's terminal.",
    args: {},
  },
  unshareNamespaces: {
    code: 13,
    calls: "unshare",
    doc: "Makes new namespaces for the process itself: `flags` are CLONE_NEW* bits (a cgroup namespace, once the process is in its cgroup).",
    args: { flags: "u64" },
  },
  awaitExecute: {
    code: 14,
    calls: "poll, read (a socket pair)",
    doc: "The monitor waits until init has become the user's program (poststart hooks come after it).",
    args: {},
  },
  daemonize: {
    code: 24,
    calls: "socketpair, fork, setsid",
    doc: "The monitor goes on as a child in a session of its own; the process that was started stays in front of it as its first client. Once the user's program runs, that one prints `announce` and ends with 0; with `attach` it stays, relays the container's streams (with `input` stdin as well) and ends with its exit status, or with 0 when the user types `detachKeys`. A failure before that ends it with the monitor's status. `monitorFile` gets PID STARTTIME of the monitor.",
    args: { monitorFile: "str", announce: "str", attach: "bool", input: "bool", detachKeys: "bytes" },
  },
  attachStreams: {
    code: 126,
    calls: "",
    doc: "Before `daemonize` with `attach`: whether its caller gets the program's stdout and stderr, and passes signals on; without this op all of it.",
    args: { output: "bool", errors: "bool", signals: "bool" },
  },
  captureStreams: {
    code: 25,
    calls: "pipe2",
    doc: "Before `clone`: the container's streams are not the user's, but pipes that `supervise` reads for the log and for whoever attaches. Not needed for the outputs where init opens a `terminal`. With `input` stdin is kept open for those who attach, with `once` until the input of the first of them ends.",
    args: { terminal: "bool", input: "bool", once: "bool" },
  },
  keepLog: {
    code: 26,
    calls: "open, writev, rename",
    doc: "Captured output goes to the file `path` in the CRI log format: TIME stdout|stderr P|F LINE. With `maxBytes` a longer file is renamed to `path`.1 and so on, and at most `files` are kept.",
    args: { path: "str", maxBytes: "u64", files: "u32" },
  },
  attachSocket: {
    code: 27,
    calls: "socket, bind, listen",
    doc: "Before `clone`: a SOCK_SEQPACKET socket by which others follow the captured streams: see native/client.h.",
    args: { path: "str" },
  },
  release: {
    code: 15,
    calls: "read, write (a socket pair, files)",
    doc: "The monitor's last op in place of `supervise`: waits until init is at `awaitStart` or has become its program, records its pid (`processFile`: PID STARTTIME; `pidFile`: the digits of the pid alone; empty: not written) and leaves it to the caller's subreaper. Cleanup ops are then run only with `cleanUp`: else they serve a failure.",
    args: { processFile: "str", pidFile: "str", cleanUp: "bool" },
  },
  sendPidfd: {
    code: 125,
    calls: "connect, sendmsg(SCM_RIGHTS)",
    doc: "Once init waits for its start, or becomes its program, the monitor hands its pidfd to whoever listens at the unix socket `socket`, with `data`.",
    args: { socket: "str", data: "str" },
  },
  cloneInto: {
    code: 123,
    calls: "open, clone3(CLONE_INTO_CGROUP)",
    doc: "Before `clone`: init is born in the cgroup v2 directory `path`. To move there later costs some 10 ms; it does so where clone3 is refused. `beside`: /proc/PID/cgroup of who is in there or below, or empty: where the directory passes its controllers on and so holds no process, init is born in that one's.",
    args: { path: "path", beside: "str" },
  },
  notifySocket: {
    code: 124,
    calls: "socket, bind, chmod",
    doc: "A datagram socket `notify.sock` in the host's directory `directory`, for the container's sd_notify(3). READY goes on to the socket `host`: by `release`, which waits for it and sends MAINPID and BARRIER as well, or by `supervise`.",
    args: { directory: "str", host: "str" },
  },
  moveNetDevice: {
    code: 22,
    calls: "socket(AF_NETLINK), RTM_GETADDR, RTM_NEWLINK(IFLA_NET_NS_FD), setns, RTM_NEWADDR",
    doc: "In the monitor, once init is in its network namespace: the host's network device `device` goes there under the name `name` (one `%d` in it: a free number), and is up. Its permanent addresses of global scope go with it.",
    args: { device: "str", name: "str" },
  },
  cloneInside: {
    code: 19,
    calls: "open, fork, setns, clone3(CLONE_PARENT)",
    doc: "Before `clone`: init is started from within the user namespace `user`, so that its new namespaces belong to that one, and in the pid namespace `pid` (empty: a new one, or the monitor's). The monitor itself enters neither. As root, a second process of the monitor then opens paths of the host for init, as with idMap.",
    args: { user: "str", pid: "str" },
  },
  writePidFile: {
    code: 16,
    calls: "open, write, rename",
    doc: "Writes init's pid, the digits alone, to the file `path` (`--pid-file`).",
    args: { path: "str" },
  },

  recordEvents: {
    code: 23,
    calls: "open(O_APPEND), write",
    doc: 'The monitor appends what happens to its program to the file `path`, a line each in one write: `{"timeNano":N,"action":"PREFIXstart","add":{…},` and `tail`, which ends the object and the line. `prefix` is empty or `exec_`; with it the start is left to whoever starts it. A file of `maxBytes` gets no more. With `destroys` what the cleanup ops removed is told as well.',
    args: { path: "str", prefix: "str", tail: "bytes", maxBytes: "u64", destroys: "bool" },
  },
  countOom: {
    code: 28,
    calls: "open, poll, read, eventfd",
    doc: "While the program runs, the monitor is woken when the kernel kills a process of the cgroup for want of memory (`file`: memory.events, in v1 memory.oom_control with cgroup.event_control): it records the event `oom` and makes `markFile` (empty: none). At the end it looks once more: the exit record then ends with ` oom`.",
    args: { file: "str", markFile: "str" },
  },
  linkProcess: {
    code: 42,
    calls: "symlink, unlink",
    doc: "While the program runs `path` is a symbolic link to /proc/PID of it: others find its namespaces there, whichever process it has.",
    args: { path: "str" },
  },
  endAfter: {
    code: 127,
    calls: "poll, pidfd_send_signal",
    doc: "The program gets SIGKILL when it has run for `milliseconds`. Its exit status is then recorded as -1, and is 255 to whoever waits.",
    args: { milliseconds: "u64" },
  },
  healthCheck: {
    code: 29,
    calls: "mkfifo, poll, fork, execve, read, waitpid, rename",
    doc: "While the program runs, the monitor runs the plan `plan` (an exec into the container) with at most 4096 bytes of its output kept: every `interval` ms, every `startInterval` ms within the first `startPeriod` ms. More than `timeout` ms is a failure, as is any exit status but 0; after `retries` failures in a row the container is unhealthy, and then `onFailure` is done: 0 nothing, 1 SIGKILL, 2 kill and run the plan again, 3 `stopSignal`, SIGKILL after `stopTimeout` ms and no restart. The plan finds the namespaces by the link of `linkProcess`. `stateFile`: STATUS STREAK, then for each of the last five checks BEGIN_NS END_NS CODE BYTES, a newline and the output. A newline written to the FIFO `askFile` asks for a check at once; `u` says that the file named as `plan` with `-settings` behind it has other numbers (native/health.c).",
    args: {
      plan: "str",
      stateFile: "str",
      askFile: "str",
      interval: "u64",
      timeout: "u64",
      startPeriod: "u64",
      startInterval: "u64",
      retries: "u32",
      onFailure: "u32",
      stopSignal: "u32",
      stopTimeout: "i64",
    },
  },

  // --- handles ---
  setRoot: {
    code: 20,
    calls: "openat(O_PATH | O_DIRECTORY)",
    doc: "Opens the directory that paths of base `root` are resolved in.",
    args: { path: "path" },
  },
  setWork: {
    code: 21,
    calls: "openat(O_PATH | O_DIRECTORY)",
    doc: "Opens the directory that paths of base `work` are resolved in.",
    args: { path: "path" },
  },

  // --- the end ---
  restart: {
    code: 41,
    calls: "poll, execve",
    doc: "Cleanup, before what the plan itself needs is removed: runs the plan again. `policy` 0 only when a health check asked for it, 1 after a failure of the program and at most `retries` times (0: no limit), 2 always. First it waits 100 ms, after each further run of less than 10 s twice as long, at most a minute. Never after a failure of the setup, nor when `stopFile` is there: who ends the container for good makes it first. `stateFile` holds the exit record of the last run (as `exitFile`) from the first restart on, `countFile` the number of restarts. `policyFile`, when it is there, holds POLICY RETRIES that were given since. `prepare` is run before, if it is not empty, to write the plan anew.",
    args: {
      policy: "u32",
      retries: "u32",
      policyFile: "str",
      stopFile: "str",
      stateFile: "str",
      countFile: "str",
      prepare: "strs",
    },
  },

  // --- mounts (init) ---
  mountPropagation: {
    code: 30,
    calls: "mount_setattr | mount",
    doc: "Sets the propagation (MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE) of the mount at `path`.",
    args: { path: "path", propagation: "u32", recursive: "bool" },
  },
  mountFilesystem: {
    code: 31,
    calls: "fsopen, fsconfig, fsmount, move_mount",
    doc: "A new mount. proc and sysfs are mounted on a real directory only, never through a link of the image (CVE-2019-19921). The layers of an overlay are `lowerdir+=PATH` options, top first. `attributes` are MOUNT_ATTR_* bits; `options` go to fsconfig one by one, `key` or `key=value`.",
    args: { fstype: "str", source: "str", target: "path", attributes: "u64", options: "strs" },
  },
  bindMount: {
    code: 32,
    calls: "open_tree(OPEN_TREE_CLONE), mount_setattr, move_mount",
    doc: "Clones the mount tree at `source` onto `target`, with attributes set and cleared on it (on the whole tree with `recursiveAttributes`). `propagation` is MS_PRIVATE and the like, with MS_REC for the whole tree; 0 leaves the default. A flag that a user namespace holds locked cannot be cleared: EPERM.",
    args: {
      source: "path",
      target: "path",
      recursive: "bool",
      set: "u64",
      clear: "u64",
      recursiveAttributes: "bool",
      propagation: "u32",
    },
  },
  mountAttributes: {
    code: 33,
    calls: "mount_setattr",
    doc: "Changes MOUNT_ATTR_* bits of the mount at `path`.",
    args: { path: "path", set: "u64", clear: "u64", recursive: "bool" },
  },
  makeMountPoint: {
    code: 34,
    calls: "openat2, mkdirat | openat2(O_CREAT | O_EXCL)",
    doc: "Makes sure that `path` exists as a mount point: a directory, or with `file` an empty file; parents 0755. What exists is left alone.",
    args: { path: "path", file: "bool" },
  },
  pivotRoot: {
    code: 35,
    calls: "fchdir, pivot_root, umount2(MNT_DETACH), chdir",
    doc: "Makes the root handle `/` and detaches the old root. With `noPivot`, MS_MOVE and chroot.",
    args: { noPivot: "bool" },
  },
  maskPath: {
    code: 36,
    calls: "openat2(O_PATH), fstat, open_tree | fsmount, move_mount",
    doc: "Hides a path: the root's /dev/null (verified to be char 1:3, CVE-2025-31133) over a file, an empty read-only tmpfs over a directory.",
    args: { path: "path" },
  },
  readonlyPath: {
    code: 37,
    calls: "openat2(O_PATH), open_tree, mount_setattr, move_mount",
    doc: "Makes a path read-only by binding it over itself.",
    args: { path: "path" },
  },
  unmount: {
    code: 38,
    calls: "umount2",
    doc: "Unmounts `path` with umount2 flags.",
    args: { path: "path", flags: "u32" },
  },
  tmpCopyUp: {
    code: 39,
    calls: "fsopen, fsmount, openat2, copy, move_mount",
    doc: "A tmpfs over `target` that begins with a copy of what `target` holds.",
    args: { target: "path", attributes: "u64", options: "strs" },
  },
  bindIdMapped: {
    code: 40,
    calls: "unshare(CLONE_NEWUSER), open_tree(OPEN_TREE_CLONE), mount_setattr(MOUNT_ATTR_IDMAP), move_mount",
    doc: "As bindMount, and the files show with other owners: `uids` and `gids` (the filesystem's id, the id to show, how many) are those of a user namespace made for it; with `idMapNamespace` those of the one in that file. With `idMapRecursive` the whole tree is mapped. Where init has no privilege over the filesystem, the process that opens the host's paths for it (idMap) prepares the tree.",
    args: {
      source: "path",
      target: "path",
      recursive: "bool",
      set: "u64",
      clear: "u64",
      recursiveAttributes: "bool",
      propagation: "u32",
      idMapNamespace: "str",
      uids: "maps",
      gids: "maps",
      idMapRecursive: "bool",
    },
  },
  bindNode: {
    code: 122,
    calls:
      "unshare(CLONE_NEWNS), fsmount(tmpfs), mknodat, fchownat, fchmodat, open_tree(OPEN_TREE_CLONE), move_mount",
    doc: "A device for a user namespace, which can make none: the process that opens the host's paths for init makes it on a tmpfs of its own, and init mounts it on `target`, nosuid and noexec. `uid` and `gid` are the host's.",
    args: { target: "path", mode: "u32", major: "u32", minor: "u32", uid: "u32", gid: "u32" },
  },
  clearUnasked: {
    code: 46,
    calls: "mount_setattr",
    doc: "Clears those MOUNT_ATTR_* bits of the bind mount at `path` that its source had and nobody asked for, as a mount with options does. Those that a user namespace holds locked stay.",
    args: { path: "path", clear: "u64" },
  },
  tmpfsOver: {
    code: 47,
    calls: "openat2, fstat, fsopen, fsconfig, fsmount, move_mount",
    doc: "As mountFilesystem of a tmpfs, with the mode of the directory that it covers. Where there is none, one is made, and the tmpfs has the kernel's default mode.",
    args: { target: "path", attributes: "u64", options: "strs" },
  },
  makeMountPointFor: {
    code: 48,
    calls: "openat2, fstat, mkdirat | openat2(O_CREAT | O_EXCL)",
    doc: "As makeMountPoint, of the kind that `source` has now: an earlier mount made it.",
    args: { source: "path", path: "path" },
  },
  bindOfProcess: {
    code: 45,
    calls: "fork, setns, openat2, open_tree(OPEN_TREE_CLONE), mount_setattr, move_mount",
    doc: "As bindMount, of what is mounted at `source` in the root of the process whose directory in a procfs of the host is `process` (or a link to it): a child enters its mount namespace, for nobody else may clone what is mounted there. No link on the way is followed, and `source` must be a mount.",
    args: { process: "path", source: "str", target: "path", set: "u64", clear: "u64" },
  },
  reconfigureFilesystem: {
    code: 44,
    calls: "fspick, fsconfig(FSCONFIG_CMD_RECONFIGURE)",
    doc: "Changes options of the filesystem that is mounted at `path`, for all of its mounts: `key` or `key=value`, as mountFilesystem.",
    args: { path: "path", options: "strs" },
  },
  changeRoot: {
    code: 43,
    calls: "fchdir, chroot, chdir",
    doc: "Makes the root handle `/` for a process that has no mount namespace of its own: what it mounted is the host's, for cleanup to take off.",
    args: {},
  },

  // --- files ---
  makeDirectory: {
    code: 50,
    calls: "openat2, mkdirat, fchmod",
    doc: "A directory; with `parents` also those above it. An existing one is left alone when `parents`, else EEXIST.",
    args: { path: "path", mode: "u32", parents: "bool" },
  },
  writeFile: {
    code: 51,
    calls: "openat2, write",
    doc: "Writes `data` in one write. `create`: makes or truncates it with `mode`; else it must exist (sysctl, cgroup files).",
    args: { path: "path", data: "bytes", create: "bool", mode: "u32" },
  },
  writeEither: {
    code: 61,
    calls: "openat2, write",
    doc: "As `writeFile` without `create`, to `path`; where that file is not there, `otherData` to `other`.",
    args: { path: "path", data: "bytes", other: "path", otherData: "bytes" },
  },
  makeSymlink: {
    code: 52,
    calls: "symlinkat",
    doc: "A symbolic link at `path` to `target`. An existing equal link is success.",
    args: { path: "path", target: "str" },
  },
  makeNode: {
    code: 53,
    calls: "mknodat, fchownat, fchmodat",
    doc: "A device or FIFO: `mode` with its S_IF* bits.",
    args: { path: "path", mode: "u32", major: "u32", minor: "u32", uid: "u32", gid: "u32" },
  },
  removeTree: {
    code: 54,
    calls: "openat2, getdents, unlinkat",
    doc: "Removes `path` and all below it, without following a link or crossing a mount. ENOENT is success.",
    args: { path: "path" },
  },
  removeDirectory: {
    code: 55,
    calls: "unlinkat(AT_REMOVEDIR)",
    doc: "Removes one empty directory, or a cgroup with those that its container made in it: EBUSY is tried again for `retryMilliseconds`. ENOENT is success.",
    args: { path: "path", retryMilliseconds: "u32" },
  },
  rename: {
    code: 56,
    calls: "renameat2",
    doc: "Moves `from` to `to`; with `noReplace` an existing one is EEXIST.",
    args: { from: "path", to: "path", noReplace: "bool" },
  },
  copyTree: {
    code: 57,
    calls: "openat2, copy_file_range | FICLONE, fsetxattr, fchown, fchmod, utimensat",
    doc: "Copies the tree `from` into the directory `to` with owners, modes, xattrs, hard links and times.",
    args: { from: "path", to: "path" },
  },
  changeOwner: {
    code: 58,
    calls: "fchownat",
    doc: "Changes the owner of `path`, not following a last link.",
    args: { path: "path", uid: "u32", gid: "u32" },
  },
  changeMode: {
    code: 59,
    calls: "fchmod",
    doc: "Changes the mode of `path`.",
    args: { path: "path", mode: "u32" },
  },
  syncTree: {
    code: 60,
    calls: "syncfs",
    doc: "Flushes the filesystem that holds `path`.",
    args: { path: "path" },
  },

  fillVolume: {
    code: 62,
    calls: "openat2, flock, copy_file_range | FICLONE, fchown, fchmod, fsetxattr, utimensat",
    doc: "Copies the directory `from` into the empty directory `to`, with its own owner, mode and times, under a lock of the directory `lock` that ends with this process. What is not empty is left alone, unless a copy was interrupted there: that is done again. Nothing happens where `from` is no directory.",
    args: { from: "path", to: "path", lock: "path" },
  },
  changeOwners: {
    code: 63,
    calls: "openat2, getdents, fchownat",
    doc: "Changes the owner of `path` and of all below it, without following a link or crossing a mount.",
    args: { path: "path", uid: "u32", gid: "u32" },
  },

  // --- process attributes (init) ---
  setHostname: { code: 70, calls: "sethostname", doc: "The UTS host name.", args: { name: "str" } },
  setDomainname: { code: 71, calls: "setdomainname", doc: "The UTS domain name.", args: { name: "str" } },
  loopbackUp: {
    code: 72,
    calls: "socket, ioctl(SIOCSIFFLAGS)",
    doc: "Brings `lo` of the network namespace up.",
    args: {},
  },
  setRlimit: {
    code: 73,
    calls: "prlimit64",
    doc: "One resource limit (RLIMIT_* number).",
    args: { resource: "u32", soft: "u64", hard: "u64" },
  },
  setUmask: { code: 74, calls: "umask", doc: "The file mode creation mask.", args: { mask: "u32" } },
  noNewPrivileges: {
    code: 75,
    calls: "prctl(PR_SET_NO_NEW_PRIVS)",
    doc: "execve grants no privileges from here on.",
    args: {},
  },
  setPersonality: { code: 76, calls: "personality", doc: "The execution domain.", args: { persona: "u32" } },
  setScheduler: {
    code: 77,
    calls: "sched_setattr",
    doc: "Scheduling policy and its parameters.",
    args: {
      policy: "u32",
      flags: "u64",
      nice: "i32",
      priority: "u32",
      runtime: "u64",
      deadline: "u64",
      period: "u64",
    },
  },
  setIoPriority: {
    code: 78,
    calls: "ioprio_set",
    doc: "I/O class and priority, packed.",
    args: { priority: "u32" },
  },
  dropBoundingSet: {
    code: 79,
    calls: "prctl(PR_CAPBSET_DROP)",
    doc: "Drops every capability not in `keep` from the bounding set.",
    args: { keep: "u64" },
  },
  setUser: {
    code: 80,
    calls: "setgroups, setresgid, setresuid",
    doc: "Becomes uid, gid and the supplementary groups, keeping capabilities across the change (PR_SET_KEEPCAPS). `skipGroups` where setgroups is denied.",
    args: { uid: "u32", gid: "u32", groups: "u32s", skipGroups: "bool" },
  },
  setCapabilities: {
    code: 81,
    calls: "capset, prctl(PR_CAP_AMBIENT)",
    doc: "Sets effective, permitted, inheritable and ambient; bit n is capability n.",
    args: { effective: "u64", permitted: "u64", inheritable: "u64", ambient: "u64" },
  },
  seccomp: {
    code: 82,
    calls: "seccomp(SECCOMP_SET_MODE_FILTER), sendmsg(SCM_RIGHTS)",
    doc: 'Installs one BPF program (struct sock_filter array). Where it notifies, the listener goes to the unix socket `listenerPath` (`@NAME`: an abstract one) with `listenerState`, in which every `"pid":0` gets init\'s pid; init waits for that.',
    args: { program: "bytes", flags: "u32", listenerPath: "str", listenerState: "bytes" },
  },
  apparmorProfile: {
    code: 83,
    calls: "write /proc/self/attr/apparmor/exec",
    doc: "The AppArmor profile from the next execve on.",
    args: { profile: "str" },
  },
  selinuxLabel: {
    code: 84,
    calls: "write /proc/self/attr/exec",
    doc: "The SELinux label from the next execve on.",
    args: { label: "str" },
  },
  changeDirectory: {
    code: 85,
    calls: "chdir, getcwd",
    doc: "The working directory, verified to be inside the root (CVE-2024-21626). `create` makes it 0755 first.",
    args: { path: "str", create: "bool" },
  },
  openTerminal: {
    code: 86,
    calls:
      "open /dev/pts/ptmx, ioctl(TIOCGPTPEER), fchown, bind /dev/console, setsid, ioctl(TIOCSCTTY), dup2, sendmsg(SCM_RIGHTS)",
    doc: "A terminal from the container's own devpts: the other end goes to the monitor (or the socket `consoleSocket`), this end becomes stdio, /dev/console and the controlling terminal.",
    args: {
      rows: "u32",
      columns: "u32",
      uid: "u32",
      consoleSocket: "str",
      bindConsole: "bool",
      plainNewlines: "bool",
    },
  },
  standardInput: {
    code: 87,
    calls: "open, dup2",
    doc: "stdin: 0 inherited, 1 /dev/null.",
    args: { mode: "u32" },
  },
  closeDescriptors: {
    code: 88,
    calls: "close_range(CLOSE_RANGE_CLOEXEC)",
    doc: "Marks every descriptor from `first` on close-on-exec.",
    args: { first: "u32" },
  },
  awaitStart: {
    code: 89,
    calls: "open (a FIFO), access, read",
    doc: "The runtime spec's gap between create and start: init opens the FIFO at its beginning (a path of the host), makes sure that the program of `execute` is there, and waits here until a byte can be read. The FIFO has a reader until execve.",
    args: { fifo: "str" },
  },
  execute: {
    code: 90,
    calls: "execve",
    doc: "Becomes the user's program: argv[0] is looked up in PATH of `env` unless it has a slash.",
    args: { argv: "strs", env: "strs" },
  },
  initReaper: {
    code: 91,
    calls: "fork, waitpid, kill",
    doc: "Stays as pid 1 (`--init`): the program runs as its child, signals are passed on, orphans reaped.",
    args: {},
  },
  cpuAffinity: {
    code: 92,
    calls: "sched_setaffinity",
    doc: "The CPUs this process may run on, a bit mask.",
    args: { mask: "bytes" },
  },
  memoryPolicy: {
    code: 93,
    calls: "set_mempolicy",
    doc: "NUMA memory policy.",
    args: { mode: "u32", flags: "u32", nodes: "bytes" },
  },

  // --- layers (stage apply) ---
  layerEntry: {
    code: 110,
    calls: "openat2, mkdirat | openat | symlinkat | mknodat | linkat, fchown, fsetxattr, fchmod, utimensat",
    doc: "One entry of a layer below the work handle: `type` is the tar type ('0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' directory, '6' FIFO). For a file, `size` bytes follow in layerData ops. Replaces what is there unless both are directories. Times of directories are restored by `layerEnd`. xattrs of the overlay itself (trusted.overlay.*, user.overlay.*) are left out. `xattrValues` is, for each name, u32 length and bytes.",
    args: {
      path: "raw",
      type: "u32",
      mode: "u32",
      uid: "u32",
      gid: "u32",
      size: "u64",
      mtimeSeconds: "i64",
      mtimeNanoseconds: "u32",
      linkTarget: "raw",
      major: "u32",
      minor: "u32",
      xattrNames: "strs",
      xattrValues: "bytes",
    },
  },
  layerData: {
    code: 111,
    calls: "pwrite",
    doc: "Bytes of the file that the last layerEntry opened, at `offset` (a sparse file skips its holes).",
    args: { offset: "u64", data: "bytes" },
  },
  layerWhiteout: {
    code: 112,
    calls: "mknodat(0:0) | unlinkat",
    doc: "Hides `path` of the layers below: `style` 0 removes it (copy driver), 1 makes a 0:0 char device (overlay). What the same layer holds stays (image-spec layer.md, whiteouts).",
    args: { path: "raw", style: "u32" },
  },
  layerOpaque: {
    code: 113,
    calls: "setxattr | unlinkat",
    doc: "Hides all that layers below have in the directory: `style` 0 removes it, 1 trusted.overlay.opaque, 2 user.overlay.opaque. What the same layer holds stays.",
    args: { path: "raw", style: "u32" },
  },
  layerEnd: {
    code: 114,
    calls: "utimensat, syncfs",
    doc: "Restores the times of directories, innermost first.",
    args: { sync: "bool" },
  },
  layerOptions: {
    code: 115,
    calls: "(none)",
    doc: "How entries are applied: `ignoreOwner` does not fail where an id is not mapped (the single-id map), `ignoreXattrs` does not fail where an xattr is refused, `skipDevices` leaves device nodes out (a user namespace cannot make them) and counts them, `keepKinds` fails with EISDIR or ENOTDIR where a directory would replace another kind of file, or the other way round, `beginFlush` lets the disk begin with large files at once, because all is waited for at the end.",
    args: {
      ignoreOwner: "bool",
      ignoreXattrs: "bool",
      skipDevices: "bool",
      keepKinds: "bool",
      beginFlush: "bool",
    },
  },

  layerCopy: {
    code: 120,
    calls: "openat2, copy_file_range | FICLONE, fsetxattr, fchown, fchmod, utimensat",
    doc: "The file `from` of a layer below, with all it has, as `path` of this one: copied up, for a hard link to it.",
    args: { from: "path", path: "raw" },
  },

  layerInflated: {
    code: 121,
    calls: "pwrite",
    doc: "As layerData, from what a helper started with `--inflate=3` inflates: `length` bytes of the plain stream at `position` go to `offset` of the file. Everything before the end of it is used then; with a `length` of 0 nothing is written.",
    args: { offset: "u64", position: "u64", length: "u64" },
  },

  // --- reading (stage apply, with an output) ---
  answer: {
    code: 116,
    calls: "(none)",
    doc: "What the helper writes to its output after each of the ops below: `error` is an errno or 0, `text` says more (of readEntry the path that it found, free of links). Executed it does nothing, so that one helper's output can be another's input.",
    args: { error: "u32", text: "raw" },
  },
  readEntry: {
    code: 117,
    calls: "openat2(O_PATH), fstat, readlinkat",
    doc: "Writes the entry at `path` to the output as a layerEntry without data, then an answer; of one that is not there only the answer. `follow`: a last link too.",
    args: { path: "path", follow: "bool" },
  },
  readTree: {
    code: 118,
    calls: "openat2(O_PATH), open, getdents, flistxattr, read, write",
    doc: "Writes `path` and all below it to the output as layerEntry and layerData ops, names in the order of their bytes, then an answer; without `answered` it is written to what the caller opened (`--copy=3`: the input of another helper), with no answer. `follow`: a last link too. `name` is what the tree is called there (empty: its content is at the top), without `top` the directory itself is left out. `content`: with the bytes of files (holes are left out). `owned`: everything belongs to `uid` and `gid`. Nothing is written of names in `exclude`, of sockets, or of a file that is gone meanwhile; only regular files are ever opened.",
    args: {
      path: "path",
      follow: "bool",
      name: "raw",
      top: "bool",
      content: "bool",
      owned: "bool",
      uid: "u32",
      gid: "u32",
      exclude: "strs",
      answered: "bool",
    },
  },
  detachRoot: {
    code: 119,
    calls: "open_tree(OPEN_TREE_CLONE)",
    doc: "The root handle becomes one of the same filesystem without what is mounted on it.",
    args: {},
  },
} as const satisfies Readonly<Record<string, OpDefinition>>;

export type OpName = keyof typeof opTable;

/** The TypeScript value of each argument type. */
export interface ArgValues {
  bool: boolean;
  u32: number;
  i32: number;
  u64: bigint;
  i64: bigint;
  str: string;
  raw: string | Uint8Array;
  bytes: Uint8Array;
  strs: readonly string[];
  u32s: readonly number[];
  path: OpPath;
  maps: readonly IdMapRange[];
}

type ArgsOf<Name extends OpName> = {
  readonly [Arg in keyof (typeof opTable)[Name]["args"]]: (typeof opTable)[Name]["args"][Arg] extends ArgType
    ? ArgValues[(typeof opTable)[Name]["args"][Arg]]
    : never;
};

/** One op without its place in a plan: `{ op: "setHostname", name: "web" }`. */
export type Op = { [Name in OpName]: { readonly op: Name } & ArgsOf<Name> }[OpName];
