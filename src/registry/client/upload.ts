/** Blobs to a registry (spec.md#pushing-blobs): not at all where it has them, mounted, in one request, or in chunks. */
import { type ByteStream, observed, VitrineError } from "../../base/mod.ts";
import type { BlobFile } from "../../image/mod.ts";
import { type Digest, splitDigest } from "../../oci/mod.ts";
import { type AccessScope, headerNames, parseUploadedRange, paths } from "../protocol/mod.ts";
import { isTransient, responseError, retryAfter } from "./failures.ts";
import { type HttpResponse, patience } from "./http.ts";
import { canSendFile, sendFile } from "./send-file.ts";
import type { Session } from "./session.ts";
import { passing } from "./transport.ts";
import type { BlobOutcome, OutgoingBlob, Timing } from "./types.ts";

export interface UploadTarget {
  readonly session: Session;
  readonly name: string;
  readonly timing: Timing;
  readonly onNote: (text: string) => void;
}

/** An upload that the registry has begun: where the next bytes go, and how many it has. */
interface Upload {
  readonly url: URL;
  readonly offset: number;
  /** `OCI-Chunk-Min-Length` */
  readonly leastChunk: number;
}

/** Where the registry refuses a whole blob in one request for its size. */
const fallbackChunkBytes = 16 * 1024 * 1024;
/** Where connections break: no smaller than this, and as much as that is a step forward that makes up for a break. */
const leastChunkBytes = 1024 * 1024;
/** Repositories that are asked for a mount; each costs a request when it has nothing. */
const mostMounts = 3;

const contentType = { "content-type": "application/octet-stream" };

/** Errors: `upload-broken`, `upload-digest-refused`, those of `responseError` and of the blob's source. */
export async function uploadBlob(target: UploadTarget, blob: OutgoingBlob): Promise<BlobOutcome> {
  const begun = await begin(target, blob);
  if (begun === "mounted") return "mounted";
  let upload: Upload = begun;
  let chunkBytes = blob.chunkBytes;
  let reached = 0;
  if (blob.file !== undefined && chunkBytes === undefined && canSendFile(blob.descriptor, upload.url)) {
    const sent = await handOver(target, blob, blob.file, upload);
    if (sent === "uploaded") return "uploaded";
    upload = sent;
  }
  for (let failures = 0; ; ) {
    try {
      await fill(target, blob, upload, chunkBytes, (at) => {
        upload = at;
      });
      return "uploaded";
    } catch (error) {
      if (error instanceof ChunksWanted) {
        if (chunkBytes !== undefined) throw error.reason;
        chunkBytes = fallbackChunkBytes;
        upload = await restart(target, blob, upload);
        continue;
      }
      const refusal = error instanceof PassingRefusal ? error : undefined;
      if (!isTransient(error) && !(error instanceof OffsetLost) && refusal === undefined) {
        await cancel(target, upload);
        throw error;
      }
      failures += 1;
      if (failures >= target.timing.attempts || (refusal?.pause ?? 0) > target.timing.longestPause) {
        await cancel(target, upload);
        throw refusal?.reason ?? broken(blob, failures, error);
      }
      target.onNote(`${(error as Error).message}: going on with ${blob.descriptor.digest}`);
      const pause = failures > 1 || refusal !== undefined ? target.timing.backoff * 2 ** (failures - 2) : 0;
      await sleep(Math.max(pause, refusal?.pause ?? 0));
      // A gateway may have lost no more than the answer.
      if (refusal !== undefined && (await isThere(target, blob.descriptor.digest))) return "uploaded";
      upload = await resume(target, blob, upload);
      if (upload.offset >= reached + leastChunkBytes) {
        reached = upload.offset;
        failures = 1;
      } else if (failures > 1) {
        // A proxy may cut off what is too large instead of saying so, and many a registry forgets a request that was cut off.
        chunkBytes = smallerChunk(chunkBytes, blob.descriptor.size);
      }
    }
  }
}

