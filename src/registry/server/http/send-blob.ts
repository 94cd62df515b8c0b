/**
 * A blob onto a connection: inside the kernel where that can be, else the next piece is read from disk while the last one is
 * sent, in buffers that are reused. A new buffer for each piece would cost more than the copy, and the collector would let
 * them pile up.
 */
import type { ServerResponse } from "node:http";
import { VitrineError } from "../../../base/mod.ts";
import type { Carrier, Place } from "../convey/carrier.ts";
import type { BlobReader } from "../storage/types.ts";
import type { Exchange } from "./exchange.ts";
import { type Conveyor, openConveyor } from "./sendfile.ts";

const pieceBytes = 512 * 1024;
/** Less is not worth handing over to another process. */
const carriedBytes = 256 * 1024;
/** Less is not worth looking for the connection. */
const conveyedBytes = 1024 * 1024;
/** What is written as usual between two turns of the kernel's. */
const handedBytes = 16 * 1024;
/** One connection's share before the others come. */
const turnBytes = 4 * 1024 * 1024;
const mostIdleBuffers = 32;
const idleBuffers: Uint8Array[] = [];

type Readable = Pick<BlobReader, "stream" | "read" | "descriptor">;

/**
 * Sends `length` bytes from `first` and ends the response; `Infinity` for all that a stream of unknown size has. When the
 * client is gone it returns early, without an error.
 */
export async function sendBlob(
  exchange: Exchange,
  reader: Readable,
  first: number,
  length: number,
  carrier?: Carrier,
): Promise<void> {
  exchange.working = false;
  const { read, descriptor } = reader;
  const socket = exchange.request.socket;
  if (read !== undefined && descriptor !== undefined && socket !== null && length >= carriedBytes) {
    const file = { read, descriptor };
    using place = await carrier?.take(socket);
    if (place !== undefined) return await sendCarried(exchange, place, file, first, length);
    const conveyor = length >= conveyedBytes ? await openConveyor(socket) : undefined;
    if (conveyor !== undefined) return await sendConveyed(exchange, conveyor, file, first, length);
  }
  if (read === undefined || length < pieceBytes) await sendStream(exchange, reader, first, length);
  else await sendPieces(exchange, read, first, length);
}

/**
 * The first piece comes with the headers; when it is gone, another process sends all but the last, which ends the response. So the
 * runtime sees both ends, and nothing of what is between.
 */
async function sendCarried(
  exchange: Exchange,
  place: Place,
  file: { readonly read: NonNullable<BlobReader["read"]>; readonly descriptor: number },
  first: number,
  length: number,
): Promise<void> {
  const { response } = exchange;
  const end = first + length;
  const closed = whenClosed(response);
  const buffer = takeBuffer();
  const handOver = async (position: number): Promise<boolean> => {
    const piece = buffer.subarray(0, Math.min(handedBytes, end - position));
    for (let filled = place.peek(file.descriptor, piece, position); filled < piece.length; ) {
      const bytes = await file.read(piece.subarray(filled), position + filled);
      if (bytes === 0) throw truncated(end - position - filled);
      filled += bytes;
    }
    if (response.destroyed) return false;
    exchange.sentBytes += piece.length;
    const gone = new Promise<void>((resolve) => {
      if (position + piece.length === end) response.end(piece, () => resolve());
      else response.write(piece, () => resolve());
    });
    await Promise.race([gone, closed]);
    return !response.destroyed;
  };
  if (!(await handOver(first))) return;
  const position = first + handedBytes;
  const count = length - 2 * handedBytes;
  // Silence is judged by who sends.
  exchange.working = true;
  const report = await place.carry(file.descriptor, {
    kind: "out",
    position,
    count,
    windowMilliseconds: exchange.guard.idleMilliseconds,
    leastBytes: 1,
  });
  exchange.working = false;
  exchange.sentBytes += report.count;
  if (report.error !== 0) {
    response.destroy();
    if (report.ofFile) throw truncated(count - report.count);
    return;
  }
  await handOver(position + count);
  giveBuffer(buffer);
}

