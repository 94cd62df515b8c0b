/** The volumes and mounted images of a container whose record is written: made where they are not there. */
import * as fs from "node:fs";
import { VitrineError } from "../../base/mod.ts";
import { containerDirectory, type EnginePaths } from "../containers/record.ts";
import { inheritedFlag, type KeptMount } from "../spec/user-mounts.ts";
import { recordVolumeEvent } from "./event.ts";
import {
  isUnused,
  makeVolume,
  ownVolumesLink,
  readVolume,
  type Volume,
  volumeData,
  volumeNotFound,
} from "./record.ts";

export interface VolumesInput {
  readonly paths: EnginePaths;
  /** The container. */
  readonly id: string;
  /** It goes when it ends, and its volumes without names with it. */
  readonly remove: boolean;
  readonly kept: readonly KeptMount[];
  /** Options as the plan was made for them. */
  readonly volumeOptions: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly now: number;
  /** Gives a directory that nobody used yet to the container's root. */
  readonly own: (directory: string) => void;
}

type VolumeMount = Extract<KeptMount, { readonly kind: "volume" }>;

/** Errors: `volume-not-found` (it went with the container that had it), `volume-changed` (plan again). */
export function prepareVolumes(input: VolumesInput): void {
  const mounts = input.kept.filter((mount) => mount.kind === "volume");
  if (input.remove && mounts.some(isOwn)) {
    fs.symlinkSync("../../volumes", `${containerDirectory(input.paths, input.id)}/${ownVolumesLink}`);
  }
  for (const mount of mounts) {
    if (mount.anonymous === true && mount.flag === inheritedFlag) share(input.paths, mount.name);
    else ensure(input, mount);
  }
}

function isOwn(mount: VolumeMount): boolean {
  return mount.anonymous === true && mount.flag !== inheritedFlag;
}

function ensure(input: VolumesInput, mount: VolumeMount): void {
  const { paths, own } = input;
  for (;;) {
    const there = readVolume(paths, mount.name);
    if (there !== undefined) {
      requirePlanned(input, mount, there);
      if (isUnused(paths, there)) ownUnused(paths, there, own);
      return;
    }
    if (!makeVolume(paths, volumeOf(input, mount), own)) continue;
    recordVolumeEvent(paths, mount.name, "create");
    return;
  }
}

function volumeOf({ id, remove, now }: VolumesInput, mount: VolumeMount): Volume {
  return {
    name: mount.name,
    driver: "local",
    created: now,
    labels: mount.labels ?? {},
    options: mount.volumeOptions ?? {},
    ...(mount.anonymous === true ? { anonymous: true } : {}),
    ...(mount.anonymous === true && remove ? { container: id } : {}),
  };
}

/** Made by `volume create`, before it was known whose ids the container has. */
function ownUnused(paths: EnginePaths, { name, created }: Volume, own: (directory: string) => void): void {
  const data = volumeData(paths, name);
  own(data);
  try {
    fs.utimesSync(data, created / 1000, created / 1000);
  } catch {
    // It is the container's now.
  }
}

function requirePlanned(
  { volumeOptions }: VolumesInput,
  { name, volumeOptions: asked = {} }: VolumeMount,
  there: Volume,
) {
  if (JSON.stringify(volumeOptions.get(name) ?? asked) === JSON.stringify(there.options)) return;
  throw new VitrineError("unavailable", `volume ${name} was made anew meanwhile`, {
    code: "volume-changed",
    operand: name,
    hint: "try again",
  });
}

/** From now on its first container leaves it alone when it ends: our record was there before this look at it. */
function share(paths: EnginePaths, name: string): void {
  const owner = readVolume(paths, name)?.container;
  if (owner !== undefined) {
    fs.rmSync(`${containerDirectory(paths, owner)}/${ownVolumesLink}`, { force: true });
  }
  if (readVolume(paths, name) === undefined) throw volumeNotFound(name);
}
