/** Where unpacked layers and chains are, and what is known of them. A directory that is there is complete. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf } from "../../base/mod.ts";
import { chainID, chainIDs, type Digest, splitDigest } from "../../oci/mod.ts";
import type { StoreContext } from "../context.ts";
import type { LayerRow, StoredImage } from "../types.ts";

export interface UnpackedLayer {
  readonly directory: string;
  readonly row: LayerRow;
}

/**
 * The name of a layer's directory. A layer whose tar only implies some directories takes their attributes from the layers
 * below, and so has one directory for each stack it lies on: `HEX.STACK`.
 */
export function layerName(diffID: Digest, below?: Digest): string {
  const { hex } = splitDigest(diffID);
  return below === undefined ? hex : `${hex}.${splitDigest(below).hex.slice(0, 16)}`;
}

/** The layer at position `at` of a stack, if it is unpacked. */
export function findLayer(
  context: StoreContext,
  diffIDs: readonly Digest[],
  at: number,
): UnpackedLayer | undefined {
  const plain = path.join(context.layers, layerName(diffIDs[at]!));
  const row = readRow(plain);
  if (row !== undefined) return { directory: plain, row };
  if (at === 0) return undefined;
  const below = chainIDs(diffIDs.slice(0, at)).at(-1)!;
  const own = path.join(context.layers, layerName(diffIDs[at]!, below));
  const ownRow = readRow(own);
  return ownRow === undefined ? undefined : { directory: own, row: ownRow };
}

/** All layers of a stack, lowest first; undefined unless every one is there. */
export function findLayers(
  context: StoreContext,
  diffIDs: readonly Digest[],
): readonly UnpackedLayer[] | undefined {
  const layers: UnpackedLayer[] = [];
  for (let at = 0; at < diffIDs.length; at++) {
    const layer = findLayer(context, diffIDs, at);
    if (layer === undefined) return undefined;
    layers.push(layer);
  }
  return layers;
}

export interface Chain {
  readonly directory: string;
  /** Lowest first. */
  readonly rows: readonly LayerRow[];
}

/** The copy driver's whole tree of a stack. */
export function findChain(context: StoreContext, diffIDs: readonly Digest[]): Chain | undefined {
  const directory = path.join(context.chains, chainName(diffIDs));
  const text = readText(path.join(directory, "chain.json"));
  return text === undefined
    ? undefined
    : { directory, rows: (JSON.parse(text) as { layers: LayerRow[] }).layers };
}

/** An image without layers has an empty tree. */
export function chainName(diffIDs: readonly Digest[]): string {
  const id = chainID(diffIDs);
  return id === undefined ? "empty" : splitDigest(id).hex;
}

export function readLayerRow(context: StoreContext, image: StoredImage, at: number): LayerRow | undefined {
  const diffIDs = image.layers.map(({ diffID }) => diffID);
  if (diffIDs[at] === undefined) return undefined;
  return findLayer(context, diffIDs, at)?.row ?? findChain(context, diffIDs)?.rows[at];
}

/** The opaque directories of a layer, as paths from its root. */
export function readOpaque(directory: string): readonly string[] {
  const text = readText(path.join(directory, "opaque.json"));
  return text === undefined ? [] : (JSON.parse(text) as string[]);
}

function readRow(directory: string): LayerRow | undefined {
  const text = readText(path.join(directory, "layer.json"));
  // Written by this store inside a directory that was renamed in place when complete.
  return text === undefined ? undefined : (JSON.parse(text) as LayerRow);
}

function readText(file: string): string | undefined {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
