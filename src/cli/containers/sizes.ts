/** How much containers wrote: for `ps --size` and `inspect --size`. */
import * as fs from "node:fs";
import { type Container, containerDirectory } from "../../engine/mod.ts";
import { humanSize } from "../format/human.ts";
import type { Context } from "../framework/context.ts";

export interface ContainerSize {
  /** Bytes in the container's own layer. */
  readonly written: number;
  /** With its image's. */
  readonly whole: number;
}

export async function containerSizes(context: Context): Promise<(container: Container) => ContainerSize> {
  const store = await context.store();
  const images = new Map<string, number>(store.list().map(({ id, size }) => [id, size]));
  return (container) => {
    const written = treeBytes(`${containerDirectory(context.paths(), container.id)}/upper`);
    return { written, whole: written + (images.get(container.imageId) ?? 0) };
  };
}

/** As docker: `12B (virtual 7.8MB)`. */
export function sizeText({ written, whole }: ContainerSize): string {
  return `${humanSize(written)} (virtual ${humanSize(whole)})`;
}

/** Bytes of regular files below; what may not be looked into counts nothing. */
function treeBytes(directory: string): number {
  let sum = 0;
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(directory, { withFileTypes: true });
  } catch {
    return 0;
  }
  for (const entry of entries) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory()) sum += treeBytes(path);
    else if (entry.isFile()) sum += fs.lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
  }
  return sum;
}
