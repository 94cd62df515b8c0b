/**
 * What `compile` takes. It is pure, so everything it must know of files and processes arrives here as values:
 * `gather.ts` reads them, tests write them by hand.
 */
import type { HostFacts, IdMapRange, Op, Origin, SeccompFilter } from "../kernel/mod.ts";
import type { RuntimeConfig } from "../oci/mod.ts";
import type { ScopePlacement } from "./systemd-scope.ts";

/** JSON pointers into config.json (RFC 6901) and who asked for what stands there. The longest prefix wins. */
export type Origins = ReadonlyMap<string, Origin>;

/** How the root filesystem comes to be. `config.root.path` is not read: the engine resolved it. */
export type RootMount =
  | {
      readonly type: "overlay";
      /** An existing directory on the host: where it is mounted, in the container's mount namespace only. */
      readonly target: string;
      /** Topmost first, absolute. At least one. */
      readonly lowers: readonly string[];
      readonly upper: string;
      readonly work: string;
      /** `user.overlay.*` xattrs: a mount in a user namespace. */
      readonly userxattr: boolean;
      /** No sync when it is unmounted: for a container that is thrown away (`--rm`). Never for one that is kept. */
      readonly volatile?: boolean;
    }
  | {
      /** A tree on the host, used as it is: it is bound over itself, since pivot_root needs a mount. */
      readonly type: "directory";
      readonly path: string;
    };

/** Where the container's processes are counted. `decideCgroup` proposes one. */
export type CgroupDecision =
  | {
      /** No cgroup: a limit that the config asks for is then an error, a device rule a note. */
      readonly mode: "none";
      /** For people: `the user's cgroup is not delegated`. */
      readonly reason: string;
    }
  | {
      /** A directory `path` below the mount point of each v1 hierarchy that is needed. */
      readonly mode: "v1";
      /** Absolute: `/vitrine/ID`. */
      readonly path: string;
      /** systemd makes it, and knows its limits. */
      readonly scope?: ScopePlacement;
      /** A directory in each hierarchy, limited or not: those who account for the container look into all of them. */
      readonly everywhere?: boolean;
      /** For `resources.cpu.cpus` and `mems`: a v1 cpuset begins empty and nobody can enter it. */
      readonly cpuset?: {
        /** What the nearest directory above the container's that is not empty has. */
        readonly cpus: string;
        readonly mems: string;
        /** Directories between that one and the container's: `["/vitrine"]`. */
        readonly emptyAncestors: readonly string[];
      };
    }
  | {
      /** The directory `root` + `path` of the v2 tree; controllers are enabled from `root` down. */
      readonly mode: "v2";
      /** A directory that may be divided: the mount point, or the delegated directory. */
      readonly root: string;
      /** Absolute, below `root`: `/vitrine/ID`. */
      readonly path: string;
      /** Every controller that can be had, limited or not. */
      readonly everywhere?: boolean;
      /** systemd makes it, and knows its limits. */
      readonly scope?: ScopePlacement;
      /** `root` has processes of its own: they move to its child `cgroupLeaf` before controllers are passed on. */
      readonly occupied?: boolean;
    };

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

