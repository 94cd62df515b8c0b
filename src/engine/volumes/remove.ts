/**
 * Removal of volumes. `run` writes its container's record first and looks for its volumes then; who removes moves the
 * volume away first and reads the records again after that. So one of the two always sees the other, and none needs a lock.
 */
import * as fs from "node:fs";
import { errnoOf, processStartTime, temporaryName, VitrineError } from "../../base/mod.ts";
import {
  type Container,
  containerDirectory,
  type EnginePaths,
  listContainers,
} from "../containers/record.ts";
import type { RemoveTree } from "../containers/sweep.ts";
import { recordVolumeEvent } from "./event.ts";
import {
  isVolumeName,
  listVolumes,
  readMoved,
  readVolume,
  type Volume,
  volumeDirectory,
  volumeNames,
  volumeNotFound,
  volumesDirectory,
} from "./record.ts";

/** The containers that have a volume among their mounts, running or not. */
export function volumeUsers(paths: EnginePaths, name: string): readonly Container[] {
  return listContainers(paths).filter((container) => usesVolume(container, name));
}

function usesVolume({ mounts = [] }: Container, name: string): boolean {
  return mounts.some((mount) => mount.kind === "volume" && mount.name === name);
}

/** Every volume that a container has. */
export function usedVolumes(paths: EnginePaths): ReadonlySet<string> {
  return new Set(
    listContainers(paths).flatMap(({ mounts = [] }) =>
      mounts.flatMap((mount) => (mount.kind === "volume" ? [mount.name] : [])),
    ),
  );
}

/** Errors: `volume-not-found`, `volume-in-use`. */
export async function removeVolume(paths: EnginePaths, name: string, removeTree: RemoveTree): Promise<void> {
  if (!isVolumeName(name) || !fs.existsSync(volumeDirectory(paths, name))) throw volumeNotFound(name);
  refuseUsed(name, volumeUsers(paths, name));
  const moved = moveAway(paths, name);
  if (moved === undefined) throw volumeNotFound(name);
  const users = volumeUsers(paths, name);
  if (users.length > 0 && moveBack(paths, moved, name)) refuseUsed(name, users);
  recordVolumeEvent(paths, name, "destroy");
  await removeTree(moved, undefined);
}

function refuseUsed(name: string, users: readonly Container[]): void {
  if (users.length === 0) return;
  throw new VitrineError(
    "invalid",
    `remove ${name}: volume is in use - [${users.map(({ id }) => id).join(", ")}]`,
    {
      code: "volume-in-use",
      operand: name,
      hint: `remove the containers first: vitrine rm ${users.map((user) => user.name).join(" ")}`,
    },
  );
}

function moveAway(paths: EnginePaths, name: string): string | undefined {
  const moved = `${volumesDirectory(paths)}/${temporaryName(`.${name}`)}`;
  try {
    fs.renameSync(volumeDirectory(paths, name), moved);
    return moved;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** False: somebody made another of this name meanwhile, for whom this one was gone. */
function moveBack(paths: EnginePaths, moved: string, name: string): boolean {
  try {
    fs.renameSync(moved, volumeDirectory(paths, name));
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOTEMPTY" || errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Volumes that `choose` picks and no container has. One that is taken meanwhile stays. Returns what went; `before` sees
 * each while it is still there.
 */
export async function pruneVolumes(
  paths: EnginePaths,
  choose: (volume: Volume) => boolean,
  removeTree: RemoveTree,
  before: (volume: Volume) => void = () => {},
): Promise<readonly Volume[]> {
  const used = usedVolumes(paths);
  const removed: Volume[] = [];
  for (const volume of listVolumes(paths)) {
    if (used.has(volume.name) || !choose(volume)) continue;
    try {
      before(volume);
      await removeVolume(paths, volume.name, removeTree);
      removed.push(volume);
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
    }
  }
  return removed;
}

/** The volumes that were made for one container and have no name go with it, unless another one has them too. */
export async function removeAnonymousVolumes(
  paths: EnginePaths,
  container: Container,
  removeTree: RemoveTree,
): Promise<void> {
  for (const mount of container.mounts ?? []) {
    if (mount.kind !== "volume" || mount.anonymous !== true) continue;
    if (volumeUsers(paths, mount.name).some(({ id }) => id !== container.id)) continue;
    // A monitor that was killed in its clean-up may have left a part.
    await removeTree(volumeDirectory(paths, mount.name), undefined);
  }
}

/**
 * What was left half made or half removed by a command that is dead, and volumes whose container went without them (its
 * monitor leaves alone what `--volumes-from` shared).
 */
export async function sweepVolumes(paths: EnginePaths, removeTree: RemoveTree): Promise<void> {
  for (const name of leftovers(paths)) {
    const directory = `${volumesDirectory(paths)}/${name}`;
    const volume = readMoved(directory);
    const wanted =
      volume !== undefined && isVolumeName(volume.name) && volumeUsers(paths, volume.name).length > 0;
    // Removal was not decided yet: its container, which came meanwhile, gets it back.
    if (
      wanted &&
      readVolumeQuietly(paths, volume.name) === undefined &&
      moveBack(paths, directory, volume.name)
    )
      continue;
    await removeTree(directory, undefined);
  }
  const anonymous = volumeNames(paths).filter((name) => /^[0-9a-f]{64}$/.test(name));
  if (anonymous.length === 0) return;
  const used = usedVolumes(paths);
  for (const name of anonymous) {
    if (used.has(name)) continue;
    const owner = readVolumeQuietly(paths, name)?.container;
    if (owner === undefined || fs.existsSync(containerDirectory(paths, owner))) continue;
    await removeTree(volumeDirectory(paths, name), undefined);
  }
}

function readVolumeQuietly(paths: EnginePaths, name: string): Volume | undefined {
  try {
    return readVolume(paths, name);
  } catch {
    return undefined;
  }
}

/** As `sweepDead` finds them, which cannot ask before it removes. */
function leftovers(paths: EnginePaths): readonly string[] {
  let names: readonly string[];
  try {
    names = fs.readdirSync(volumesDirectory(paths));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
  const own = fs.readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
  return names.filter((name) => {
    const match = /^\..*\.(\d+)-(\d+)-(\d+)-[0-9a-f]+\.tmp$/.exec(name);
    if (match === null) return false;
    return match[3] === own && processStartTime(Number(match[1])) !== match[2];
  });
}
