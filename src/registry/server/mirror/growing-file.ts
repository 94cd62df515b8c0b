/**
 * A file that is read while it is written, by as many as want it. The last bytes are held back until the writer says
 * that the whole was what it should be: nobody who has all of it has something unverified.
 */
import type { FileHandle } from "node:fs/promises";
import { VitrineError } from "../../../base/mod.ts";
import type { BlobReader } from "../storage/types.ts";

const pieceBytes = 512 * 1024;

/** One who reads it. Without a size, all there will be is asked for as `Infinity`. */
export type GrowingBlob = Pick<BlobReader, "stream" | "close"> & { readonly size: number | undefined };

export class GrowingFile {
  /** What it will have; undefined until its end where nobody said it. */
  private expected: number | undefined;
  private readonly file: FileHandle;
  private written = 0;
  private ended: { readonly error: unknown } | undefined;
  private waiting: (() => void)[] = [];
  /** Readers, and the writer. */
  private users = 1;

  constructor(file: FileHandle, size?: number) {
    this.file = file;
    this.expected = size;
  }

  get size(): number | undefined {
    return this.expected;
  }

  /** So many bytes are in the file. */
  grow(bytes: number): void {
    this.written = bytes;
    this.wake();
  }

  /** The writer is done; without an error, all of it is verified. */
  end(error?: unknown): void {
    this.ended = { error };
    this.expected ??= this.written;
    this.wake();
    this.leave();
  }

  /** Undefined once the writer and all readers have left. */
  open(): GrowingBlob | undefined {
    if (this.users === 0) return undefined;
    this.users += 1;
    return {
      size: this.expected,
      stream: (first, length) => this.stream(first, length),
      close: async () => this.leave(),
    };
  }

  private async *stream(first: number, length: number): AsyncGenerator<Uint8Array, void> {
    let position = first;
    while (position < first + length) {
      if (this.ended !== undefined && this.ended.error !== undefined) {
        throw new VitrineError("unavailable", "the blob could not be fetched whole", {
          code: "upstream-failed",
          cause: this.ended.error,
        });
      }
      const { expected } = this;
      // One byte is enough to hold back.
      const available =
        this.ended !== undefined ? expected! : Math.min(this.written, (expected ?? this.written) - 1);
      const end = Math.min(first + length, this.ended !== undefined ? expected! : Infinity);
      if (position >= end) return;
      if (available <= position) {
        await new Promise<void>((resolve) => this.waiting.push(resolve));
        continue;
      }
      const buffer = Buffer.allocUnsafeSlow(Math.min(pieceBytes, available - position, end - position));
      const { bytesRead } = await this.file.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) {
        throw new VitrineError("corrupt", "the blob ends early", { code: "content-truncated" });
      }
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  private wake(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }

  private leave(): void {
    this.users -= 1;
    if (this.users === 0) this.file.close().catch(() => undefined);
  }
}
