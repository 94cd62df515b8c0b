import type { Transform } from "node:stream";
import { VitrineError } from "./errors.ts";
import { type ByteStream, chunkBytes, counted, rechunked, type Tally } from "./streams.ts";
import { throughTransform } from "./transform.ts";
import { ZstdFrames } from "./zstd-frames.ts";

export type Compression = "none" | "gzip" | "zstd" | "xz" | "bzip2";

const magics: readonly (readonly [Compression, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b, 0x08]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["bzip2", [0x42, 0x5a, 0x68]],
];
/** A zstd stream may begin with a skippable frame (zstd:chunked, pzstd): 0x50..0x5f 2a 4d 18. */
const skippableTail = [0x2a, 0x4d, 0x18];
export const compressionHeadBytes = 6;

/** What the first bytes (6 suffice) of a stream say it is. */
export function detectCompression(head: Uint8Array): Compression {
  for (const [compression, magic] of magics) {
    if (magic.every((byte, index) => head[index] === byte)) return compression;
  }
  const isSkippable =
    (head[0] ?? 0) >> 4 === 5 && skippableTail.every((byte, index) => head[index + 1] === byte);
  return isSkippable ? "zstd" : "none";
}

export interface Decompressed {
  readonly compression: Compression;
  /**
   * The plain bytes. The compressed source is read to its end. Input that is corrupt, truncated or followed by something
   * else (zeros after gzip are padding) throws `compressed-data-corrupt`.
   */
  readonly stream: ByteStream;
  /** Compressed bytes fed so far: the `input` of `bounded`. */
  readonly input: Readonly<Tally>;
}

/**
 * Looks at the first bytes and decompresses gzip (any number of members), zstd (any number of frames) and xz; other input passes through, except
 * bzip2: `compression-unsupported`. Only one xz stream is decoded at a time: a second waits for the first, so never read one
 * inside another. `name` is for errors.
 */
export async function decompress(source: ByteStream, name?: string): Promise<Decompressed> {
  const input: Tally = { bytes: 0 };
  const { compression, stream, close } = await peekCompression(counted(source, input));
  try {
    return { compression, stream: await decompressed(stream, compression, name), input };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What a stream is compressed with, and the whole stream again; `close` is for one that nobody will read. */
async function peekCompression(source: ByteStream): Promise<{
  readonly compression: Compression;
  readonly stream: ByteStream;
  readonly close: () => Promise<unknown>;
}> {
  const { head, stream, close } = await peek(source, compressionHeadBytes);
  return { compression: detectCompression(head), stream, close };
}

async function decompressed(
  source: ByteStream,
  compression: Compression,
  name?: string,
): Promise<ByteStream> {
  const explain = (cause: unknown): VitrineError => damagedData(compression, name, cause);
  switch (compression) {
    case "none":
      return source;
    case "gzip": {
      const zlib = await import("node:zlib");
      return throughTransform(source, zlib.createGunzip(streamOptions), explain);
    }
    case "zstd":
      return throughTransform(wholeFrames(source, name), await zstdTransform("decompress"), explain);
    case "xz":
      return xzDecompressed(source, explain);
    default:
      throw new VitrineError("unsupported", `${name ?? "data"} is compressed with ${compression}`, {
        code: "compression-unsupported",
        operand: name,
        hint: "decompress it first (bunzip2), or compress it with gzip, zstd or xz",
      });
  }
}

/** Default chunks of 16 KiB halve the speed. The high water mark lets the next input wait in the queue. */
const streamOptions = { chunkSize: chunkBytes / 2, writableHighWaterMark: chunkBytes };

/** `compressed-data-corrupt` */
export function damagedData(compression: string, name: string | undefined, cause: unknown): VitrineError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new VitrineError("corrupt", `${compression} data is damaged or incomplete: ${reason}`, {
    code: "compressed-data-corrupt",
    operand: name,
    hint: "fetch or make it again",
    cause,
  });
}

async function zstdTransform(direction: "compress" | "decompress", level?: number): Promise<Transform> {
  const zlib = await zlibWithZstd();
  if (direction === "decompress") return zlib.createZstdDecompress(streamOptions);
  return zlib.createZstdCompress({ ...streamOptions, params: zstdParameters(zlib, level) });
}

async function zlibWithZstd(): Promise<typeof import("node:zlib")> {
  const zlib = await import("node:zlib");
  if (zlib.createZstdDecompress !== undefined) return zlib;
  throw new VitrineError("unsupported", "this JavaScript runtime has no zstd", {
    code: "compression-unsupported",
    hint: "use node 22.15 or newer, or bun",
  });
}

function zstdParameters(
  { constants }: typeof import("node:zlib"),
  level: number | undefined,
): Readonly<Record<number, number>> {
  return { [constants.ZSTD_c_compressionLevel]: level ?? 3, [constants.ZSTD_c_checksumFlag]: 1 };
}

/** What packs bytes into one frame of zstd, at once. Error: `compression-unsupported`. */
export async function zstdFrames(level?: number): Promise<(bytes: Uint8Array) => Uint8Array> {
  const zlib = await zlibWithZstd();
  const params = zstdParameters(zlib, level);
  return (bytes) => zlib.zstdCompressSync(bytes, { params });
}

/** Passes zstd on, and throws unless it consists of whole frames. */
async function* wholeFrames(source: ByteStream, name: string | undefined): AsyncGenerator<Uint8Array, void> {
  const frames = new ZstdFrames();
  for await (const chunk of source) {
    if (!frames.push(chunk))
      throw damagedData("zstd", name, "a frame is malformed or something else follows");
    yield chunk;
  }
  if (!frames.isComplete) throw damagedData("zstd", name, "it ends inside a frame");
}

/** The library knows numbers only: enum xz_ret of XZ Embedded. */
const xzErrors: Readonly<Record<string, string>> = {
  "4": "it needs a larger dictionary than is allowed",
  "5": "it is no xz stream",
  "6": "it uses unsupported options",
  "7": "its data is corrupt",
  "8": "it is truncated or followed by something else",
};

function xzReason(error: unknown): unknown {
  const code = error instanceof Error ? /error code (\d+)/.exec(error.message)?.[1] : undefined;
  return xzErrors[code ?? ""] ?? error;
}

async function* xzDecompressed(
  source: ByteStream,
  explain: (cause: unknown) => Error,
): AsyncGenerator<Uint8Array, void> {
  const { default: library } = await import("xz-decompress");
  const chunks = source[Symbol.asyncIterator]();
  // An error of the source must come out as it is, not as a damaged archive.
  let sourceFailure: { readonly error: unknown } | undefined;
  const compressed = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        let next = await chunks.next();
        // The library takes an empty chunk for the end.
        while (next.done !== true && next.value.length === 0) next = await chunks.next();
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      } catch (error) {
        sourceFailure = { error };
        controller.error(error);
      }
    },
    async cancel() {
      await chunks.return?.();
    },
  });
  const reader = new library.XzReadableStream(compressed).getReader();
  let finished = false;
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) break;
      if (value.length > 0) yield value;
    }
    finished = true;
  } catch (error) {
    finished = true;
    await chunks.return?.();
    throw sourceFailure === undefined ? explain(xzReason(error)) : sourceFailure.error;
  } finally {
    if (!finished) await reader.cancel();
  }
}

