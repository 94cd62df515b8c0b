/** Where bytes of content come from, and the one place that verifies them for every source of this folder. */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  type ByteStream,
  collect,
  limits,
  readFileStream,
  streamOf,
  VitrineError,
  verified,
} from "../base/mod.ts";
import { type Descriptor, type Digest, splitDigest } from "../oci/mod.ts";
import type { ImageSource } from "./source.ts";

/** Unverified bytes by digest. Only `sourceOf` reads it. */
export interface RawContent {
  has(digest: Digest): boolean;
  /** Undefined when it is not there. */
  openUnverified(digest: Digest): ByteStream | undefined;
  /** Where it lies by itself. */
  file?(digest: Digest): string | undefined;
}

/** An image over raw content: every read verifies size and digest. */
export function sourceOf(content: RawContent, root: Descriptor, names: readonly string[]): ImageSource {
  const openBlob = (descriptor: Descriptor): ByteStream => {
    const raw = content.openUnverified(descriptor.digest);
    if (raw === undefined) throw blobMissing(descriptor);
    return verified(raw, expectedContent(descriptor));
  };
  return {
    root,
    names,
    has: (descriptor) => content.has(descriptor.digest),
    openBlob,
    blobFile(descriptor) {
      const path = content.file?.(descriptor.digest);
      if (path === undefined) return undefined;
      const check = () => verified(readFileStream(path, { passing: true }), expectedContent(descriptor));
      return { path, check };
    },
    readDocument: async (descriptor) => {
      checkDocumentSize(descriptor);
      return collect(openBlob(descriptor), limits.configBytes, descriptor.digest);
    },
  };
}

/** What `verified` is to hold a blob against. */
export function expectedContent(descriptor: Descriptor) {
  return { size: descriptor.size, ...splitDigest(descriptor.digest), name: descriptor.digest };
}

/** Before anything is read into memory. */
export function checkDocumentSize(descriptor: Descriptor): void {
  if (descriptor.size <= limits.configBytes) return;
  throw new VitrineError(
    "invalid",
    `document of ${descriptor.size} bytes exceeds the ${limits.configBytes} allowed`,
    { code: "document-too-large", operand: descriptor.digest },
  );
}

export function blobMissing(descriptor: Descriptor): VitrineError {
  const { urls } = descriptor;
  return new VitrineError("not-found", `blob ${descriptor.digest} is missing`, {
    code: "blob-missing",
    operand: descriptor.digest,
    hint:
      urls !== undefined && urls.length > 0
        ? "it is a foreign layer, which archives leave out: load an image that has it inside"
        : "the image is incomplete: make the archive again, or load it from another source",
  });
}

/** The path of a blob in a layout (image-layout.md#blobs); a `Digest` is safe as a path. */
export function blobPath(digest: Digest): string {
  const { algorithm, hex } = splitDigest(digest);
  return `blobs/${algorithm}/${hex}`;
}

/** The blobs of a layout directory. */
export function directoryContent(layout: string): RawContent {
  const fileOf = (digest: Digest) => path.join(layout, blobPath(digest));
  const has = (digest: Digest) => fs.statSync(fileOf(digest), { throwIfNoEntry: false })?.isFile() === true;
  return {
    has,
    openUnverified: (digest) => (has(digest) ? readFileStream(fileOf(digest)) : undefined),
    file: (digest) => (has(digest) ? fileOf(digest) : undefined),
  };
}

/** Blobs in memory: an image made here, or embedded in the executable. */
export function memoryContent(blobs: ReadonlyMap<Digest, Uint8Array>): RawContent {
  return {
    has: (digest) => blobs.has(digest),
    openUnverified: (digest) => {
      const bytes = blobs.get(digest);
      return bytes === undefined ? undefined : streamOf(bytes);
    },
  };
}

/** The first content that has it. */
export function joinedContent(...parts: readonly RawContent[]): RawContent {
  return {
    has: (digest) => parts.some((part) => part.has(digest)),
    openUnverified: (digest) => parts.find((part) => part.has(digest))?.openUnverified(digest),
    file: (digest) => parts.find((part) => part.has(digest))?.file?.(digest),
  };
}
