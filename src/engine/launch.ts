/**
 * What stays the same each time a container is started: kept as launch.json beside its config.json, so that `start`
 * makes its plan again from both, for the machine as it is then.
 */
import * as fs from "node:fs";
import { VitrineError } from "../base/mod.ts";
import type { HostFacts, Origin, Plan } from "../kernel/mod.ts";
import type { RuntimeConfig } from "../oci/mod.ts";
import {
  type CgroupDecision,
  type ContainerPlacement,
  compile,
  decideCgroup,
  gatherCgroup,
  gatherSourceKinds,
  gatherSystemd,
  isScopePath,
  mountPointOf,
  type Origins,
  type RootMount,
  type SourceKind,
  type SystemdPlace,
} from "../runtime/mod.ts";
import type { StoreIds } from "../store/mod.ts";
import {
  attachSocket,
  type Container,
  containerDirectory,
  type EnginePaths,
  exitFile,
  logFile,
  runDirectory,
  sharedShmSource,
} from "./containers/record.ts";
import { defaults } from "./defaults.ts";
import { type Attachment, detachPlan, withMonitorOps } from "./detach-plan.ts";
import { extendPlan, type PlanExtras } from "./extend-plan.ts";
import type { HealthCheck } from "./health.ts";
import { toHostId, widestIds } from "./id-maps.ts";
import type { LogOptions, RestartPolicy } from "./options.ts";
import type { EngineDeps } from "./plan-run.ts";
import type { GeneratedFile } from "./spec/network-files.ts";
import type { BeneathSource, ContainerVolume } from "./spec/user-mounts.ts";
import { restartOp, watchOps } from "./supervision.ts";
import type { ImageMount } from "./volumes/image-mount.ts";
import { fillingMark, isUnused, ownVolumesLink, readVolume } from "./volumes/record.ts";

export interface Launch {
  readonly root: RootMount;
  readonly interactive: boolean;
  /** stdin ends with the input of the first who attaches: the container was not made to run in the background. */
  readonly stdinOnce: boolean;
  readonly init: boolean;
  readonly remove: boolean;
  /** `--cgroups=disabled` is false. */
  readonly cgroups: boolean;
  readonly passSignals: boolean;
  readonly log: LogOptions;
  readonly restart?: RestartPolicy | undefined;
  readonly health?: HealthCheck | undefined;
  /** `--pidfile` */
  readonly pidFile?: string;
  /** Seconds that it may run (`--timeout`). */
  readonly timeout?: number;
  /** To be written into the state of this boot before it starts. */
  readonly files: readonly GeneratedFile[];
  readonly volumes: readonly ContainerVolume[];
  readonly images?: readonly ImageMount[];
  readonly beneath?: readonly BeneathSource[];
  /** Whose /dev/shm it has, with `--ipc container:NAME`: a link to /proc/PID. */
  readonly shmProcess?: string;
  /** Trees that are given to the container's user before it starts. */
  readonly chown?: readonly string[];
}

/** How it is started. */
export type Manner =
  /** The engine becomes its monitor; its streams are the caller's. */
  | { readonly kind: "foreground" }
  /** The monitor goes to the background, and keeps its streams and its log. */
  | {
      readonly kind: "detached";
      /** Printed when the program runs. */
      readonly announce: string;
      /** The caller stays attached. */
      readonly attach?: Attachment;
    };

export interface LaunchInput {
  readonly id: string;
  readonly name: string;
  /** As the container's record has them. */
  readonly about: Pick<
    Container,
    "image" | "labels" | "stopSignal" | "stopSignalChosen" | "stopTimeoutSeconds" | "asked"
  >;
  readonly ids: StoreIds;
  readonly config: RuntimeConfig;
  readonly origins: Origins;
  readonly launch: Launch;
  readonly manner: Manner;
  /** So many descriptors from 3 on are for the program. */
  readonly preserveDescriptors?: number | undefined;
  /** It ran before: only a volume that nobody used yet is still filled. */
  readonly again?: boolean;
}

export interface LaunchPlan {
  readonly plan: Plan;
  /** Absolute host paths of the directories that must exist before the plan runs. */
  readonly directories: readonly string[];
  /** The cgroup directories that the plan removes at the end. */
  readonly cgroups: readonly string[];
  /** What the monitor runs to check its health; to be written to `healthPlanFile`. */
  readonly healthPlan?: Plan | undefined;
}

