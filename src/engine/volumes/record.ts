/**
 * ROOT/volumes/NAME: volume.json says what the volume is and never changes, `_data` is what containers see. Both appear in one
 * rename, so that what is there is whole; who makes or removes one works under a name that begins with a dot.
 */
import * as fs from "node:fs";
import {
  errnoOf,
  limits,
  parseJson,
  syncDirectory,
  temporaryName,
  VitrineError,
  writeFileAtomically,
} from "../../base/mod.ts";
import type { EnginePaths } from "../containers/record.ts";

export interface Volume {
  readonly name: string;
  readonly driver: "local";
  /** Milliseconds since the epoch. */
  readonly created: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the driver: `type`, `device`, `o`. */
  readonly options: Readonly<Record<string, string>>;
  /** Nobody named it: it was made for a mount of a container. */
  readonly anonymous?: true;
  /** The id of the container it goes with (`run --rm`). */
  readonly container?: string;
}

/** As docker's local driver: two characters at least. */
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** Room is left for what a name gets while its volume is made or removed. */
const nameBytesMax = 180;

export function isVolumeName(text: string): boolean {
  return namePattern.test(text) && text.length <= nameBytesMax;
}

/** Error: `volume-name-invalid`. */
export function checkVolumeName(text: string): string {
  if (isVolumeName(text)) return text;
  throw new VitrineError("invalid", `${JSON.stringify(text)} cannot be the name of a volume`, {
    code: "volume-name-invalid",
    operand: text,
    hint: `2 to ${nameBytesMax} letters, digits, '_', '.' and '-', the first a letter or digit; a host directory begins with '/' or './'`,
  });
}

export function volumesDirectory(paths: EnginePaths): string {
  return `${paths.root}/volumes`;
}

export function volumeDirectory(paths: EnginePaths, name: string): string {
  return `${volumesDirectory(paths)}/${name}`;
}

/** The mountpoint that docker and podman show. */
export function volumeData(paths: EnginePaths, name: string): string {
  return `${volumeDirectory(paths, name)}/_data`;
}

/**
 * ROOT/containers/ID/anonymous, a link to ROOT/volumes: by way of it the monitor removes the volumes that go with the
 * container. Whoever shares one of them (`--volumes-from`) takes the link away, and a later command removes them.
 */
export const ownVolumesLink = "anonymous";

/** In the volume while a copy from the image is not whole (native/copy.c). */
export const fillingMark = ".vitrine-filling";

/** undefined: there is none. Error: `volume-record-invalid`. */
export function readVolume(paths: EnginePaths, name: string): Volume | undefined {
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(`${volumeDirectory(paths, name)}/volume.json`);
  } catch (error) {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  }
  const volume = parseRecord(bytes);
  if (volume?.name === name) return volume;
  throw new VitrineError("corrupt", `the record of volume ${name} cannot be read`, {
    code: "volume-record-invalid",
    operand: name,
    hint: `its files are in ${volumeData(paths, name)}; vitrine volume rm --force ${name} removes them`,
  });
}

function parseRecord(bytes: Uint8Array): Volume | undefined {
  try {
    const value = parseJson(bytes, { maxBytes: limits.runtimeConfigBytes }) as unknown as Volume;
    const whole =
      typeof value.name === "string" &&
      typeof value.created === "number" &&
      typeof value.labels === "object" &&
      typeof value.options === "object";
    return whole ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A record that another command took away, by the directory it is in now. */
export function readMoved(directory: string): Volume | undefined {
  try {
    return parseRecord(fs.readFileSync(`${directory}/volume.json`));
  } catch {
    return undefined;
  }
}

/** Names in order. What is being made or removed is not among them. */
export function volumeNames(paths: EnginePaths): readonly string[] {
  try {
    return fs.readdirSync(volumesDirectory(paths)).filter(isVolumeName).sort();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Every volume whose record can be read. */
export function listVolumes(paths: EnginePaths): readonly Volume[] {
  return volumeNames(paths).flatMap((name) => {
    try {
      return readVolume(paths, name) ?? [];
    } catch {
      return [];
    }
  });
}

/**
 * Makes a volume. `own` gets the directories that are to belong to the container's root, before anybody sees them.
 * False: one of this name is there, whoever made it.
 */
export function makeVolume(
  paths: EnginePaths,
  volume: Volume,
  own: (directory: string) => void = () => {},
): boolean {
  const all = volumesDirectory(paths);
  const making = `${all}/${temporaryName(`.${volume.name}`)}`;
  const data = `${making}/_data`;
  // What goes with its container needs no flush to disk.
  const sync = volume.container === undefined;
  fs.mkdirSync(data, { recursive: true, mode: 0o700 });
  try {
    fs.chmodSync(data, 0o755);
    writeFileAtomically(`${making}/volume.json`, JSON.stringify(volume), { mode: 0o600, sync });
    own(data);
    setUnused(data, volume);
    fs.renameSync(making, volumeDirectory(paths, volume.name));
  } catch (error) {
    fs.rmSync(making, { recursive: true, force: true });
    if (errnoOf(error) === "ENOTEMPTY" || errnoOf(error) === "EEXIST") return false;
    throw error;
  }
  if (sync) syncDirectory(all);
  return true;
}

/** A directory whose time is its volume's was neither filled nor written to yet. */
function setUnused(data: string, { created }: Volume): void {
  try {
    fs.utimesSync(data, created / 1000, created / 1000);
  } catch (error) {
    // Not ours any more: it then counts as used, and an empty one is still filled by a new container.
    if (errnoOf(error) !== "EPERM") throw error;
  }
}

export function isUnused(paths: EnginePaths, { name, created }: Volume): boolean {
  const stat = fs.statSync(volumeData(paths, name), { throwIfNoEntry: false });
  return stat !== undefined && Math.round(stat.mtimeMs) === created;
}

/** Errors: `volume-not-found`, `volume-record-invalid`. */
export function findVolume(paths: EnginePaths, name: string): Volume {
  const volume = isVolumeName(name) ? readVolume(paths, name) : undefined;
  if (volume !== undefined) return volume;
  throw volumeNotFound(name);
}

export function volumeNotFound(name: string): VitrineError {
  return new VitrineError("not-found", `get ${name}: no such volume`, {
    code: "volume-not-found",
    operand: name,
    hint: "see 'vitrine volume ls'",
  });
}
