/** `system df` and `image tree`: what takes space, and what is shared. */
import * as path from "node:path";
import { filesBelow } from "../base/mod.ts";
import { isDigest, splitDigest } from "../oci/mod.ts";
import { listBlobs, namesIn } from "./blobs.ts";
import { sizeOf } from "./collect.ts";
import { readContainers } from "./containers.ts";
import type { StoreContext } from "./context.ts";
import { readIndex } from "./index-file.ts";
import { chainName, readLayerRow } from "./layers/rows.ts";
import { listImages } from "./list.ts";
import { readImage } from "./lookup.ts";
import { usersOf } from "./remove.ts";
import type { ContainerRecord, DiskUsage, ImageRow, ImageUsage, StoredImage } from "./types.ts";

export function measureUsage(context: StoreContext): DiskUsage {
  const entries = readIndex(context);
  const containers = readContainers(context);
  const rows = firstOfEach(listImages(context));
  const images = rows.map((row) => {
    const root = entries.find((entry) => entry.root.digest === row.digest)!.root;
    return {
      row,
      root,
      image:
        row.problem === undefined
          ? readImage(context, { root, entries, by: "digest" }, undefined)
          : undefined,
    };
  });
  const holders = countLayers(images.flatMap(({ image }) => image ?? []));
  const usages = images.map(({ row, root, image }): ImageUsage => {
    const sizes = image === undefined ? [] : layerSizes(context, image);
    const shared = sizes.filter(({ diffID }) => (holders.get(diffID) ?? 0) > 1);
    const unique = sizes.filter(({ diffID }) => (holders.get(diffID) ?? 0) <= 1);
    return {
      row,
      sharedBytes: sum(shared),
      uniqueBytes: sum(unique),
      containers: usersOf(containers, root, [row.id]),
    };
  });
  const held = heldTrees(containers);
  const blobs = listBlobs(context);
  const heldBlobs = new Set<string>();
  for (const { image, root } of images) {
    if (image === undefined || usersOf(containers, root, [image.id]).length === 0) continue;
    for (const { digest } of [
      root,
      image.manifestDescriptor,
      image.manifest.config,
      ...image.manifest.layers,
    ]) {
      heldBlobs.add(digest);
    }
  }
  const maps = [context.layers, context.chains].map((own) => path.dirname(own));
  const trees = maps.flatMap((all) => namesIn(all).flatMap((name) => treeSizes(path.join(all, name))));
  const freeTrees = trees.filter(({ name }) => !held.has(name.split(".")[0]!));
  const freeBlobs = [...blobs].filter(([digest]) => !heldBlobs.has(digest));
  return {
    images: usages,
    containers: [...new Set(containers.map(({ id }) => id))].map((id) => ({
      id,
      size: writtenBytes(path.join(context.containers, id)),
    })),
    blobBytes: [...blobs.values()].reduce((total, size) => total + size, 0),
    layerBytes: sum(trees),
    reclaimableBytes: sum(freeTrees) + freeBlobs.reduce((total, [, size]) => total + size, 0),
  };
}

/** An image with three names takes its space once. */
function firstOfEach(rows: readonly ImageRow[]): readonly ImageRow[] {
  return [...Map.groupBy(rows, ({ digest }) => digest).values()].map(([first]) => first!);
}

function countLayers(images: readonly StoredImage[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const image of images) {
    for (const diffID of new Set(image.layers.map((layer) => layer.diffID))) {
      counts.set(diffID, (counts.get(diffID) ?? 0) + 1);
    }
  }
  return counts;
}

interface LayerSize {
  readonly diffID: string;
  readonly size: number;
}

/** Unpacked bytes where unpacked, else the blob's. */
function layerSizes(context: StoreContext, image: StoredImage): readonly LayerSize[] {
  return image.layers.map(({ diffID, descriptor }, at) => ({
    diffID,
    size: readLayerRow(context, image, at)?.fileBytes ?? descriptor.size,
  }));
}

function sum(sizes: readonly { readonly size: number }[]): number {
  return sizes.reduce((total, { size }) => total + size, 0);
}

function treeSizes(directory: string): readonly { readonly name: string; readonly size: number }[] {
  return namesIn(directory).map((name) => ({ name, size: sizeOf(path.join(directory, name)) }));
}

/** Names of the layers and chains that containers hold. */
function heldTrees(containers: readonly ContainerRecord[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { layers } of containers) {
    const diffIDs = layers.filter(isDigest);
    for (const diffID of diffIDs) names.add(splitDigest(diffID).hex);
    names.add(chainName(diffIDs));
  }
  return names;
}

/** What a container wrote: allocated bytes of its upper directory (copy driver: its tree). Unreadable parts count nothing. */
function writtenBytes(container: string): number {
  let bytes = 0;
  for (const part of ["upper", "rootfs"]) {
    for (const { blocks } of filesBelow(path.join(container, part))) bytes += blocks * 512;
  }
  return bytes;
}
