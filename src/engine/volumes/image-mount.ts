/** `--mount type=image`: what mounts an image's files into a container. */
import type { Op } from "../../kernel/mod.ts";
import type { Store, StoredImage } from "../../store/mod.ts";
import type { StagedImage } from "../spec/user-mounts.ts";

export interface ImageMount {
  /** ROOT/containers/ID/images/N: where the whole image is mounted, in the container's mount namespace only. */
  readonly at: string;
  /** In the container. */
  readonly target: string;
  /** Trees that hold its files, topmost first. */
  readonly trees: readonly string[];
  readonly mount:
    | { readonly type: "overlay"; readonly options: readonly string[] }
    | { readonly type: "bind"; readonly path: string };
}

/** A writable one has a layer of the container's own on top, made by `makeImageMounts`. */
export function imageMount(
  staged: StagedImage,
  target: string,
  image: StoredImage,
  store: Store,
): ImageMount {
  const { at } = staged;
  const snapshot = store.previewSnapshot(image, own(at)).mounts[0];
  if (snapshot.type === "bind") {
    // A whole tree: read-only it serves every container.
    const path = staged.writable ? snapshot.path : store.wholeTree(image);
    return { at, target, trees: [path], mount: { type: "bind", path } };
  }
  const { lowers, upper, work, userxattr } = snapshot;
  const [only] = lowers;
  if (!staged.writable && lowers.length === 1) {
    return { at, target, trees: lowers, mount: { type: "bind", path: only! } };
  }
  return {
    at,
    target,
    trees: lowers,
    mount: {
      type: "overlay",
      options: [
        ...lowers.map((lower) => `lowerdir+=${lower}`),
        ...(staged.writable ? [`upperdir=${upper}`, `workdir=${work}`] : []),
        ...(userxattr ? ["userxattr"] : []),
      ],
    },
  };
}

/** The whole image where only this mount namespace sees it. */
export function stageImage({ at, mount }: ImageMount): Op {
  const target = { base: "host", path: at } as const;
  if (mount.type === "overlay") {
    const { options } = mount;
    return { op: "mountFilesystem", fstype: "overlay", source: "overlay", target, attributes: 0n, options };
  }
  return {
    op: "bindMount",
    source: { base: "host", path: mount.path },
    target,
    recursive: false,
    set: 0n,
    clear: 0n,
    recursiveAttributes: false,
    propagation: 0,
  };
}

/** Beside `at`, which is only ever mounted on. */
export function own(at: string): string {
  return `${at}.own`;
}
