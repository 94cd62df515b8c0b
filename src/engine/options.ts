/**
 * What a user may ask of `run`, as values: the command line (`cli/run-options.ts`) and later the APIs make one of
 * these. A field is `undefined` (a list empty) where nobody asked, so that a default and its origin stay visible.
 * Lists keep the order in which the flags stood.
 */
import type { LinuxDeviceRule, Platform, Rlimit, RootfsPropagation } from "../oci/mod.ts";
import type { SharedNamespaces } from "./shared-namespaces.ts";

/** A value and the flag it came from, e.g. `--env-file`. */
export interface Asked<T> {
  readonly value: T;
  readonly flag: string;
}

export type EnvironmentChange =
  | { readonly name: string; readonly value: string; readonly flag: string }
  /** `--unsetenv NAME` */
  | { readonly name: string; readonly unset: true; readonly flag: string };

/**
 * How a namespace is chosen: `private` makes a new one, `host` keeps the caller's, `path` joins (`ns:PATH`).
 */
export type NamespaceMode =
  | { readonly mode: "private" }
  | { readonly mode: "host" }
  | { readonly mode: "path"; readonly path: string }
  /** `container:NAME`; `resolveShared` makes a path of it. */
  | { readonly mode: "container"; readonly container: string };

export type IpcMode =
  | NamespaceMode
  | { readonly mode: "none" }
  /** No other container may join it. */
  | { readonly mode: "private"; readonly shareable: false };
export type NetworkMode = { readonly mode: "none" } | Exclude<NamespaceMode, { readonly mode: "private" }>;

export type UserNamespaceMode =
  | { readonly mode: "container"; readonly container: string }
  | { readonly mode: "host" }
  | { readonly mode: "private" }
  /** The caller's own id keeps its number (or gets `uid`, `gid`) in the container. */
  | { readonly mode: "keep-id"; readonly uid?: number; readonly gid?: number; readonly size?: number }
  /** All the subordinate ids and not the caller's own. */
  | { readonly mode: "nomap" }
  /** Ids that no other container of `auto` has. */
  | { readonly mode: "auto"; readonly size?: number }
  /** --uidmap and --gidmap; where one is empty it is as the other. */
  | { readonly mode: "maps"; readonly uids: readonly IdMapRequest[]; readonly gids: readonly IdMapRequest[] }
  /** --subuidname and --subgidname: entries of /etc/subuid and /etc/subgid. */
  | { readonly mode: "named"; readonly uidName: string; readonly gidName: string };

/** One --uidmap or --gidmap. */
export interface IdMapRequest {
  readonly containerID: number;
  /** As root, and with `host`, an id of the host; else one of the ids a plain container of the caller has. */
  readonly from: number;
  readonly host: boolean;
  readonly size: number;
}

export type ReadOnly =
  | "writable"
  /** Read-only with everything mounted below it where the kernel can, as Docker. */
  | "recursive-if-possible"
  /** `rro`, `bind-recursive=readonly`: an error where the kernel cannot. */
  | "recursive"
  /** `bind-recursive=writable`: only the top mount. */
  | "top";

export type MountRequest = BindRequest | TmpfsRequest | AnonymousRequest | VolumeRequestMount | ImageRequest;

export interface BindRequest {
  readonly kind: "bind";
  /** Absolute path on the host. */
  readonly source: string;
  readonly target: string;
  readonly readOnly: ReadOnly;
  readonly recursive: boolean;
  readonly propagation: RootfsPropagation | undefined;
  /** `noexec`, `dev`, `suid`, … */
  readonly options: readonly string[];
  /** `U`: everything in it is given to the container's user. */
  readonly chown?: true;
  readonly flag: string;
}

export interface TmpfsRequest {
  readonly kind: "tmpfs";
  readonly target: string;
  /** As the kernel and the runtime spec know them: `size=64m`, `mode=1777`, `noexec`, `tmpcopyup`. */
  readonly options: readonly string[];
  readonly flag: string;
}

/** A volume that nobody named: it goes with the container where `--rm` does. */
export interface AnonymousRequest {
  readonly kind: "anonymous";
  readonly target: string;
  readonly readOnly: boolean;
  /** Filled with what the image has at `target`. */
  readonly copyUp: boolean;
  readonly options?: readonly string[];
  readonly chown?: true;
  /** Of the driver, for the volume that is made. */
  readonly volumeOptions?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly flag: string;
}

