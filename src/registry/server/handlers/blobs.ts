/** Blobs: pull, delete (spec.md, end-2, end-10). */
import type { Digest } from "../../../oci/mod.ts";
import { headerNames, matchesEntityTag } from "../../protocol/headers.ts";
import { formatContentRange, resolveRange } from "../../protocol/ranges.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";
import { sendBlob } from "../http/send-blob.ts";
import type { GrowingBlob } from "../mirror/growing-file.ts";
import type { Service } from "../service.ts";
import type { BlobReader } from "../storage/types.ts";
import { readDigest } from "./requests.ts";

/** A year: what a digest names never changes. */
const cacheForever = "public, max-age=31536000, immutable";
const cacheForeverPrivate = "private, max-age=31536000, immutable";

/** Of less, a second request would cost more than it saves. */
const redirectedBytes = 64 * 1024;

export async function getBlob(
  service: Service,
  exchange: Exchange,
  name: string,
  text: string,
): Promise<void> {
  const digest = readDigest(text);
  const { size, reader } = await findBlob(service, exchange, name, digest);
  try {
    await answer(service, exchange, digest, size, reader);
  } finally {
    await reader?.close();
  }
}

async function answer(
  service: Service,
  exchange: Exchange,
  digest: Digest,
  size: number | undefined,
  arriving: GrowingBlob | undefined,
): Promise<void> {
  if (exchange.method === "HEAD") service.repositories.noteSeen(digest);
  const entityTag = `"${digest}"`;
  const headers = {
    "Content-Type": "application/octet-stream",
    // Of an unknown whole no range can be told.
    "Accept-Ranges": size === undefined ? "none" : "bytes",
    "Cache-Control": service.access.open ? cacheForever : cacheForeverPrivate,
    ETag: entityTag,
    [headerNames.contentDigest]: digest,
  };
  const condition = exchange.header("if-none-match");
  if (condition !== undefined && matchesEntityTag(condition, entityTag)) {
    exchange.send(304, headers);
    return;
  }
  if (size === undefined) {
    exchange.begin(200, headers, false);
    if (arriving === undefined) exchange.response.end();
    else await sendBlob(exchange, arriving, 0, Number.POSITIVE_INFINITY, service.carrier);
    return;
  }
  if (exchange.method === "HEAD") {
    exchange.send(200, { ...headers, "Content-Length": size });
    return;
  }
  const { locate } = service.repositories.storage.blobs;
  if (arriving === undefined && locate !== undefined && size >= redirectedBytes) {
    // Not to be kept: the URL ends.
    exchange.send(307, {
      Location: await locate(digest),
      "Cache-Control": "no-store",
      [headerNames.contentDigest]: digest,
    });
    return;
  }
  // A range of something else than what the client has (If-Range) is answered with all of it.
  const ifRange = exchange.header("if-range");
  const range =
    ifRange !== undefined && ifRange !== entityTag ? undefined : resolveRange(exchange.header("range"), size);
  if (range === "unsatisfiable") {
    throw new RegistryError(416, "SIZE_INVALID", {
      message: `the blob has ${size} bytes`,
      headers: { "Content-Range": `bytes */${size}` },
    });
  }
  const first = range?.first ?? 0;
  const length = range === undefined ? size : range.last - range.first + 1;
  const reader = arriving ?? (await openStored(service, digest, size));
  try {
    exchange.begin(range === undefined ? 200 : 206, {
      ...headers,
      "Content-Length": length,
      ...(range !== undefined && { "Content-Range": formatContentRange(range, size) }),
    });
    await sendBlob(exchange, reader, first, length, service.carrier);
  } finally {
    if (reader !== arriving) await reader.close();
  }
}

interface FoundBlob {
  /** Undefined where it comes from an upstream and nobody says how much there will be. */
  readonly size: number | undefined;
  /** Open already: it comes from the upstream at this moment. */
  readonly reader?: GrowingBlob;
}

async function findBlob(
  service: Service,
  exchange: Exchange,
  name: string,
  digest: Digest,
): Promise<FoundBlob> {
  const { repositories, upstream } = service;
  const record = await repositories.blob(name, digest);
  // Who asks whether it is here may be about to push what names it.
  const relied = exchange.method === "HEAD" && record !== undefined && !service.policy.readOnly;
  if (record !== undefined && (!relied || (await repositories.promise(name, digest, record)))) return record;
  if (exchange.method === "HEAD") {
    const known = await upstream?.blobSize(name, digest);
    if (known !== undefined) return known;
  } else {
    const reader = await upstream?.blob(name, digest);
    if (reader !== undefined) return { size: reader.size, reader };
  }
  throw new RegistryError(404, "BLOB_UNKNOWN", { detail: { name, digest } });
}

async function openStored(service: Service, digest: Digest, size: number): Promise<BlobReader> {
  const reader = await service.repositories.storage.blobs.open(digest);
  if (reader?.size === size) return reader;
  await reader?.close();
  throw new RegistryError(500, "UNKNOWN", {
    message: `blob ${digest} is damaged in the registry's storage: push it again`,
  });
}

/** The repository forgets it; the bytes go with the next collection when no other repository has them. */
export async function deleteBlob(
  service: Service,
  exchange: Exchange,
  name: string,
  text: string,
): Promise<void> {
  service.policy.requireDeletes();
  const digest = readDigest(text);
  const { repositories } = service;
  const removed = await repositories.exclusively(name, () => repositories.unlinkBlob(name, digest));
  if (!removed) throw new RegistryError(404, "BLOB_UNKNOWN", { detail: { name, digest } });
  service.events.emit({
    type: "delete",
    what: "blob",
    repository: name,
    digest,
    ...(exchange.identity?.user !== undefined && { user: exchange.identity.user }),
  });
  exchange.send(202, {});
}
