import type { ByteStream, Tally } from "./streams.ts";

export type Compression = "none" | "gzip" | "zstd" | "xz" | "bzip2";

/** What the first bytes (6 suffice) of a stream say. */
export declare function detectCompression(head: Uint8Array): Compression;

export interface Decompressed {
  readonly compression: Compression;
  /** The plain bytes. Corrupt, truncated or trailing input throws `compressed-data-corrupt`. */
  readonly stream: ByteStream;
  /** Compressed bytes fed so far: the `input` of `bounded`. */
  readonly input: Readonly<Tally>;
}

/** Looks at the first bytes and decompresses; what is not compressed passes through. Missing program: `decompressor-missing`. */
export declare function decompress(source: ByteStream): Promise<Decompressed>;

/** Compresses without time or name in the header: the same input gives the same bytes on the same runtime. */
export declare function compress(
  source: ByteStream,
  compression: "none" | "gzip" | "zstd",
  options?: { readonly level?: number },
): ByteStream;
