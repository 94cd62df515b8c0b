/** Layers of an image → directories. Unpacked beside, verified in the same pass, renamed in place. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, temporaryName, writeFileAtomically } from "../base/mod.ts";
import { chainIDs, type Descriptor, type Digest } from "../oci/mod.ts";
import { type ApplySession, startApply } from "./apply.ts";
import { type ArrivingBlob, storedBlob } from "./arrival.ts";
import { collect } from "./collect.ts";
import type { StoreContext } from "./context.ts";
import { type DriverChoice, ensureDriver } from "./driver.ts";
import { lookUp, treesOf } from "./image-view.ts";
import { chainName, findChain, findLayer, layerName } from "./layers/rows.ts";
import { type LayerWriter, missingLink } from "./layers/writer.ts";
import { withLease } from "./leases.ts";
import { canInflate, pour } from "./pour.ts";
import { giveToRoot, removeOwnedTree } from "./trees.ts";
import type { LayerRow, StoredImage, UnpackResult } from "./types.ts";

/** More gain nothing: inflating one layer keeps a core busy, and its files the disk. */
const layersAtATime = 2;

/** See `Store.unpack`. */
export async function unpackImage(context: StoreContext, image: StoredImage): Promise<UnpackResult> {
  return withLease(
    context,
    () => collect(context),
    async () => {
      const choice = ensureDriver(context);
      const rows =
        choice.driver === "overlay"
          ? await unpackLayers(context, image, choice)
          : await unpackChain(context, image);
      return { unpacked: rows.length, warnings: warningsOf(context, rows) };
    },
  );
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export function warningsOf(context: StoreContext, rows: readonly LayerRow[]): readonly string[] {
  const sum = (field: "unmappedOwners" | "skippedDevices" | "forgeries"): number =>
    rows.reduce((total, row) => total + row[field], 0);
  const warnings: string[] = [];
  const unmapped = sum("unmappedOwners");
  if (unmapped > 0) {
    warnings.push(
      `${counted(unmapped, "file")} of the image with owners that are not mapped now have yours: programs that change users will fail; give your user ranges in /etc/subuid and /etc/subgid`,
    );
  }
  const devices = sum("skippedDevices");
  if (devices > 0 && context.ids.kind === "none") {
    warnings.push(`${counted(devices, "device node")} of the image could not be made: left out`);
  }
  const forgeries = sum("forgeries");
  if (forgeries > 0) {
    warnings.push(
      `${forgeries} entries of the image imitate marks of the overlay filesystem and were left out`,
    );
  }
  return warnings;
}

// --- overlay: a directory for each layer, shared by all images ---

/** The blob of a layer. */
export type OpenLayer = (descriptor: Descriptor) => Promise<ArrivingBlob>;

export interface UnpackOptions {
  /** Called once for each layer that is not there; default: from the store. */
  readonly open?: OpenLayer;
  /** How many at a time. */
  readonly width?: number;
  /** false: the disk gets them later (unflushed.ts). */
  readonly sync?: boolean;
}

/** Unpacks what is not there yet of a stack of layers. */
export async function unpackLayers(
  context: StoreContext,
  image: Pick<StoredImage, "layers">,
  choice: DriverChoice,
  options: UnpackOptions = {},
): Promise<readonly LayerRow[]> {
  const { width = layersAtATime, sync = true } = options;
  const open = options.open ?? (async (descriptor: Descriptor) => storedBlob(context, descriptor));
  const diffIDs = image.layers.map(({ diffID }) => diffID);
  const rows: LayerRow[] = [];
  const running: Promise<void>[] = [];
  const byDiffID = new Map<Digest, Promise<void>>();
  const limit = new Slots(width);
  let stopped = false;
  fs.mkdirSync(context.layers, { recursive: true, mode: 0o711 });
  for (let at = 0; at < image.layers.length; at++) {
    // Layers start in order, so what one may have to wait for (`below`) runs already.
    const below = [...running];
    const same = byDiffID.get(diffIDs[at]!);
    const job = async (): Promise<void> => {
      if (stopped) return;
      if (findLayer(context, diffIDs, at) !== undefined) return;
      const ready = async (): Promise<void> => {
        await Promise.all(below);
      };
      rows.push(await unpackLayer(context, image, at, choice, { ready, open, sync }));
    };
    const run = (same ?? Promise.resolve())
      .then(() => limit.run(job))
      .catch((error: unknown) => {
        stopped = true;
        throw error;
      });
    run.catch(() => undefined);
    running.push(run);
    byDiffID.set(diffIDs[at]!, run);
  }
  await settleAll(running);
  return rows;
}

/** All have ended, so that nothing still writes, before the first error is thrown. */
async function settleAll(jobs: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(jobs);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

class Slots {
  private free: number;
  private readonly waiting: (() => void)[] = [];

  constructor(count: number) {
    this.free = count;
  }

  async run(job: () => Promise<void>): Promise<void> {
    if (this.free === 0) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.free -= 1;
    try {
      await job();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.free += 1;
      else next();
    }
  }
}

interface LayerWork {
  /** The layers below are there. */
  readonly ready: () => Promise<void>;
  readonly open: OpenLayer;
  readonly sync: boolean;
}

async function unpackLayer(
  context: StoreContext,
  image: Pick<StoredImage, "layers">,
  at: number,
  choice: DriverChoice,
  { ready, open, sync }: LayerWork,
): Promise<LayerRow> {
  const layer = image.layers[at]!;
  const directory = path.join(context.temporary, temporaryName("layer"));
  makeTree(context, directory);
  try {
    const blob = await open(layer.descriptor);
    const session = startApply(context, canInflate(layer) ? { inflate: blob.fd } : {});
    let name = layerName(layer.diffID);
    let failure: unknown;
    try {
      openTree(context, session, path.join(directory, "fs"), sync);
      const { writer, tarBytes } = await pour(
        context,
        layer,
        blob,
        session,
        choice.userxattr ? "user" : "trusted",
      );
      const links = writer.linksBelow();
      if (links.length > 0 || (writer.impliedDirectories().length > 0 && at > 0)) {
        await ready();
        const diffIDs = image.layers.slice(0, at).map(({ diffID }) => diffID);
        const copied = copyUpLinks(context, writer, links, diffIDs);
        const inherited = inheritAttributes(context, writer, writer.impliedDirectories(), diffIDs);
        if (copied || inherited) name = layerName(layer.diffID, chainIDs(diffIDs).at(-1)!);
      }
      session.op({ op: "layerEnd", sync });
      const { skippedDevices } = await session.end();
      const row: LayerRow = { diffID: layer.diffID, tarBytes, skippedDevices, ...writer.counts };
      writeFileAtomically(path.join(directory, "layer.json"), `${JSON.stringify(row)}\n`, { sync });
      const opaque = writer.opaqueDirectories();
      if (opaque.length > 0)
        writeFileAtomically(path.join(directory, "opaque.json"), `${JSON.stringify(opaque)}\n`, { sync });
      moveInPlace(directory, path.join(context.layers, name));
      return row;
    } catch (error) {
      failure = await session.abort(error);
      throw failure;
    } finally {
      await blob.close(failure);
    }
  } finally {
    removeOwnedTree(context, directory);
  }
}

/** `fs/` becomes the root of the layer: 0755 and ours (root of the map), whatever the umask is. */
function makeTree(context: StoreContext, directory: string): void {
  fs.mkdirSync(directory, { mode: 0o711 });
  const tree = path.join(directory, "fs");
  fs.mkdirSync(tree);
  fs.chmodSync(directory, 0o711);
  fs.chmodSync(tree, 0o755);
  giveToRoot(context, [tree]);
}

function openTree(context: StoreContext, session: ApplySession, tree: string, flushed = true): void {
  const mapped = context.ids.kind !== "none";
  session.op({ op: "setWork", path: { base: "host", path: tree } });
  session.op({
    op: "layerOptions",
    ignoreOwner: context.ids.kind === "single",
    ignoreXattrs: mapped,
    skipDevices: mapped,
    keepKinds: false,
    beginFlush: flushed,
  });
}

/**
 * A tar may hold `usr/bin/x` and say nothing of `usr/`: then `usr/` stays what it was below (its mode, owner and time), and
 * does not become a new directory that hides them. Returns whether anything was taken over.
 */
function inheritAttributes(
  context: StoreContext,
  writer: LayerWriter,
  implied: readonly string[],
  below: readonly Digest[],
): boolean {
  const trees = treesOf(context, below);
  if (trees === undefined) return false;
  let taken = false;
  for (const directory of implied) {
    const seen = lookUp(trees, directory, false);
    if (seen?.kind !== "directory") continue;
    const stat = fs.lstatSync(seen.parts[0]!.directory, { bigint: true });
    const uid = toContainer(context, Number(stat.uid), "uids");
    const gid = toContainer(context, Number(stat.gid), "gids");
    if (uid === undefined || gid === undefined) continue;
    const second = 1_000_000_000n;
    const nanoseconds = ((stat.mtimeNs % second) + second) % second;
    writer.setDirectory(directory, {
      mode: Number(stat.mode) & 0o7777,
      uid,
      gid,
      mtimeSeconds: (stat.mtimeNs - nanoseconds) / second,
      mtimeNanoseconds: Number(nanoseconds),
    });
    taken = true;
  }
  return taken;
}

/**
 * A hard link to a file that only a layer below has. Returns whether there was one: the layer then holds a copy of what is below.
 * Error: `layer-link-missing`.
 */
function copyUpLinks(
  context: StoreContext,
  writer: LayerWriter,
  links: ReturnType<LayerWriter["linksBelow"]>,
  below: readonly Digest[],
): boolean {
  const trees = links.length === 0 ? undefined : treesOf(context, below);
  for (const link of links) {
    const seen = trees === undefined ? undefined : lookUp(trees, link.target, false);
    if (seen?.kind !== "file") throw missingLink(link.path, link.target);
    writer.linkBelow(link, seen.file);
  }
  return links.length > 0;
}

function toContainer(context: StoreContext, id: number, kind: "uids" | "gids"): number | undefined {
  const { ids } = context;
  if (ids.kind === "none") return id;
  const range = ids[kind].find(({ hostID, size }) => id >= hostID && id < hostID + size);
  return range === undefined ? undefined : id - range.hostID + range.containerID;
}

/** Two commands may unpack the same layer: the second finds it there and throws its own away. */
function moveInPlace(from: string, to: string): void {
  try {
    fs.renameSync(from, to);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== "ENOTEMPTY" && errno !== "EEXIST") throw error;
  }
}

// --- copy: a whole tree for each stack of layers ---

async function unpackChain(context: StoreContext, image: StoredImage): Promise<readonly LayerRow[]> {
  const diffIDs = image.layers.map(({ diffID }) => diffID);
  if (findChain(context, diffIDs) !== undefined) return [];
  fs.mkdirSync(context.chains, { recursive: true, mode: 0o711 });
  const base = longestChain(context, diffIDs);
  const directory = path.join(context.temporary, temporaryName("chain"));
  makeTree(context, directory);
  try {
    const session = startApply(context);
    try {
      const tree = path.join(directory, "fs");
      openTree(context, session, tree);
      if (base !== undefined) {
        session.op({
          op: "copyTree",
          from: { base: "host", path: path.join(base.directory, "fs") },
          to: { base: "work", path: "." },
        });
      }
      const rows: LayerRow[] = [];
      for (const layer of image.layers.slice(base?.rows.length ?? 0)) {
        const blob = storedBlob(context, layer.descriptor);
        try {
          const { writer, tarBytes } = await pour(context, layer, blob, session, "remove");
          session.op({ op: "layerEnd", sync: false });
          rows.push({ diffID: layer.diffID, tarBytes, skippedDevices: 0, ...writer.counts });
        } finally {
          await blob.close();
        }
      }
      session.op({ op: "syncTree", path: { base: "work", path: "." } });
      const { skippedDevices } = await session.end();
      const last = rows.at(-1);
      if (last !== undefined) rows[rows.length - 1] = { ...last, skippedDevices };
      const text = JSON.stringify({ layers: [...(base?.rows ?? []), ...rows] });
      writeFileAtomically(path.join(directory, "chain.json"), `${text}\n`);
      moveInPlace(directory, path.join(context.chains, chainName(diffIDs)));
      return rows;
    } catch (error) {
      throw await session.abort(error);
    }
  } finally {
    removeOwnedTree(context, directory);
  }
}

/** The tallest stack below that is there already. */
function longestChain(context: StoreContext, diffIDs: readonly Digest[]): ReturnType<typeof findChain> {
  for (let length = diffIDs.length - 1; length > 0; length--) {
    const chain = findChain(context, diffIDs.slice(0, length));
    if (chain !== undefined) return chain;
  }
  return undefined;
}
