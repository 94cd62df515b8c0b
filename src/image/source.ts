import type { Descriptor } from "../oci/mod.ts";

/** Bytes in order. Chunks belong to the consumer; a producer never touches a chunk again. */
export type ByteStream = AsyncIterable<Uint8Array>;

/**
 * One image (or multi-platform index) and the content it names. A source implements the two raw reads,
 * everything else is derived from them (`walk.ts`). Both reads verify: `readDocument` returns only bytes whose
 * size and digest hold, `openBlob` throws `blob-digest-mismatch` or `blob-size-mismatch` at the end of the stream.
 */
export interface ImageSource {
  /** A manifest or an index. */
  readonly root: Descriptor;
  /** Names as the archive writes them (`docker.io/library/alpine:latest`, `alpine:3.20`, `latest`); may be empty. */
  readonly names: readonly string[];
  /**
   * What `root` leads to may be missing in part: an index of an archive often lists platforms that the
   * archive leaves out. `false` says so without opening anything.
   */
  has(descriptor: Descriptor): boolean;
  /** A manifest, index or config, at most `limits.configBytes`. */
  readDocument(descriptor: Descriptor): Promise<Uint8Array>;
  openBlob(descriptor: Descriptor): ByteStream;
}

/** An archive or layout with any number of images. `close` releases the file and removes what was spooled. */
export interface ImageArchive {
  readonly format: ArchiveFormat;
  readonly images: readonly ImageSource[];
  close(): void;
}

export type ArchiveFormat = "docker-archive" | "oci-archive" | "oci-dir";
