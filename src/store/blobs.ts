/** The blobs of ROOT/oci: each is written beside, verified, synced and renamed; the only way to read one verifies. */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  type ByteStream,
  errnoOf,
  hashHex,
  readFileStream,
  TemporaryFile,
  VitrineError,
  verified,
} from "../base/mod.ts";
import { blobMissing, checkDocumentSize, expectedContent } from "../image/mod.ts";
import { type Descriptor, type Digest, isDigest, splitDigest } from "../oci/mod.ts";
import { blobFile, guardedAsync, type StoreContext } from "./context.ts";

/**
 * A document, verified. Errors: `blob-missing`, `content-size-mismatch`, `content-digest-mismatch`, `document-too-large`.
 */
export function readDocument(context: Pick<StoreContext, "layout">, descriptor: Descriptor): Uint8Array {
  checkDocumentSize(descriptor);
  let bytes: Uint8Array;
  try {
    bytes = readAtMost(blobFile(context, descriptor.digest), descriptor.size);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") throw blobMissing(descriptor);
    throw error;
  }
  if (bytes.length !== descriptor.size) throw corrupt(descriptor, "content-size-mismatch", "size");
  const { algorithm, hex } = splitDigest(descriptor.digest);
  if (hashHex(algorithm, bytes) !== hex) throw corrupt(descriptor, "content-digest-mismatch", "digest");
  return bytes;
}

/** Reads one byte more than it should be, so that a longer file shows without being read. */
function readAtMost(file: string, size: number): Uint8Array {
  const fd = fs.openSync(file, "r");
  try {
    const buffer = Buffer.allocUnsafe(size + 1);
    let at = 0;
    while (at < buffer.length) {
      const count = fs.readSync(fd, buffer, at, buffer.length - at, at);
      if (count === 0) break;
      at += count;
    }
    return buffer.subarray(0, at);
  } finally {
    fs.closeSync(fd);
  }
}

function corrupt(descriptor: Descriptor, code: string, what: string): VitrineError {
  return new VitrineError(
    "corrupt",
    `blob ${descriptor.digest} in the store is damaged: its ${what} is another`,
    {
      code,
      operand: descriptor.digest,
      hint: "remove the image and load it again: vitrine rmi --force IMAGE",
    },
  );
}

export function hasBlob(context: Pick<StoreContext, "layout">, descriptor: Descriptor): boolean {
  return (
    fs.statSync(blobFile(context, descriptor.digest), { throwIfNoEntry: false })?.size === descriptor.size
  );
}

/** Whether the blob is here and is what its digest says: reads all of it. */
export async function isIntact(context: StoreContext, descriptor: Descriptor): Promise<boolean> {
  if (!hasBlob(context, descriptor)) return false;
  try {
    const file = readFileStream(blobFile(context, descriptor.digest));
    for await (const _ of verified(file, expectedContent(descriptor)));
    return true;
  } catch (error) {
    if (error instanceof VitrineError) return false;
    throw error;
  }
}

/**
 * Writes a blob unless it is there, undamaged: loading an image again mends it. Returns whether it was written; `content` is
 * not read when not. `sync` false: the disk gets it later (unflushed.ts).
 */
export async function writeBlob(
  context: StoreContext,
  descriptor: Descriptor,
  content: ByteStream,
  sync = true,
): Promise<boolean> {
  return guardedAsync(context, async () => {
    if (await isIntact(context, descriptor)) return false;
    const target = blobFile(context, descriptor.digest);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    const file = await TemporaryFile.create(context.temporary, "blob");
    try {
      await file.write(verified(content, expectedContent(descriptor)));
      await file.commit(target, { sync });
    } finally {
      await file.discard();
    }
    return true;
  });
}

/** Every blob file with its size. */
export function listBlobs(context: Pick<StoreContext, "layout">): ReadonlyMap<Digest, number> {
  const blobs = new Map<Digest, number>();
  for (const algorithm of ["sha256", "sha512"]) {
    const directory = path.join(context.layout, "blobs", algorithm);
    for (const name of namesIn(directory)) {
      const digest = `${algorithm}:${name}`;
      const stat = fs.statSync(path.join(directory, name), { throwIfNoEntry: false });
      if (isDigest(digest) && stat !== undefined) blobs.set(digest, stat.size);
    }
  }
  return blobs;
}

/** The names in a directory; none when it is missing. */
export function namesIn(directory: string): readonly string[] {
  try {
    return fs.readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