/** Errors: those of `compile`. */
export async function planLaunch(input: LaunchInput, deps: EngineDeps): Promise<LaunchPlan> {
  const { paths, host } = deps;
  const { id, config, launch, origins } = input;
  const directory = containerDirectory(paths, id);
  const run = runDirectory(paths, id);
  const { seccomp, rootfsPropagation } = config.linux ?? {};
  const tools = idMapTools(input.ids);
  const { root } = launch;
  const rootPath = root.type === "overlay" ? root.target : root.path;
  const compiled = compile({
    config,
    origins,
    host,
    container: {
      id,
      bundle: directory,
      stateDirectory: run,
      root,
      ...(rootfsPropagation?.endsWith("shared") ? { rootParentMount: mountPointOf(rootPath) } : {}),
      cgroup: cgroupFor(launch.cgroups, deps, id, config, stays(input)),
      stdin: launch.interactive ? "inherit" : defaults.stdin.value,
      init: launch.init,
      dieWithMonitor: true,
      forwardSignals: launch.passSignals,
      ...(input.preserveDescriptors === undefined ? {} : { preserveDescriptors: input.preserveDescriptors }),
      pidFile: `${run}/pid`,
      ...(launch.pidFile === undefined ? {} : { plainPidFile: launch.pidFile }),
      ...(launch.remove ? {} : { exitFile: exitFile(paths, id) }),
      reportFailure: deps.failureCommand(id),
      ...(tools === undefined ? {} : { idMapTools: tools }),
      beforeRemoval: mayRestart(input) ? [restartOp(paths, id, launch.restart, [])] : [],
      removeTrees: removals(input, paths),
      helper: deps.helperPath,
      ...(launch.beneath === undefined ? {} : { beneath: launch.beneath }),
      ...(launch.shmProcess === undefined ? {} : { ofProcesses: [sharedShm(launch.shmProcess)] }),
      ...removalMaps(input.ids, host),
    },
    sourceKinds: gatherKinds(config, launch, directory),
    ...(seccomp === undefined ? {} : { seccompFilter: await deps.seccomp.compile(seccomp) }),
  });
  const extended = extendPlan(compiled, {
    volumes: launch.volumes.map((volume) => ({
      ...volume,
      copyUp: volume.copyUp && isToFill(paths, volume, input.again === true),
    })),
    images: launch.images ?? [],
    chown: ownersOf(launch, config, input.ids),
    pointers: mountPointers(config),
    origins,
  });
  const cgroups = cgroupDirectories(compiled);
  const watched = watchedPlan(extended, input, cgroups, deps);
  return {
    plan: input.manner.kind === "foreground" ? watched : detached(watched, input, input.manner, paths),
    directories: directoriesOf(launch, run),
    cgroups,
    healthPlan:
      launch.health === undefined
        ? undefined
        : await healthPlan(input, launch.health, compiled, enteredCgroups(compiled, cgroups), deps),
  };
}

/** On v1 some of those that are removed at the end are made only when they are needed. */
function enteredCgroups({ ops }: Plan, removed: readonly string[]): readonly string[] {
  const entered = ops.flatMap(({ op }) =>
    op.op === "cgroupAttach" || op.op === "cloneInto" ? [op.path.path] : [],
  );
  return entered.length > 0 ? entered : removed;
}

/** One that goes with its program, or with its caller, does not come again. */
function mayRestart({ launch, manner }: LaunchInput): boolean {
  return manner.kind === "detached" && !launch.remove;
}

function watchedPlan(
  plan: Plan,
  { id, name, about, launch }: LaunchInput,
  cgroups: readonly string[],
  { paths, host }: EngineDeps,
): Plan {
  return withMonitorOps(
    inTime(plan, launch),
    watchOps({
      paths,
      container: { id, name, ...about },
      remove: launch.remove,
      cgroups,
      host,
      health: launch.health,
    }),
    { by: "default" },
  );
}

