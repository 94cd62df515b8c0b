/**
 * The flags of `run`, and `explain run`: docker's and podman's words. Their values become RunOptions here, so that
 * whoever plans a container never sees text that was not checked.
 */
import { VitrineError } from "../base/mod.ts";
import {
  type EnvironmentChange,
  parseAddHost,
  parseBytes,
  parseBytesOrUnlimited,
  parseCapabilities,
  parseDevice,
  parseDeviceRule,
  parseDns,
  parseDnsWord,
  parseEntrypoint,
  parseEnvironment,
  parseHostname,
  parseInteger,
  parseIpcMode,
  parseLabels,
  parseMount,
  parseName,
  parseNamespaceMode,
  parseNanoCpus,
  parseNetworkMode,
  parseNumberList,
  parseOctal,
  parsePairs,
  parsePlatform,
  parsePullPolicy,
  parseSecurityOptions,
  parseSignal,
  parseSysctl,
  parseTmpfs,
  parseUlimit,
  parseUserNamespaceMode,
  parseVolume,
  type ResourceOptions,
  type RunOptions,
  readEnvironmentFile,
  unsupportedFlag,
} from "../engine/mod.ts";
import type { OptionTable, OptionValues } from "./framework/command.ts";

const process_ = "Process";
const filesystem = "Filesystem";
const isolation = "Isolation";
const network = "Network";
const privileges = "Privileges";
const resources = "Resources";
const container = "Container";
const later = "Not yet";

