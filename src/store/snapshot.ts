/** Layers → the mounts of a container's root filesystem. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, VitrineError } from "../base/mod.ts";
import { guarded, type StoreContext } from "./context.ts";
import { driverOf, ensureDriver } from "./driver.ts";
import { chainName, findChain, findLayer, findLayers, layerName, type UnpackedLayer } from "./layers/rows.ts";
import { copyTreeOwned, giveToRoot, onHost } from "./trees.ts";
import type { Snapshot, StoredImage } from "./types.ts";

/** OVL_MAX_STACK of the kernel: lower directories of one overlay. */
const maxOverlayLayers = 500;

export function isUnpacked(context: StoreContext, image: StoredImage): boolean {
  const diffIDs = image.layers.map(({ diffID }) => diffID);
  // Whichever driver unpacked it: a changed driver unpacks anew.
  return driverOf(context)?.driver === "copy"
    ? findChain(context, diffIDs) !== undefined
    : findLayers(context, diffIDs) !== undefined;
}

/** Errors: `image-not-unpacked`, `too-many-layers`, those of the disk. */
export function makeSnapshot(context: StoreContext, image: StoredImage, containerDir: string): Snapshot {
  const diffIDs = image.layers.map(({ diffID }) => diffID);
  // Tried here once a boot, when layers of an earlier one are still there.
  const driver = ensureDriver(context);
  if (driver.driver === "copy") {
    const chain = findChain(context, diffIDs);
    if (chain === undefined) throw notUnpacked(image);
    const target = path.join(containerDir, "rootfs");
    if (!fs.existsSync(target))
      copyTreeOwned(context, path.join(chain.directory, "fs"), containerDir, "rootfs");
    return { mounts: [{ type: "bind", path: target }] };
  }
  const layers = findLayers(context, diffIDs);
  if (layers === undefined) throw notUnpacked(image);
  if (layers.length > maxOverlayLayers) {
    throw new VitrineError(
      "unsupported",
      `image has ${layers.length} layers, the kernel mounts ${maxOverlayLayers}`,
      {
        code: "too-many-layers",
        operand: image.id,
        hint: "use --storage-driver copy, or build the image with fewer layers",
      },
    );
  }
  guarded(context, () => {
    makeUpper(context, path.join(containerDir, "upper"), layers);
    const work = path.join(containerDir, "work");
    if (makeDirectory(work)) giveToRoot(context, [work]);
    if (layers.length === 0) makeDirectory(path.join(containerDir, emptyName));
  });
  const lowers = layers.map(({ directory }) => directory);
  return { mounts: [overlayMount(containerDir, lowers, driver.userxattr)] };
}

/** An image without layers still needs something under its upper directory. */
const emptyName = "empty";

/** `directories` lowest first. */
function overlayMount(
  containerDir: string,
  directories: readonly string[],
  userxattr: boolean,
): Snapshot["mounts"][0] {
  const lowers = directories.map((directory) => path.join(directory, "fs")).reverse();
  return {
    type: "overlay",
    lowers: lowers.length === 0 ? [path.join(containerDir, emptyName)] : lowers,
    upper: path.join(containerDir, "upper"),
    work: path.join(containerDir, "work"),
    userxattr,
  };
}

/** See `Store.previewSnapshot`. Where the driver was not tried yet, overlay is what to expect. */
export function previewSnapshot(context: StoreContext, image: StoredImage, containerDir: string): Snapshot {
  const driver = driverOf(context) ?? { driver: "overlay", userxattr: context.ids.kind !== "none" };
  if (driver.driver === "copy")
    return { mounts: [{ type: "bind", path: path.join(containerDir, "rootfs") }] };
  const diffIDs = image.layers.map(({ diffID }) => diffID);
  const directories = diffIDs.map(
    (diffID, at) =>
      findLayer(context, diffIDs, at)?.directory ?? path.join(context.layers, layerName(diffID)),
  );
  return { mounts: [overlayMount(containerDir, directories, driver.userxattr)] };
}

/** See `Store.wholeTree`. */
export function wholeTree(context: StoreContext, image: StoredImage): string {
  const diffIDs = image.layers.map(({ diffID }) => diffID);
  return path.join(
    findChain(context, diffIDs)?.directory ?? path.join(context.chains, chainName(diffIDs)),
    "fs",
  );
}

function notUnpacked(image: StoredImage): VitrineError {
  return new VitrineError("unavailable", `the layers of image ${image.id} are not unpacked`, {
    code: "image-not-unpacked",
    operand: image.id,
    hint: "another command removed them meanwhile: try again",
  });
}

/** The merged root shows the attributes of the upper directory: they come from the topmost layer that speaks of `/`. */
function makeUpper(context: StoreContext, upper: string, layers: readonly UnpackedLayer[]): void {
  if (!makeDirectory(upper)) return;
  const root = layers.findLast(({ row }) => row.rootEntry !== undefined)?.row.rootEntry;
  if (root !== undefined) {
    if (root.mode !== 0o755) fs.chmodSync(upper, root.mode);
    fs.utimesSync(upper, root.mtime, root.mtime);
  }
  giveToRoot(context, [upper]);
  if (root !== undefined && (root.uid !== 0 || root.gid !== 0)) ownUpper(context, upper, root.uid, root.gid);
}

/** A root directory that is not root's is rare; rootless it stays the user's own. */
function ownUpper({ ids }: StoreContext, upper: string, uid: number, gid: number): void {
  const mapped =
    ids.kind === "none" ? { uid, gid } : { uid: onHost(ids.uids, uid), gid: onHost(ids.gids, gid) };
  if (mapped.uid === undefined || mapped.gid === undefined) return;
  try {
    fs.chownSync(upper, mapped.uid, mapped.gid);
  } catch (error) {
    if (errnoOf(error) !== "EPERM" && errnoOf(error) !== "EINVAL") throw error;
  }
}

/** Returns whether it was made now. The mode is exact, whatever the umask is. */
function makeDirectory(directory: string): boolean {
  try {
    fs.mkdirSync(directory, 0o755);
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
  if ((process.umask() & 0o755) !== 0) fs.chmodSync(directory, 0o755);
  return true;
}