function inTime(plan: Plan, { timeout }: Launch): Plan {
  if (timeout === undefined) return plan;
  const op = { op: "endAfter", milliseconds: BigInt(timeout) * 1000n } as const;
  return withMonitorOps(plan, [op], { by: "flag", flag: "--timeout" });
}

async function healthPlan(
  { id, config }: LaunchInput,
  { args }: HealthCheck,
  compiled: Plan,
  cgroups: readonly string[],
  deps: EngineDeps,
): Promise<Plan> {
  // Of few containers: the others need not load it.
  const { planHealthCheck } = await import("./health-plan.ts");
  const idMap = compiled.ops.map(({ op }) => op).find((op) => op.op === "idMap");
  const setgroupsDenied = idMap?.denySetgroups ?? deps.host.userNamespace.setgroupsDenied;
  return planHealthCheck({ id, config, args, cgroups, setgroupsDenied }, deps);
}

function detached(
  plan: Plan,
  { id, config, launch }: LaunchInput,
  manner: Extract<Manner, { kind: "detached" }>,
  paths: EnginePaths,
): Plan {
  const { log } = launch;
  return detachPlan(plan, {
    foreground: manner.attach !== undefined,
    monitorFile: `${runDirectory(paths, id)}/monitor`,
    announce: manner.announce,
    attach: manner.attach,
    terminal: config.process?.terminal === true,
    input: launch.interactive,
    once: launch.stdinOnce,
    log: log.driver === "none" ? undefined : { path: logFile(paths, id), ...log },
    socket: attachSocket(paths, id),
  });
}

/** Nobody asks what a container used that its caller waits for and that goes when it ends: it is started a little faster. */
function stays({ manner, launch }: LaunchInput): boolean {
  return manner.kind === "detached" || !launch.remove;
}

export type SystemdDeps = Pick<
  EngineDeps,
  "host" | "environment" | "helperPath" | "cgroupManager" | "spawnsMonitor"
>;

/** A container's path says who made its cgroup. Error: `systemd-unreachable`. */
export function systemdFor(
  { host, environment, helperPath, cgroupManager }: SystemdDeps,
  config: RuntimeConfig | undefined,
): SystemdPlace | undefined {
  const asked = config === undefined ? cgroupManager === "systemd" : isScopePath(config.linux?.cgroupsPath);
  if (!asked && (cgroupManager === "cgroupfs" || config !== undefined)) return undefined;
  const engine = `${helperPath.slice(0, helperPath.lastIndexOf("/"))}/vitrine-engine`;
  const found = gatherSystemd(host, environment, engine);
  if (found !== undefined || !asked) return found;
  throw new VitrineError("unavailable", "there is no systemd that could make the container's cgroup", {
    code: "systemd-unreachable",
    operand: "--cgroup-manager",
    hint: "use --cgroup-manager cgroupfs; as a user, log in so that 'systemctl --user status' answers",
  });
}

/** Before the config is there it is asked only whether there will be a cgroup at all. */
export function cgroupFor(
  enabled: boolean,
  deps: SystemdDeps,
  id: string,
  config: RuntimeConfig | undefined,
  everywhere = false,
): CgroupDecision {
  if (!enabled) return { mode: "none", reason: "--cgroups=disabled" };
  const { host } = deps;
  const systemd = systemdFor(deps, config);
  return config === undefined
    ? decideCgroup(host, id, undefined, systemd)
    : gatherCgroup(config, host, id, { everywhere, ...(systemd === undefined ? {} : { systemd }) });
}

/** What is still to be written or mounted is known to become a file or a directory. */
function gatherKinds(config: RuntimeConfig, launch: Launch, bundle: string) {
  const known = new Map<string, SourceKind>();
  for (const { path } of launch.files) known.set(path, "file");
  for (const { source, name, lock } of launch.volumes) {
    if (lock === undefined || name === undefined) known.set(source, "directory");
  }
  for (const { at } of launch.images ?? []) known.set(at, "directory");
  if (launch.shmProcess !== undefined) known.set(sharedShm(launch.shmProcess).source, "directory");
  for (const beneath of launch.beneath ?? [])
    known.set(beneath.source, kindBeneath(beneath, launch.images ?? []));
  return gatherSourceKinds(config, bundle, known);
}

function sharedShm(process: string) {
  return { source: sharedShmSource(process), process, path: "/dev/shm" };
}

