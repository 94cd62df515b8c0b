/**
 * What stays the same each time a container is started: kept as launch.json beside its config.json, so that `start`
 * makes its plan again from both, for the machine as it is then.
 */
import * as fs from "node:fs";
import type { HostFacts, Origin, Plan } from "../kernel/mod.ts";
import type { RuntimeConfig } from "../oci/mod.ts";
import {
  type CgroupDecision,
  type ContainerPlacement,
  compile,
  decideCgroup,
  gatherCgroup,
  gatherSourceKinds,
  mountPointOf,
  type Origins,
  type RootMount,
} from "../runtime/mod.ts";
import type { StoreIds } from "../store/mod.ts";
import {
  attachSocket,
  containerDirectory,
  type EnginePaths,
  exitFile,
  logFile,
  runDirectory,
} from "./containers/record.ts";
import { defaults } from "./defaults.ts";
import { detachPlan } from "./detach-plan.ts";
import { extendPlan } from "./extend-plan.ts";
import { widestIds } from "./id-maps.ts";
import type { LogOptions } from "./options.ts";
import type { EngineDeps } from "./plan-run.ts";
import type { AnonymousVolume } from "./spec/mounts.ts";
import type { GeneratedFile } from "./spec/network-files.ts";

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
  /** To be written into the state of this boot before it starts. */
  readonly files: readonly GeneratedFile[];
  readonly volumes: readonly AnonymousVolume[];
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
      readonly attach?: { readonly input: boolean; readonly detachKeys: Uint8Array };
    };

export interface LaunchInput {
  readonly id: string;
  readonly name: string;
  readonly ids: StoreIds;
  readonly config: RuntimeConfig;
  readonly origins: Origins;
  readonly launch: Launch;
  readonly manner: Manner;
}

export interface LaunchPlan {
  readonly plan: Plan;
  /** Absolute host paths of the directories that must exist before the plan runs. */
  readonly directories: readonly string[];
  /** The cgroup directories that the plan removes at the end. */
  readonly cgroups: readonly string[];
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
      pidFile: `${run}/pid`,
      ...(launch.remove ? {} : { exitFile: exitFile(paths, id) }),
      reportFailure: deps.failureCommand(id),
      ...(tools === undefined ? {} : { idMapTools: tools }),
      removeTrees: removals(input, paths),
      helper: deps.helperPath,
      ...removalMaps(input.ids, host),
    },
    sourceKinds: gatherKinds(config, launch, directory),
    ...(seccomp === undefined ? {} : { seccompFilter: await deps.seccomp.compile(seccomp) }),
  });
  const extended = extendPlan(compiled, {
    volumes: launch.volumes.map((volume) => ({ ...volume, copyUp: volume.copyUp && isEmpty(volume.source) })),
    volumePointers: volumePointers(config),
    origins,
  });
  return {
    plan: input.manner.kind === "foreground" ? extended : detached(extended, input, input.manner, paths),
    directories: directoriesOf(launch, run),
    cgroups: cgroupDirectories(compiled),
  };
}

function detached(
  plan: Plan,
  { id, config, launch }: LaunchInput,
  manner: Extract<Manner, { kind: "detached" }>,
  paths: EnginePaths,
): Plan {
  const { log } = launch;
  return detachPlan(plan, {
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

/** Before the config is there it is asked only whether there will be a cgroup at all. */
export function cgroupFor(
  enabled: boolean,
  { host }: Pick<EngineDeps, "host">,
  id: string,
  config: RuntimeConfig | undefined,
  everywhere = false,
): CgroupDecision {
  if (!enabled) return { mode: "none", reason: "--cgroups=disabled" };
  return config === undefined ? decideCgroup(host, id) : gatherCgroup(config, host, id, { everywhere });
}

/** Files that are still to be written are known to become files, and volumes directories. */
function gatherKinds(config: RuntimeConfig, launch: Launch, bundle: string) {
  const kinds = gatherSourceKinds(config, bundle);
  for (const { path } of launch.files) kinds.set(path, "file");
  for (const { source } of launch.volumes) kinds.set(source, "directory");
  return kinds;
}

/** A volume is filled from the image once: what the container put there since is its own. */
function isEmpty(directory: string): boolean {
  try {
    return fs.readdirSync(directory).length === 0;
  } catch {
    return true;
  }
}

function volumePointers(config: RuntimeConfig): ReadonlyMap<string, string> {
  return new Map((config.mounts ?? []).map(({ source }, index) => [source ?? "", `/mounts/${index}`]));
}

/** The state of this boot goes first: a directory there without a record is what a crash left. */
function removals({ id, name, launch }: LaunchInput, paths: EnginePaths): readonly string[] {
  const state = runDirectory(paths, id);
  return launch.remove ? [state, containerDirectory(paths, id), `${paths.root}/names/${name}`] : [state];
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

function directoriesOf({ root, volumes, files }: Launch, run: string): readonly string[] {
  return [
    ...(root.type === "overlay" ? [root.target] : []),
    ...volumes.map(({ source }) => source),
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