/** ROOT/volumes/NAME, made where it is not there. */
export interface VolumeRequestMount extends Omit<AnonymousRequest, "kind"> {
  readonly kind: "volume";
  readonly name: string;
  readonly anonymous?: true;
  /** Below the volume: `a/b`. */
  readonly subpath?: string;
}

/** The files of an image. */
export interface ImageRequest {
  readonly kind: "image";
  /** A reference. */
  readonly image: string;
  readonly target: string;
  readonly subpath?: string;
  /** What is written is the container's own and goes with it. */
  readonly writable: boolean;
  readonly flag: string;
}

/** `--volumes-from CONTAINER[:ro|rw]` */
export interface VolumesFrom {
  readonly container: string;
  readonly readOnly: boolean | undefined;
}

export interface DeviceRequest {
  /** Absolute path on the host: a device node, or a directory whose device nodes are all meant. */
  readonly source: string;
  readonly target: string;
  /** Some of `rwm`. */
  readonly access: string;
}

export type SeccompChoice =
  | { readonly kind: "default" }
  | { readonly kind: "unconfined" }
  | { readonly kind: "file"; readonly path: string };

export interface SecurityOptions {
  readonly seccomp?: SeccompChoice;
  readonly noNewPrivileges?: boolean;
  /** `unconfined` or the name of a loaded profile. */
  readonly apparmor?: string;
  /** `label=disable`, or `user:…`, `role:…`, `type:…`, `level:…`. */
  readonly label: readonly string[];
  readonly mask: readonly string[];
  /** Paths, globs, or `ALL`. */
  readonly unmask: readonly string[];
  /** Options of the mount of /proc: `hidepid=2`. */
  readonly procOptions: readonly string[];
}

/** A block device of the host and what it is limited to. */
export interface DeviceRate {
  readonly path: string;
  /** Bytes or operations a second. */
  readonly rate: bigint;
}

export interface DeviceWeight {
  readonly path: string;
  readonly weight: number;
}

/** Bytes, and counts as the flags give them; `undefined` is not asked. */
export interface ResourceOptions {
  readonly memory?: bigint;
  /** Memory plus swap; -1 is unlimited. */
  readonly memorySwap?: bigint;
  readonly memoryReservation?: bigint;
  readonly memorySwappiness?: number;
  /** Programs wait for memory instead of being killed. */
  readonly oomKillDisable?: boolean;
  /** CPUs in billionths: 1.5 is 1500000000. */
  readonly nanoCpus?: bigint;
  readonly cpuShares?: bigint;
  /** This and the next three in microseconds. */
  readonly cpuPeriod?: bigint;
  readonly cpuQuota?: bigint;
  readonly cpuRtPeriod?: bigint;
  readonly cpuRtRuntime?: bigint;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  /** -1 is unlimited. */
  readonly pidsLimit?: bigint;
  /** 10 to 1000; 0 is not asked. */
  readonly blkioWeight?: number;
  readonly blkioWeightDevices?: readonly DeviceWeight[];
  readonly deviceReadBps?: readonly DeviceRate[];
  readonly deviceWriteBps?: readonly DeviceRate[];
  readonly deviceReadIops?: readonly DeviceRate[];
  readonly deviceWriteIops?: readonly DeviceRate[];
  /** Files of the cgroup and what is written there (`--cgroup-conf`). */
  readonly cgroupSettings?: ReadonlyMap<string, string>;
  readonly deviceRules: readonly LinuxDeviceRule[];
}

export interface LogOptions {
  readonly driver: "file" | "none";
  /** A longer log is begun anew; 0: never. */
  readonly maxBytes: number;
  /** How many are kept, the one that is written included. */
  readonly files: number;
}

/** `--restart`; `no` is left out. */
export interface RestartPolicy {
  readonly name: "on-failure" | "always" | "unless-stopped";
  /** Of on-failure; 0: no limit. */
  readonly maximumRetryCount: number;
}

export type HealthAction = "none" | "kill" | "restart" | "stop";

/** What is asked for; the rest is the image's, or docker's defaults. Durations in nanoseconds. */
export interface HealthOptions {
  /** `--no-healthcheck`; then there is nothing else. */
  readonly disabled?: true;
  /** As in an image's Healthcheck: `["CMD-SHELL", command]`. */
  readonly test?: readonly string[];
  readonly interval?: number;
  readonly timeout?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
  readonly retries?: number;
  readonly onFailure?: HealthAction;
}

