/**
 * From options to a container that only waits for the helper: image found and unpacked, plan made, everything written
 * that the plan needs. `vitrine run` then becomes the helper. When anything fails, nothing stays.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, VitrineError, withLock } from "../base/mod.ts";
import type { Platform } from "../oci/mod.ts";
import type { ContainerRecord, Store, StoredImage, StoreIds } from "../store/mod.ts";
import { ensureDefaultProfile, loadProfile } from "./apparmor.ts";
import { configText } from "./config-text.ts";
import { claimName, generateName, releaseName } from "./containers/names.ts";
import {
  type Container,
  containerDirectory,
  createContainer,
  type EnginePaths,
  exitFile,
  runDirectory,
} from "./containers/record.ts";
import { ownProcess } from "./containers/state.ts";
import { recordContainerEvent } from "./events/record.ts";
import { type IdChoice, shareIds } from "./id-maps.ts";
import { type Manner, writeLaunch } from "./launch.ts";
import { inMonitorScope } from "./monitor-scope.ts";
import type { RunOptions } from "./options.ts";
import {
  type EngineDeps,
  idsForRun,
  type MountedImages,
  planRun,
  type RootSource,
  type RunPlan,
  takenIds,
} from "./plan-run.ts";
import { resolveShared } from "./shared-namespaces.ts";
import { own as writableParts } from "./volumes/image-mount.ts";
import { volumeDirectory } from "./volumes/record.ts";
import { nameMonitor, writeState } from "./write-state.ts";

export interface RunDeps extends EngineDeps {
  /** The image store for files of these ids. */
  readonly openStore: (ids: StoreIds) => Promise<Store>;
  /** The image a user means. Errors: `image-not-found`, … */
  readonly resolveImage: (
    store: Store,
    reference: string,
    platform: Platform | undefined,
  ) => Promise<StoredImage>;
  /** Called before layers are unpacked, while nothing is made yet: may start the whole command again. */
  readonly beforeLongWork: () => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** As Math.random. */
  readonly random: () => number;
  /** A line for the user. */
  readonly warn: (line: string) => void;
}

export interface PreparedRun {
  readonly run: RunPlan;
  /** Absolute: what the helper executes. */
  readonly planFile: string;
  /** Takes everything away again, for when the helper could not be started. */
  readonly discard: () => Promise<void>;
}

/** A new container's id: 64 hex digits, the first twelve of which are not all decimal ones. */
function newId(): string {
  for (;;) {
    const id = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex");
    // A host name of digits alone would be read as a number by some programs.
    if (!/^\d{12}/.test(id)) return id;
  }
}

/** What `explain run` shows: the plan of a container that is not made. */
export async function previewRun(asked: RunOptions, deps: RunDeps): Promise<RunPlan> {
  const options = resolveShared(asked, deps.paths);
  const idChoice = idsForRun(options, deps.host, deps.paths);
  const id = newId();
  const identity = { id, name: options.name ?? generateName(deps.random) };
  const found = await findRoot(options, idChoice, deps);
  const unpacked = found.kind === "image" && found.store.isUnpacked(found.image);
  const mounted = await findMounted(options, idChoice, found, deps);
  return planRun(options, identity, sourceFor(found, deps.paths, id, unpacked), idChoice, deps, { mounted });
}

export interface PrepareCircumstances {
  readonly starts?: boolean;
  readonly manner?: Manner;
  /** In place of those that the options lead to. */
  readonly idChoice?: IdChoice;
  /** It is this process's until it is started: it goes with it. */
  readonly owned?: boolean;
}

/**
 * With `starts` false the container is only made (`create`), to be started by `prepareStart`. Without `manner` it is
 * `options.detach` that says how it is started.
 */
