/**
 * The storage engine for an S3-compatible object store:
 * ```
 * PREFIX/blobs/ALG/HEX            content
 * PREFIX/touched/ALG/HEX          empty; its age is the content's, where it is younger (a copy onto itself would end at 5 GB)
 * PREFIX/repositories/NAME/…      the documents
 * PREFIX/collecting, removing/…   see `sharing.ts`
 * ```
 * Uploads gather in a local directory and go to the store when they are verified, in parts: nothing unverified is ever in
 * the bucket, and an upload goes on only at the instance that began it.
 */
import * as fs from "node:fs/promises";
import { type Digest, isDigest } from "../../../../oci/mod.ts";
import { checkKey } from "../keys.ts";
import type { BlobReader, BlobStat, BlobStore, Documents, RegistryStorage } from "../types.ts";
import { S3Client, type S3ClientOptions } from "./client.ts";
import { leaseLost, S3Sharing, type SharingTimes } from "./sharing.ts";

export interface S3StorageOptions extends S3ClientOptions {
  /** Before every key, e.g. `registry`; default nothing. */
  readonly prefix?: string;
  /** A directory for uploads under way. */
  readonly uploadDirectory: string;
  /** Nobody else writes to this prefix: then what was read is remembered. Default false. */
  readonly exclusive?: boolean;
  /** Clients get blobs from the store itself, by URLs that are good for so long. */
  readonly redirectSeconds?: number;
  /** Of those who share it. */
  readonly times?: SharingTimes;
}

/** S3 has at least 5 MiB a part and 10,000 parts. */
const smallestPart = 5 * 1024 * 1024;
const mostParts = 9000;
const partsAtOnce = 4;
/** Of all uploads together: each is held in memory. */
const mostPartsAtOnce = 4;

/** Errors: `s3-unreachable`, `s3-denied`, `s3-failed` when the bucket does not answer. */
export async function openS3Storage(options: S3StorageOptions): Promise<RegistryStorage> {
  await fs.mkdir(options.uploadDirectory, { recursive: true, mode: 0o700 });
  const client = new S3Client(options);
  const prefix = options.prefix === undefined || options.prefix === "" ? "" : `${checkKey(options.prefix)}/`;
  // Says at once what is wrong with credentials or bucket.
  for await (const _ of client.list(`${prefix}health/`)) break;
  const sharing = options.exclusive === true ? undefined : new S3Sharing(client, prefix, options.times);
  return {
    name: `${options.endpoint}/${options.bucket}/${prefix}`,
    exclusive: options.exclusive ?? false,
    uploadDirectory: options.uploadDirectory,
    ...(sharing && { sharing }),
    blobs: new S3Blobs(client, prefix, sharing, options.redirectSeconds),
    documents: new S3Documents(client, prefix, sharing),
    [Symbol.asyncDispose]: async () => client.close(),
  };
}

class S3Documents implements Documents {
  private readonly client: S3Client;
  private readonly prefix: string;
  private readonly sharing: S3Sharing | undefined;

  constructor(client: S3Client, prefix: string, sharing: S3Sharing | undefined) {
    this.client = client;
    this.prefix = prefix;
    this.sharing = sharing;
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.client.get(this.prefix + checkKey(key));
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.client.put(this.prefix + checkKey(key), bytes);
  }

  async delete(key: string): Promise<boolean> {
    const name = this.prefix + checkKey(key);
    if ((await this.client.head(name)) === undefined) return false;
    // What is below a repository begins with `_`.
    const fence = this.sharing?.fenceOf(key.replace(/\/_.*$/, ""));
    if (!(await this.client.delete(name, fence))) throw leaseLost(key);
    return true;
  }

  async list(prefix: string): Promise<readonly string[]> {
    const base = `${this.prefix}${checkKey(prefix.slice(0, -1))}/`;
    const names: string[] = [];
    for await (const entry of this.client.list(base)) {
      names.push(("key" in entry ? entry.key : entry.prefix).slice(base.length));
    }
    return names.filter((name) => name !== "").sort();
  }
}

class S3Blobs implements BlobStore {
  private readonly client: S3Client;
  private readonly prefix: string;
  private readonly sharing: S3Sharing | undefined;
  private readonly parts = new Turns(mostPartsAtOnce);
  private readonly buffers: Buffer[] = [];

  readonly locate?: (digest: Digest) => Promise<string>;

  constructor(
    client: S3Client,
    prefix: string,
    sharing: S3Sharing | undefined,
    redirectSeconds: number | undefined,
  ) {
    this.client = client;
    this.prefix = prefix;
    this.sharing = sharing;
    if (redirectSeconds !== undefined) {
      this.locate = (digest) => client.readableUrl(this.keyOf(digest), redirectSeconds);
    }
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    const [object, touched] = await Promise.all([
      this.client.head(this.keyOf(digest)),
      this.client.head(this.touchedKeyOf(digest)),
    ]);
    if (object === undefined) return undefined;
    return { size: object.size, modified: Math.max(object.modified, touched?.modified ?? 0) };
  }

