/** A blob of a source → its file in the store, which others read while it comes. */
import * as fs from "node:fs";
import * as path from "node:path";
import { requireContent, sizeMismatch, type TemporaryFile, VitrineError } from "../base/mod.ts";
import { blobMissing, expectedContent, type ImageSource } from "../image/mod.ts";
import type { Descriptor } from "../oci/mod.ts";
import type { ArrivingBlob } from "./arrival.ts";
import { blobFile, guardedAsync, type StoreContext } from "./context.ts";
import { closePartial, openPartial } from "./partials.ts";

export interface ReceiveOptions {
  /** False: the disk gets it later (unflushed.ts). */
  readonly sync: boolean;
  /** The blob is in the store. */
  readonly onDone: () => void;
  /** What was kept of it, or what came after, is not the blob: it is gone, and the next try begins anew. */
  readonly onBadPart: () => void;
}

/** Of errors that may lie in the bytes themselves: a damaged archive, one that claims too much, one that nobody writes. */
const ofContent: ReadonlySet<string> = new Set(["corrupt", "invalid", "unsupported"]);

/** What came of it before is gone on with, where the source can. Errors: `blob-missing`, those of the disk. */
export async function receiveBlob(
  context: StoreContext,
  source: ImageSource,
  descriptor: Descriptor,
  options: ReceiveOptions,
): Promise<ArrivingBlob> {
  if (!source.has(descriptor)) throw blobMissing(descriptor);
  fs.mkdirSync(path.dirname(blobFile(context, descriptor.digest)), { recursive: true });
  const resumes = source.openUnverifiedBlobFrom !== undefined;
  const { file, held } = await guardedAsync(context, () => openPartial(context, descriptor, resumes));
  return new Receiving(context, source, descriptor, options, file, held);
}

class Receiving implements ArrivingBlob {
  readonly descriptor: Descriptor;
  readonly fd: number;
  private readonly context: StoreContext;
  private readonly source: ImageSource;
  private readonly options: ReceiveOptions;
  private readonly file: TemporaryFile;
  private readonly held: number;
  private readonly writing: WriteBehind;
  private state: "running" | "accepted" | "corrupt" = "running";

  constructor(
    context: StoreContext,
    source: ImageSource,
    descriptor: Descriptor,
    options: ReceiveOptions,
    file: TemporaryFile,
    held: number,
  ) {
    this.context = context;
    this.source = source;
    this.descriptor = descriptor;
    this.options = options;
    this.file = file;
    this.held = held;
    this.writing = new WriteBehind(context, file, options.sync);
    this.fd = fs.openSync(file.path, "r");
  }

  async *growth(): AsyncGenerator<number, void> {
    try {
      yield* this.grow();
    } catch (error) {
      throw this.corrupt(error);
    }
  }

  private async *grow(): AsyncGenerator<number, void> {
    const { source, descriptor, held, writing } = this;
    const { size } = descriptor;
    const content = source.openUnverifiedBlobFrom?.(descriptor, held) ?? source.openBlob(descriptor);
    let told = held;
    let come = held;
    if (held > 0) yield held;
    for await (const chunk of content) {
      come += chunk.length;
      if (come > size) throw sizeMismatch(expectedContent(descriptor), `more than ${size}`);
      await writing.add(chunk);
      if (held + writing.written === told) continue;
      told = held + writing.written;
      yield told;
    }
    await writing.end();
    if (come !== size) throw sizeMismatch(expectedContent(descriptor), `${come}`);
    if (told < come) yield come;
  }

  async accept(hex: string): Promise<void> {
    const { context, descriptor, file, options } = this;
    try {
      requireContent(expectedContent(descriptor), this.held + this.writing.written, hex);
    } catch (error) {
      throw this.corrupt(error);
    }
    const target = blobFile(context, descriptor.digest);
    await guardedAsync(context, () => file.commit(target, { sync: options.sync }));
    this.state = "accepted";
    options.onDone();
  }

  async close(failure?: unknown): Promise<void> {
    const { context, descriptor, file, held, writing } = this;
    fs.closeSync(this.fd);
    if (this.state === "accepted") return;
    await writing.end().catch(() => undefined);
    if (failure instanceof VitrineError && ofContent.has(failure.kind)) this.state = "corrupt";
    if (this.state === "corrupt") {
      await file.discard();
      if (held > 0) this.options.onBadPart();
    } else await closePartial(context, descriptor.digest, file, held + writing.written);
  }

  /** It is not kept for another try. */
  private corrupt<T>(error: T): T {
    if (error instanceof VitrineError && error.kind === "corrupt") this.state = "corrupt";
    return error;
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
