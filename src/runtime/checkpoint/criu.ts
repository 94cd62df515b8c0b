/** criu's command line (criu(8)): the processes of a container into a directory of images, and back. */

/** What both directions share. */
export interface CriuOptions {
  /** Absolute: the images. */
  readonly imagePath: string;
  /** Absolute: criu's log and its scratch files. */
  readonly workPath: string;
  readonly tcpEstablished: boolean;
  readonly extUnixSk: boolean;
  readonly shellJob: boolean;
  readonly fileLocks: boolean;
  readonly lazyPages: boolean;
  readonly autoDedup: boolean;
  /** `soft`, `full`, `strict` or `ignore`: who restores the limits of cgroups. */
  readonly manageCgroups: string;
  /** The network namespace is neither dumped nor filled: who restores sets it up. */
  readonly emptyNetwork: boolean;
}

export interface DumpOptions extends CriuOptions {
  readonly leaveRunning: boolean;
  /** Memory only, for a shorter dump later. */
  readonly preDump: boolean;
  /** An earlier dump's images, relative to `imagePath`: only what changed since is written. */
  readonly parentPath?: string;
  readonly pageServer?: { readonly address: string; readonly port: string };
  readonly linkRemap: boolean;
  readonly tcpSkipInFlight: boolean;
  /** A descriptor that gets a byte when the page server of `--lazy-pages` is ready. */
  readonly statusFd?: number;
}

export interface RestoreOptions extends CriuOptions {
  readonly lsmProfile?: string;
  readonly lsmMountContext?: string;
}

/** Something of the container that is the host's: criu notes its name, and finds it again under that name. */
export interface ExternalMount {
  /** Where it is in the container. */
  readonly point: string;
  readonly name: string;
  /** On the host. */
  readonly source: string;
}

export interface ExternalNamespace {
  readonly kind: "net" | "pid";
  readonly path: string;
}

/** Engines and runc know these names; images go from one runtime to the other. */
const namespaceNames = { net: "extRootNetNS", pid: "extRootPidNS" } as const;

export interface Dumped {
  readonly pid: number;
  readonly rootfs: string;
  readonly mounts: readonly ExternalMount[];
  readonly namespaces: readonly (ExternalNamespace & { readonly inode: bigint })[];
  /** `file[MOUNT:INODE]` of streams that are files of the host. */
  readonly files: readonly string[];
  /** The container's directory in the freezer: its processes stop in one instant, whatever they fork; criu leaves it as it was. */
  readonly freezer?: string;
}

export function dumpArguments(options: DumpOptions, dumped: Dumped): string[] {
  return [
    options.preDump ? "pre-dump" : "dump",
    ...["--tree", String(dumped.pid), "--root", dumped.rootfs],
    ...common(options, "dump.log"),
    ...dumped.mounts.flatMap(({ point, name }) => ["--external", `mnt[${point}]:${name}`]),
    ...dumped.namespaces.flatMap(({ kind, inode }) => [
      "--external",
      `${kind}[${inode}]:${namespaceNames[kind]}`,
    ]),
    ...dumped.files.flatMap((key) => ["--external", key]),
    ...(dumped.freezer === undefined ? [] : ["--freeze-cgroup", dumped.freezer]),
    ...(options.leaveRunning && !options.preDump ? ["--leave-running"] : []),
    // Who dumps again later must know which pages were written meanwhile.
    ...(options.preDump || options.parentPath !== undefined ? ["--track-mem"] : []),
    ...(options.parentPath === undefined ? [] : ["--prev-images-dir", options.parentPath]),
    ...(options.pageServer === undefined
      ? []
      : [
          ...(options.lazyPages ? [] : ["--page-server"]),
          ...["--address", options.pageServer.address, "--port", options.pageServer.port],
        ]),
    ...(options.linkRemap ? ["--link-remap"] : []),
    ...(options.tcpSkipInFlight ? ["--skip-in-flight"] : []),
    ...(options.statusFd === undefined ? [] : ["--status-fd", String(options.statusFd)]),
  ];
}

export interface Restored {
  /** A mount of the container's root filesystem. */
  readonly root: string;
  /** Gets the digits of the first process's pid. */
  readonly pidFile: string;
  /** `/vitrine/ID` below each v2 tree or v1 hierarchy; empty: criu's own. */
  readonly cgroupRoots: readonly string[];
  readonly mounts: readonly ExternalMount[];
  /** The descriptors of `namespaces`, from this one on. */
  readonly firstDescriptor: number;
  readonly namespaces: readonly ExternalNamespace[];
  /** What the streams 0, 1 and 2 were; undefined: nothing that the host has to give back. */
  readonly streams: readonly (string | undefined)[];
  /** criu becomes this program, the parent of the first process. Absent: criu leaves. */
  readonly follow?: readonly string[];
}

export function restoreArguments(options: RestoreOptions, restored: Restored): string[] {
  return [
    "restore",
    ...["--root", restored.root, "--pidfile", restored.pidFile],
    ...common(options, "restore.log"),
    ...restored.cgroupRoots.flatMap((root) => ["--cgroup-root", root]),
    ...restored.mounts.flatMap(({ name, source }) => ["--external", `mnt[${name}]:${source}`]),
    ...restored.namespaces.flatMap(({ kind }, index) => [
      "--inherit-fd",
      `fd[${restored.firstDescriptor + index}]:${namespaceNames[kind]}`,
    ]),
    ...restored.streams.flatMap((key, fd) => (key === undefined ? [] : ["--inherit-fd", `fd[${fd}]:${key}`])),
    ...(options.lsmProfile === undefined ? [] : ["--lsm-profile", options.lsmProfile]),
    ...(options.lsmMountContext === undefined ? [] : ["--lsm-mount-context", options.lsmMountContext]),
    ...(restored.follow === undefined ? ["--restore-detached"] : ["--exec-cmd", "--", ...restored.follow]),
  ];
}

function common(options: CriuOptions, log: string): string[] {
  const flags: readonly (readonly [boolean, ...string[]])[] = [
    [options.tcpEstablished, "--tcp-established"],
    [options.extUnixSk, "--ext-unix-sk"],
    [options.shellJob, "--shell-job"],
    [options.fileLocks, "--file-locks"],
    [options.lazyPages, "--lazy-pages"],
    [options.autoDedup, "--auto-dedup"],
    [options.emptyNetwork, "--empty-ns", "net"],
  ];
  return [
    ...["--images-dir", options.imagePath, "--work-dir", options.workPath, "--log-file", log, "-v4"],
    `--manage-cgroups=${options.manageCgroups}`,
    ...flags.flatMap(([given, ...words]) => (given ? words : [])),
  ];
}

/** What criu complains of, from its log: the first error or one of the last is the cause, the very last say what came of it. Empty: nothing. */
export function complaintOf(log: string): string {
  const lines = log.split("\n").flatMap((line) => {
    const found = /^(?:\(\d+\.\d+\))?\s*(?:\d+: )?Error \([^)]*\): (.*)$/.exec(line);
    return found?.[1] === undefined ? [] : [found[1]];
  });
  const shown = lines.length <= 5 ? lines : [lines[0], "…", ...lines.slice(-4)];
  return shown.join("; ");
}
