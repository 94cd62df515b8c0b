/** Uploads of blobs and mounts (spec.md#push, end-4, end-5, end-6, end-11, end-13, end-14). */
import { type Digest, type DigestAlgorithm, splitDigest } from "../../../oci/mod.ts";
import { headerNames } from "../../protocol/headers.ts";
import { isRepositoryName } from "../../protocol/names.ts";
import { paths } from "../../protocol/paths.ts";
import { formatUploadRange, parseUploadRange } from "../../protocol/ranges.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";
import { receiveCarried } from "../http/receive-body.ts";
import { quotaLeft, requireQuota } from "../quota.ts";
import type { Service } from "../service.ts";
import type { Upload } from "../uploads.ts";
import { readAlgorithm, readDigest } from "./requests.ts";

/** POST: mounts what is there, takes a whole blob, or begins a session. */
export async function beginUpload(service: Service, exchange: Exchange, name: string): Promise<void> {
  service.policy.requireWritable();
  const { query } = exchange;
  const mount = query.get("mount");
  if (mount !== null && (await mountBlob(service, exchange, name, readDigest(mount)))) return;
  const digestText = mount === null ? query.get("digest") : null;
  const digest = digestText === null ? undefined : readDigest(digestText);
  const algorithm = digest === undefined ? readAlgorithm(exchange) : splitDigest(digest).algorithm;
  if (digest !== undefined) {
    const length = exchange.contentLength;
    if (length !== undefined) await requireQuota(service, name, length);
  }
  // A POST with a digest but no body: the client will send it with PUT (it read of single POSTs, and is careful).
  const single = digest !== undefined && (exchange.hasBody || isEmptyBlob(digest));
  const upload = await service.uploads.create(name, algorithm);
  if (!single) {
    answerProgress(exchange, upload, 202);
    return;
  }
  await upload.use(
    () => exchange.abandon(),
    async () => {
      try {
        await receive(service, exchange, upload);
        await finish(service, exchange, upload, digest);
      } catch (error) {
        // Nobody knows this session's id.
        await upload.discard();
        throw error;
      }
    },
  );
}

const emptyBlobs: ReadonlySet<string> = new Set([
  "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
]);

function isEmptyBlob(digest: Digest): boolean {
  return emptyBlobs.has(digest);
}

/** Whether the blob was mounted, and answered so. Otherwise the client uploads it. */
async function mountBlob(
  service: Service,
  exchange: Exchange,
  name: string,
  digest: Digest,
): Promise<boolean> {
  const { repositories, access } = service;
  const from = exchange.query.get("from");
  if (from !== null && !isRepositoryName(from)) return false;
  const mayRead = (repository: string): boolean => access.allows(exchange, repository, "pull");
  const size =
    from === null
      ? await discover(service, digest, mayRead)
      : mayRead(from)
        ? (await repositories.blob(from, digest))?.size
        : undefined;
  if (size === undefined) return false;
  // Touched first: from here on a collection leaves the bytes for its grace age, and then the link holds them.
  const { blobs } = repositories.storage;
  const mounted = await repositories.arrival(digest, async () => {
    if (!(await repositories.exclusivelyBlob(digest, () => blobs.touch(digest)))) return false;
    await linkWithinQuota(service, name, digest, size);
    return true;
  });
  if (!mounted) return false;
  service.metrics.add("vitrine_registry_blobs_mounted_total");
  service.events.emit({
    type: "mount",
    what: "blob",
    repository: name,
    digest,
    size,
    ...(exchange.identity?.user !== undefined && { user: exchange.identity.user }),
  });
  answerStored(exchange, name, digest);
  return true;
}

/** Looks for a blob in every repository that the client may read (mount without `from`). */
async function discover(
  service: Service,
  digest: Digest,
  mayRead: (repository: string) => boolean,
): Promise<number | undefined> {
  const { repositories } = service;
  if ((await repositories.storage.blobs.stat(digest)) === undefined) return undefined;
  for (const name of await repositories.names()) {
    if (!mayRead(name)) continue;
    const record = await repositories.blob(name, digest);
    if (record !== undefined) return record.size;
  }
  return undefined;
}

/** GET: how far it is. */
export async function uploadStatus(
  service: Service,
  exchange: Exchange,
  name: string,
  id: string,
): Promise<void> {
  answerProgress(exchange, await find(service, name, id), 204);
}

/** DELETE: gives it up. */
export async function cancelUpload(
  service: Service,
  exchange: Exchange,
  name: string,
  id: string,
): Promise<void> {
  const upload = await find(service, name, id);
  await upload.use(
    () => exchange.abandon(),
    () => upload.discard(),
  );
  exchange.send(204, {});
}

/** PATCH: a chunk, or a stream without `Content-Range`. */
export async function appendUpload(
  service: Service,
  exchange: Exchange,
  name: string,
  id: string,
): Promise<void> {
  service.policy.requireWritable();
  const upload = await find(service, name, id);
  await upload.use(
    () => exchange.abandon(),
    async () => {
      requireAlive(upload);
      requireInOrder(exchange, upload);
      await receive(service, exchange, upload);
      answerProgress(exchange, upload, 202);
    },
  );
}

