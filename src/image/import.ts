/** `import`: a root filesystem tarball becomes an image of one layer. */
import {
  type ByteStream,
  bounded,
  type Compression,
  createHasher,
  type Decompressed,
  decompress,
  type Hasher,
  hashHex,
  limits,
  observed,
  readFileStream,
  TarParser,
  TemporaryFile,
  VitrineError,
} from "../base/mod.ts";
import {
  type Descriptor,
  type Digest,
  type ExecutionConfig,
  encodeImageConfig,
  encodeManifest,
  formatDigest,
  mediaTypes,
  type Platform,
} from "../oci/mod.ts";
import { applyChange } from "./changes.ts";
import { joinedContent, memoryContent, type RawContent, sourceOf } from "./content.ts";
import type { ImageArchive } from "./source.ts";

export interface ImportOptions {
  readonly changes: readonly string[];
  readonly message?: string;
  readonly platform: Platform;
  /** Milliseconds since the epoch: SOURCE_DATE_EPOCH where set, else now. */
  readonly created: number;
  readonly names: readonly string[];
  /** Existing directory for the spooled layer. */
  readonly temporaryDirectory: string;
  /** Default: `limits.expansionFreeBytes`. */
  readonly expansionFreeBytes?: number;
}

/**
 * Reads the tarball once: checks that it is a tar, hashes it, spools it. A gzip or zstd one stays as it is in the image,
 * others become a plain layer. The same input and options give the same image.
 * Errors: `import-empty`, `change-…`, `tar-…`, `compressed-data-…`, `bomb`.
 */
export async function importRootfs(tarball: ByteStream, options: ImportOptions): Promise<ImageArchive> {
  const execution = options.changes.reduce(applyChange, {} as ExecutionConfig);
  const { descriptor, diffID, spool } = await spoolLayer(tarball, options);
  const created = new Date(options.created).toISOString().replace(/\.000Z$/, "Z");
  const comment = options.message === undefined ? {} : { comment: options.message };
  const configBytes = encodeImageConfig({
    created,
    ...options.platform,
    config: execution,
    rootfs: { type: "layers", diff_ids: [diffID] },
    history: [{ created, created_by: "vitrine import", ...comment }],
  });
  const config = describe(configBytes, mediaTypes.config);
  const manifestBytes = encodeManifest({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config,
    layers: [descriptor],
  });
  const root = describe(manifestBytes, mediaTypes.manifest);
  const documents = memoryContent(
    new Map([
      [config.digest, configBytes],
      [root.digest, manifestBytes],
    ]),
  );
  const content = joinedContent(documents, fileContent(descriptor.digest, spool.path));
  return {
    format: "oci-archive",
    images: [sourceOf(content, root, options.names)],
    close: () => spool.discard(),
  };
}

function describe(bytes: Uint8Array, mediaType: string): Descriptor {
  return { mediaType, digest: formatDigest("sha256", hashHex("sha256", bytes)), size: bytes.length };
}

function fileContent(digest: Digest, file: string): RawContent {
  return {
    has: (wanted) => wanted === digest,
    openUnverified: (wanted) => (wanted === digest ? readFileStream(file) : undefined),
  };
}

interface SpooledLayer {
  readonly descriptor: Descriptor;
  readonly diffID: Digest;
  readonly spool: TemporaryFile;
}

/** Media types exist for these: the tarball's own bytes then are the layer. */
const layerTypes: Readonly<Partial<Record<Compression, string>>> = {
  none: mediaTypes.layer,
  gzip: mediaTypes.layerGzip,
  zstd: mediaTypes.layerZstd,
};

/** Spools first, so that the tarball is read in one go from wherever it comes; then inflates and checks it. */
async function spoolLayer(tarball: ByteStream, options: ImportOptions): Promise<SpooledLayer> {
  const directory = options.temporaryDirectory;
  const raw = new Sum();
  const spool = await TemporaryFile.create(directory, "import");
  try {
    await spool.write(observed(tarball, (chunk) => raw.add(chunk)));
    const plain = new Sum();
    const input = await decompress(readFileStream(spool.path));
    const checked = checkedTar(input, plain, options.expansionFreeBytes);
    const mediaType = layerTypes[input.compression];
    if (mediaType !== undefined) {
      for await (const _ of checked);
      const descriptor = { mediaType, digest: raw.digest(), size: raw.bytes };
      const diffID = input.compression === "none" ? descriptor.digest : plain.digest();
      return { descriptor, diffID, spool };
    }
    const inflated = await TemporaryFile.create(directory, "import");
    try {
      await inflated.write(checked);
    } catch (error) {
      await inflated.discard();
      throw error;
    }
    await spool.discard();
    const diffID = plain.digest();
    return {
      descriptor: { mediaType: mediaTypes.layer, digest: diffID, size: plain.bytes },
      diffID,
      spool: inflated,
    };
  } catch (error) {
    await spool.discard();
    throw error;
  }
}

/** Passes the tar on, hashed, bounded, and known to be one at its end. */
async function* checkedTar(
  input: Decompressed,
  sum: Sum,
  freeBytes: number = limits.expansionFreeBytes,
): ByteStream {
  let entries = 0;
  const parser = new TarParser({
    onEntry: () => {
      entries += 1;
    },
    onData: () => {},
    onEnd: () => {},
  });
  const stream = bounded(input.stream, {
    maxBytes: limits.layerBytes,
    maxRatio: limits.compressionRatio,
    freeBytes,
    input: input.input,
    name: "layer",
  });
  for await (const chunk of stream) {
    sum.add(chunk);
    parser.push(chunk);
    yield chunk;
  }
  parser.finish();
  if (entries > 0) return;
  throw new VitrineError("invalid", "the tarball is empty", {
    code: "import-empty",
    hint: "give a root filesystem: tar -C DIRECTORY -c . | vitrine import - NAME",
  });
}

class Sum {
  bytes = 0;
  private readonly hasher: Hasher = createHasher("sha256");

  add(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.hasher.update(chunk);
  }

  digest(): Digest {
    return formatDigest("sha256", this.hasher.hex());
  }
}