export const runOptionTable = {
  // the container and the command itself
  rm: { type: "boolean", section: container, help: "remove the container when it ends" },
  name: { type: "string", value: "NAME", section: container, help: "name of the container" },
  cidfile: {
    type: "string",
    value: "FILE",
    completion: "file",
    section: container,
    help: "write the container's id to FILE, which must not be there",
  },
  label: { type: "strings", short: "l", value: "KEY=VALUE", section: container, help: "set a label" },
  "label-file": {
    type: "strings",
    value: "FILE",
    completion: "file",
    section: container,
    help: "read labels from FILE",
  },
  annotation: {
    type: "strings",
    value: "KEY=VALUE",
    section: container,
    help: "set an annotation in config.json",
  },
  platform: {
    type: "string",
    value: "OS/ARCH[/VARIANT]",
    defaultText: "this machine's",
    section: container,
    help: "the image to choose from an index",
  },
  os: { type: "string", value: "OS", section: container, hidden: true, help: "as --platform OS/…" },
  arch: { type: "string", value: "ARCH", section: container, hidden: true, help: "as --platform …/ARCH" },
  variant: {
    type: "string",
    value: "VARIANT",
    section: container,
    hidden: true,
    help: "as --platform …/…/VARIANT",
  },
  pull: {
    type: "string",
    value: "POLICY",
    defaultText: "missing",
    section: container,
    help: "when to pull the image: missing, never or always (there is no registry client yet)",
  },
  quiet: { type: "boolean", short: "q", section: container, help: "say nothing but errors" },
  rootfs: {
    type: "boolean",
    section: container,
    help: "IMAGE is a directory with a root filesystem, used as it is",
  },

  // the process
  interactive: { type: "boolean", short: "i", section: process_, help: "keep stdin open" },
  tty: { type: "boolean", short: "t", section: process_, help: "give the program a terminal" },
  entrypoint: {
    type: "string",
    value: "PROGRAM",
    defaultText: "the image's",
    section: process_,
    help: "what is run, in place of the image's entrypoint; '' for none",
  },
  env: {
    type: "strings",
    short: "e",
    value: "NAME[=VALUE]",
    section: process_,
    help: "set an environment variable",
  },
  "env-file": {
    type: "strings",
    value: "FILE",
    completion: "file",
    section: process_,
    help: "read environment variables from FILE",
  },
  "env-host": { type: "boolean", section: process_, help: "pass the whole environment on" },
  unsetenv: { type: "strings", value: "NAME", section: process_, help: "leave an environment variable out" },
  "unsetenv-all": {
    type: "boolean",
    section: process_,
    help: "leave the default variables and the image's out",
  },
  "http-proxy": { type: "boolean", section: process_, help: "pass http_proxy and its like on" },
  workdir: {
    type: "string",
    short: "w",
    value: "DIR",
    defaultText: "the image's",
    section: process_,
    help: "directory to run in, made where missing",
  },
  user: {
    type: "string",
    short: "u",
    value: "USER[:GROUP]",
    defaultText: "the image's",
    section: process_,
    help: "user to run as: a name of the image's /etc/passwd or a number",
  },
  "group-add": { type: "strings", value: "GROUP", section: process_, help: "add a supplementary group" },
  umask: {
    type: "string",
    value: "MODE",
    defaultText: "0022",
    section: process_,
    help: "file mode creation mask",
  },
  passwd: {
    type: "boolean",
    default: true,
    section: process_,
    help: "give a user whom the image does not know an entry in /etc/passwd",
  },
  init: { type: "boolean", section: process_, help: "run an init as pid 1 that passes signals on and reaps" },
  "sig-proxy": { type: "boolean", default: true, section: process_, help: "pass signals on to the program" },
  "stop-signal": {
    type: "string",
    value: "SIGNAL",
    defaultText: "the image's, else SIGTERM",
    section: process_,
    help: "signal that stops the container",
  },
  "stop-timeout": {
    type: "number",
    value: "SECONDS",
    defaultText: "10",
    section: process_,
    help: "time from the stop signal to SIGKILL",
  },
  ulimit: {
    type: "strings",
    value: "NAME=SOFT[:HARD]",
    section: process_,
    help: "set a resource limit, -1 for none; 'host' keeps the caller's",
  },
  "oom-score-adj": { type: "string", value: "N", section: process_, help: "OOM preference, -1000 to 1000" },

  // namespaces
  hostname: {
    type: "string",
    short: "h",
    value: "NAME",
    defaultText: "the first 12 digits of the id",
    section: isolation,
    help: "host name in the container",
  },
  domainname: { type: "string", value: "NAME", section: isolation, help: "NIS domain name in the container" },
  pid: {
    type: "string",
    value: "MODE",
    defaultText: "private",
    section: isolation,
    help: "pid namespace: private, host, ns:PATH",
  },
  ipc: {
    type: "string",
    value: "MODE",
    defaultText: "private",
    section: isolation,
    help: "IPC namespace: private, host, none, ns:PATH",
  },
  uts: {
    type: "string",
    value: "MODE",
    defaultText: "private",
    section: isolation,
    help: "UTS namespace: private, host, ns:PATH",
  },
  cgroupns: {
    type: "string",
    value: "MODE",
    defaultText: "private",
    section: isolation,
    help: "cgroup namespace: private, host, ns:PATH",
  },
  timens: {
    type: "string",
    value: "MODE",
    defaultText: "private",
    section: isolation,
    help: "time namespace: private, host, ns:PATH",
  },
  userns: {
    type: "string",
    value: "MODE",
    defaultText: "private, as root host",
    section: isolation,
    help: "user namespace: private, host, keep-id[:uid=N,gid=N]",
  },

  // network
  network: {
    type: "string",
    value: "MODE",
    aliases: ["net"],
    defaultText: "none",
    section: network,
    help: "network: none, host, ns:PATH",
  },
  "no-hosts": { type: "boolean", section: network, help: "make no /etc/hosts" },
  "no-hostname": { type: "boolean", section: network, help: "make no /etc/hostname" },
  "add-host": { type: "strings", value: "NAME:ADDRESS", section: network, help: "add a line to /etc/hosts" },
  dns: {
    type: "strings",
    value: "ADDRESS",
    section: network,
    help: "name server in /etc/resolv.conf; 'none' makes none",
  },
  "dns-search": {
    type: "strings",
    value: "DOMAIN",
    section: network,
    help: "search domain in /etc/resolv.conf",
  },
  "dns-option": {
    type: "strings",
    value: "OPTION",
    aliases: ["dns-opt"],
    section: network,
    help: "option in /etc/resolv.conf",
  },

  // files
  volume: {
    type: "strings",
    short: "v",
    value: "[HOST:]CTR[:OPTIONS]",
    section: filesystem,
    help: "bind a host directory or file: ro, rro, exec, suid, dev, rslave, …",
  },
  mount: {
    type: "strings",
    value: "type=TYPE,…",
    section: filesystem,
    help: "mount a bind or tmpfs: type=bind,source=…,target=…,readonly",
  },
  tmpfs: {
    type: "strings",
    value: "DIR[:OPTIONS]",
    section: filesystem,
    help: "mount a tmpfs: size=64m,mode=1777,exec",
  },
  "read-only": { type: "boolean", section: filesystem, help: "make the root filesystem read-only" },
  "read-only-tmpfs": {
    type: "boolean",
    default: true,
    section: filesystem,
    help: "with --read-only, tmpfs on /run, /tmp and /var/tmp",
  },
  "image-volume": {
    type: "string",
    value: "MODE",
    choices: ["anonymous", "bind", "tmpfs", "ignore"],
    default: "anonymous",
    aliases: ["builtin-volume"],
    section: filesystem,
    help: "what the image's VOLUMEs become: anonymous, tmpfs, ignore",
  },
  "shm-size": {
    type: "string",
    value: "SIZE",
    defaultText: "64m",
    section: filesystem,
    help: "size of /dev/shm",
  },

  // privileges
  "cap-add": { type: "strings", value: "CAP", section: privileges, help: "add a capability; ALL for all" },
  "cap-drop": { type: "strings", value: "CAP", section: privileges, help: "drop a capability; ALL for all" },
  privileged: {
    type: "boolean",
    section: privileges,
    help: "all capabilities and devices, no seccomp, nothing masked",
  },
  "security-opt": {
    type: "strings",
    value: "OPTION",
    section: privileges,
    help: "seccomp=FILE|unconfined, no-new-privileges, apparmor=, label=, mask=, unmask=PATHS|ALL, proc-opts=",
  },
  device: {
    type: "strings",
    value: "HOST[:CTR][:rwm]",
    section: privileges,
    help: "add a device of the host",
  },
  "device-cgroup-rule": {
    type: "strings",
    value: "RULE",
    section: privileges,
    help: "allow a device number: 'c 10:229 rwm'",
  },
  sysctl: {
    type: "strings",
    value: "NAME=VALUE",
    section: privileges,
    help: "set a sysctl of the container's namespaces",
  },

  // resources
  memory: { type: "string", short: "m", value: "SIZE", section: resources, help: "memory limit" },
  "memory-swap": {
    type: "string",
    value: "SIZE",
    defaultText: "twice --memory",
    section: resources,
    help: "limit of memory and swap together, -1 for none",
  },
  "memory-reservation": { type: "string", value: "SIZE", section: resources, help: "soft memory limit" },
  "memory-swappiness": { type: "string", value: "N", section: resources, help: "0 to 100" },
  cpus: { type: "string", value: "N", section: resources, help: "number of CPUs, as 1.5" },
  "cpu-shares": { type: "string", short: "c", value: "N", section: resources, help: "relative weight" },
  "cpu-period": { type: "string", value: "MICROSECONDS", section: resources, help: "period of --cpu-quota" },
  "cpu-quota": { type: "string", value: "MICROSECONDS", section: resources, help: "CPU time in each period" },
  "cpuset-cpus": { type: "string", value: "LIST", section: resources, help: "CPUs to run on, as 0-3,7" },
  "cpuset-mems": { type: "string", value: "LIST", section: resources, help: "memory nodes to use" },
  "pids-limit": {
    type: "string",
    value: "N",
    defaultText: "2048",
    section: resources,
    help: "limit of processes, -1 for none",
  },
  "cgroup-parent": {
    type: "string",
    value: "PATH",
    defaultText: "/vitrine",
    section: resources,
    help: "where its cgroup is made",
  },
  cgroups: {
    type: "string",
    value: "MODE",
    choices: ["enabled", "disabled"],
    default: "enabled",
    section: resources,
    help: "enabled or disabled",
  },

  // words of docker and podman that this release cannot serve: a clear error, not an unknown flag
  detach: { type: "boolean", short: "d", section: later, hidden: true, help: "run in the background" },
  publish: {
    type: "strings",
    short: "p",
    value: "PORTS",
    section: later,
    hidden: true,
    help: "publish a port",
  },
  "publish-all": { type: "boolean", short: "P", section: later, hidden: true, help: "publish all ports" },
  uidmap: { type: "strings", value: "CTR:HOST:SIZE", section: later, hidden: true, help: "map uids" },
  gidmap: { type: "strings", value: "CTR:HOST:SIZE", section: later, hidden: true, help: "map gids" },
  restart: { type: "string", value: "POLICY", section: later, hidden: true, help: "restart policy" },
  "log-driver": {
    type: "string",
    value: "DRIVER",
    section: later,
    hidden: true,
    help: "none in the foreground",
  },
  "log-opt": {
    type: "strings",
    value: "OPTION",
    section: later,
    hidden: true,
    help: "options of the log driver",
  },
  "no-healthcheck": { type: "boolean", section: later, hidden: true, help: "none is run in the foreground" },
} as const satisfies OptionTable;