/** The whole file in one PATCH. Otherwise the upload that is to be filled as ever. */
async function handOver(
  target: UploadTarget,
  blob: OutgoingBlob,
  file: BlobFile,
  upload: Upload,
): Promise<Upload | "uploaded"> {
  const { digest, size } = blob.descriptor;
  const headers = {
    ...contentType,
    "content-range": `0-${size - 1}`,
    ...(await target.session.headersFor(upload.url, scopesOf(target))),
  };
  let told = 0;
  const check = () =>
    observed(file.check(), ({ length }) => {
      told += length;
      blob.onProgress?.(length);
    });
  const sent = await sendFile({ ...file, check }, upload.url, headers, target.timing.idle * patience).catch(
    async (error: unknown) => {
      await cancel(target, upload);
      throw error;
    },
  );
  const held = parseUploadedRange(sent?.header("range") ?? "");
  const location = sent?.header("location");
  if (location === undefined || (held !== undefined && held !== size)) {
    blob.onProgress?.(-told);
    target.onNote(`${target.session.registry} did not take ${digest} in one piece: sending it anew`);
    return restart(target, blob, upload);
  }
  const url = target.session.locate(location, upload.url);
  try {
    await close(target, blob, url);
    return "uploaded";
  } catch (error) {
    if (isTransient(error)) return resume(target, blob, { ...upload, url });
    await cancel(target, { ...upload, url });
    throw error;
  }
}

/** A quarter each time. */
function smallerChunk(before: number | undefined, size: number): number {
  const most = before ?? Math.min(4 * fallbackChunkBytes, size);
  return Math.max(leastChunkBytes, Math.ceil(most / 4));
}

/** POST: a mount where a repository may have the blob, else an upload. */
async function begin(target: UploadTarget, blob: OutgoingBlob): Promise<Upload | "mounted"> {
  const { digest } = blob.descriptor;
  for (const from of (blob.mountFrom ?? []).filter((name) => name !== target.name).slice(0, mostMounts)) {
    const query = new URLSearchParams({ mount: digest, from });
    const pull: AccessScope = { type: "repository", name: from, actions: ["pull"] };
    const response = await send(target, "POST", `${paths.uploads(target.name)}?${query}`, [pull]);
    if (response.status === 201) {
      await response.discard();
      return "mounted";
    }
    // 202: the registry has begun an upload instead.
    if (response.status === 202) return readUpload(target, response, 0);
    // No access to the other repository is no reason not to upload.
    await response.discard();
  }
  return discover(target, digest);
}

/**
 * The registry may find the blob in another repository by itself (spec.md#mounting-a-blob-from-another-repository, `from`
 * left out); the request that begins an upload asks for it on the way.
 */
async function discover(target: UploadTarget, digest: Digest): Promise<Upload | "mounted"> {
  const query = new URLSearchParams({ mount: digest, ...algorithmQuery(digest) });
  const response = await send(target, "POST", `${paths.uploads(target.name)}?${query}`);
  if (response.status === 202) return readUpload(target, response, 0);
  await response.discard();
  return response.status === 201 ? "mounted" : start(target, digest);
}

async function start(target: UploadTarget, digest: Digest): Promise<Upload> {
  const query = new URLSearchParams(algorithmQuery(digest));
  const response = await send(
    target,
    "POST",
    `${paths.uploads(target.name)}${query.size === 0 ? "" : `?${query}`}`,
  );
  if (response.status !== 202) throw await responseError(response, target.name);
  return readUpload(target, response, 0);
}

function algorithmQuery(digest: Digest): Readonly<Record<string, string>> {
  const { algorithm } = splitDigest(digest);
  return algorithm === "sha256" ? {} : { "digest-algorithm": algorithm };
}

