import type * as fs from "node:fs/promises";
import { VitrineError } from "./errors.ts";
import { createHasher, type HashAlgorithm } from "./hash.ts";

/**
 * Bytes in order. A chunk belongs to whoever received it: producers here never reuse a buffer. Chunks are about
 * `chunkBytes` long at most where a producer here chooses; consumers must accept any length.
 */
export type ByteStream = AsyncIterable<Uint8Array>;

export const chunkBytes = 1024 * 1024;

/** What a stream must turn out to be. `hex` is lower case. */
export interface ExpectedContent {
  readonly size: number;
  readonly algorithm: HashAlgorithm;
  readonly hex: string;
  /** Names the content in errors, e.g. its digest or file. */
  readonly name?: string;
}

/**
 * Passes `source` on and throws unless it is exactly the expected content: `content-size-mismatch` (never yielding a
 * byte beyond `size`) or `content-digest-mismatch`. The last chunk is held back until the digest held, so a consumer that
 * has seen all `size` bytes has seen verified bytes; before the end, nothing it saw is verified.
 */
export async function* verified(
  source: ByteStream,
  expected: ExpectedContent,
): AsyncGenerator<Uint8Array, void> {
  const hasher = createHasher(expected.algorithm);
  let size = 0;
  let held: Uint8Array | undefined;
  for await (const chunk of source) {
    if (chunk.length === 0) continue;
    size += chunk.length;
    if (size > expected.size) throw sizeMismatch(expected, `more than ${expected.size}`);
    hasher.update(chunk);
    if (held !== undefined) yield held;
    held = chunk;
  }
  requireContent(expected, size, hasher.hex());
  if (held !== undefined) yield held;
}

/** For whoever counts and hashes in other ways than `verified`. Errors: `content-size-mismatch`, `content-digest-mismatch`. */
export function requireContent(expected: ExpectedContent, size: number, hex: string): void {
  if (size !== expected.size) throw sizeMismatch(expected, `${size}`);
  if (hex === expected.hex) return;
  throw new VitrineError(
    "corrupt",
    `content digest is ${expected.algorithm}:${hex}, expected ${expected.algorithm}:${expected.hex}`,
    { code: "content-digest-mismatch", operand: expected.name, hint: damaged },
  );
}

const damaged = "it was damaged or changed on its way: make or fetch it again";

/** `content-size-mismatch`; `actual`: how many bytes there are, such as `more than 5`. */
export function sizeMismatch(expected: ExpectedContent, actual: string): VitrineError {
  const what = expected.name ?? `${expected.algorithm}:${expected.hex}`;
  return new VitrineError("corrupt", `${what} has ${actual} bytes, expected ${expected.size}`, {
    code: "content-size-mismatch",
    operand: expected.name,
    hint: damaged,
  });
}

/** A running count of what passed through. */
export interface Tally {
  bytes: number;
}

/** Passes `source` on and adds its lengths to `tally.bytes`. */
export async function* counted(source: ByteStream, tally: Tally): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of source) {
    tally.bytes += chunk.length;
    yield chunk;
  }
}

/** Passes `source` on and calls `observe` with each chunk first: a hasher's `update`, a progress bar. */
export async function* observed(
  source: ByteStream,
  observe: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of source) {
    observe(chunk);
    yield chunk;
  }
}

export interface Bound {
  /** No more bytes than this. */
  readonly maxBytes: number;
  /** No more than this many bytes for each byte of `input` so far (what a decompressor has been fed). */
  readonly maxRatio?: number;
  readonly input?: Readonly<Tally>;
  /** So many bytes may have any ratio. Default: 16 MiB. */
  readonly freeBytes?: number;
  readonly name?: string;
}

/** Small inputs may have any ratio: 1 MiB of zeros is no bomb. */
const ratioFloorBytes = 16 * chunkBytes;

/** Passes `source` on; throws `bomb` (kind invalid) before yielding bytes beyond a bound. */
export async function* bounded(source: ByteStream, bound: Bound): AsyncGenerator<Uint8Array, void> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    requireWithin(bytes, bound);
    yield chunk;
  }
}

/** Throws `bomb` (kind invalid) when so many bytes in all are beyond a bound. */
export function requireWithin(bytes: number, bound: Bound): void {
  const { freeBytes = ratioFloorBytes } = bound;
  if (bytes > bound.maxBytes) {
    throw bomb(`content has more than the ${bound.maxBytes} bytes allowed`, bound.name);
  }
  if (bound.maxRatio !== undefined && bound.input !== undefined && bytes > freeBytes) {
    if (bytes > bound.input.bytes * bound.maxRatio) {
      throw bomb(`content expands more than ${bound.maxRatio} times`, bound.name);
    }
  }
}