export async function prepareRun(
  asked: RunOptions,
  deps: RunDeps,
  { starts = true, manner, idChoice: given, owned = starts }: PrepareCircumstances = {},
): Promise<PreparedRun> {
  const options = resolveShared(asked, deps.paths);
  let idChoice = given ?? idsForRun(options, deps.host, deps.paths);
  let found = await findRoot(options, idChoice, deps);
  requireNoFile(options.cidFile);
  if (!options.privileged && options.security.apparmor === undefined)
    ensureDefaultProfile({ host: deps.host, exists: deps.exists, load: loadProfile });
  for (let attempt = 0; ; attempt++) {
    await unpack(found, deps);
    const mounted = await findMounted(options, idChoice, found, deps);
    for (const image of mounted?.images.values() ?? [])
      await unpack({ kind: "image", image, store: mounted!.store! }, deps);
    const id = newId();
    const name = options.name ?? generateName(deps.random, attempt);
    const source = sourceFor(found, deps.paths, id, true);
    const run = await planRun(options, { id, name }, source, idChoice, deps, { mounted, manner });
    try {
      return await writeAll({ options, run, found, mounted, idChoice, starts, owned }, deps);
    } catch (error) {
      if (attempt >= mostAttempts || !mayTryAgain(error, options)) throw error;
      if (idChoice.unique === true) {
        idChoice = idsForRun(options, deps.host, deps.paths);
        found = await findRoot(options, idChoice, deps);
      }
    }
  }
}

const mostAttempts = 50;

/** Ids or a made-up name that somebody has, or layers that another command removed before our record kept them. */
function mayTryAgain(error: unknown, options: RunOptions): boolean {
  if (!(error instanceof VitrineError)) return false;
  return (
    error.code === "image-not-unpacked" ||
    error.code === "volume-changed" ||
    error.code === idsTaken ||
    (error.code === "name-in-use" && options.name === undefined)
  );
}

type Found =
  | { readonly kind: "image"; readonly image: StoredImage; readonly store: Store }
  | { readonly kind: "directory"; readonly path: string };

async function findRoot(options: RunOptions, idChoice: IdChoice, deps: RunDeps): Promise<Found> {
  if (options.rootfs) return { kind: "directory", path: rootDirectory(options.image) };
  const store = await deps.openStore(idChoice.ids);
  const image = await deps.resolveImage(store, options.image, options.platform);
  return { kind: "image", image, store };
}

/** The images of `--mount type=image`, and of such mounts that `--volumes-from` takes over. */
async function findMounted(
  options: RunOptions,
  { ids }: IdChoice,
  found: Found,
  deps: RunDeps,
): Promise<MountedImages | undefined> {
  const wanted = options.mounts.flatMap((mount) => (mount.kind === "image" ? [mount.image] : []));
  if ((options.volumesFrom ?? []).length > 0) {
    const { gatherMounts } = await import("./volumes/gather.ts");
    const { inherited } = gatherMounts(deps.paths, options);
    wanted.push(...inherited.flatMap((mount) => (mount.kind === "image" ? [mount.image] : [])));
  }
  if (wanted.length === 0) return undefined;
  const store = found.kind === "image" ? found.store : await deps.openStore(ids);
  const images = new Map<string, StoredImage>();
  for (const reference of new Set(wanted)) {
    images.set(reference, await deps.resolveImage(store, reference, options.platform));
  }
  return { images, store };
}

/** Errors: `rootfs-unusable`. */
function rootDirectory(text: string): string {
  let reason: string;
  try {
    const real = fs.realpathSync(text);
    if (fs.statSync(real).isDirectory() && real !== "/") return real;
    reason = real === "/" ? "it is the host's own" : "it is not a directory";
  } catch (cause) {
    reason = errnoOf(cause) === "ENOENT" ? "it is not there" : String(cause);
  }
  throw new VitrineError("invalid", `cannot use ${JSON.stringify(text)} as a root filesystem: ${reason}`, {
    code: "rootfs-unusable",
    operand: text,
    hint: "--rootfs takes a directory with an unpacked root filesystem; without it, IMAGE names an image",
  });
}

function sourceFor(found: Found, paths: EnginePaths, id: string, unpacked: boolean): RootSource {
  if (found.kind === "directory") return found;
  const snapshot = found.store.previewSnapshot(found.image, containerDirectory(paths, id));
  return { ...found, snapshot, unpacked };
}

