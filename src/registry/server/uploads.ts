/**
 * Uploads under way: `DIRECTORY/ID/data` grows, `DIRECTORY/ID/upload.json` says to whom it belongs. They outlive the
 * process; what a new process finds is hashed again from the file, since a hash's inner state cannot be kept.
 */
import { randomUUID } from "node:crypto";
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { getSystemErrorName } from "node:util";
import {
  type ByteStream,
  createHasher,
  errnoOf,
  type Hasher,
  readFileStream,
  VitrineError,
  writeChunks,
} from "../../base/mod.ts";
import type { DigestAlgorithm } from "../../oci/mod.ts";
import { type Digest, formatDigest } from "../../oci/mod.ts";
import { beginHash, type HashState, hashedBytes, type Report } from "./convey/wire.ts";

const idGrammar = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Bytes gathered before they are written together. */
const writeBytes = 512 * 1024;
/** So much is hashed a second time rather than not carried. */
const hashedAgainBytes = 16 * 1024 * 1024;
/** After so many the disk begins to work on what it has. */
const flushBytes = 16 * 1024 * 1024;
/** So many have their file open; of more, those that nobody uses are closed, and opened and hashed again for their next chunk. */
const mostOpen = 256;

export class UploadArea {
  private readonly directory: string;
  /** In the order of their last use. */
  private readonly open = new Map<string, Upload>();

  constructor(directory: string) {
    this.directory = directory;
  }

  get active(): number {
    return this.open.size;
  }

  /** Begins an upload for a repository. `algorithm` is the one its digest is expected to have. */
  async create(repository: string, algorithm: DigestAlgorithm): Promise<Upload> {
    const id = randomUUID();
    const directory = path.join(this.directory, id);
    await fs.mkdir(directory, { recursive: true });
    await fs.writeFile(path.join(directory, "upload.json"), JSON.stringify({ repository, algorithm }));
    const file = await fs.open(path.join(directory, "data"), "wx+", 0o600);
    return this.remember(new Upload(id, repository, directory, file, 0, algorithm));
  }

  /** The upload of that id in that repository; undefined when there is none. */
  async find(repository: string, id: string): Promise<Upload | undefined> {
    if (!idGrammar.test(id)) return undefined;
    const upload = this.open.get(id) ?? (await this.reopen(id));
    if (upload?.repository !== repository) return undefined;
    this.remember(upload);
    return upload;
  }

  /** Removes uploads that nothing was added to for `milliseconds`; returns how many. */
  async sweep(milliseconds: number, now: number): Promise<number> {
    let removed = 0;
    for (const id of await fs.readdir(this.directory)) {
      if (!idGrammar.test(id) || this.open.get(id)?.busy === true) continue;
      const directory = path.join(this.directory, id);
      const stat = await fs.stat(path.join(directory, "data")).catch(() => fs.stat(directory));
      if (now - stat.mtimeMs < milliseconds) continue;
      await this.open.get(id)?.discard();
      await fs.rm(directory, { recursive: true, force: true });
      removed += 1;
    }
    return removed;
  }

  /** Closes the files; the uploads stay for the next process. */
  async close(): Promise<void> {
    for (const upload of [...this.open.values()]) await upload.release().catch(() => undefined);
  }

  private async reopen(id: string): Promise<Upload | undefined> {
    const directory = path.join(this.directory, id);
    let header: unknown;
    let file: fs.FileHandle;
    try {
      header = JSON.parse(await fs.readFile(path.join(directory, "upload.json"), "utf8"));
      file = await fs.open(path.join(directory, "data"), "r+");
    } catch (error) {
      // Begun but for a crash between its files: as good as none, and swept in time.
      if (errnoOf(error) === "ENOENT" || error instanceof SyntaxError) return undefined;
      throw error;
    }
    const { size } = await file.stat();
    const raced = this.open.get(id);
    if (raced !== undefined || !isHeader(header)) {
      await file.close();
      return raced;
    }
    return this.remember(new Upload(id, header.repository, directory, file, size, header.algorithm));
  }

