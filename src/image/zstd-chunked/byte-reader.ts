import type { ByteStream } from "../../base/mod.ts";

const nothing = new Uint8Array(0);

/** A stream handed out in the lengths that its reader wants. */
export class ByteReader {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private rest: Uint8Array = nothing;
  private ended = false;

  constructor(source: ByteStream) {
    this.chunks = source[Symbol.asyncIterator]();
  }

  /** The next 1 to `most` bytes, a view; none at the end. */
  async some(most: number): Promise<Uint8Array> {
    while (this.rest.length === 0 && !this.ended) {
      const { done, value } = await this.chunks.next();
      if (done === true) this.ended = true;
      else this.rest = value;
    }
    const taken = this.rest.subarray(0, most);
    this.rest = this.rest.subarray(taken.length);
    return taken;
  }

  /** A copy of the next `length` bytes; fewer where the stream ends. */
  async exactly(length: number): Promise<Buffer> {
    const taken = Buffer.alloc(length);
    let filled = 0;
    while (filled < length) {
      const piece = await this.some(length - filled);
      if (piece.length === 0) break;
      taken.set(piece, filled);
      filled += piece.length;
    }
    return taken.subarray(0, filled);
  }

  async close(): Promise<void> {
    await this.chunks.return?.();
  }
}
