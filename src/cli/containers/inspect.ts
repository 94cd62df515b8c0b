/** A container as `docker inspect` and `podman inspect` show it: docker's fields, then podman's. */
import * as fs from "node:fs";
import {
  type Container,
  type ContainerState,
  comesBack,
  type EnginePaths,
  errorFile,
  type KeptMount,
  type Launch,
  lastExit,
  logFile,
  monitorOf,
  oomMark,
  readConfig,
  readHealth,
  readLaunch,
  restartCount,
  runDirectory,
  startedAt,
  stateOf,
  volumeData,
} from "../../engine/mod.ts";
import type { Mount, RuntimeConfig } from "../../oci/mod.ts";
import { stateName } from "./filters.ts";
import { configAsked, hostAsked, networksField } from "./host-asked.ts";
import { hostLimits } from "./host-limits.ts";
import { accessOf, hostMounts } from "./host-mounts.ts";
import type { ContainerSize } from "./sizes.ts";

/** Go's zero time: it has not happened. */
const never = "0001-01-01T00:00:00Z";

function timeText(milliseconds: number | undefined): string {
  return milliseconds === undefined ? never : new Date(milliseconds).toISOString();
}

export function inspectContainer(paths: EnginePaths, container: Container, size?: ContainerSize) {
  const config = readConfig(paths, container.id);
  const launch = launchFileOf(paths, container.id)?.launch;
  const { process } = config;
  const state = stateOf(paths, container);
  const etc = (name: string): string => {
    const file = `${runDirectory(paths, container.id)}/etc/${name}`;
    return config.mounts?.some(({ source }) => source === file) ? file : "";
  };
  const mounts = (config.mounts ?? []).filter((mount) => isUsers(mount, paths, container));
  return {
    Id: container.id,
    Created: timeText(container.created),
    Path: process?.args[0] ?? "",
    Args: process?.args.slice(1) ?? [],
    State: stateFields(paths, container, state),
    Image: container.imageId,
    ResolvConfPath: etc("resolv.conf"),
    HostnamePath: etc("hostname"),
    HostsPath: etc("hosts"),
    LogPath: launch?.log.driver === "none" ? "" : logFile(paths, container.id),
    Name: container.name,
    RestartCount: restartCount(paths, container),
    Driver: launch?.root.type === "directory" ? "copy" : "overlay",
    Platform: "linux",
    MountLabel: config.linux?.mountLabel ?? "",
    ProcessLabel: process?.selinuxLabel ?? "",
    AppArmorProfile: process?.apparmorProfile ?? "",
    ExecIDs: [],
    HostConfig: hostConfig(container, config, launchFileOf(paths, container.id)),
    GraphDriver:
      launch?.root.type === "overlay"
        ? {
            Name: "overlay",
            Data: {
              LowerDir: launch.root.lowers.join(":"),
              MergedDir: launch.root.target,
              UpperDir: launch.root.upper,
              WorkDir: launch.root.work,
            },
          }
        : { Name: "copy", Data: {} },
    ...(size === undefined ? {} : { SizeRw: size.written, SizeRootFs: size.whole }),
    Mounts: mounts.map((mount) => mountFields(mount, paths, container)),
    Config: {
      Hostname: config.hostname ?? "",
      Domainname: config.domainname ?? "",
      ...configAsked(container, userText(process?.user)),
      AttachStdin: false,
      AttachStdout: false,
      AttachStderr: false,
      Tty: process?.terminal ?? false,
      OpenStdin: launch?.interactive ?? false,
      StdinOnce: (launch?.interactive ?? false) && (launch?.stdinOnce ?? false),
      Env: process?.env ?? [],
      Image: container.image,
      Volumes: volumesField(container),
      WorkingDir: process?.cwd ?? "/",
      OnBuild: null,
      Labels: Object.assign(Object.create(null), container.labels) as Record<string, string>,
      StopSignal: container.stopSignal,
      StopTimeout: container.stopTimeoutSeconds,
      Timeout: container.asked?.timeout ?? 0,
      ...(container.asked?.timezone === undefined ? {} : { Timezone: container.asked.timezone }),
      ...healthcheckFields(launch?.health),
    },
    NetworkSettings: {
      SandboxKey: "",
      Ports: {},
      IPAddress: "",
      Gateway: "",
      MacAddress: "",
      Networks: networksField(namespaceMode(config, "network", "none")),
    },
    Dependencies: container.dependsOn ?? [],
    ImageName: container.image,
    ImageDigest: container.manifestDigest,
    BoundingCaps: process?.capabilities?.bounding ?? [],
    EffectiveCaps: process?.capabilities?.effective ?? [],
    OCIConfigPath: container.files.config,
    PidFile: container.asked?.pidFile ?? container.files.pid,
  };
}