  /** Notes it as the one that was used last. */
  private remember(upload: Upload): Upload {
    this.open.delete(upload.id);
    this.closeUnused(mostOpen - 1);
    this.open.set(upload.id, upload);
    upload.onEnd = () => this.open.delete(upload.id);
    return upload;
  }

  /** Anybody who may push may begin as many as he likes: they must not take all descriptors there are. */
  private closeUnused(most: number): void {
    for (const upload of this.open.values()) {
      if (this.open.size <= most) return;
      // The disk tells of a failure once: nobody may go on with what it lost.
      if (!upload.busy) upload.release().catch(() => upload.discard().catch(() => undefined));
    }
  }
}

function isHeader(
  value: unknown,
): value is { readonly repository: string; readonly algorithm: DigestAlgorithm } {
  return (
    typeof value === "object" &&
    value !== null &&
    "repository" in value &&
    typeof value.repository === "string" &&
    "algorithm" in value &&
    (value.algorithm === "sha256" || value.algorithm === "sha512")
  );
}

export class Upload {
  readonly id: string;
  readonly repository: string;
  onEnd: () => void = () => undefined;
  private readonly directory: string;
  private readonly file: fs.FileHandle;
  private readonly algorithm: DigestAlgorithm;
  /** Undefined where it has not seen every byte. */
  private hasher: Hasher | undefined;
  /** What another process has hashed of it, and the digest of that. */
  private carried: { readonly hash: HashState; readonly hex: string } | undefined;
  private bytes: number;
  private user: { readonly stop: () => void; readonly done: Promise<void> } | undefined;
  private closed = false;
  private unflushed = 0;
  private flushed: Promise<void> = Promise.resolve();
  private flushing = false;

  constructor(
    id: string,
    repository: string,
    directory: string,
    file: fs.FileHandle,
    size: number,
    algorithm: DigestAlgorithm,
  ) {
    this.id = id;
    this.repository = repository;
    this.directory = directory;
    this.file = file;
    this.bytes = size;
    this.algorithm = algorithm;
    this.hasher = size === 0 ? createHasher(algorithm) : undefined;
  }

  /** How many bytes it holds. */
  get size(): number {
    return this.bytes;
  }

  get busy(): boolean {
    return this.user !== undefined;
  }

  /** Whether it is committed or discarded. */
  get ended(): boolean {
    return this.closed;
  }

  get path(): string {
    return path.join(this.directory, "data");
  }

  /**
   * Runs `body` as the only request on this upload. A client whose connection broke comes back before the server notices:
   * the newer request takes over, `stop` ends the older one.
   */
  async use<T>(stop: () => void, body: () => Promise<T>): Promise<T> {
    while (this.user !== undefined) {
      this.user.stop();
      await this.user.done;
    }
    const { promise: done, resolve } = Promise.withResolvers<void>();
    this.user = { stop, done };
    try {
      return await body();
    } finally {
      this.user = undefined;
      resolve();
    }
  }

  /**
   * Appends a stream. When the stream breaks, what came of it stays: the client may go on from there. When the disk
   * fails, the upload is cut back to what it held before the write that failed; when it is full, to what it held before:
   * nobody was told of the rest, and it must not keep the disk full.
   * `onWritten` hears how many bytes are in the file: where somebody waits for them, nothing is gathered while the disk has
   * nothing to do. Error: `upload-too-large` beyond `maxBytes` of the whole.
   */
  async append(source: ByteStream, maxBytes: number, onWritten?: (bytes: number) => void): Promise<void> {
    let gathered: Uint8Array[] = [];
    let length = 0;
    const start = this.bytes;
    let hashed = start;
    let writing: Promise<void> = Promise.resolve();
    let writes = 0;
    // A failure is thrown by the await below, not by nobody.
    const begin = (): void => {
      const chunks = gathered;
      const position = hashed - length;
      const bytes = length;
      gathered = [];
      length = 0;
      writes += 1;
      writing = writing
        .then(() => this.write(chunks, position, bytes))
        .then(() => {
          writes -= 1;
          onWritten?.(this.bytes);
        });
      writing.catch(() => undefined);
    };
    try {
      try {
        for await (const chunk of source) {
          if (hashed + chunk.length > maxBytes) throw tooLarge(maxBytes);
          this.hasher?.update(chunk);
          gathered.push(chunk);
          length += chunk.length;
          hashed += chunk.length;
          if (length >= writeBytes) {
            await writing;
            begin();
          } else if (onWritten !== undefined && writes === 0) begin();
        }
      } finally {
        if (length > 0) begin();
        await writing;
      }
    } catch (error) {
      if (isFull(errnoOf(error))) await this.cutBack(start);
      else if (this.bytes !== hashed) await this.cutBack(this.bytes);
      throw error;
    }
  }

