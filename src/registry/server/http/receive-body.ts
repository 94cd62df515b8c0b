/** The body of an upload from the connection to the file, beside this process. */
import { getSystemErrorName } from "node:util";
import type { Service } from "../service.ts";
import type { Upload } from "../uploads.ts";
import { bodyFailure, type Exchange } from "./exchange.ts";

/** Less is not worth a connection of its own. */
const carriedBytes = 1024 * 1024;
const timedOut = 110;

/**
 * Whether it took the body: one whose length is known, on a plain connection, where a helper is there for it. Errors as those of
 * `Exchange.body` and `Upload.append`.
 */
export async function receiveCarried(
  service: Service,
  exchange: Exchange,
  upload: Upload,
  maxBytes: number,
): Promise<boolean> {
  const { carrier } = service;
  const { contentLength: length, guard } = exchange;
  const { socket, headers } = exchange.request;
  if (carrier === undefined || length === undefined || length < carriedBytes) return false;
  if (headers["transfer-encoding"] !== undefined || upload.size + length > maxBytes) return false;
  if (!upload.carriable) return false;
  using place = await carrier.take(socket);
  if (place === undefined) return false;
  const before = upload.size;
  const early = await exchange.takeBody();
  await upload.append(streamOf(early), maxBytes);
  const left = length - exchange.receivedBytes;
  if (left === 0) return true;
  const report = await upload.appendCarried(before, (file, position, hash) =>
    place.carry(file, {
      kind: "in",
      position,
      count: left,
      windowMilliseconds: guard.progressMilliseconds,
      leastBytes: guard.progressBytes,
      hash,
    }),
  );
  exchange.receivedBytes += report.count;
  if (report.error === 0) return true;
  if (report.ofFile) throw fileFailure(report.error);
  throw bodyFailure(report.error === timedOut);
}

async function* streamOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void> {
  yield* chunks;
}

function fileFailure(errno: number): Error {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${code}: write`), { code, syscall: "write" });
}