function launchFileOf(paths: EnginePaths, id: string) {
  // A container of `run --rm` has none: it is never started again.
  if (!fs.existsSync(`${paths.root}/containers/${id}/launch.json`)) return undefined;
  return readLaunch(paths, id);
}

/** "" where there is none. */
function readText(file: string): string {
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
}

function stateFields(paths: EnginePaths, container: Container, state: ContainerState) {
  const monitor = monitorOf(paths, container);
  return {
    OciVersion: "1.3.0",
    Status: stateName(state),
    // As docker: nobody may take one that comes back for one that ended.
    Running: state.status === "running" || state.status === "restarting",
    Paused: state.status === "running" && state.paused,
    Restarting: state.status === "restarting",
    OOMKilled:
      state.status === "running"
        ? fs.existsSync(oomMark(paths, container.id))
        : state.status === "exited" && state.oomKilled === true,
    Dead: false,
    Pid: state.status === "running" ? state.pid : 0,
    ConmonPid: state.status === "running" || state.status === "restarting" ? (monitor?.pid ?? 0) : 0,
    ExitCode:
      state.status === "exited" || state.status === "restarting"
        ? state.code
        : state.status === "lost"
          ? 137
          : 0,
    Error: readText(errorFile(paths, container.id)),
    StartedAt: timeText(startedAt(paths, container)),
    FinishedAt: timeText(
      state.status === "exited" || state.status === "restarting"
        ? state.finished
        : comesBack(container)
          ? lastExit(paths, container)?.time
          : undefined,
    ),
    ...healthFields(paths, container),
    CgroupPath: container.cgroups[0] ?? "",
  };
}

function healthFields(paths: EnginePaths, container: Container) {
  const health = readHealth(paths, container);
  if (health === undefined) return { Health: null };
  const time = (nanoseconds: bigint): string => {
    const seconds = new Date(Number(nanoseconds / 1_000_000n)).toISOString().slice(0, 19);
    return `${seconds}.${String(nanoseconds % 1_000_000_000n).padStart(9, "0")}Z`;
  };
  return {
    Health: {
      Status: health.status,
      FailingStreak: health.failingStreak,
      Log: health.log.map(({ began, ended, exitCode, output }) => ({
        Start: time(began),
        End: time(ended),
        ExitCode: exitCode,
        Output: output,
      })),
    },
  };
}

function healthcheckFields(health: Launch["health"]) {
  if (health === undefined) return {};
  return {
    Healthcheck: {
      Test: health.test,
      Interval: health.interval,
      Timeout: health.timeout,
      ...(health.startPeriod === 0 ? {} : { StartPeriod: health.startPeriod }),
      StartInterval: health.startInterval,
      Retries: health.retries,
    },
    HealthcheckOnFailureAction: health.onFailure,
  };
}

function hostConfig(container: Container, config: RuntimeConfig, started: ReturnType<typeof launchFileOf>) {
  const launch = started?.launch;
  return {
    ContainerIDFile: container.asked?.cidFile ?? "",
    LogConfig: {
      Type: launch?.log.driver === "none" ? "none" : "k8s-file",
      Config:
        launch === undefined || launch.log.maxBytes === 0
          ? {}
          : { "max-size": String(launch.log.maxBytes), "max-file": String(launch.log.files) },
    },
    NetworkMode: namespaceMode(config, "network", "none"),
    RestartPolicy: {
      Name: container.restart?.name ?? "no",
      MaximumRetryCount: container.restart?.maximumRetryCount ?? 0,
    },
    AutoRemove: container.remove,
    IpcMode: container.ipc ?? namespaceMode(config, "ipc", "shareable"),
    PidMode: namespaceMode(config, "pid", "private"),
    UTSMode: namespaceMode(config, "uts", "private"),
    CgroupnsMode: namespaceMode(config, "cgroup", "private"),
    UsernsMode: namespaceMode(config, "user", "private"),
    Privileged: config.linux?.seccomp === undefined && (config.linux?.maskedPaths ?? []).length === 0,
    ReadonlyRootfs: config.root?.readonly ?? false,
    OomScoreAdj: config.process?.oomScoreAdj ?? 0,
    ShmSize: shmSize(config),
    Init: launch?.init ?? false,
    ...hostAsked(container.asked),
    ...hostMounts(container, config),
    ...hostLimits(config, started?.origins),
    MaskedPaths: config.linux?.maskedPaths ?? [],
    ReadonlyPaths: config.linux?.readonlyPaths ?? [],
  };
}

