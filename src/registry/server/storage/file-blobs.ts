/** Blobs as the files `blobs/ALG/HEX` of an OCI image layout. */
import { fstatSync } from "node:fs";
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { errnoOf, readHandleStream } from "../../../base/mod.ts";
import { type Digest, digestAlgorithms, isDigest, splitDigest } from "../../../oci/mod.ts";
import type { DurableFiles } from "./file-writes.ts";
import type { BlobReader, BlobStat, BlobStore } from "./types.ts";

/** What changes of blobs need. */
export type FileWriter = Pick<DurableFiles, "write" | "move" | "remove">;

const mostGoing = 32;

export class FileBlobs implements BlobStore {
  private readonly root: string;
  private readonly files: FileWriter;
  /** Blobs that were replaced and are still open: how many, and when all are closed. */
  private going = 0;
  private gone: Promise<void> = Promise.resolve();

  /** `root`: the directory `blobs`. */
  constructor(root: string, files: FileWriter) {
    this.root = root;
    this.files = files;
  }

  async stat(digest: Digest): Promise<BlobStat | undefined> {
    try {
      const { size, mtimeMs } = await fs.stat(this.pathOf(digest));
      return { size, modified: mtimeMs };
    } catch (error) {
      return missing(error);
    }
  }

  async open(digest: Digest): Promise<BlobReader | undefined> {
    const file = this.pathOf(digest);
    let handle: fs.FileHandle;
    try {
      handle = await fs.open(file, "r");
    } catch (error) {
      return missing(error);
    }
    try {
      // Of an open file it is in memory: a thread of its own would cost more than the call.
      const { size, mtimeMs } = fstatSync(handle.fd);
      return {
        size,
        modified: mtimeMs,
        stream: (start, length) => readHandleStream(handle, { start, length }, digest),
        read: async (buffer, position) => {
          const { bytesRead } = await handle.read(buffer, 0, buffer.length, position);
          return bytesRead;
        },
        descriptor: handle.fd,
        close: () => handle.close(),
      };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  put(digest: Digest, bytes: Uint8Array): Promise<void> {
    return this.files.write(this.pathOf(digest), bytes);
  }

  /** Over a blob that is there as well: what came now was verified now, and heals one that rotted on disk. */
  async adopt(digest: Digest, file: string): Promise<void> {
    const handle = await fs.open(file, "r+");
    try {
      await handle.chmod(0o644);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    const place = this.pathOf(digest);
    // Held open, the one that goes does not give its space back (which may wait for the disk) in the rename, while no other can be done.
    const old = await fs.open(place, "r").catch(missing);
    try {
      await this.files.move(file, place);
    } finally {
      if (old !== undefined) await this.letGo(old);
    }
  }

  /** One after the other, and nobody waits for them as long as they are few. */
  private async letGo(old: fs.FileHandle): Promise<void> {
    this.going += 1;
    this.gone = this.gone
      .then(() => old.close())
      .catch(() => undefined)
      .finally(() => {
        this.going -= 1;
      });
    if (this.going > mostGoing) await this.gone;
  }

  async touch(digest: Digest): Promise<boolean> {
    const now = new Date();
    try {
      await fs.utimes(this.pathOf(digest), now, now);
      return true;
    } catch (error) {
      return missing(error) ?? false;
    }
  }

  delete(digest: Digest): Promise<boolean> {
    return this.files.remove(this.pathOf(digest));
  }

  async *list(): AsyncGenerator<BlobStat & { readonly digest: Digest }, void> {
    for (const algorithm of Object.keys(digestAlgorithms)) {
      let directory: Awaited<ReturnType<typeof fs.opendir>>;
      try {
        directory = await fs.opendir(path.join(this.root, algorithm));
      } catch (error) {
        missing(error);
        continue;
      }
      for await (const entry of directory) {
        const digest = `${algorithm}:${entry.name}`;
        if (!isDigest(digest)) continue;
        const stat = await this.stat(digest);
        if (stat !== undefined) yield { ...stat, digest };
      }
    }
  }

  pathOf(digest: Digest): string {
    const { algorithm, hex } = splitDigest(digest);
    return path.join(this.root, algorithm, hex);
  }
}

function missing(error: unknown): undefined {
  if (errnoOf(error) !== "ENOENT") throw error;
  return undefined;
}
