/**
 * Everything that `run` decides, as one value: nothing is written and nothing is started, so that `explain run`
 * shows what `run` does.
 */

import { readBeneath } from "../base/mod.ts";
import type { HostFacts, Plan, SeccompFilter } from "../kernel/mod.ts";
import type { RuntimeConfig } from "../oci/mod.ts";
import type { RootMount } from "../runtime/mod.ts";
import type { Snapshot, Store, StoredImage, StoreIds } from "../store/mod.ts";
import { askedFor } from "./containers/asked.ts";
import { containerDirectory, type EnginePaths, listContainers, runDirectory } from "./containers/record.ts";
import { defaults } from "./defaults.ts";
import { parseDetachKeys } from "./flags/streams.ts";
import { healthCheckOf } from "./health.ts";
import { callerOpenFiles, hostDevices, readHostBytes, readHostFile } from "./host-files.ts";
import { chooseIds, type IdChoice } from "./id-maps.ts";
import { cgroupFor, type Launch, type LaunchInput, type Manner, planLaunch } from "./launch.ts";
import type { LogOptions, RunOptions } from "./options.ts";
import { withFlagOrigins } from "./plan-origins.ts";
import { requireSources } from "./spec/mounts.ts";
import type { SeccompSources } from "./spec/security.ts";
import { makeSpecification, type Specification } from "./spec.ts";
import type { GatheredMounts } from "./volumes/gather.ts";
import { imageMount } from "./volumes/image-mount.ts";
import { volumesDirectory } from "./volumes/record.ts";

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
  /** Who makes cgroups: `--cgroup-manager`; undefined: systemd where it can be asked. */
  readonly cgroupManager?: "cgroupfs" | "systemd" | undefined;
  /** This process stays what it is, and starts the monitor as a child. */
  readonly spawnsMonitor?: boolean;
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
  readonly about: LaunchInput["about"];
  readonly specification: Specification;
  /** Options of the volumes that were there when the plan was made. */
  readonly volumeOptions: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly plan: Plan;
  readonly launch: Launch;
  /** Absolute host paths of the directories that must exist before the plan runs. */
  readonly directories: readonly string[];
  /** The cgroup directories that the plan removes at the end. */
  readonly cgroups: readonly string[];
  readonly healthPlan?: Plan | undefined;
}

export interface ContainerIdentity {
  readonly id: string;
  readonly name: string;
}

/** Whose ids the container has; the store must be opened for them. */
export function idsForRun(options: RunOptions, host: HostFacts, paths: EnginePaths): IdChoice {
  const user = options.sharedNamespaces?.user;
  if (user !== undefined) return { ids: user.ids, warnings: [], flag: user.flag };
  return chooseIds(host, options.userns, { readHostFile, taken: () => takenIds(paths, host) });
}

/**
 * As root what any user namespace has. The containers of a user all share their ids, save those that were made with
 * ids of their own.
 */
export function takenIds(paths: EnginePaths, { identity }: HostFacts): readonly StoreIds[] {
  return listContainers(paths).flatMap(({ ids, uniqueIds }) =>
    ids.kind !== "none" && (identity.euid === 0 || uniqueIds === true) ? [ids] : [],
  );
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
  { mounted = noImages, manner = mannerOf(options, identity) }: RunCircumstances = {},
): Promise<RunPlan> {
  const { paths, host } = deps;
  const { id } = identity;
  const directory = containerDirectory(paths, id);
  const run = runDirectory(paths, id);
  requireSources(options.mounts, deps.exists);
  const gathered = await gather(options, deps);
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
      cgroup: cgroupFor(options.cgroups, deps, id, undefined),
      rootPath,
      directory,
      volumesDirectory: volumesDirectory(paths),
      ...gathered,
      runDirectory: run,
      environment: deps.environment,
      hostname: deps.hostname,
      readRootFile: rootReader(source),
      readHostFile,
      readHostBytes,
      hostExists: deps.exists,
      hostDevices,
      callerOpenFiles: callerOpenFiles(deps.parentPid),
    },
    deps.seccomp,
  );
  const { config, origins } = specification;
  const image = source.kind === "image" ? source.image.config.config : undefined;
  const health = healthCheckOf(options.health, image);
  const shmProcess = options.sharedNamespaces?.shmProcess;
  const launch: Launch = {
    root,
    interactive: options.interactive,
    stdinOnce: options.detach !== true,
    init: options.init,
    remove: options.remove,
    cgroups: options.cgroups,
    passSignals: options.passSignals,
    log: options.log ?? defaultLog,
    ...(options.restart === undefined ? {} : { restart: options.restart }),
    ...(health === undefined ? {} : { health }),
    ...(options.pidFile === undefined ? {} : { pidFile: options.pidFile }),
    ...(options.timeout ? { timeout: options.timeout } : {}),
    files: specification.files,
    ...launchMounts(specification.user, mounted),
    ...(shmProcess === undefined ? {} : { shmProcess }),
  };
  const labels: Record<string, string> = { ...image?.Labels };
  for (const [key, { value }] of options.labels) labels[key] = value;
  const askedOf = askedFor(options, image);
  const about = {
    image: options.image,
    labels,
    stopSignal: specification.stopSignal,
    ...(specification.stopSignalChosen ? { stopSignalChosen: true as const } : {}),
    stopTimeoutSeconds: options.stopTimeout ?? defaults.stopTimeoutSeconds.value,
    ...(askedOf === undefined ? {} : { asked: askedOf }),
  };
  const planned = await planLaunch(
    {
      ...{ ...identity, about, ids: idChoice.ids, config, origins, launch, manner },
      preserveDescriptors: options.preserveDescriptors,
    },
    deps,
  );
  const asked = { init: options.init, remove: options.remove, root: paths.root };
  const plan = withFlagOrigins(withIdNote(planned.plan, idChoice), asked);
  const volumeOptions = gathered.volumeOptions ?? new Map();
  return { ...identity, about, specification, volumeOptions, launch, ...planned, plan };
}