async function unpack(found: Found, deps: RunDeps): Promise<void> {
  if (found.kind === "directory" || found.store.isUnpacked(found.image)) return;
  deps.beforeLongWork();
  const { warnings } = await found.store.unpack(found.image);
  for (const warning of warnings) deps.warn(warning);
}

/** Everything that was decided before anything is written. */
interface Decided {
  readonly options: RunOptions;
  readonly run: RunPlan;
  readonly found: Found;
  readonly mounted: MountedImages | undefined;
  readonly idChoice: IdChoice;
  readonly starts: boolean;
  readonly owned: boolean;
}

/** From here on things are on disk: whatever fails takes them away again. */
async function writeAll(decided: Decided, deps: RunDeps): Promise<PreparedRun> {
  const { options, run, found, starts } = decided;
  const { paths } = deps;
  const directory = containerDirectory(paths, run.id);
  const state = runDirectory(paths, run.id);
  const planFile = `${state}/plan`;
  let cidFileMade = false;
  try {
    const container = await record(decided, deps);
    await claimName(paths, run.id, run.name);
    recordContainerEvent(paths, container, "create");
    // Only now: from the record on nobody removes the layers.
    if (found.kind === "image") found.store.snapshot(found.image, directory);
    const { config, origins, files } = run.specification;
    fs.writeFileSync(`${directory}/config.json`, configText(config), { mode: 0o600 });
    // What goes when it ends is never started again.
    if (!options.remove || options.detach === true || !starts) {
      writeLaunch(paths, run.id, run.launch, origins);
    }
    if (run.specification.user.kept.length > 0) await makeMounts(decided, deps);
    if (starts) {
      fs.mkdirSync(state, { recursive: true, mode: 0o700 });
      if (container.monitor !== undefined) nameMonitor(state, container.monitor);
      writeState(paths, {
        id: run.id,
        plan: run.plan,
        healthPlan: run.healthPlan,
        directories: run.directories,
        files,
        ids: decided.idChoice.ids,
      });
    }
    if (starts) await inMonitorScope(run.id, config, deps);
    if (options.cidFile !== undefined) {
      writeCidFile(options.cidFile, run.id);
      cidFileMade = true;
    }
    return {
      run,
      planFile,
      discard: async () => {
        if (cidFileMade) fs.rmSync(options.cidFile!, { force: true });
        await discard(paths, run, found);
      },
    };
  } catch (error) {
    if (cidFileMade) fs.rmSync(options.cidFile!, { force: true });
    await discard(paths, run, found);
    throw error;
  }
}

/** Ids of which there is one holder are looked for and taken under a lock; all others need none. */
async function record(decided: Decided, deps: RunDeps): Promise<Container> {
  const { paths, host } = deps;
  const { idChoice } = decided;
  const container = recordOf(decided, deps);
  if (idChoice.unique !== true) {
    createContainer(paths, container);
    return container;
  }
  fs.mkdirSync(paths.root, { recursive: true, mode: 0o700 });
  await withLock(`${paths.root}/lock.db`, () => {
    if (takenIds(paths, host).some((ids) => shareIds(ids, idChoice.ids))) {
      throw new VitrineError("unavailable", "another container took the same ids", {
        code: idsTaken,
        operand: "--userns",
        hint: "try again",
      });
    }
    createContainer(paths, container);
  });
  return container;
}

const idsTaken = "ids-taken";

async function makeMounts({ run, found, mounted, options }: Decided, deps: RunDeps): Promise<void> {
  const { prepareVolumes } = await import("./volumes/prepare.ts");
  prepareVolumes({
    paths: deps.paths,
    id: run.id,
    remove: options.remove,
    kept: run.specification.user.kept,
    volumeOptions: run.volumeOptions,
    now: deps.now(),
    // Their content comes from the container: its root must own them.
    own: (directory) => {
      if (found.kind === "image") found.store.giveToRoot([directory]);
    },
  });
  for (const { at, image, writable } of run.specification.user.images) {
    fs.mkdirSync(at, { recursive: true, mode: 0o755 });
    if (!writable) continue;
    fs.mkdirSync(writableParts(at), { mode: 0o755 });
    mounted!.store!.snapshot(mounted!.images.get(image)!, writableParts(at));
  }
}

