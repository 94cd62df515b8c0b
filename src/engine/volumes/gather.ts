/** What `run` must know of volumes, other containers' mounts and mounted images before it plans. Nothing is written. */

import { findContainer } from "../containers/find.ts";
import type { Container, EnginePaths } from "../containers/record.ts";
import type { MountRequest, RunOptions, VolumesFrom } from "../options.ts";
import { inheritedFlag, type KeptMount } from "../spec/user-mounts.ts";
import { readVolume } from "./record.ts";

export interface GatheredMounts {
  readonly inherited: readonly KeptMount[];
  readonly volumeOptions: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** Errors: those of `findContainer`, `volume-record-invalid`. */
export function gatherMounts(paths: EnginePaths, { mounts, volumesFrom = [] }: RunOptions): GatheredMounts {
  const inherited = new Map<string, KeptMount>();
  // A later one goes before an earlier one.
  for (const from of volumesFrom) {
    for (const mount of inheritedMounts(findContainer(paths, from.container), from))
      inherited.set(mount.target, mount);
  }
  const volumeOptions = new Map<string, Readonly<Record<string, string>>>();
  for (const request of [...mounts, ...inherited.values()] as readonly MountRequest[]) {
    if (request.kind !== "volume") continue;
    const volume = readVolume(paths, request.name);
    if (volume !== undefined) volumeOptions.set(request.name, volume.options);
  }
  return { inherited: [...inherited.values()], volumeOptions };
}

function inheritedMounts({ mounts = [] }: Container, from: VolumesFrom): readonly KeptMount[] {
  return mounts.map((mount) => inherit(mount, from.readOnly === true));
}

/** Filled and given away it was when its first container started. */
function inherit(mount: KeptMount, readOnly: boolean): KeptMount {
  if (mount.kind === "image") {
    return { ...mount, writable: mount.writable && !readOnly, flag: inheritedFlag };
  }
  const { chown: _, ...rest } = mount;
  return rest.kind === "bind"
    ? { ...rest, readOnly: readOnly ? "recursive-if-possible" : rest.readOnly, flag: inheritedFlag }
    : { ...rest, copyUp: false, readOnly: readOnly || rest.readOnly, flag: inheritedFlag };
}