export type RunFlags = OptionValues<typeof runOptionTable>;

/** What parsing may look at: files named by flags are read, nothing else. */
export interface RunParseContext {
  /** The image, then the command. */
  readonly positionals: readonly string[];
  /** Long names of the flags that were given. */
  readonly given: ReadonlySet<string>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where relative host paths begin. */
  readonly directory: string;
}

/** Errors: `invalid-flag-value`, `flag-unsupported`, `flag-conflict`, `flag-file-unreadable`, `image-missing`. */
export function parseRunOptions(flags: RunFlags, context: RunParseContext): RunOptions {
  const [image, ...command] = context.positionals;
  if (image === undefined || image === "") {
    throw new VitrineError("invalid", "there is no image to run", {
      code: "image-missing",
      hint: "vitrine run [OPTIONS] IMAGE [COMMAND] [ARG...]",
    });
  }
  refuseLater(flags);
  const { directory } = context;
  const ulimits = flags.ulimit.map(parseUlimit);
  return {
    image,
    command,
    rootfs: flags.rootfs,
    platform: platformOf(flags),

    interactive: flags.interactive,
    tty: flags.tty,
    remove: flags.rm,
    quiet: flags.quiet,
    name: map(flags.name, (text) => parseName("--name", text)),
    cidFile: flags.cidfile,

    entrypoint: map(flags.entrypoint, parseEntrypoint),
    environment: environmentOf(flags, context.environment),
    unsetEnvironment: flags["unsetenv-all"],
    hostEnvironment: flags["env-host"],
    httpProxy: flags["http-proxy"],
    workdir: flags.workdir === "" ? undefined : flags.workdir,
    user: flags.user === "" ? undefined : flags.user,
    groups: groupsOf(flags["group-add"]),
    umask: map(flags.umask, (text) => parseOctal("--umask", text, 0o777)),
    init: flags.init,
    passSignals: flags["sig-proxy"],
    oomScoreAdjust: map(flags["oom-score-adj"], (text) =>
      Number(parseInteger("--oom-score-adj", text, { minimum: -1000n, maximum: 1000n })),
    ),
    rlimits: ulimits.filter((limit) => limit !== "host"),
    hostRlimits: ulimits.includes("host"),
    stopSignal: map(flags["stop-signal"], (text) => parseSignal("--stop-signal", text)),
    stopTimeout: flags["stop-timeout"],
    passwd: flags.passwd,

    hostname: map(flags.hostname, (text) => parseHostname("--hostname", text)),
    domainname: map(flags.domainname, (text) => parseHostname("--domainname", text)),
    network: map(flags.network, parseNetworkMode),
    pid: map(flags.pid, (text) => parseNamespaceMode("--pid", text)),
    ipc: map(flags.ipc, parseIpcMode),
    uts: map(flags.uts, (text) => parseNamespaceMode("--uts", text)),
    cgroupns: map(flags.cgroupns, (text) => parseNamespaceMode("--cgroupns", text)),
    time: map(flags.timens, (text) => parseNamespaceMode("--timens", text)),
    userns: map(flags.userns, parseUserNamespaceMode),

    mounts: [
      ...flags.volume.map((text) => parseVolume(text, directory)),
      ...flags.mount.map((text) => parseMount(text, directory)),
      ...flags.tmpfs.map(parseTmpfs),
    ],
    readOnly: flags["read-only"],
    readOnlyTmpfs: flags["read-only-tmpfs"],
    imageVolumes: imageVolumesOf(flags["image-volume"]),
    shmSize: map(flags["shm-size"], (text) => parseBytes("--shm-size", text)),

    hostsFile: !flags["no-hosts"],
    hostnameFile: !flags["no-hostname"],
    addHosts: flags["add-host"].flatMap(parseAddHost),
    dns: flags.dns.map(parseDns),
    dnsSearch: flags["dns-search"].map((text) => parseDnsWord("--dns-search", text)),
    dnsOptions: flags["dns-option"].map((text) => parseDnsWord("--dns-option", text)),

    capAdd: parseCapabilities("--cap-add", flags["cap-add"]),
    capDrop: parseCapabilities("--cap-drop", flags["cap-drop"]),
    privileged: flags.privileged,
    security: parseSecurityOptions(flags["security-opt"], directory),
    devices: flags.device.map(parseDevice),
    sysctls: new Map(flags.sysctl.map(parseSysctl)),

    resources: resourcesOf(flags),
    cgroupParent: map(flags["cgroup-parent"], cgroupParent),
    cgroups: flags.cgroups === "enabled",

    labels: parseLabels(flags.label, flags["label-file"]),
    annotations: parsePairs("--annotation", flags.annotation),
  };
}

