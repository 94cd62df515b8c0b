/** A volume as docker and podman show it. */
import { type EnginePaths, type Volume, volumeData } from "../../engine/mod.ts";

/** `volume inspect`: docker's fields, then podman's. */
export function inspectVolume(paths: EnginePaths, volume: Volume) {
  return {
    CreatedAt: new Date(volume.created).toISOString(),
    Driver: volume.driver,
    Labels: Object.keys(volume.labels).length === 0 ? null : named(volume.labels),
    Mountpoint: volumeData(paths, volume.name),
    Name: volume.name,
    Options: Object.keys(volume.options).length === 0 ? null : named(volume.options),
    Scope: "local",
    ...(volume.anonymous === true ? { Anonymous: true } : {}),
  };
}

/** Names that came from users: none of them is a property of every object. */
function named(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.assign(Object.create(null), record) as Record<string, string>;
}