interface Peeked {
  readonly head: Uint8Array;
  readonly stream: ByteStream;
  /** For a `stream` that nobody will read. */
  readonly close: () => Promise<unknown>;
}

/** The first bytes of a stream (fewer if it is shorter) and the whole stream again. */
async function peek(source: ByteStream, bytes: number): Promise<Peeked> {
  const iterator = source[Symbol.asyncIterator]();
  const taken: Uint8Array[] = [];
  let length = 0;
  while (length < bytes) {
    const { done, value } = await iterator.next();
    if (done === true) break;
    taken.push(value);
    length += value.length;
  }
  const head = Buffer.concat(taken.map((chunk) => chunk.subarray(0, bytes))).subarray(0, bytes);
  const close = async (): Promise<unknown> => iterator.return?.();
  return { head, stream: resumed(taken, iterator), close };
}

async function* resumed(
  taken: readonly Uint8Array[],
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  let ended = false;
  try {
    yield* taken;
    while (true) {
      const { done, value } = await iterator.next();
      if (done === true) break;
      yield value;
    }
    ended = true;
  } finally {
    if (!ended) await iterator.return?.();
  }
}

/** Compresses with neither time nor name in the header: the same input gives the same bytes on the same runtime. */
export async function* compress(
  source: ByteStream,
  compression: "none" | "gzip" | "zstd",
  options: { readonly level?: number } = {},
): AsyncGenerator<Uint8Array, void> {
  if (compression === "none") {
    yield* source;
    return;
  }
  // Where a compressor's input is cut shows in its output.
  const even = rechunked(source, chunkBytes);
  const internal = (cause: unknown): Error =>
    new VitrineError("internal", `cannot compress with ${compression}`, {
      code: "compression-failed",
      cause,
    });
  if (compression === "zstd") {
    yield* throughTransform(even, await zstdTransform("compress", options.level), internal);
    return;
  }
  const zlib = await import("node:zlib");
  const gzip = zlib.createGzip({ ...streamOptions, level: options.level ?? 6 });
  yield* throughTransform(even, gzip, internal);
}
