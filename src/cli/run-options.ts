/** The flags' values become RunOptions here, so that whoever plans a container never sees text that was not checked. */
import { VitrineError } from "../base/mod.ts";
import {
  badValue,
  chooseUserNamespaceMode,
  conflict,
  type EnvironmentChange,
  parseAddHost,
  parseBytes,
  parseCapabilities,
  parseDescriptorCount,
  parseDetachKeys,
  parseDevice,
  parseDeviceRule,
  parseDns,
  parseDnsWord,
  parseEntrypoint,
  parseEnvironment,
  parseExpose,
  parseHealth,
  parseHostname,
  parseInteger,
  parseIpcMode,
  parseLabels,
  parseLog,
  parseMount,
  parseName,
  parseNamespaceMode,
  parseNetworkMode,
  parseOctal,
  parsePairs,
  parsePidFile,
  parsePlatform,
  parsePullPolicy,
  parseRestartPolicy,
  parseSecurityOptions,
  parseSignal,
  parseSysctl,
  parseTimeout,
  parseTimezone,
  parseTmpfs,
  parseUlimit,
  parseVolume,
  parseVolumesFrom,
  type RunOptions,
  readEnvironmentFile,
  refuseRestartOfRemoved,
  unsupportedFlag,
} from "../engine/mod.ts";
import { parseLimits } from "./limit-flags.ts";
import type { RunFlags } from "./run-flags.ts";

export { preserveOption, type RunFlags, runOptionTable } from "./run-flags.ts";

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
export function parseRunOptions(
  flags: RunFlags & { readonly "preserve-fds"?: number },
  context: RunParseContext,
): RunOptions {
  const [image, ...command] = context.positionals;
  if (image === undefined || image === "") {
    throw new VitrineError("invalid", "there is no image to run", {
      code: "image-missing",
      hint: "vitrine run [OPTIONS] IMAGE [COMMAND] [ARG...]",
    });
  }
  refuseLater(flags);
  const { directory } = context;
  const restart = map(flags.restart, parseRestartPolicy);
  refuseRestartOfRemoved(restart, flags.rm);
  const ulimits = flags.ulimit.map(parseUlimit);
  return {
    image,
    command,
    rootfs: flags.rootfs,
    platform: platformOf(flags),

    interactive: flags.interactive,
    tty: flags.tty,
    remove: flags.rm,
    detach: flags.detach,
    attached: attachmentOf(flags),
    restart,
    health: parseHealth(flags),
    preserveDescriptors: map(flags["preserve-fds"], parseDescriptorCount),
    detachKeys: map(flags["detach-keys"], parseDetachKeys),
    log: parseLog(flags["log-driver"], flags["log-opt"]),
    quiet: flags.quiet,
    name: map(flags.name, (text) => parseName("--name", text)),
    cidFile: flags.cidfile,
    pidFile: map(flags.pidfile, (text) => parsePidFile(text, directory)),

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
    timeout: map(flags.timeout, parseTimeout),
    timezone: map(flags.tz, (text) => parseTimezone(text, context.environment)),
    passwd: flags.passwd,

    hostname: map(flags.hostname, (text) => parseHostname("--hostname", text)),
    domainname: map(flags.domainname, (text) => parseHostname("--domainname", text)),
    network: map(flags.network, parseNetworkMode),
    pid: map(flags.pid, (text) => parseNamespaceMode("--pid", text)),
    ipc: map(flags.ipc, parseIpcMode),
    uts: map(flags.uts, (text) => parseNamespaceMode("--uts", text)),
    cgroupns: map(flags.cgroupns, (text) => parseNamespaceMode("--cgroupns", text)),
    time: map(flags.timens, (text) => parseNamespaceMode("--timens", text)),
    userns: chooseUserNamespaceMode(flags),

    mounts: [
      ...flags.volume.map((text) => parseVolume(text, directory)),
      ...flags.mount.map((text) => parseMount(text, directory)),
      ...flags.tmpfs.map(parseTmpfs),
    ],
    ...(flags["volumes-from"].length === 0
      ? {}
      : { volumesFrom: flags["volumes-from"].map(parseVolumesFrom) }),
    readOnly: flags["read-only"],
    readOnlyTmpfs: flags["read-only-tmpfs"],
    imageVolumes: imageVolumesOf(flags["image-volume"]),
    shmSize: map(flags["shm-size"], (text) => parseBytes("--shm-size", text)),

    expose: flags.expose.flatMap(parseExpose),

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

    resources: { ...parseLimits(flags), deviceRules: flags["device-cgroup-rule"].map(parseDeviceRule) },
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
  if (/[\0\n:]/.test(text) || path.split("/").includes("..")) {
    throw badValue("--cgroup-parent", text, "expected a path or a slice", "for example /vitrine/batch");
  }
  return path.replace(/\/+$/, "");
}

/** Undefined where nothing is left out: -i asks for stdin anyway. */
function attachmentOf({ attach, detach, interactive }: RunFlags): RunOptions["attached"] {
  if (attach.length === 0) return undefined;
  if (detach) throw conflict("--attach", "--attach and --detach exclude each other", "leave one of them out");
  const streams = new Set(attach.map((stream) => stream.toLowerCase()));
  for (const stream of streams) {
    if (!["stdin", "stdout", "stderr"].includes(stream))
      throw badValue("--attach", stream, "expected stdin, stdout or stderr");
  }
  const attached = {
    input: interactive && streams.has("stdin"),
    output: streams.has("stdout"),
    errors: streams.has("stderr"),
  };
  return attached.output && attached.errors && attached.input === interactive ? undefined : attached;
}

/** What comes in later releases. A flag that asks for what is done anyway is accepted. */
function refuseLater(flags: RunFlags): void {
  if (flags.publish.length > 0 || flags["publish-all"]) {
    throw unsupportedFlag(
      "--publish",
      "publishing ports is not supported yet: it needs a bridge network",
      "use --network host: the program's ports are then the host's",
    );
  }
  // Read here so that a wrong policy is told before anything is done.
  map(flags.pull, parsePullPolicy);
}
