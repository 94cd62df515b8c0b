/** A blob onto a connection: the next piece is read from disk while the last one is sent, in two buffers that are reused. */
import type { ServerResponse } from "node:http";
import type { BlobReader } from "../storage/types.ts";
import type { Exchange } from "./exchange.ts";

/** Sends `length` bytes from `first` and ends the response. When the client is gone it returns early, without an error. */
export async function sendBlob(
  exchange: Exchange,
  reader: BlobReader,
  first: number,
  length: number,
): Promise<void> {
  const { response } = exchange;
  exchange.working = false;
  if (length === 0) {
    response.end();
    return;
  }
  const closed = new Promise<"closed">((resolve) => response.once("close", () => resolve("closed")));
  for await (const piece of reader.stream(first, length)) {
    if (response.destroyed || (await write(response, piece, closed)) === "closed") return;
    exchange.sentBytes += piece.length;
  }
  response.end();
}

/** Resolves when the response takes more. */
async function write(
  response: ServerResponse,
  piece: Uint8Array,
  closed: Promise<"closed">,
): Promise<"closed" | undefined> {
  if (response.write(piece)) return undefined;
  const drained = new Promise<undefined>((resolve) => response.once("drain", () => resolve(undefined)));
  return Promise.race([drained, closed]);
}