function map<From, To>(value: From | undefined, convert: (value: From) => To): To | undefined {
  return value === undefined ? undefined : convert(value);
}

function environmentOf(
  flags: RunFlags,
  host: Readonly<Record<string, string | undefined>>,
): readonly EnvironmentChange[] {
  return [
    ...flags["env-file"].flatMap((file) => readEnvironmentFile(file, host)),
    ...flags.env.flatMap((text) => parseEnvironment("--env", text, host)),
    ...flags.unsetenv.map((name) => ({ name, unset: true as const, flag: "--unsetenv" })),
  ];
}

function groupsOf(groups: readonly string[]): readonly string[] {
  if (groups.includes("keep-groups")) {
    throw unsupportedFlag("--group-add", "--group-add keep-groups is not supported yet", "name the groups");
  }
  return groups;
}

function platformOf(flags: RunFlags) {
  const { platform, os, arch, variant } = flags;
  if (platform !== undefined) return parsePlatform(platform);
  if (arch === undefined) return undefined;
  return parsePlatform([os ?? "linux", arch, ...(variant === undefined ? [] : [variant])].join("/"));
}

function imageVolumesOf(text: string): RunOptions["imageVolumes"] {
  return text === "tmpfs" || text === "ignore" ? text : "anonymous";
}

