import * as fs from "node:fs";
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
  const visit = (directory: string): void => {
    let entries: fs.Dirent[];
    try {
      entries = fs.readdirSync(directory, { withFileTypes: true });
    } catch {
      return;
    }
    for (const entry of entries) {
      const full = `${directory}/${entry.name}`;
      if (entry.isDirectory()) {
        visit(full);
        continue;
      }
      const stat = fs.lstatSync(full, { throwIfNoEntry: false });
      if (stat === undefined || (stat.nlink > 1 && seen.has(stat.ino))) continue;
      if (stat.nlink > 1) seen.add(stat.ino);
      bytes += stat.size;
    }
  };
  visit(volumeData(paths, volume.name));
  return bytes;
}
