/** The bytes of a blob as a file that may still be on its way: whoever works on them reads the file, and says what it hashed to. */
import * as fs from "node:fs";
import { type ByteStream, createHasher, requireContent, sizeMismatch } from "../base/mod.ts";
import { blobMissing, expectedContent } from "../image/mod.ts";
import { type Descriptor, splitDigest } from "../oci/mod.ts";
import { hasBlob } from "./blobs.ts";
import { blobFile, type StoreContext } from "./context.ts";

export interface ArrivingBlob {
  readonly descriptor: Descriptor;
  /** Open for reading until `close`. Nothing of it is verified. */
  readonly fd: number;
  /**
   * How many bytes are there, each time that it is more; ends when that are `descriptor.size`. To be called once.
   * Errors: `content-size-mismatch`, those of where it comes from, those of the disk.
   */
  growth(): AsyncIterable<number>;
  /** All of it was hashed, in the algorithm of its digest: it counts from here on. Error: `content-digest-mismatch`. */
  accept(hex: string): Promise<void>;
  /** `failure`: why it is let go before it was accepted. What came is not kept where that lies in the bytes. */
  close(failure?: unknown): Promise<void>;
}

/** A blob of the store. Error: `blob-missing`. */
export function storedBlob(context: StoreContext, descriptor: Descriptor): ArrivingBlob {
  if (!hasBlob(context, descriptor)) throw blobMissing(descriptor);
  const fd = fs.openSync(blobFile(context, descriptor.digest), "r");
  return {
    descriptor,
    fd,
    async *growth() {
      yield descriptor.size;
    },
    accept: async (hex) => requireContent(expectedContent(descriptor), descriptor.size, hex),
    close: async () => fs.closeSync(fd),
  };
}

/** The first `most` bytes, or all where there are less, and the growth with what that took of it. */
export async function peekArriving(
  blob: ArrivingBlob,
  most: number,
): Promise<{ readonly head: Uint8Array; readonly growth: AsyncIterable<number> }> {
  const growth = blob.growth()[Symbol.asyncIterator]();
  let bytes = 0;
  for (let next = await growth.next(); next.done !== true; next = await growth.next()) {
    bytes = next.value;
    if (bytes >= most) break;
  }
  const head = Buffer.alloc(Math.min(bytes, most));
  const count = fs.readSync(blob.fd, head, 0, head.length, 0);
  return { head: head.subarray(0, count), growth: resumed(bytes, growth) };
}

async function* resumed(bytes: number, growth: AsyncIterator<number>): AsyncGenerator<number, void> {
  try {
    yield bytes;
    for (let next = await growth.next(); next.done !== true; next = await growth.next()) yield next.value;
  } finally {
    await growth.return?.();
  }
}

/** The bytes, hashed here. The last ones come when the blob is accepted: whoever has seen all has seen verified ones. */
export async function* contentOf(
  blob: ArrivingBlob,
  growth: AsyncIterable<number> = blob.growth(),
): AsyncGenerator<Uint8Array, void> {
  const hasher = createHasher(splitDigest(blob.descriptor.digest).algorithm);
  let held: Uint8Array | undefined;
  for await (const piece of bytesOf(blob, growth)) {
    hasher.update(piece);
    if (held !== undefined) yield held;
    held = piece;
  }
  await blob.accept(hasher.hex());
  if (held !== undefined) yield held;
}

const readBytes = 512 * 1024;

/** The next piece is read while the last one is used. */
async function* bytesOf(
  blob: ArrivingBlob,
  growth: AsyncIterable<number>,
): ByteStream & AsyncGenerator<Uint8Array, void> {
  let at = 0;
  let pending: Promise<Uint8Array> | undefined;
  try {
    for await (const bytes of growth) {
      while (at < bytes) {
        const piece = await (pending ?? readAt(blob, at, bytes));
        at += piece.length;
        pending = at < bytes ? readAt(blob, at, bytes) : undefined;
        yield piece;
      }
    }
  } finally {
    // The file is closed next.
    await pending?.catch(() => undefined);
  }
}

function readAt({ fd, descriptor }: ArrivingBlob, at: number, end: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(readBytes, end - at));
  return new Promise((resolve, reject) => {
    fs.read(fd, buffer, 0, buffer.length, at, (error, count) => {
      if (error !== null) reject(error);
      else if (count === 0) reject(sizeMismatch(expectedContent(descriptor), `${at}`));
      else resolve(buffer.subarray(0, count));
    });
  });
}