  async open(digest: Digest): Promise<BlobReader | undefined> {
    const key = this.keyOf(digest);
    const object = await this.client.head(key);
    if (object === undefined) return undefined;
    return {
      size: object.size,
      modified: object.modified,
      stream: (first, length) => this.client.stream(key, first, length),
      close: async () => undefined,
    };
  }

  put(digest: Digest, bytes: Uint8Array): Promise<void> {
    const key = this.keyOf(digest);
    return this.store(digest, async () => void (await this.client.put(key, bytes)));
  }

  async adopt(digest: Digest, file: string): Promise<void> {
    const key = this.keyOf(digest);
    const handle = await fs.open(file, "r");
    try {
      const { size } = await handle.stat();
      await this.store(digest, async () => {
        if (size > smallestPart) await this.putParts(key, handle, size);
        else {
          const bytes = Buffer.alloc(size);
          await readExactly(handle, bytes, size, 0);
          await this.client.put(key, bytes);
        }
      });
    } finally {
      await handle.close();
    }
    await fs.unlink(file);
  }

  /** Again where somebody has just removed it. */
  private async store(digest: Digest, write: () => Promise<void>): Promise<void> {
    await write();
    while (await this.sharing?.settle(digest)) {
      if ((await this.client.head(this.keyOf(digest))) === undefined) await write();
    }
  }

  private async putParts(key: string, file: fs.FileHandle, size: number): Promise<void> {
    const partBytes = Math.max(smallestPart, Math.ceil(size / mostParts));
    const count = Math.ceil(size / partBytes);
    const tags: string[] = new Array(count);
    const upload = await this.client.beginParts(key);
    let next = 0;
    const sender = async (): Promise<void> => {
      while (next < count) {
        using _ = await this.parts.take();
        if (next >= count) return;
        const index = next++;
        const length = Math.min(partBytes, size - index * partBytes);
        const buffer = this.takeBuffer(partBytes);
        try {
          await readExactly(file, buffer, length, index * partBytes);
          tags[index] = await this.client.putPart(key, upload, index + 1, buffer.subarray(0, length));
        } finally {
          if (partBytes === smallestPart) this.buffers.push(buffer);
        }
      }
    };
    const senders = Array.from({ length: Math.min(partsAtOnce, count) }, sender);
    try {
      await Promise.all(senders);
      await this.client.finishParts(key, upload, tags, size);
    } catch (error) {
      next = count;
      // Parts that are still on their way would stay, with nobody to give them up.
      await Promise.allSettled(senders);
      await this.client.abortParts(key, upload).catch(() => undefined);
      throw error;
    }
  }

  /** The collector would let them pile up. */
  private takeBuffer(bytes: number): Buffer {
    return (bytes === smallestPart ? this.buffers.pop() : undefined) ?? Buffer.allocUnsafeSlow(bytes);
  }

  async touch(digest: Digest): Promise<boolean> {
    if ((await this.client.head(this.keyOf(digest))) === undefined) return false;
    await this.client.put(this.touchedKeyOf(digest), new Uint8Array(0));
    while (await this.sharing?.settle(digest)) {
      if ((await this.client.head(this.keyOf(digest))) === undefined) return false;
    }
    return true;
  }

  async delete(digest: Digest): Promise<boolean> {
    const key = this.keyOf(digest);
    if ((await this.client.head(key)) === undefined) return false;
    const fence = this.sharing?.fenceOf(digest);
    if (!(await this.client.delete(key, fence))) throw leaseLost(key);
    await this.client.delete(this.touchedKeyOf(digest), fence);
    return true;
  }

  async *list(): AsyncGenerator<BlobStat & { readonly digest: Digest }, void> {
    const base = `${this.prefix}blobs/`;
    for await (const entry of this.client.list(base, true)) {
      if (!("key" in entry)) continue;
      const digest = entry.key.slice(base.length).replace("/", ":");
      if (isDigest(digest)) yield { digest, size: entry.size, modified: entry.modified };
    }
  }

  async removeUnfinished(before: number): Promise<number> {
    let removed = 0;
    for await (const { key, id, begun } of this.client.unfinished(`${this.prefix}blobs/`)) {
      // Not comparable (no time was told): left alone.
      if (!(begun <= before)) continue;
      await this.client.abortParts(key, id);
      removed += 1;
    }
    return removed;
  }

  private keyOf(digest: Digest): string {
    return `${this.prefix}blobs/${digest.replace(":", "/")}`;
  }

  private touchedKeyOf(digest: Digest): string {
    return `${this.prefix}touched/${digest.replace(":", "/")}`;
  }
}

/** Lets so many in at a time. */
class Turns {
  private free: number;
  private readonly waiting: (() => void)[] = [];

  constructor(most: number) {
    this.free = most;
  }

  async take(): Promise<Disposable> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    return {
      [Symbol.dispose]: () => {
        const next = this.waiting.shift();
        if (next === undefined) this.free += 1;
        else next();
      },
    };
  }
}

async function readExactly(
  file: fs.FileHandle,
  buffer: Uint8Array,
  length: number,
  position: number,
): Promise<void> {
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(buffer, at, length - at, position + at);
    if (bytesRead === 0) throw new Error("the upload's file ends early");
    at += bytesRead;
  }
}