/** `--tz`: what /etc/localtime is made of. */
export interface Timezone {
  /** As it was asked for. */
  readonly name: string;
  /** Absolute path on the host. */
  readonly file: string;
}

export interface RunOptions {
  /** A reference; with `rootfs` the path of a directory. */
  readonly image: string;
  readonly rootfs: boolean;
  /** Replaces the image's Cmd when not empty. */
  readonly command: readonly string[];
  readonly platform?: Platform;

  // the command's own doing
  readonly interactive: boolean;
  readonly tty: boolean;
  readonly remove: boolean;
  /** Runs in the background. */
  readonly detach?: boolean;
  /** `--attach`, where it does not name all streams. */
  readonly attached?: { readonly input: boolean; readonly output: boolean; readonly errors: boolean };
  readonly log?: LogOptions;
  readonly restart?: RestartPolicy;
  readonly health?: HealthOptions;
  /** What a user of the foreground types to leave a container that goes on. */
  readonly detachKeys?: Uint8Array;
  /** `--preserve-fds`: so many descriptors from 3 on are for the program. */
  readonly preserveDescriptors?: number;
  readonly quiet: boolean;
  readonly name?: string;
  readonly cidFile?: string;
  /** Absolute. */
  readonly pidFile?: string;

  // process
  /** `[]` clears the image's. */
  readonly entrypoint?: readonly string[];
  readonly environment: readonly EnvironmentChange[];
  /** `--unsetenv-all` */
  readonly unsetEnvironment: boolean;
  /** `--env-host` */
  readonly hostEnvironment: boolean;
  /** `--http-proxy`: pass http_proxy and its like on. */
  readonly httpProxy: boolean;
  readonly workdir?: string;
  readonly user?: string;
  readonly groups: readonly string[];
  readonly umask?: number;
  readonly init: boolean;
  /** Signals that vitrine gets go to the program. */
  readonly passSignals: boolean;
  /** Somebody sees on a terminal what it prints. */
  readonly watched?: boolean;
  readonly oomScoreAdjust?: number;
  readonly rlimits: readonly Rlimit[];
  /** `--ulimit host` */
  readonly hostRlimits: boolean;
  readonly stopSignal?: string;
  /** Seconds; -1 waits for ever. */
  readonly stopTimeout?: number;
  /** Seconds that it may run; 0: as long as it likes. */
  readonly timeout?: number;
  readonly timezone?: Timezone;
  readonly passwd: boolean;

  // namespaces
  readonly hostname?: string;
  readonly domainname?: string;
  readonly network?: NetworkMode;
  readonly pid?: NamespaceMode;
  readonly ipc?: IpcMode;
  readonly uts?: NamespaceMode;
  readonly cgroupns?: NamespaceMode;
  readonly time?: NamespaceMode;
  readonly userns?: UserNamespaceMode;
  /** What `resolveShared` found. */
  readonly sharedNamespaces?: SharedNamespaces;

  // filesystem
  readonly mounts: readonly MountRequest[];
  readonly volumesFrom?: readonly VolumesFrom[];
  readonly readOnly: boolean;
  /** With `readOnly`: /tmp, /run and /var/tmp are tmpfs. */
  readonly readOnlyTmpfs: boolean;
  readonly imageVolumes: "anonymous" | "tmpfs" | "ignore";
  readonly shmSize?: bigint;

  /** `--expose`, as `80/tcp`. */
  readonly expose?: readonly string[];

  // network files
  readonly hostsFile: boolean;
  readonly hostnameFile: boolean;
  readonly addHosts: readonly { readonly name: string; readonly address: string }[];
  /** `["none"]`: no resolv.conf is made. */
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];

  // privileges
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly privileged: boolean;
  readonly security: SecurityOptions;
  readonly devices: readonly DeviceRequest[];
  readonly sysctls: ReadonlyMap<string, string>;

  // resources
  readonly resources: ResourceOptions;
  readonly cgroupParent?: string;
  readonly cgroups: boolean;

  readonly labels: ReadonlyMap<string, Asked<string>>;
  readonly annotations: ReadonlyMap<string, string>;
}
