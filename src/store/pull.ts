/** From a network into the store: fetched, verified, kept and unpacked in one pass. */
import * as fs from "node:fs";
import { formatReference, type ImageSource, platformRank, type Walk, walkImage } from "../image/mod.ts";
import type { Descriptor } from "../oci/mod.ts";
import { type ArrivingBlob, contentOf, storedBlob } from "./arrival.ts";
import { hasBlob } from "./blobs.ts";
import type { StoreContext } from "./context.ts";
import { type DriverChoice, ensureDriver } from "./driver.ts";
import { findLayer } from "./layers/rows.ts";
import { withLease } from "./leases.ts";
import { nameImage, readImages, requireTag, type WalkedImage } from "./put.ts";
import { receiveBlob } from "./receive.ts";
import type { LayerRow, PullOptions, PullResult, StoredLayer } from "./types.ts";
import { type Coming, flushBehind, noteUnflushed } from "./unflushed.ts";
import { unpackLayers, warningsOf } from "./unpack.ts";

/** Blobs at a time: more than cores, because a network is waited for. */
const blobsAtATime = 4;

/** See `Store.pull`. Errors: those of `putImage` and of `Store.unpack`. */
export async function pullImage(
  context: StoreContext,
  source: ImageSource,
  options: PullOptions,
): Promise<PullResult> {
  const names = (options.names ?? source.names).map((name) => formatReference(requireTag(name)));
  const pull = new Pull(context, source, options);
  // Blobs of a pull that failed are no garbage yet: the next try needs them.
  return withLease(
    context,
    async () => undefined,
    async () => {
      const walk = await walkImage(source);
      const images = await readImages(source, walk);
      const unpacking = options.unpack === false ? undefined : pull.toUnpack(images);
      const note = noteUnflushed(context, pull.coming(walk, unpacking?.layers ?? []));
      const sync = note === undefined;
      try {
        const rows = await pull.bring(walk, unpacking, sync);
        const put = await nameImage(context, source, walk, images, names, sync);
        return { ...put, warnings: warningsOf(context, rows) };
      } finally {
        if (note !== undefined) flushBehind(context, note);
      }
    },
  );
}

interface Unpacking {
  readonly layers: readonly StoredLayer[];
  readonly choice: DriverChoice;
}

class Pull {
  private readonly context: StoreContext;
  private readonly source: ImageSource;
  private readonly options: PullOptions;

  constructor(context: StoreContext, source: ImageSource, options: PullOptions) {
    this.context = context;
    this.source = source;
    this.options = options;
  }

  /** The layers of the image that this machine runs. The copy driver's trees need them in order: those wait for `run`. */
  toUnpack(images: readonly WalkedImage[]): Unpacking | undefined {
    const image = this.bestOf(images);
    if (image === undefined || !this.canUnpack()) return undefined;
    const choice = ensureDriver(this.context);
    if (choice.driver !== "overlay") return undefined;
    const { manifest } = image.parsed;
    const layers = manifest.layers.map((descriptor, at) => ({
      descriptor,
      diffID: image.config.rootfs.diff_ids[at]!,
    }));
    return { layers, choice };
  }

  /** All that the store does not have. */
  coming(walk: Walk, stack: readonly StoredLayer[]): Coming {
    const { context } = this;
    const documents = [...walk.manifests, ...walk.indexes].map(({ descriptor }) => descriptor);
    const diffIDs = stack.map(({ diffID }) => diffID);
    return {
      blobs: [...walk.blobs, ...documents].filter((blob) => !hasBlob(context, blob)),
      stack,
      layers: diffIDs.filter((_, at) => findLayer(context, diffIDs, at) === undefined),
    };
  }

  /** Where the part that an earlier pull left was bad, once more without it. */
  async bring(walk: Walk, unpacking: Unpacking | undefined, sync: boolean): Promise<readonly LayerRow[]> {
    const once = async (): Promise<readonly LayerRow[]> => {
      const rows = unpacking === undefined ? [] : await this.unpackWhileFetching(unpacking, sync);
      await this.fetchRest(walk.blobs, sync);
      return rows;
    };
    try {
      return await once();
    } catch (error) {
      if (!this.hadBadPart) throw error;
      return await once();
    }
  }

  private async unpackWhileFetching(
    { layers, choice }: Unpacking,
    sync: boolean,
  ): Promise<readonly LayerRow[]> {
    const open = async (descriptor: Descriptor): Promise<ArrivingBlob> =>
      hasBlob(this.context, descriptor)
        ? storedBlob(this.context, descriptor)
        : this.receive(descriptor, sync);
    return unpackLayers(this.context, { layers }, choice, { open, width: blobsAtATime, sync });
  }

  private async fetchRest(blobs: readonly Descriptor[], sync: boolean): Promise<void> {
    const queue = [...blobs];
    const lane = async (): Promise<void> => {
      for (let blob = queue.shift(); blob !== undefined; blob = queue.shift()) {
        if (hasBlob(this.context, blob)) {
          this.tell(blob, "present");
          continue;
        }
        try {
          const arriving = await this.receive(blob, sync);
          try {
            for await (const _ of contentOf(arriving));
          } finally {
            await arriving.close();
          }
        } catch (error) {
          queue.length = 0;
          throw error;
        }
      }
    };
    const results = await Promise.allSettled(Array.from({ length: blobsAtATime }, lane));
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  }

  private bestOf(images: readonly WalkedImage[]): WalkedImage | undefined {
    const { platform } = this.context;
    return images
      .map((image) => ({ image, rank: platformRank(platform, image.descriptor.platform ?? image.config) }))
      .filter(({ rank }) => rank !== undefined)
      .sort((left, right) => left.rank! - right.rank!)[0]?.image;
  }

  /** A store that cannot unpack still takes images in: whoever runs one is told why. */
  private canUnpack(): boolean {
    return fs.existsSync(this.context.helperPath);
  }

  private hadBadPart = false;
  private readonly told = new Set<string>();
  private tell(blob: Descriptor, state: "present" | "fetching" | "done"): void {
    if (state === "present" && this.told.has(blob.digest)) return;
    this.told.add(blob.digest);
    this.options.onBlob?.(blob, state);
  }

  private receive(descriptor: Descriptor, sync: boolean): Promise<ArrivingBlob> {
    this.tell(descriptor, "fetching");
    const onDone = (): void => this.tell(descriptor, "done");
    const onBadPart = (): void => {
      this.hadBadPart = true;
    };
    return receiveBlob(this.context, this.source, descriptor, { sync, onDone, onBadPart });
  }
}