export interface ContainerPlacement {
  readonly id: string;
  /** Absolute: relative bind sources begin here, and hooks are told. */
  readonly bundle: string;
  /** Absolute: RUNROOT/containers/ID. */
  readonly stateDirectory: string;
  readonly root: RootMount;
  /** The mount point under the root's directory (`gather.ts`); needed for shared `linux.rootfsPropagation` alone. */
  readonly rootParentMount?: string;
  readonly cgroup: CgroupDecision;
  /** The size of the terminal when `process.terminal`; absent: `process.consoleSize`, else 0 x 0. */
  readonly terminal?: TerminalSize;
  /** A unix socket that receives the terminal's other end (`--console-socket`); absent: the monitor relays. */
  readonly consoleSocket?: string;
  /** Where stdin comes from when there is no terminal. */
  readonly stdin: "inherit" | "null";
  /** `--init`: pid 1 is the helper's reaper. */
  readonly init: boolean;
  /** Kill init when the monitor dies (foreground `run`). */
  readonly dieWithMonitor: boolean;
  readonly forwardSignals: boolean;
  /** Files that the monitor writes; absent: not written. */
  readonly pidFile?: string;
  readonly exitFile?: string;
  /** Gets the digits of the pid alone (`--pid-file`). */
  readonly plainPidFile?: string;
  /** Gets init's pidfd (`--pidfd-socket`). */
  readonly pidfdSocket?: string;
  /** The container says READY in `directory`, and `host` hears of it (sd_notify(3)); absent: nobody asked. */
  readonly notify?: { readonly directory: string; readonly host: string };
  /** The FIFO of the spec's create/start gap, which the plan makes; absent: start at once. */
  readonly startFifo?: string;
  /** The monitor does not stay: it ends once init waits for its start, or runs, and init is the caller's to reap. */
  readonly release?: {
    /** Gets PID STARTTIME; empty: not written. */
    readonly processFile: string;
    /** Cleanup is for what the start alone needed, not for the process. */
    readonly cleanUp?: boolean;
  };
  /** A terminal that is relayed writes a line's end as it is, for the user's terminal to translate (as runc's). */
  readonly plainNewlines?: boolean;
  /** The CPUs of whoever calls are not the container's: all that its cgroup allows are (as runc's). */
  readonly resetAffinity?: boolean;
  /** What hooks without `env` of their own get; absent: nothing. */
  readonly hookEnvironment?: readonly string[];
  /** What is left of a container that has ended stays, as of one that was created (`run --keep`). */
  readonly keep?: boolean;
  /** So many descriptors from 3 on stay open (`--preserve-fds`). */
  readonly preserveDescriptors?: number;
  /** The program that explains a failed op. */
  readonly reportFailure: readonly string[];
  /** Absolute paths of the setuid tools that write the id maps; absent: the monitor writes them itself. */
  readonly idMapTools?: { readonly newuidmap: string; readonly newgidmap: string };
  /** Done after the cgroup is gone and before `removeTrees`. */
  readonly beforeRemoval?: readonly Op[];
  /** Trees that are removed when the container is gone (`--rm`), in this order. */
  readonly removeTrees: readonly string[];
  /**
   * Bind sources that whoever writes below `root` could turn into links: `path` is looked up in `root` by the helper, as
   * inside a root filesystem.
   */
  readonly beneath?: readonly { readonly source: string; readonly root: string; readonly path: string }[];
  /** Bind sources that are mounts of other containers: what is mounted at `path` in the root of `process`, a link to /proc/PID. */
  readonly ofProcesses?: readonly {
    readonly source: string;
    readonly process: string;
    readonly path: string;
  }[];
  /**
   * The helper's own path: files of mapped ids can be removed in their user namespace alone, which the monitor never
   * enters, so it runs a second helper that does. Needed with `removeTrees` where the container has a user namespace.
   */
  readonly helper?: string;
  /** The map of that user namespace; absent: the container's own, which need not hold the ids of who made the trees. */
  readonly removalMaps?: { readonly uids: readonly IdMapRange[]; readonly gids: readonly IdMapRange[] };
  /** MS_MOVE and chroot in place of pivot_root: for a host whose root is an initramfs. */
  readonly noPivot?: boolean;
  /** Leave the caller's session keyring (`--no-new-keyring`). */
  readonly keepKeyring?: boolean;
}

/** What a bind source is. A missing one is `missing`: binding it is an error that names the mount. */
export type SourceKind = "file" | "directory" | "missing";

export interface CompileInput {
  readonly config: RuntimeConfig;
  readonly origins: Origins;
  readonly host: HostFacts;
  readonly container: ContainerPlacement;
  /** By absolute host path (`bindSources(config, bundle)` lists them), following links. */
  readonly sourceKinds: ReadonlyMap<string, SourceKind>;
  /** By absolute host path: the text of those sources of `copy-symlink` that are links (`gatherSourceLinks`). */
  readonly sourceLinks?: ReadonlyMap<string, string>;
  /** `config.linux.seccomp` compiled (`seccompFilter` of kernel/); absent only where the config has none. */
  readonly seccompFilter?: SeccompFilter;
  /** Where resctrl is mounted (`resctrlMountPoint`); needed for `linux.intelRdt` alone. */
  readonly resctrl?: string;
  /** The plan is of a further process: the container's first one, as we see it. */
  readonly joined?: { readonly pid: number };
}