/** Sends what is missing from `upload.offset` on, and closes. `onStep` hears where the registry is after each chunk. */
async function fill(
  target: UploadTarget,
  blob: OutgoingBlob,
  upload: Upload,
  chunkBytes: number | undefined,
  onStep: (upload: Upload) => void,
): Promise<void> {
  const { descriptor } = blob;
  if (chunkBytes === undefined && upload.offset === 0) {
    const body = { length: descriptor.size, open: () => watched(blob, 0) };
    return close(target, blob, upload.url, body);
  }
  const length = Math.max(chunkBytes ?? fallbackChunkBytes, upload.leastChunk);
  let at = upload;
  const pieces = new Pieces(watched(blob, upload.offset));
  try {
    while (at.offset < descriptor.size) {
      const bytes = Math.min(length, descriptor.size - at.offset);
      const response = await target.session.send({
        method: "PATCH",
        target: at.url,
        headers: { ...contentType, "content-range": `${at.offset}-${at.offset + bytes - 1}` },
        // Taken from the running source, so it cannot be sent twice: a fault begins anew from what the registry has.
        body: { length: bytes, open: () => pieces.next(bytes) },
        scopes: scopesOf(target),
        repeatable: false,
      });
      if (response.status === 416) {
        await response.discard();
        throw new OffsetLost(at);
      }
      if (response.status !== 202) throw await refusalOf(response, descriptor.digest);
      const next = await readUpload(target, response, at.offset + bytes);
      if (next.offset !== at.offset + bytes) throw new OffsetLost(next);
      at = { ...next, leastChunk: upload.leastChunk };
      // Only the newest location may be asked what it has: a registry may keep the offset in it (spec.md, end-13).
      onStep(at);
    }
    // The source is read to its end, so that it has verified itself before the registry is told to keep it.
    await pieces.finish();
  } finally {
    await pieces.stop();
  }
  await close(target, blob, at.url);
}

/** PUT: with the blob as its body, or after the last chunk. */
async function close(
  target: UploadTarget,
  blob: OutgoingBlob,
  upload: URL,
  body?: { readonly length: number; readonly open: () => ByteStream },
): Promise<void> {
  const { digest } = blob.descriptor;
  const url = new URL(upload);
  // Appended as text: the query that is there may hold a signature.
  url.search += `${url.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`;
  const response = await target.session.send({
    method: "PUT",
    target: url,
    headers: contentType,
    body,
    scopes: scopesOf(target),
    repeatable: false,
  });
  if (response.status === 201 || response.status === 204) {
    await response.discard();
    return;
  }
  const { status } = response;
  const error = await refusalOf(response, digest);
  if (error instanceof PassingRefusal) throw error;
  // Proxies in front of registries limit one request's body.
  if (body !== undefined && (status === 413 || status === 405 || status === 411))
    throw new ChunksWanted(error);
  const { code } = (error.cause ?? {}) as { readonly code?: unknown };
  if (code === "DIGEST_INVALID") {
    throw new VitrineError("corrupt", `the registry received other bytes than ${digest}`, {
      code: "upload-digest-refused",
      operand: digest,
      hint: "something on the way changes content; try again",
      cause: error,
    });
  }
  throw error;
}

/** What the registry has of it by now (spec.md#pushing-a-blob-in-chunks, end-13); a new upload where it has forgotten. */
async function resume(target: UploadTarget, blob: OutgoingBlob, upload: Upload): Promise<Upload> {
  const response = await send(target, "GET", upload.url);
  if (response.status === 204 || response.status === 202) {
    const found = await readUpload(target, response, undefined);
    // `0-0` may be none or one byte: from the beginning then.
    if (found.offset > 1 && found.offset <= blob.descriptor.size) {
      return { ...found, leastChunk: upload.leastChunk };
    }
  } else {
    await response.discard();
  }
  return restart(target, blob, upload);
}

async function restart(target: UploadTarget, blob: OutgoingBlob, upload: Upload): Promise<Upload> {
  await cancel(target, upload);
  return start(target, blob.descriptor.digest);
}

/** spec.md#cancel-a-blob-upload: whether it works does not matter. */
async function cancel(target: UploadTarget, upload: Upload): Promise<void> {
  try {
    const { session } = target;
    const response = await session.send({
      method: "DELETE",
      target: upload.url,
      scopes: scopesOf(target),
      repeatable: false,
    });
    await response.discard();
  } catch {
    // The upload ends by itself.
  }
}