/** For the mount point alone: what is mounted is looked up by the helper. A link is taken to lead to a directory. */
function kindBeneath({ root, path }: BeneathSource, images: readonly ImageMount[]): SourceKind {
  const trees = images.find(({ at }) => at === root)?.trees ?? [root];
  for (const tree of trees) {
    try {
      return fs.lstatSync(`${tree}/${path}`).isFile() ? "file" : "directory";
    } catch {
      // Not in this layer, or not for us to see.
    }
  }
  return "directory";
}

/** A volume is filled from the image once: what the container put there since, or took away, is its own. */
function isToFill(paths: EnginePaths, { name, source }: ContainerVolume, again: boolean): boolean {
  if (again && name !== undefined) {
    const volume = readVolume(paths, name);
    return volume !== undefined && isUnused(paths, volume);
  }
  try {
    const names = fs.readdirSync(source);
    return names.length === 0 || names.includes(fillingMark);
  } catch {
    return true;
  }
}

function mountPointers(config: RuntimeConfig): ReadonlyMap<string, string> {
  return new Map((config.mounts ?? []).map(({ destination }, index) => [destination, `/mounts/${index}`]));
}

function ownersOf({ chown = [] }: Launch, { process }: RuntimeConfig, ids: StoreIds): PlanExtras["chown"] {
  const { uid = 0, gid = 0 } = process?.user ?? {};
  // As root, files of ids that the container does not have become its own first.
  const host =
    ids.kind === "none" || globalThis.process.geteuid?.() !== 0
      ? undefined
      : { uid: toHostId(ids.uids, uid), gid: toHostId(ids.gids, gid) };
  return chown.map((path) => ({
    path,
    uid,
    gid,
    ...(host?.uid === undefined || host.gid === undefined ? {} : { host: { uid: host.uid, gid: host.gid } }),
  }));
}

/** The state of this boot goes first: a directory there without a record is what a crash left. */
function removals({ id, name, launch }: LaunchInput, paths: EnginePaths): readonly string[] {
  const state = runDirectory(paths, id);
  if (!launch.remove) return [state];
  const directory = containerDirectory(paths, id);
  // By way of a link that whoever shares a volume takes away.
  const own = launch.volumes.flatMap((volume) =>
    volume.own === true ? [`${directory}/${ownVolumesLink}/${volume.name}`] : [],
  );
  return [state, ...own, directory, `${paths.root}/names/${name}`];
}

function removalMaps(ids: StoreIds, host: HostFacts): Pick<ContainerPlacement, "removalMaps"> {
  if (ids.kind === "none") return {};
  const widest = widestIds(host);
  return widest.kind === "none" ? {} : { removalMaps: { uids: widest.uids, gids: widest.gids } };
}

function idMapTools(ids: StoreIds) {
  if (ids.kind !== "range" || ids.newuidmap === "") return undefined;
  return { newuidmap: ids.newuidmap, newgidmap: ids.newgidmap };
}

function directoriesOf({ root, volumes, images = [], files }: Launch, run: string): readonly string[] {
  return [
    ...(root.type === "overlay" ? [root.target] : []),
    // Volumes have their own maker, save those of containers that an earlier release made.
    ...volumes.flatMap(({ name, source }) => (name === undefined ? [source] : [])),
    ...images.map(({ at }) => at),
    ...(files.length > 0 ? [`${run}/etc`] : []),
  ];
}

function cgroupDirectories(plan: Plan): readonly string[] {
  return plan.ops.flatMap(({ stage, op }) =>
    stage === "cleanup" && op.op === "removeDirectory" && op.path.base === "host" ? [op.path.path] : [],
  );
}

// --- on disk ---

export interface LaunchFile {
  readonly launch: Launch;
  readonly origins: readonly (readonly [string, Origin])[];
}

export function launchFile(paths: EnginePaths, id: string): string {
  return `${containerDirectory(paths, id)}/launch.json`;
}

export function writeLaunch(paths: EnginePaths, id: string, launch: Launch, origins: Origins): void {
  const file: LaunchFile = { launch, origins: [...origins] };
  fs.writeFileSync(launchFile(paths, id), JSON.stringify(file), { mode: 0o600 });
}