/**
 * The kernel sends as much as the connection takes; then one small piece is written as usual, which waits until it takes more.
 * The first piece comes with the headers and the last ends the response, so that the runtime sees both.
 */
async function sendConveyed(
  exchange: Exchange,
  conveyor: Conveyor,
  file: { readonly read: NonNullable<BlobReader["read"]>; readonly descriptor: number },
  first: number,
  length: number,
): Promise<void> {
  const { response } = exchange;
  const end = first + length;
  const closed = whenClosed(response);
  const buffer = takeBuffer();
  for (let position = first; position < end; ) {
    const bytes = await file.read(buffer.subarray(0, Math.min(handedBytes, end - position)), position);
    if (bytes === 0) throw truncated(end - position);
    if (response.destroyed) return;
    position += bytes;
    exchange.sentBytes += bytes;
    const piece = buffer.subarray(0, bytes);
    const last = position === end;
    const gone = new Promise<void>((resolve) => {
      if (last) response.end(piece, () => resolve());
      else response.write(piece, () => resolve());
    });
    await Promise.race([gone, closed]);
    if (last) break;
    for (let turn = 0; position < end - handedBytes && !response.destroyed; ) {
      const wanted = Math.min(pieceBytes, end - handedBytes - position);
      const sent = conveyor.send(file.descriptor, position, wanted);
      if (sent === 0) break;
      position += sent;
      exchange.sentBytes += sent;
      turn += sent;
      if (turn < turnBytes) continue;
      // Others want their turn.
      turn = 0;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    if (response.destroyed) return;
  }
  if (!response.destroyed) giveBuffer(buffer);
}

async function sendPieces(
  exchange: Exchange,
  read: NonNullable<BlobReader["read"]>,
  first: number,
  length: number,
): Promise<void> {
  const { response } = exchange;
  const buffers = [takeBuffer(), takeBuffer()] as const;
  /** When each buffer may be filled again, and what says so: its write is done, or nobody is there any more. */
  const free: Promise<void>[] = [Promise.resolve(), Promise.resolve()];
  const release: (() => void)[] = [];
  response.once("close", () => {
    for (const resolve of release) resolve();
  });
  const end = first + length;
  let turn = 0;
  for (let position = first; position < end; turn ^= 1) {
    await free[turn];
    if (response.destroyed) return;
    const buffer = buffers[turn]!;
    const wanted = Math.min(pieceBytes, end - position);
    const bytes = await read(wanted === pieceBytes ? buffer : buffer.subarray(0, wanted), position);
    if (bytes === 0) throw truncated(end - position);
    if (response.destroyed) return;
    position += bytes;
    exchange.sentBytes += bytes;
    const last = position === end;
    free[turn] = new Promise((resolve) => {
      release[turn] = resolve;
      const piece = bytes === pieceBytes ? buffer : buffer.subarray(0, bytes);
      if (last) response.end(piece, () => resolve());
      else response.write(piece, () => resolve());
    });
  }
  await Promise.all(free);
  // Of a connection that broke, a write may still hold its buffer.
  if (!response.destroyed) for (const buffer of buffers) giveBuffer(buffer);
}

async function sendStream(
  exchange: Exchange,
  reader: Readable,
  first: number,
  length: number,
): Promise<void> {
  const { response } = exchange;
  if (length === 0) {
    response.end();
    return;
  }
  const closed = whenClosed(response);
  for await (const piece of reader.stream(first, length)) {
    if (response.destroyed) return;
    exchange.sentBytes += piece.length;
    if (!response.write(piece)) {
      await Promise.race([new Promise((resolve) => response.once("drain", resolve)), closed]);
    }
  }
  response.end();
}

function whenClosed(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.once("close", () => resolve()));
}

function takeBuffer(): Uint8Array {
  return idleBuffers.pop() ?? Buffer.allocUnsafeSlow(pieceBytes);
}

function giveBuffer(buffer: Uint8Array): void {
  if (idleBuffers.length < mostIdleBuffers) idleBuffers.push(buffer);
}

function truncated(missing: number): VitrineError {
  return new VitrineError("corrupt", `a stored blob ends ${missing} bytes early`, {
    code: "content-truncated",
  });
}
