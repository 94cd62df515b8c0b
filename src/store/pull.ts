/** From a network into the store: fetched, verified, kept and unpacked in one pass. */
import * as fs from "node:fs";
import * as path from "node:path";
import { type ByteStream, readFileStream, type TemporaryFile, VitrineError, verified } from "../base/mod.ts";
import {
  blobMissing,
  expectedContent,
  formatReference,
  type ImageSource,
  platformRank,
  type Walk,
  walkImage,
} from "../image/mod.ts";
import type { Descriptor } from "../oci/mod.ts";
import { hasBlob } from "./blobs.ts";
import { blobFile, guardedAsync, type StoreContext } from "./context.ts";
import { type DriverChoice, ensureDriver } from "./driver.ts";
import { findLayer } from "./layers/rows.ts";
import { withLease } from "./leases.ts";
import { closePartial, openPartial } from "./partials.ts";
import { nameImage, readImages, requireTag, type WalkedImage } from "./put.ts";
import type { LayerRow, PullOptions, PullResult, StoredLayer } from "./types.ts";
import { type Coming, flushBehind, noteUnflushed } from "./unflushed.ts";
import { storedBlob, unpackLayers, warningsOf } from "./unpack.ts";

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
        const rows = unpacking === undefined ? [] : await pull.unpackWhileFetching(unpacking, sync);
        await pull.fetchRest(walk.blobs, sync);
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

  async unpackWhileFetching({ layers, choice }: Unpacking, sync: boolean): Promise<readonly LayerRow[]> {
    const open = (descriptor: Descriptor): ByteStream =>
      hasBlob(this.context, descriptor)
        ? storedBlob(this.context, descriptor)
        : this.receive(descriptor, sync);
    return unpackLayers(this.context, { layers }, choice, open, blobsAtATime, sync);
  }

  async fetchRest(blobs: readonly Descriptor[], sync: boolean): Promise<void> {
    const queue = [...blobs];
    const lane = async (): Promise<void> => {
      for (let blob = queue.shift(); blob !== undefined; blob = queue.shift()) {
        if (hasBlob(this.context, blob)) {
          this.tell(blob, "present");
          continue;
        }
        try {
          for await (const _ of this.receive(blob, sync));
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

  private readonly told = new Set<string>();
  private tell(blob: Descriptor, state: "present" | "fetching" | "done"): void {
    if (state === "present" && this.told.has(blob.digest)) return;
    this.told.add(blob.digest);
    this.options.onBlob?.(blob, state);
  }

  /** The blob's bytes, verified, which are written to the store as they pass. */
  private async *receive(descriptor: Descriptor, sync: boolean): AsyncGenerator<Uint8Array, void> {
    const { context } = this;
    if (!this.source.has(descriptor)) throw blobMissing(descriptor);
    this.tell(descriptor, "fetching");
    const target = blobFile(context, descriptor.digest);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    const resume = this.source.openUnverifiedBlobFrom?.bind(this.source);
    const { file, held } = await guardedAsync(context, () =>
      openPartial(context, descriptor, resume !== undefined),
    );
    // The file's own bytes are part of what is verified: a blob never has a byte that was not.
    const content =
      held === 0 || resume === undefined
        ? this.source.openBlob(descriptor)
        : joined(readFileStream(file.path, { length: held }), resume(descriptor, held));
    const writing = new WriteBehind(context, file, sync);
    let passed = 0;
    let state: "running" | "ended" | "corrupt" = "running";
    try {
      for await (const chunk of verified(content, expectedContent(descriptor))) {
        // What came from the file itself is there.
        const fresh = passed >= held ? chunk : chunk.subarray(Math.min(chunk.length, held - passed));
        passed += chunk.length;
        await writing.add(fresh);
        yield chunk;
      }
      await writing.end();
      state = "ended";
      await guardedAsync(context, () => file.commit(target, { sync }));
      this.tell(descriptor, "done");
    } catch (error) {
      if (error instanceof VitrineError && error.kind === "corrupt") state = "corrupt";
      throw error;
    } finally {
      if (state !== "ended") await writing.end().catch(() => undefined);
      if (state === "corrupt") await file.discard();
      else if (state === "running")
        await closePartial(context, descriptor.digest, file, held + writing.written);
    }
  }
}

/** Bytes that are written together; as many are gathered meanwhile. */
const writeBytes = 512 * 1024;
/** After so many the disk begins to work on what it has. */
const flushBytes = 32 * 1024 * 1024;

/** Writes a file beside what else is done with its bytes: `add` waits only when the disk is slower. Errors: those of the disk. */
class WriteBehind {
  written = 0;
  private readonly context: StoreContext;
  private readonly file: TemporaryFile;
  private readonly flushes: boolean;
  private gathered: Uint8Array[] = [];
  private bytes = 0;
  private unflushed = 0;
  private running: Promise<void> = Promise.resolve();

  /** `flushes`: the disk begins before all is written. */
  constructor(context: StoreContext, file: TemporaryFile, flushes: boolean) {
    this.context = context;
    this.file = file;
    this.flushes = flushes;
  }

  async add(chunk: Uint8Array): Promise<void> {
    this.gathered.push(chunk);
    this.bytes += chunk.length;
    if (this.bytes < writeBytes) return;
    await this.running;
    this.begin();
  }

  async end(): Promise<void> {
    await this.running;
    if (this.bytes > 0) this.begin();
    await this.running;
  }

  private begin(): void {
    const { gathered, bytes } = this;
    this.gathered = [];
    this.bytes = 0;
    this.running = guardedAsync(this.context, () => this.file.append(gathered)).then(() => {
      this.written += bytes;
      this.unflushed += bytes;
      if (!this.flushes || this.unflushed < flushBytes) return;
      this.unflushed = 0;
      this.file.flushEarly();
    });
    // Thrown by whoever waits for it.
    this.running.catch(() => undefined);
  }
}

async function* joined(...streams: readonly ByteStream[]): AsyncGenerator<Uint8Array, void> {
  for (const stream of streams) yield* stream;
}
