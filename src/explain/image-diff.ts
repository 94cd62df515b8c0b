/** In what files two images differ, or an image and what is below its top layer: as podman's `image diff` tells it. */
import type { ImageSource } from "../image/mod.ts";
import type { StoredLayer } from "../store/mod.ts";
import { readMembers } from "./image.ts";
import { ImageTree } from "./image-tree.ts";

export interface FileChange {
  /** Absolute, in the form of `decodeText`. */
  readonly path: string;
  readonly kind: "changed" | "added" | "deleted";
}

export interface LayeredFiles {
  readonly layers: readonly StoredLayer[];
  readonly source: ImageSource;
}

/**
 * What `image` has otherwise than `base`: content, kind, mode, owner or capabilities. A directory has changed too when
 * something in it has; what is gone as a whole is told once. Errors: those of `explainImage`.
 */
export async function diffImages(image: LayeredFiles, base: LayeredFiles): Promise<readonly FileChange[]> {
  const [after, before] = [await filesOf(image), await filesOf(base)];
  const changes = new Map<string, FileChange["kind"]>();
  for (const [path, what] of after) {
    const old = before.get(path);
    if (old === undefined) changes.set(path, "added");
    else if (old !== what) changes.set(path, "changed");
  }
  for (const path of before.keys()) if (!after.has(path)) changes.set(path, "deleted");
  for (const path of [...changes.keys()]) {
    for (let above = parentOf(path); above !== ""; above = parentOf(above)) {
      if (before.has(above) && after.has(above) && !changes.has(above)) changes.set(above, "changed");
    }
  }
  return [...changes]
    .map(([path, kind]) => ({ path, kind }))
    .filter(({ path, kind }) => kind !== "deleted" || changes.get(parentOf(path)) !== "deleted")
    .sort((left, right) => (left.path < right.path ? -1 : 1));
}

/** Layers that both have are read twice: lists of files are what is compared. */
async function filesOf({ layers, source }: LayeredFiles): Promise<ReadonlyMap<string, string>> {
  const tree = new ImageTree();
  for (const layer of layers) tree.apply(await readMembers(source, layer));
  return tree.files();
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