/** Places of volumes without a name, of -v and the image; those of --mount are HostConfig.Mounts alone. */
function volumesField({ mounts = [] }: Container): Readonly<Record<string, object>> | null {
  const places = mounts.flatMap((mount) =>
    mount.kind === "volume" && mount.anonymous === true && mount.flag !== "--mount"
      ? [[mount.target, {}] as const]
      : [],
  );
  return places.length === 0 ? null : Object.fromEntries(places);
}

function namespaceMode(config: RuntimeConfig, type: string, owned: string): string {
  const found = config.linux?.namespaces?.find((namespace) => namespace.type === type);
  if (found === undefined) return "host";
  if (found.path === undefined) return owned;
  const owner = /\/containers\/([0-9a-f]{64})\/process\/ns\/\w+$/.exec(found.path)?.[1];
  return owner === undefined ? `ns:${found.path}` : `container:${owner}`;
}

function shmSize(config: RuntimeConfig): number {
  const options = config.mounts?.find(({ destination }) => destination === "/dev/shm")?.options ?? [];
  const size = options.find((option) => option.startsWith("size="))?.slice("size=".length);
  return size === undefined ? 0 : Number(size);
}

function userText(user: { readonly uid: number; readonly gid: number } | undefined): string {
  return user === undefined || (user.uid === 0 && user.gid === 0) ? "" : `${user.uid}:${user.gid}`;
}

/** Those that a flag or the image asked for: not /proc and its like, nor the files that every container gets. */
function isUsers(
  { type, source, destination }: Mount,
  paths: EnginePaths,
  { id, mounts, asked }: Container,
): boolean {
  if (type === "tmpfs" && asked?.tmpfsMounts?.includes(destination) === true) return true;
  if (mounts?.some(({ target }) => target === destination) === true) return true;
  if (type !== "bind" || source === undefined) return false;
  return !source.startsWith(`${runDirectory(paths, id)}/`) && !/^\/(dev|proc|sys)(\/|$)/.test(source);
}

/** As docker shows a volume, a bind or an image; by what was asked for at this place. */
function mountFields(mount: Mount, paths: EnginePaths, { id, mounts = [] }: Container) {
  const { source = "", destination, options = [] } = mount;
  const asked = mounts.find(({ target }) => target === destination);
  const name =
    asked?.kind === "volume"
      ? asked.name
      : // Made by an earlier release, in the container's own directory.
        source.startsWith(`${paths.root}/containers/${id}/volumes/`)
        ? source.slice(source.lastIndexOf("/") + 1)
        : undefined;
  const others = mount.type === "tmpfs" ? "tmpfs" : "bind";
  const type = name !== undefined ? "volume" : asked?.kind === "image" ? "image" : others;
  return {
    Type: type,
    ...(name === undefined ? {} : { Name: name }),
    Source:
      asked?.kind === "image"
        ? asked.image
        : asked?.kind === "volume"
          ? volumeData(paths, asked.name)
          : type === "tmpfs"
            ? ""
            : source,
    Destination: destination,
    Driver: type === "volume" ? "local" : "",
    Mode: modeOf(asked, options),
    Options: options.filter((option) => !["ro", "rw", "bind", "rbind"].includes(option)),
    RW: accessOf(options) === "rw",
    Propagation:
      type === "bind"
        ? (options.find((option) => /(private|shared|slave|unbindable)$/.test(option)) ?? "rprivate")
        : "",
    ...(asked !== undefined && "subpath" in asked ? { SubPath: asked.subpath } : {}),
  };
}

/** docker's third field of -v. */
function modeOf(asked: KeptMount | undefined, options: readonly string[]): string {
  if (asked?.kind !== "volume") return "";
  return [
    ...(accessOf(options) === "ro" ? ["ro"] : []),
    ...(asked.copyUp || asked.anonymous ? [] : ["nocopy"]),
  ].join(",");
}