  private async cutBack(bytes: number): Promise<void> {
    this.bytes = bytes;
    this.hasher = undefined;
    await this.file.truncate(bytes).catch(() => undefined);
  }

  /** Whether its next bytes may be written and hashed by another process; see `appendCarried`. */
  get carriable(): boolean {
    if (this.algorithm !== "sha256") return false;
    return this.bytes - (this.carried === undefined ? 0 : hashedBytes(this.carried.hash)) <= hashedAgainBytes;
  }

  /**
   * Appends what another process writes to the file from `position` on, having hashed all that is before it. Whatever
   * its report says was written stays; when the disk is full, the upload is cut back to `before` bytes.
   */
  async appendCarried(
    before: number,
    carry: (file: number, position: number, hash: HashState) => Promise<Report>,
  ): Promise<Report> {
    const report = await carry(this.file.fd, this.bytes, this.carried?.hash ?? beginHash());
    if (report.error !== 0 && report.ofFile && isFull(getSystemErrorName(-report.error))) {
      await this.cutBack(before);
      return report;
    }
    if (report.count === 0) {
      await this.file.truncate(this.bytes).catch(() => undefined);
      return report;
    }
    this.bytes += report.count;
    this.hasher = undefined;
    this.carried = hashedBytes(report.hash) === this.bytes ? report : undefined;
    return report;
  }

  private async write(chunks: Uint8Array[], position: number, bytes: number): Promise<void> {
    await writeChunks(this.file, chunks, position);
    this.bytes = position + bytes;
    this.unflushed += bytes;
    if (this.unflushed >= flushBytes) this.flushEarly();
  }

  /** The disk works while the rest is still on its way. Its error is thrown by `release`. */
  private flushEarly(): void {
    if (this.flushing) return;
    this.flushing = true;
    this.unflushed = 0;
    this.flushed = this.flushed
      .then(() => this.file.datasync())
      .finally(() => {
        this.flushing = false;
      });
    this.flushed.catch(() => undefined);
  }

  /** The digest of what it holds; no byte may follow. */
  async digest(algorithm: DigestAlgorithm): Promise<Digest> {
    if (this.hasher !== undefined && algorithm === this.algorithm) {
      const digest = formatDigest(algorithm, this.hasher.hex());
      this.hasher = undefined;
      return digest;
    }
    if (
      this.carried !== undefined &&
      algorithm === "sha256" &&
      hashedBytes(this.carried.hash) === this.bytes
    ) {
      return formatDigest(algorithm, this.carried.hex);
    }
    const hasher = createHasher(algorithm);
    for await (const chunk of readFileStream(this.path)) hasher.update(chunk);
    return formatDigest(algorithm, hasher.hex());
  }

  /** Ends it after its file was taken over, or with its file. */
  async discard(): Promise<void> {
    await this.release().catch(() => undefined);
    await fs.rm(this.directory, { recursive: true, force: true });
  }

  /** Closes the file only. Throws when bytes in it did not reach the disk. */
  async release(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.onEnd();
    try {
      // The system tells an error of the disk once: to whoever flushed first.
      await this.flushed;
    } finally {
      await this.file.close();
    }
  }
}

function isFull(errno: string | undefined): boolean {
  return errno === "ENOSPC" || errno === "EDQUOT";
}

export function tooLarge(maxBytes: number): VitrineError {
  return new VitrineError("invalid", `the blob is larger than the ${maxBytes} bytes allowed`, {
    code: "upload-too-large",
  });
}
