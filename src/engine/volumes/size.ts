import { filesBelow } from "../../base/mod.ts";
import type { EnginePaths } from "../containers/record.ts";
import { driverMount } from "./options.ts";
import { type Volume, volumeData } from "./record.ts";

/**
 * Bytes that a volume takes on disk; one on another filesystem takes none here. What the caller may not read (a rootless
 * container's directories of mapped ids) counts nothing.
 */
export function volumeSize(paths: EnginePaths, volume: Volume): number {
  if (driverMount(volume.options) !== undefined) return 0;
  let bytes = 0;
  const seen = new Set<number>();
  for (const { nlink, ino, size } of filesBelow(volumeData(paths, volume.name))) {
    if (nlink > 1 && seen.has(ino)) continue;
    if (nlink > 1) seen.add(ino);
    bytes += size;
  }
  return bytes;
}
