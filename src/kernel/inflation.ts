/** What a helper inflates beside its ops (`native/unpacker.c`): a compressed file that may still grow, plain bytes in memory that is shared. */
import * as fs from "node:fs";

/** Where it is told how long the file is. A write to a helper that has ended is dropped; one under way ends before it is closed. */
export interface InflationInput {
  write(bytes: Uint8Array): Promise<void>;
  close(): void;
}

/**
 * A gzip file on its way to plain bytes. `produced` grows as the file does; plain bytes stay until an op `layerInflated` says that they
 * are used, so whoever reads must send these, and not wait for more before.
 */
export class Inflation {
  readonly #input: InflationInput;
  readonly #memory: number;
  readonly #bytes: number;
  #produced = 0;
  #ended = false;
  #problem: string | undefined;
  readonly #digests: { plain?: string; compressed?: string } = {};
  #failure: { readonly error: unknown } | undefined;
  #feeding: Promise<void> = Promise.resolve();
  #stopped = false;
  #open = true;
  #wake: () => void = () => {};

  constructor(input: InflationInput, memory: number, bytes: number) {
    this.#input = input;
    this.#memory = memory;
    this.#bytes = bytes;
  }

  /** Plain bytes so far. */
  get produced(): number {
    return this.#produced;
  }

  /** Whether `produced` is all: the input ended, or `problem` was found. */
  get ended(): boolean {
    return this.#ended;
  }

  /** What is wrong with the compressed bytes. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Begins to tell how many bytes the file has, each time that it is more. An error of `growth` is thrown by whoever waits here. */
  feed(growth: AsyncIterable<number>): void {
    this.#feeding = this.#feed(growth).catch((error: unknown) => this.fail(error));
  }

  /** All of the file is there, and the helper knows. Throws the error of its growth. */
  async fed(): Promise<void> {
    await this.#feeding;
    this.#check();
  }

  async #feed(growth: AsyncIterable<number>): Promise<void> {
    const size = Buffer.alloc(8);
    for await (const bytes of growth) {
      size.writeBigUInt64LE(BigInt(bytes));
      await this.#input.write(size);
      if (this.#stopped) return;
    }
    this.#input.close();
  }

  /** Waits until there are more plain bytes than `position`, or no more come. Throws what `fail` was told. */
  async beyond(position: number): Promise<void> {
    while (this.#produced <= position && !this.#ended) await this.#news();
  }

  /** The SHA-256 of all plain bytes, or of the file: lower-case hex, once it is there. */
  async sha256(of: "plain" | "compressed"): Promise<string> {
    while (true) {
      const hex = this.#digests[of];
      if (hex !== undefined) return hex;
      await this.#news();
    }
  }

  /** Plain bytes from `position` on into `buffer`: as many as fit and are there without a turn of the memory. */
  read(buffer: Uint8Array, position: number): number {
    const place = position % this.#bytes;
    const count = Math.min(buffer.length, this.#produced - position, this.#bytes - place);
    return fs.readSync(this.#memory, buffer, 0, count, place);
  }

  /** A line that the helper's processes wrote. */
  hear(line: string): void {
    const [word = "", rest = ""] = line.split(/ (.*)/s);
    if (/^\d+$/.test(word)) this.#produced = Math.max(this.#produced, Number(word));
    else if (word === "sha256") this.#digests.plain = rest;
    else if (word === "compressed") this.#digests.compressed = rest;
    else {
      this.#ended = true;
      if (word !== "end") this.#problem ??= rest;
    }
    this.#wake();
  }

  /** Nothing will be heard any more. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  /** Closes all, and waits until the source is closed as well. Of a helper that still runs, the input must have ended. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#input.close();
    await this.#feeding;
    if (this.#open) fs.closeSync(this.#memory);
    this.#open = false;
  }

  async #news(): Promise<void> {
    this.#check();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#check();
  }

  #check(): void {
    const failure = this.#failure;
    if (failure !== undefined) throw failure.error;
  }
}
