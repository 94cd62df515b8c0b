/**
 * Everything that `run` decides, as one value: nothing is written and nothing is started, so that `explain run`
 * shows what `run` does.
 */
import type { HostFacts, Plan, SeccompFilter } from "../kernel/mod.ts";
import type { RuntimeConfig } from "../oci/mod.ts";
import {
  type CgroupDecision,
  compile,
  decideCgroup,
  gatherCgroup,
  gatherSourceKinds,
  mountPointOf,
  type RootMount,
} from "../runtime/mod.ts";
import type { Snapshot, Store, StoredImage, StoreIds } from "../store/mod.ts";
import { containerDirectory, type EnginePaths, exitFile, runDirectory } from "./containers/record.ts";
import { defaults } from "./defaults.ts";
import { extendPlan } from "./extend-plan.ts";
import { callerOpenFiles, hostDevices, readBeneath, readHostFile } from "./host-files.ts";
import { chooseIds, type IdChoice } from "./id-maps.ts";
import type { RunOptions } from "./options.ts";
import { requireSources } from "./spec/mounts.ts";
import type { SeccompSources } from "./spec/security.ts";
import { makeSpecification, type Specification } from "./spec.ts";

/** What the engine needs of the world. */
export interface EngineDeps {
  readonly paths: EnginePaths;
  readonly host: HostFacts;
  readonly helperPath: string;
  /** The caller's environment variables. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly hostname: string;
  readonly parentPid: number;
  readonly exists: (path: string) => boolean;
  readonly seccomp: SeccompService;
  /** How to start vitrine again to explain a failed op: `[/usr/bin/vitrine, --root, …, __failed, ID]`. */
  readonly failureCommand: (id: string) => readonly string[];
}

export interface SeccompService extends SeccompSources {
  /** The filter of a profile; of the default one as the build compiled it. */
  readonly compile: (
    profile: NonNullable<NonNullable<RuntimeConfig["linux"]>["seccomp"]>,
  ) => Promise<SeccompFilter>;
}

/** Where the root filesystem comes from. */
export type RootSource =
  | {
      readonly kind: "image";
      readonly image: StoredImage;
      readonly store: Store;
      /** What mounts it; made or not. */
      readonly snapshot: Snapshot;
      /** Its layers are, so that its files can be read. */
      readonly unpacked: boolean;
    }
  | { readonly kind: "directory"; readonly path: string };

export interface RunPlan {
  readonly id: string;
  readonly name: string;
  readonly specification: Specification;
  readonly plan: Plan;
  /** Absolute host paths of the directories that must exist before the plan runs. */
  readonly directories: readonly string[];
  /** The cgroup directories that the plan removes at the end. */
  readonly cgroups: readonly string[];
}

export interface ContainerIdentity {
  readonly id: string;
  readonly name: string;
}

/** Whose ids the container has; the store must be opened for them. */
export function idsForRun(options: RunOptions, host: HostFacts): IdChoice {
  return chooseIds(host, options.userns);
}

/**
 * The plan of one run. Errors: those of `makeSpecification`, `compile` and `bind-source-missing`.
 */