/** Images that are mounted, by the reference in their flag. */
export interface MountedImages {
  readonly images: ReadonlyMap<string, StoredImage>;
  readonly store: Store | undefined;
}

/** What the options alone do not say. */
export interface RunCircumstances {
  readonly mounted?: MountedImages;
  /** Default: as `options.detach` says. */
  readonly manner?: Manner | undefined;
}

const noImages: MountedImages = { images: new Map(), store: undefined };

/** Most containers have no volume: then nothing of them is read or loaded. */
async function gather(options: RunOptions, { paths }: EngineDeps): Promise<Partial<GatheredMounts>> {
  const some = (options.volumesFrom ?? []).length > 0 || options.mounts.some(({ kind }) => kind === "volume");
  return some ? (await import("./volumes/gather.ts")).gatherMounts(paths, options) : {};
}

function launchMounts(
  { volumes, images, beneath, chown, kept }: Specification["user"],
  { images: found, store }: MountedImages,
): Pick<Launch, "volumes" | "images" | "beneath" | "chown"> {
  const targets = kept.flatMap((mount) => (mount.kind === "image" ? [mount.target] : []));
  return {
    volumes,
    ...(images.length === 0 || store === undefined
      ? {}
      : { images: images.map((one, at) => imageMount(one, targets[at]!, found.get(one.image)!, store)) }),
    ...(beneath.length === 0 ? {} : { beneath }),
    ...(chown.length === 0 ? {} : { chown }),
  };
}

/**
 * The caller is the first client of a container that is kept, may be detached from, or is not all his to hear: its monitor has the
 * streams and the log. So it is where a user watches it, who may want to see it from another terminal too, or asks for a log. Only
 * what else ends with its command is given the caller's own streams: no byte goes through anybody.
 */
function mannerOf(options: RunOptions, { id }: ContainerIdentity): Manner {
  if (options.detach === true) return { kind: "detached", announce: `${id}\n` };
  const { attached, remove, tty, interactive, passSignals, watched, log } = options;
  const ends = remove && options.health?.onFailure !== "restart";
  const captured = watched === true || log?.driver === "file" || (tty && interactive);
  if (ends && !captured && attached === undefined) return { kind: "foreground" };
  const attach = {
    input: interactive && attached?.input !== false,
    detachKeys: options.detachKeys ?? parseDetachKeys(defaults.detachKeys.value),
    ...(attached === undefined && passSignals
      ? {}
      : {
          streams: {
            output: attached?.output ?? true,
            errors: attached?.errors ?? true,
            signals: passSignals,
          },
        }),
  };
  return { kind: "detached", announce: "", attach };
}

/** For `explain`: where ids that were chosen for the user come from. */
function withIdNote(plan: Plan, { from }: IdChoice): Plan {
  if (from === undefined) return plan;
  const note = { pointer: "/linux/uidMappings", text: `ids of ${from}` };
  return { ...plan, notes: [...(plan.notes ?? []), note] };
}

/** As docker: everything is kept. */
const defaultLog: LogOptions = { driver: "file", maxBytes: 0, files: 1 };

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
