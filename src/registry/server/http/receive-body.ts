/** The body of an upload from the connection to the file, beside this process. */
import * as fs from "node:fs/promises";
import { getSystemErrorName } from "node:util";
import type { Place } from "../convey/carrier.ts";
import type { Order } from "../convey/wire.ts";
import { RegistryError } from "../errors.ts";
import type { Service } from "../service.ts";
import { tooLarge, type Upload } from "../uploads.ts";
import { locateChunks } from "./chunked-body.ts";
import { bodyFailure, type Exchange } from "./exchange.ts";

/** Less is not worth a connection of its own. */
const carriedBytes = 1024 * 1024;
/** So much, and for so long, of a body that nobody wants. */
const mostDropped = 64 * 1024 * 1024;
const dropMilliseconds = 5000;
/** ETIMEDOUT, EPROTO, EMSGSIZE. */
const timedOut = 110;
const noChunks = 71;
const tooMany = 90;

/**
 * Whether it took the body: one on a plain connection, where a helper is there for it. Errors as those of `Exchange.body` and
 * `Upload.append`; 400 for chunks that are none.
 */
export async function receiveCarried(
  service: Service,
  exchange: Exchange,
  upload: Upload,
  maxBytes: number,
): Promise<boolean> {
  const { carrier } = service;
  const { contentLength: length } = exchange;
  const { socket, headers } = exchange.request;
  const chunked = headers["transfer-encoding"]?.toLowerCase() === "chunked" && length === undefined;
  if (carrier === undefined || !upload.carriable) return false;
  if (!chunked && (length === undefined || length < carriedBytes || upload.size + length > maxBytes))
    return false;
  if (!chunked && headers["transfer-encoding"] !== undefined) return false;
  using place = await carrier.take(socket);
  if (place === undefined) return false;
  if (chunked) return await carryChunks(exchange, upload, maxBytes, place);
  const before = upload.size;
  const early = await exchange.takeBody();
  const left = length! - exchange.receivedBytes;
  await appendEarly(upload, early, maxBytes, place, { kind: "in", count: left });
  if (left > 0) await carry(exchange, upload, place, before, { kind: "in", count: left });
  return true;
}

/** The runtime reads the first ones, until it is known where in them it is. */
async function carryChunks(
  exchange: Exchange,
  upload: Upload,
  maxBytes: number,
  place: Place,
): Promise<true> {
  const before = upload.size;
  const { early, left } = await locateChunks(exchange, place);
  if (left === undefined) {
    // As one: when the disk is full, nothing of it stays.
    await upload.append(streamOf(early, exchange.body()), maxBytes);
    return true;
  }
  exchange.leaveBody();
  await appendEarly(upload, early, maxBytes, place, { kind: "chunks", count: mostDropped, chunk: left });
  const count = maxBytes - upload.size;
  await carry(exchange, upload, place, before, { kind: "chunks", count, chunk: left });
  return true;
}

/** What the runtime has read. Where that fails, `rest` is read for nobody before: who sends it all shall see why, and no reset. */
async function appendEarly(
  upload: Upload,
  early: readonly Uint8Array[],
  maxBytes: number,
  place: Place,
  rest: Pick<Order, "kind" | "count" | "chunk">,
): Promise<void> {
  try {
    await upload.append(streamOf(early), maxBytes);
  } catch (error) {
    const count = Math.min(rest.count, mostDropped);
    if (count === 0) throw error;
    await using nowhere = await fs.open("/dev/null", "w");
    const patience = { windowMilliseconds: dropMilliseconds, leastBytes: mostDropped };
    await place.carry(nowhere.fd, { ...rest, count, position: 0, ...patience });
    throw error;
  }
}

async function carry(
  exchange: Exchange,
  upload: Upload,
  place: Place,
  before: number,
  order: Pick<Order, "kind" | "count" | "chunk">,
): Promise<void> {
  const { guard } = exchange;
  const report = await upload.appendCarried(before, (file, position, hash) =>
    place.carry(file, {
      ...order,
      position,
      windowMilliseconds: guard.progressMilliseconds,
      leastBytes: guard.progressBytes,
      hash,
    }),
  );
  exchange.receivedBytes += report.count;
  if (report.error === 0) return;
  if (report.ofFile) throw fileFailure(report.error);
  if (report.error === noChunks) {
    throw new RegistryError(400, "BLOB_UPLOAD_INVALID", { message: "the body's chunks are malformed" });
  }
  if (report.error === tooMany) throw tooLarge(upload.size);
  throw bodyFailure(report.error === timedOut);
}

async function* streamOf(
  chunks: readonly Uint8Array[],
  rest?: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  yield* chunks;
  if (rest !== undefined) yield* rest;
}

function fileFailure(errno: number): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${code}: write`), { code, syscall: "write" });
}
