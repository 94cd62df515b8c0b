import type { ByteStream } from "../base/mod.ts";
import type { Descriptor } from "../oci/mod.ts";

/**
 * One image (or multi-platform index) and the content it names. A source implements the raw reads, everything else is
 * derived from them (`walk.ts`). Both reads verify: `readDocument` returns only bytes whose size and digest hold;
 * `openBlob` throws `content-digest-mismatch` or `content-size-mismatch` at the latest where the stream ends.
 */
export interface ImageSource {
  /** A manifest or an index. */
  readonly root: Descriptor;
  /** Names as the archive writes them (`docker.io/library/alpine:latest`, `alpine:3.20`, `latest`); may be empty. */
  readonly names: readonly string[];
  /** An index often lists platforms that the archive leaves out: `has` says so without opening anything. */
  has(descriptor: Descriptor): boolean;
  /** A manifest, index or config, at most `limits.configBytes`. Error: `blob-missing`. */
  readDocument(descriptor: Descriptor): Promise<Uint8Array>;
  /** Error: `blob-missing`, at the first read. */
  openBlob(descriptor: Descriptor): ByteStream;
  /** The file that holds these bytes and no others, if there is one, for whoever lets the kernel read it. */
  blobFile?(descriptor: Descriptor): BlobFile | undefined;
  /**
   * The bytes from `start` on, unverified, where a source can begin in the middle (a registry): for whoever has the bytes before
   * and verifies the whole.
   */
  openUnverifiedBlobFrom?(descriptor: Descriptor, start: number): ByteStream;
}

export interface BlobFile {
  readonly path: string;
  /** Reads it, and throws at the end where it is not what it should be. Of the chunks only the lengths are to be used. */
  readonly check: () => ByteStream;
}

/** An archive or layout with any number of images. `close` releases its file and removes what was spooled. */
export interface ImageArchive {
  readonly format: ArchiveFormat;
  readonly images: readonly ImageSource[];
  close(): Promise<void>;
}

export type ArchiveFormat = "docker-archive" | "oci-archive" | "oci-dir";
