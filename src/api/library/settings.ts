/** What a program asks of a container, in the types of JavaScript; the words are those of `vitrine run`. */
import * as path from "node:path";
import {
  type MountRequest,
  parseBytes,
  parseCapabilities,
  parseDevice,
  parseHostname,
  parseIpcMode,
  parseMount,
  parseName,
  parseNamespaceMode,
  parseNanoCpus,
  parseNetworkMode,
  parsePlatform,
  parseSecurityOptions,
  parseSignal,
  parseSysctl,
  parseTmpfs,
  parseUlimit,
  parseVolume,
  type ResourceOptions,
  type RunOptions,
} from "../../engine/mod.ts";
import type { PullPolicy } from "../machine/pull-missing.ts";

/** Bytes as a number, or as the flags have them: `64m`, `1.5g`. */
export type Size = number | string;

export interface RunSettings {
  /** Default: one is made up. */
  readonly name?: string;
  /** Default `missing`. */
  readonly pull?: PullPolicy;
  /** `linux/arm64` */
  readonly platform?: string;
  /**
   * The container outlives this program, and what it wrote stays when it ends, as with `vitrine run -d`. Default false: it is
   * removed when it ends, when it is disposed of, and when this program ends, however that happens.
   */
  readonly keep?: boolean;

  readonly env?: Readonly<Record<string, string>>;
  readonly workdir?: string;
  /** `USER[:GROUP]`, names or numbers. */
  readonly user?: string;
  /** Replaces the image's; `[]` clears it. */
  readonly entrypoint?: readonly string[];
  /** An init that reaps, as pid 1. */
  readonly init?: boolean;
  readonly tty?: boolean;
  /** Its stdin stays open for those who attach. */
  readonly interactive?: boolean;
  readonly hostname?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly stopSignal?: string;
  /** Seconds that `stop` waits before it kills. */
  readonly stopTimeout?: number;

  /** `none` (default), `host`, `ns:PATH`. */
  readonly network?: string;
  readonly pid?: string;
  readonly ipc?: string;
  readonly uts?: string;

  /** As `-v`: `/host:/inside:ro`. Relative host paths begin at the current directory. */
  readonly volumes?: readonly string[];
  /** As `--mount`: `type=bind,src=/host,dst=/inside,ro`. */
  readonly mounts?: readonly string[];
  /** As `--tmpfs`: `/run:size=64m`. */
  readonly tmpfs?: readonly string[];
  readonly readOnly?: boolean;
  readonly shmSize?: Size;

  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly privileged?: boolean;
  /** As `--security-opt`: `no-new-privileges`, `seccomp=FILE`. */
  readonly securityOptions?: readonly string[];
  readonly devices?: readonly string[];
  readonly sysctls?: Readonly<Record<string, string>>;
  /** As `--ulimit`: `nofile=1024:2048`. */
  readonly ulimits?: readonly string[];

  readonly memory?: Size;
  /** Memory and swap together. */
  readonly memorySwap?: Size;
  readonly cpus?: number;
  readonly cpusetCpus?: string;
  readonly pidsLimit?: number;

  /** Any other field of what `run` is given, in the engine's own types; these win. */
  readonly engine?: Partial<RunOptions>;
}

/** Errors: `invalid-flag-value`, `flag-unsupported`: the operand is the flag of the same meaning. */
export function runOptions(image: string, command: readonly string[], settings: RunSettings): RunOptions {
  const { hostname, stopSignal, shmSize, platform, name } = settings;
  return {
    image,
    command,
    rootfs: false,
    ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),

    interactive: settings.interactive ?? false,
    tty: settings.tty ?? false,
    remove: settings.keep !== true,
    detach: true,
    quiet: true,
    ...(name === undefined ? {} : { name: parseName("--name", name) }),

    ...(settings.entrypoint === undefined ? {} : { entrypoint: settings.entrypoint }),
    environment: Object.entries(settings.env ?? {}).map(([key, value]) => ({
      name: key,
      value,
      flag: "--env",
    })),
    unsetEnvironment: false,
    hostEnvironment: false,
    httpProxy: false,
    ...(settings.workdir === undefined ? {} : { workdir: settings.workdir }),
    ...(settings.user === undefined ? {} : { user: settings.user }),
    groups: [],
    init: settings.init ?? false,
    passSignals: false,
    rlimits: (settings.ulimits ?? []).map(parseUlimit).filter((limit) => limit !== "host"),
    hostRlimits: false,
    ...(stopSignal === undefined ? {} : { stopSignal: parseSignal("--stop-signal", stopSignal) }),
    ...(settings.stopTimeout === undefined ? {} : { stopTimeout: settings.stopTimeout }),
    passwd: true,

    ...(hostname === undefined ? {} : { hostname: parseHostname("--hostname", hostname) }),
    ...namespaces(settings),

    mounts: mountRequests(settings),
    readOnly: settings.readOnly ?? false,
    readOnlyTmpfs: true,
    imageVolumes: "anonymous",
    ...(shmSize === undefined ? {} : { shmSize: bytes("--shm-size", shmSize) }),

    hostsFile: true,
    hostnameFile: true,
    addHosts: [],
    dns: [],
    dnsSearch: [],
    dnsOptions: [],

    capAdd: parseCapabilities("--cap-add", settings.capAdd ?? []),
    capDrop: parseCapabilities("--cap-drop", settings.capDrop ?? []),
    privileged: settings.privileged ?? false,
    security: parseSecurityOptions(settings.securityOptions ?? [], process.cwd()),
    devices: (settings.devices ?? []).map(parseDevice),
    sysctls: new Map(
      Object.entries(settings.sysctls ?? {}).map(([key, value]) => parseSysctl(`${key}=${value}`)),
    ),

    resources: resources(settings),
    cgroups: true,

    labels: new Map(
      Object.entries(settings.labels ?? {}).map(([key, value]) => [key, { value, flag: "--label" }]),
    ),
    annotations: new Map(),
    ...settings.engine,
  };
}

function namespaces({ network, pid, ipc, uts }: RunSettings): Partial<RunOptions> {
  return {
    ...(network === undefined ? {} : { network: parseNetworkMode(network) }),
    ...(pid === undefined ? {} : { pid: parseNamespaceMode("--pid", pid) }),
    ...(ipc === undefined ? {} : { ipc: parseIpcMode(ipc) }),
    ...(uts === undefined ? {} : { uts: parseNamespaceMode("--uts", uts) }),
  };
}

function mountRequests({ volumes = [], mounts = [], tmpfs = [] }: RunSettings): readonly MountRequest[] {
  const directory = path.resolve();
  return [
    ...volumes.map((text) => parseVolume(text, directory)),
    ...mounts.map((text) => parseMount(text, directory)),
    ...tmpfs.map(parseTmpfs),
  ];
}

function resources({ memory, memorySwap, cpus, cpusetCpus, pidsLimit }: RunSettings): ResourceOptions {
  return {
    ...(memory === undefined ? {} : { memory: bytes("--memory", memory) }),
    ...(memorySwap === undefined ? {} : { memorySwap: bytes("--memory-swap", memorySwap) }),
    ...(cpus === undefined ? {} : { nanoCpus: parseNanoCpus("--cpus", String(cpus)) }),
    ...(cpusetCpus === undefined ? {} : { cpusetCpus }),
    ...(pidsLimit === undefined ? {} : { pidsLimit: BigInt(pidsLimit) }),
    deviceRules: [],
  };
}

function bytes(flag: string, size: Size): bigint {
  return parseBytes(flag, String(size));
}