/** PUT: the last chunk or none, then the digest of the whole. */
export async function finishUpload(
  service: Service,
  exchange: Exchange,
  name: string,
  id: string,
): Promise<void> {
  service.policy.requireWritable();
  const text = exchange.query.get("digest");
  if (text === null) throw new RegistryError(400, "DIGEST_INVALID", { message: "the digest is missing" });
  const digest = readDigest(text);
  const upload = await find(service, name, id);
  await upload.use(
    () => exchange.abandon(),
    async () => {
      requireAlive(upload);
      requireInOrder(exchange, upload);
      if (exchange.hasBody) await receive(service, exchange, upload);
      await finish(service, exchange, upload, digest);
    },
  );
}

async function find(service: Service, name: string, id: string): Promise<Upload> {
  const upload = await service.uploads.find(name, id);
  if (upload === undefined) throw new RegistryError(404, "BLOB_UPLOAD_UNKNOWN");
  return upload;
}

/** It may have ended while this request waited for another one on it. */
function requireAlive(upload: Upload): void {
  if (upload.ended) throw new RegistryError(404, "BLOB_UPLOAD_UNKNOWN");
}

function requireInOrder(exchange: Exchange, upload: Upload): void {
  const header = exchange.header("content-range");
  if (header === undefined) return;
  const range = parseUploadRange(header);
  const length = exchange.contentLength;
  if (range === undefined || (length !== undefined && length !== range.last - range.first + 1)) {
    throw new RegistryError(400, "SIZE_INVALID", {
      message: "Content-Range must be FIRST-LAST and fit Content-Length",
    });
  }
  if (range.first === upload.size) return;
  throw new RegistryError(416, "BLOB_UPLOAD_INVALID", {
    message: `the next byte is ${upload.size}, not ${range.first}`,
    headers: progressHeaders(upload),
  });
}

async function receive(service: Service, exchange: Exchange, upload: Upload): Promise<void> {
  const left = await quotaLeft(service, upload.repository);
  if (left <= 0 || (exchange.contentLength ?? 0) + upload.size > left) {
    await requireQuota(service, upload.repository, (exchange.contentLength ?? 1) + upload.size);
  }
  const most = Math.min(left, service.limits.blobBytes);
  if (await receiveCarried(service, exchange, upload, most)) return;
  await upload.append(exchange.body(), most);
}

/** Verifies what came, makes it a blob of the repository and answers 201. A wrong digest ends the session. */
async function finish(service: Service, exchange: Exchange, upload: Upload, digest: Digest): Promise<void> {
  const { repositories } = service;
  const { size, repository: name } = upload;
  const algorithm: DigestAlgorithm = splitDigest(digest).algorithm;
  const actual = await upload.digest(algorithm);
  if (actual !== digest) {
    await upload.discard();
    throw new RegistryError(400, "DIGEST_INVALID", {
      message: `the ${size} bytes received have the digest ${actual}, not ${digest}`,
      detail: { expected: digest, actual, size },
    });
  }
  await upload.release();
  const { blobs } = repositories.storage;
  await repositories.arrival(digest, async () => {
    await repositories.exclusivelyBlob(digest, () => blobs.adopt(digest, upload.path));
    await linkWithinQuota(service, name, digest, size);
  });
  await upload.discard();
  service.metrics.add("vitrine_registry_blobs_pushed_total");
  service.events.emit({
    type: "push",
    what: "blob",
    repository: name,
    digest,
    size,
    ...(exchange.identity?.user !== undefined && { user: exchange.identity.user }),
  });
  answerStored(exchange, name, digest);
}

/** Makes bytes that are here a blob of the repository; with a quota one at a time, so that it holds. Error: 403 DENIED. */
async function linkWithinQuota(service: Service, name: string, digest: Digest, size: number): Promise<void> {
  const { repositories, policy } = service;
  const link = (): Promise<void> => repositories.linkBlob(name, digest, size);
  if (policy.quotaOf(name) === undefined) return repositories.together(name, link);
  await repositories.exclusively(name, async () => {
    if ((await repositories.blob(name, digest)) === undefined) await requireQuota(service, name, size);
    await link();
  });
}

function answerStored(exchange: Exchange, name: string, digest: Digest): void {
  exchange.send(201, { Location: paths.blob(name, digest), [headerNames.contentDigest]: digest });
}

function answerProgress(exchange: Exchange, upload: Upload, status: 202 | 204): void {
  exchange.send(status, progressHeaders(upload));
}

function progressHeaders(upload: Upload): Record<string, string> {
  return {
    Location: paths.upload(upload.repository, upload.id),
    Range: formatUploadRange(upload.size),
    [headerNames.uploadUuid]: upload.id,
  };
}