function cgroupParent(text: string): string {
  const path = text.startsWith("/") ? text : `/${text}`;
  if (/[\0\n]/.test(text) || path.split("/").includes("..") || text.endsWith(".slice")) {
    throw unsupportedFlag(
      "--cgroup-parent",
      `cannot use ${JSON.stringify(text)} as a cgroup: vitrine makes directories, not systemd slices`,
      "give a path below the cgroup mount, for example /vitrine/batch",
    );
  }
  return path.replace(/\/+$/, "");
}

function resourcesOf(flags: RunFlags): ResourceOptions {
  const result: { -readonly [Key in keyof ResourceOptions]: ResourceOptions[Key] } = {
    deviceRules: flags["device-cgroup-rule"].map(parseDeviceRule),
  };
  const bytes = (flag: "memory" | "memory-reservation") =>
    map(flags[flag], (text) => parseBytes(`--${flag}`, text));
  const integer = (
    flag: "cpu-shares" | "cpu-period" | "cpu-quota" | "pids-limit" | "memory-swappiness",
    range?: { minimum?: bigint; maximum?: bigint },
  ) => map(flags[flag], (text) => parseInteger(`--${flag}`, text, range));
  const set = <Key extends keyof ResourceOptions>(
    key: Key,
    value: ResourceOptions[Key] | undefined,
  ): void => {
    if (value !== undefined) result[key] = value;
  };
  set("memory", bytes("memory"));
  set(
    "memorySwap",
    map(flags["memory-swap"], (text) => parseBytesOrUnlimited("--memory-swap", text)),
  );
  set("memoryReservation", bytes("memory-reservation"));
  set("memorySwappiness", map(integer("memory-swappiness", { minimum: 0n, maximum: 100n }), Number));
  set(
    "nanoCpus",
    map(flags.cpus, (text) => parseNanoCpus("--cpus", text)),
  );
  set("cpuShares", integer("cpu-shares", { minimum: 0n, maximum: 262_144n }));
  set("cpuPeriod", integer("cpu-period", { minimum: 0n, maximum: 1_000_000n }));
  set("cpuQuota", integer("cpu-quota", { minimum: -1n }));
  set(
    "cpusetCpus",
    map(flags["cpuset-cpus"], (text) => parseNumberList("--cpuset-cpus", text)),
  );
  set(
    "cpusetMems",
    map(flags["cpuset-mems"], (text) => parseNumberList("--cpuset-mems", text)),
  );
  set("pidsLimit", integer("pids-limit", { minimum: -1n }));
  return result;
}