async function readUpload(
  target: UploadTarget,
  response: HttpResponse,
  sent: number | undefined,
): Promise<Upload> {
  const location = response.headers.get("location");
  await response.discard();
  if (location === undefined) {
    throw new VitrineError("unavailable", `${target.session.registry} does not say where a blob is to go`, {
      code: "registry-malformed-response",
      operand: target.session.registry,
    });
  }
  const held = parseUploadedRange(response.headers.get("range") ?? "");
  const least = Number(response.headers.get(headerNames.chunkMinLength) ?? 0);
  return {
    url: target.session.locate(location, response.url),
    offset: sent === 0 ? 0 : (held ?? sent ?? 0),
    leastChunk: Number.isSafeInteger(least) && least > 0 ? Math.min(least, mostChunkBytes) : 0,
  };
}

/** A registry that wants larger ones wants the blob in one piece. */
const mostChunkBytes = 1024 * 1024 * 1024;

function send(
  target: UploadTarget,
  method: "POST" | "GET",
  place: string | URL,
  more: readonly AccessScope[] = [],
): Promise<HttpResponse> {
  // An upload too many ends by itself: POST may be tried again.
  return target.session.send({
    method,
    target: place,
    scopes: [...scopesOf(target), ...more],
    repeatable: true,
  });
}

function scopesOf(target: UploadTarget): readonly AccessScope[] {
  return [{ type: "repository", name: target.name, actions: ["pull", "push"] }];
}

/** The source from `start` on: it begins anew (it verifies the whole), and what the registry has is passed over. */
async function* watched(blob: OutgoingBlob, start: number): AsyncGenerator<Uint8Array, void> {
  let left = start;
  for await (const chunk of blob.open()) {
    const fresh = left >= chunk.length ? undefined : chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
    if (fresh === undefined) continue;
    blob.onProgress?.(fresh.length);
    yield fresh;
  }
}

/** One running stream, handed out in bodies of given lengths. */
class Pieces {
  private readonly iterator: AsyncIterator<Uint8Array>;
  private rest: Uint8Array = new Uint8Array(0);

  constructor(source: ByteStream) {
    this.iterator = source[Symbol.asyncIterator]();
  }

  async *next(length: number): AsyncGenerator<Uint8Array, void> {
    let left = length;
    while (left > 0) {
      if (this.rest.length === 0) {
        const { done, value } = await this.iterator.next();
        if (done === true) return;
        this.rest = value;
      }
      const piece = this.rest.subarray(0, left);
      this.rest = this.rest.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** Reads on to the end, where the source says whether it was whole. */
  async finish(): Promise<void> {
    while ((await this.iterator.next()).done !== true);
  }

  async stop(): Promise<void> {
    await this.iterator.return?.();
  }
}

/** The registry has another number of bytes than we thought. */
class OffsetLost extends Error {
  constructor(upload: Upload) {
    super(`the registry is not at byte ${upload.offset}`);
    this.name = "OffsetLost";
  }
}

/** The registry, or a gateway before it, could not take it just now. */
class PassingRefusal extends Error {
  readonly reason: VitrineError;
  /** Milliseconds that it asks for. */
  readonly pause: number | undefined;

  constructor(reason: VitrineError, pause: number | undefined) {
    super(reason.message);
    this.name = "PassingRefusal";
    this.reason = reason;
    this.pause = pause;
  }
}

async function refusalOf(response: HttpResponse, digest: Digest): Promise<PassingRefusal | VitrineError> {
  const pause = retryAfter(response, Date.now());
  const error = await responseError(response, digest, "blob-unknown");
  return passing.has(response.status) ? new PassingRefusal(error, pause) : error;
}

async function isThere({ session, name }: UploadTarget, digest: Digest): Promise<boolean> {
  const scopes: readonly AccessScope[] = [{ type: "repository", name, actions: ["pull", "push"] }];
  const response = await session.send({ method: "HEAD", target: paths.blob(name, digest), scopes });
  await response.discard();
  return response.status === 200;
}

class ChunksWanted extends Error {
  readonly reason: VitrineError;

  constructor(reason: VitrineError) {
    super(reason.message);
    this.name = "ChunksWanted";
    this.reason = reason;
  }
}

function broken(blob: OutgoingBlob, failures: number, cause: unknown): VitrineError {
  const { digest } = blob.descriptor;
  return new VitrineError("unavailable", `the upload of ${digest} broke off ${failures} times`, {
    code: "upload-broken",
    operand: digest,
    hint: "try again: what the registry has is not sent twice",
    cause,
  });
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
