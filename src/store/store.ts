import { directoryContent, sourceOf } from "../image/mod.ts";
import { isDigest } from "../oci/mod.ts";
import { initialize, makeContext } from "./context.ts";
import { readFileOf, treesOf } from "./image-view.ts";
import { namesOf } from "./index-file.ts";
import { readLayerRow } from "./layers/rows.ts";
import { historyOf, listImages } from "./list.ts";
import { find, resolveImage } from "./lookup.ts";
import { isUnpacked, makeSnapshot, previewSnapshot, wholeTree } from "./snapshot.ts";
import { giveToRoot, removeByHelper } from "./trees.ts";
import type { Store, StoreOptions } from "./types.ts";
import { measureUsage } from "./usage.ts";

/**
 * Opens the store at `options.root`. Nothing is read or written until a method is called. What `run` calls is imported here;
 * the rest is loaded on use.
 */
export function openStore(options: StoreOptions): Store {
  const context = makeContext(options);
  return {
    root: context.root,
    runroot: context.runroot,

    resolve: (reference, platform) => resolveImage(context, reference, platform),
    list: () => listImages(context),
    history: (image) => historyOf(context, image),
    layerRow: (image, layer) => readLayerRow(context, image, layer),
    isUnpacked: (image) => isUnpacked(context, image),
    snapshot: (image, containerDir) => makeSnapshot(context, image, containerDir),
    wholeTree: (image) => wholeTree(context, image),
    previewSnapshot: (image, containerDir) => previewSnapshot(context, image, containerDir),
    readImageFile: (image, path) => {
      const trees = treesOf(
        context,
        image.layers.map(({ diffID }) => diffID),
      );
      return trees === undefined ? undefined : readFileOf(trees, path);
    },
    layerTrees: (diffIDs) => treesOf(context, diffIDs.filter(isDigest))?.map(({ directory }) => directory),
    source: (image, { wholeIndex = false } = {}) => ({
      ...sourceOf(
        directoryContent(context.layout),
        wholeIndex ? image.root : image.manifestDescriptor,
        image.names,
      ),
    }),
    rootSource: (reference) => {
      const { root, entries } = find(context, reference);
      return sourceOf(directoryContent(context.layout), root, namesOf(entries, root.digest));
    },
    temporaryDirectory: () => {
      initialize(context);
      return context.temporary;
    },

    diskUsage: () => measureUsage(context),
    put: async (source, { names } = {}) =>
      (await import("./put.ts")).putImage(context, source, names ?? source.names),
    pull: async (source, pullOptions = {}) =>
      (await import("./pull.ts")).pullImage(context, source, pullOptions),
    unpack: async (image) => (await import("./unpack.ts")).unpackImage(context, image),
    tag: async (reference, name) => (await import("./remove.ts")).tagImage(context, reference, name),
    untag: async (name) => (await import("./remove.ts")).untagImage(context, name),
    remove: async (reference, removeOptions = {}) =>
      (await import("./remove.ts")).removeImage(context, reference, removeOptions),
    prune: async (pruneOptions = {}) => (await import("./remove.ts")).pruneImages(context, pruneOptions),
    check: async (checkOptions) => (await import("./check.ts")).checkStore(context, checkOptions),
    sweep: async () => (await import("./collect.ts")).sweepLeftovers(context),
    gc: async () => (await import("./collect.ts")).collect(context),
    removeTree: (path) => removeByHelper(context, path),
    giveToRoot: (paths) => giveToRoot(context, paths),
  };
}