/** What comes in later releases. A flag that asks for what is done anyway is accepted. */
function refuseLater(flags: RunFlags): void {
  if (flags.detach) {
    throw unsupportedFlag(
      "--detach",
      "running in the background is not supported yet",
      "run in the foreground, or use the shell's &: vitrine run … &",
    );
  }
  if (flags.publish.length > 0 || flags["publish-all"]) {
    throw unsupportedFlag(
      "--publish",
      "publishing ports is not supported yet: it needs a bridge network",
      "use --network host: the program's ports are then the host's",
    );
  }
  if (flags.uidmap.length + flags.gidmap.length > 0) {
    throw unsupportedFlag(
      "--uidmap",
      "--uidmap and --gidmap are not supported yet",
      "use --userns=keep-id, or leave them out",
    );
  }
  if (flags.restart !== undefined && flags.restart !== "no" && flags.restart !== "") {
    throw unsupportedFlag("--restart", "restart policies are not supported yet", "leave --restart out");
  }
  if (flags["log-driver"] !== undefined && flags["log-driver"] !== "none") {
    throw unsupportedFlag(
      "--log-driver",
      "logs are not kept yet: in the foreground the output goes to you",
      "redirect the output: vitrine run … > FILE",
    );
  }
  if (flags.pull !== undefined && parsePullPolicy(flags.pull) === "always") {
    throw unsupportedFlag(
      "--pull",
      "there is no registry client yet",
      "bring the image in by 'vitrine load -i FILE'",
    );
  }
}