export async function planRun(
  options: RunOptions,
  identity: ContainerIdentity,
  source: RootSource,
  idChoice: IdChoice,
  deps: EngineDeps,
): Promise<RunPlan> {
  const { paths, host } = deps;
  const { id } = identity;
  const directory = containerDirectory(paths, id);
  const run = runDirectory(paths, id);
  requireSources(options.mounts, deps.exists);
  const root = rootMount(source, directory, options);
  const rootPath = root.type === "overlay" ? root.target : root.path;
  const specification = makeSpecification(
    {
      ...identity,
      options,
      image: source.kind === "image" ? source.image.config : undefined,
      imageFilesKnown: source.kind !== "image" || source.unpacked,
      host,
      idChoice,
      cgroup: cgroupFor(options, host, id, undefined),
      rootPath,
      directory,
      runDirectory: run,
      environment: deps.environment,
      hostname: deps.hostname,
      readRootFile: rootReader(source),
      readHostFile,
      hostExists: deps.exists,
      hostDevices,
      callerOpenFiles: callerOpenFiles(deps.parentPid),
    },
    deps.seccomp,
  );
  const { config, origins } = specification;
  const { seccomp, rootfsPropagation } = config.linux ?? {};
  const tools = idMapTools(idChoice.ids);
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
      cgroup: cgroupFor(options, host, id, config),
      stdin: options.interactive ? "inherit" : defaults.stdin.value,
      init: options.init,
      dieWithMonitor: true,
      forwardSignals: options.passSignals,
      pidFile: `${run}/pid`,
      ...(options.remove ? {} : { exitFile: exitFile(paths, id) }),
      reportFailure: deps.failureCommand(id),
      ...(tools === undefined ? {} : { idMapTools: tools }),
      removeTrees: removals(options, identity, paths),
      helper: deps.helperPath,
    },
    sourceKinds: gatherKinds(specification, directory),
    ...(seccomp === undefined ? {} : { seccompFilter: await deps.seccomp.compile(seccomp) }),
  });
  const plan = extendPlan(compiled, {
    volumes: specification.volumes,
    volumePointers: volumePointers(config),
    origins,
  });
  return {
    ...identity,
    specification,
    plan,
    directories: directoriesOf(specification, root, run),
    cgroups: cgroupDirectories(compiled),
  };
}

function rootMount(source: RootSource, directory: string, { remove }: RunOptions): RootMount {
  if (source.kind === "directory") return { type: "directory", path: source.path };
  const [mount] = source.snapshot.mounts;
  if (mount.type === "bind") return { type: "directory", path: mount.path };
  // What is thrown away with the container needs no sync when it is unmounted.
  return { ...mount, target: `${directory}/merged`, volatile: remove };
}

function rootReader(source: RootSource): (path: string) => Uint8Array | undefined {
  if (source.kind === "directory") return (path) => readBeneath(source.path, path);
  const { store, image, unpacked } = source;
  return unpacked ? (path) => store.readImageFile(image, path) : () => undefined;
}

/** Before the config is there it is asked only whether there will be a cgroup at all. */
function cgroupFor(
  options: RunOptions,
  host: HostFacts,
  id: string,
  config: RuntimeConfig | undefined,
): CgroupDecision {
  if (!options.cgroups) return { mode: "none", reason: "--cgroups=disabled" };
  return config === undefined ? decideCgroup(host, id) : gatherCgroup(config, host, id);
}

/** Files that are still to be written are known to become files, and volumes directories. */
function gatherKinds(specification: Specification, bundle: string) {
  const kinds = gatherSourceKinds(specification.config, bundle);
  for (const { path } of specification.files) kinds.set(path, "file");
  for (const { source } of specification.volumes) kinds.set(source, "directory");
  return kinds;
}

function volumePointers(config: RuntimeConfig): ReadonlyMap<string, string> {
  return new Map((config.mounts ?? []).map(({ source }, index) => [source ?? "", `/mounts/${index}`]));
}

/** The state of this boot goes first: a directory there without a record is what a crash left. */
function removals(
  options: RunOptions,
  { id, name }: ContainerIdentity,
  paths: EnginePaths,
): readonly string[] {
  const state = runDirectory(paths, id);
  return options.remove ? [state, containerDirectory(paths, id), `${paths.root}/names/${name}`] : [state];
}

function idMapTools(ids: StoreIds) {
  if (ids.kind !== "range" || ids.newuidmap === "") return undefined;
  return { newuidmap: ids.newuidmap, newgidmap: ids.newgidmap };
}

function directoriesOf(specification: Specification, root: RootMount, run: string): readonly string[] {
  return [
    ...(root.type === "overlay" ? [root.target] : []),
    ...specification.volumes.map(({ source }) => source),
    ...(specification.files.length > 0 ? [`${run}/etc`] : []),
  ];
}

function cgroupDirectories(plan: Plan): readonly string[] {
  return plan.ops.flatMap(({ stage, op }) =>
    stage === "cleanup" && op.op === "removeDirectory" && op.path.base === "host" ? [op.path.path] : [],
  );
}