function bomb(message: string, name: string | undefined): VitrineError {
  return new VitrineError("invalid", name === undefined ? message : `${name}: ${message}`, {
    code: "bomb",
    operand: name,
    hint: "do not trust where it comes from: so much from so little is made to fill a disk; of a layer that is meant to be so, VITRINE_EXPANSION_FREE=64g lets as much through",
  });
}

/** All of a stream as one array; throws `bomb` beyond `maxBytes`. */
export async function collect(source: ByteStream, maxBytes: number, name?: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of bounded(source, { maxBytes, name })) {
    chunks.push(chunk);
    bytes += chunk.length;
  }
  if (chunks.length === 1) return chunks[0]!;
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

/** The same bytes in chunks of exactly `length`, the last one shorter. */
export async function* rechunked(source: ByteStream, length: number): AsyncGenerator<Uint8Array, void> {
  let pieces: Uint8Array[] = [];
  let gathered = 0;
  for await (let chunk of source) {
    while (gathered + chunk.length >= length) {
      const head = chunk.subarray(0, length - gathered);
      yield pieces.length === 0 ? head : Buffer.concat([...pieces, head]);
      chunk = chunk.subarray(head.length);
      pieces = [];
      gathered = 0;
    }
    if (chunk.length > 0) pieces.push(chunk);
    gathered += chunk.length;
  }
  if (gathered > 0) yield Buffer.concat(pieces);
}

/** A stream of given chunks. */
export async function* streamOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* chunks;
}

export interface FileRange {
  /** First byte; default 0. */
  readonly start?: number;
  /** How many bytes; default all to the end. Fewer in the file is `content-truncated`. */
  readonly length?: number;
}

/** Two are in memory for each file that is read. */
const readBytes = 512 * 1024;

/**
 * A file, or a range of it, in chunks of half a MiB; the next chunk is read while the last one is used. `passing`: a chunk is good until the
 * next is asked for, in memory that is used again; new memory costs as much as the reading.
 */
export async function* readFileStream(
  path: string,
  range: FileRange & { readonly passing?: boolean } = {},
): AsyncGenerator<Uint8Array, void> {
  // Loaded on use: most commands that start read no content.
  const { open } = process.getBuiltinModule("node:fs/promises");
  const file = await open(path, "r");
  try {
    yield* readHandleStream(file, range, path);
  } finally {
    await file.close();
  }
}

/** The same of an open file, which stays open. `name` is for errors. */
export async function* readHandleStream(
  file: fs.FileHandle,
  range: FileRange & { readonly passing?: boolean },
  name: string,
): AsyncGenerator<Uint8Array, void> {
  /** Of two, one is read into while the other is used. */
  const rooms: Buffer[] = [];
  let turn = 0;
  let position = range.start ?? 0;
  let remaining = range.length ?? Number.POSITIVE_INFINITY;
  const readNext = async (): Promise<Uint8Array> => {
    turn = 1 - turn;
    const used = range.passing === true ? rooms[turn] : undefined;
    const buffer = used ?? Buffer.allocUnsafeSlow(Math.min(readBytes, remaining));
    rooms[turn] = buffer;
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, remaining), position);
    position += bytesRead;
    remaining -= bytesRead;
    return buffer.subarray(0, bytesRead);
  };
  let pending = remaining > 0 ? readNext() : Promise.resolve(new Uint8Array(0));
  try {
    while (true) {
      const chunk = await pending;
      if (chunk.length === 0) break;
      pending = remaining > 0 ? readNext() : Promise.resolve(new Uint8Array(0));
      yield chunk;
    }
  } finally {
    // The consumer may have left early: the read under way must end before the handle closes.
    await pending.catch(() => undefined);
  }
  if (range.length !== undefined && remaining > 0) {
    throw new VitrineError("corrupt", `file ends ${remaining} bytes early`, {
      code: "content-truncated",
      operand: name,
    });
  }
}

/** Writes a stream to the end of an open file; returns the number of bytes. */
export async function writeStream(file: fs.FileHandle, source: ByteStream): Promise<number> {
  let bytes = 0;
  for await (const chunk of source) {
    let at = 0;
    while (at < chunk.length) {
      const { bytesWritten } = await file.write(chunk, at, chunk.length - at, null);
      at += bytesWritten;
    }
    bytes += chunk.length;
  }
  return bytes;
}

/** Writes chunks to the end of an open file, or to `position`. */
export async function writeChunks(
  file: fs.FileHandle,
  chunks: readonly Uint8Array[],
  position?: number,
): Promise<void> {
  let at = position;
  let rest = chunks;
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev([...rest], at);
    if (at !== undefined) at += bytesWritten;
    rest = after(rest, bytesWritten);
  }
}

function after(chunks: readonly Uint8Array[], written: number): readonly Uint8Array[] {
  let left = written;
  for (const [index, chunk] of chunks.entries()) {
    if (left < chunk.length) return [chunk.subarray(left), ...chunks.slice(index + 1)];
    left -= chunk.length;
  }
  return [];
}