/** Removes a container that was written and did not start. */
async function discard(paths: EnginePaths, run: RunPlan, found: Found): Promise<void> {
  fs.rmSync(runDirectory(paths, run.id), { recursive: true, force: true });
  const directory = containerDirectory(paths, run.id);
  try {
    fs.rmSync(directory, { recursive: true, force: true });
  } catch (error) {
    // The copy driver's tree has the files of the image, with their owners.
    if (found.kind !== "image") throw error;
    await found.store.removeTree(directory);
  }
  const own = run.launch.volumes.filter((volume) => volume.own === true);
  for (const { name } of own) fs.rmSync(volumeDirectory(paths, name!), { recursive: true, force: true });
  releaseName(paths, run.name, run.id);
}

function recordOfImage(image: StoredImage): Omit<ContainerRecord, "id" | "mountedImages"> {
  return {
    imageId: image.id,
    manifestDigest: image.manifestDescriptor.digest,
    layers: image.layers.map(({ diffID }) => diffID),
  };
}

function recordOf({ options, run, found, mounted, idChoice, owned }: Decided, deps: RunDeps): Container {
  const { kept } = run.specification.user;
  const image = found.kind === "image" ? found.image : undefined;
  const { restart, health } = run.launch;
  const { hostname } = run.specification.config;
  const shared = options.sharedNamespaces;
  return {
    id: run.id,
    name: run.name,
    ...run.about,
    imageId: image?.id ?? "",
    manifestDigest: image?.manifestDescriptor.digest ?? "",
    layers: image?.layers.map(({ diffID }) => diffID) ?? [],
    created: deps.now(),
    command: run.specification.config.process?.args ?? [],
    remove: options.remove,
    ...(restart === undefined ? {} : { restart }),
    ...(health === undefined ? {} : { healthcheck: true }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(options.ipc?.mode === "none" ? { ipc: "none" } : {}),
    ...(options.ipc?.mode === "private" && "shareable" in options.ipc ? { ipc: "private" } : {}),
    ...(shared === undefined ? {} : { dependsOn: shared.owners }),
    ...(owned ? { monitor: ownProcess() } : {}),
    ids: idChoice.ids,
    ...(idChoice.unique === true ? { uniqueIds: true } : {}),
    cgroups: run.cgroups,
    ...(kept.length === 0 ? {} : { mounts: kept }),
    ...(mounted === undefined ? {} : { mountedImages: [...mounted.images.values()].map(recordOfImage) }),
    files: {
      config: `${containerDirectory(deps.paths, run.id)}/config.json`,
      exit: exitFile(deps.paths, run.id),
      pid: `${runDirectory(deps.paths, run.id)}/pid`,
    },
  };
}

function requireNoFile(file: string | undefined): void {
  if (file !== undefined && fs.existsSync(file)) throw cidFileExists(file);
}

function cidFileExists(file: string): VitrineError {
  return new VitrineError("exists", `the file ${JSON.stringify(file)} of --cidfile is there already`, {
    code: "cidfile-exists",
    operand: "--cidfile",
    hint: "another container may be using it; remove it or name another",
  });
}

function writeCidFile(file: string, id: string): void {
  try {
    fs.writeFileSync(file, id, { flag: "wx", mode: 0o644 });
  } catch (cause) {
    if (errnoOf(cause) === "EEXIST") throw cidFileExists(file);
    throw new VitrineError(
      "invalid",
      `cannot write ${JSON.stringify(path.resolve(file))}: ${errnoOf(cause)}`,
      {
        code: "cidfile-unwritable",
        operand: "--cidfile",
        hint: "check its directory",
        cause,
      },
    );
  }
}
