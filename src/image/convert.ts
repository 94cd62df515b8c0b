/** An image with other media types or other compression: the same files, another digest. */
import {
  bounded,
  compress,
  createHasher,
  decompress,
  limits,
  observed,
  readFileStream,
  TemporaryFile,
  VitrineError,
} from "../base/mod.ts";
import {
  type Descriptor,
  type Digest,
  type DocumentFormat,
  digestOf,
  encodeIndex,
  encodeManifest,
  formatDigest,
  isConfigMediaType,
  layerMediaType,
  type Manifest,
  mediaTypes,
  type ParsedManifest,
  parseManifestOrIndex,
} from "../oci/mod.ts";
import { joinedContent, memoryContent, type RawContent, sourceOf } from "./content.ts";
import type { ImageSource } from "./source.ts";
import { ChunkedLayer, chunkedAnnotations } from "./zstd-chunked/write.ts";

export interface Conversion {
  readonly format?: DocumentFormat;
  /** `gzip-plain`: layers that are not compressed become gzip, the others stay. */
  readonly compression?: "gzip" | "zstd" | "zstd:chunked" | "none" | "gzip-plain";
  /** Layers that have the wanted compression already are compressed anew at this level too. */
  readonly level?: number;
  /** The same without a level. */
  readonly force?: boolean;
}

type Packing = "none" | "gzip" | "zstd" | "zstd:chunked";

const highestLevel = { none: 0, gzip: 9, zstd: 22, "zstd:chunked": 22 } as const;

export interface Converted extends AsyncDisposable {
  readonly source: ImageSource;
}

const layerTypes = {
  oci: {
    none: mediaTypes.layer,
    gzip: mediaTypes.layerGzip,
    zstd: mediaTypes.layerZstd,
    "zstd:chunked": mediaTypes.layerZstd,
  },
  docker: {
    none: mediaTypes.dockerLayer,
    gzip: mediaTypes.dockerLayerGzip,
    zstd: mediaTypes.dockerLayerZstd,
    "zstd:chunked": mediaTypes.dockerLayerZstd,
  },
} as const;

/**
 * Recompressed layers wait in `temporaryDirectory` until this is disposed. What need not change keeps its bytes and digest.
 * Errors: those of the source and of `decompress`; `conversion-artifact` for an artifact that docker's format cannot hold,
 * `compression-level-invalid`.
 */
export async function convertImage(
  source: ImageSource,
  conversion: Conversion,
  temporaryDirectory: string,
): Promise<Converted> {
  const job = new Job(source, conversion, temporaryDirectory);
  try {
    const root = await job.document(source.root);
    const content = joinedContent(memoryContent(job.documents), job.fileContent());
    const fresh = sourceOf(content, root, source.names);
    return { source: overlaid(fresh, source), [Symbol.asyncDispose]: () => job.dispose() };
  } catch (error) {
    await job.dispose();
    throw error;
  }
}

/** What was made here, else what the old source has. */
function overlaid(fresh: ImageSource, old: ImageSource): ImageSource {
  const from = (descriptor: Descriptor): ImageSource => (fresh.has(descriptor) ? fresh : old);
  return {
    root: fresh.root,
    names: fresh.names,
    has: (descriptor) => from(descriptor).has(descriptor),
    readDocument: (descriptor) => from(descriptor).readDocument(descriptor),
    openBlob: (descriptor) => from(descriptor).openBlob(descriptor),
    blobFile: (descriptor) => from(descriptor).blobFile?.(descriptor),
  };
}

class Job {
  readonly documents = new Map<Digest, Uint8Array>();
  private readonly files = new Map<Digest, TemporaryFile>();
  private readonly made = new Map<Digest, Descriptor>();
  private readonly source: ImageSource;
  private readonly conversion: Conversion;
  private readonly directory: string;

  constructor(source: ImageSource, conversion: Conversion, directory: string) {
    this.source = source;
    this.conversion = conversion;
    this.directory = directory;
  }

  fileContent(): RawContent {
    return {
      has: (digest) => this.files.has(digest),
      openUnverified: (digest) => {
        const file = this.files.get(digest);
        return file === undefined ? undefined : readFileStream(file.path);
      },
    };
  }

  async dispose(): Promise<void> {
    for (const file of this.files.values()) await file.discard();
    this.files.clear();
  }

  async document(descriptor: Descriptor): Promise<Descriptor> {
    const parsed = parseManifestOrIndex(await this.source.readDocument(descriptor), descriptor.mediaType);
    if (parsed.kind === "manifest") {
      const made = await this.manifest(parsed);
      // What stays keeps its digest, of whatever algorithm.
      return made.bytes === parsed.bytes ? descriptor : this.keep(descriptor, made);
    }
    const format = this.conversion.format ?? parsed.format;
    const manifests: Descriptor[] = [];
    for (const entry of parsed.index.manifests) {
      // What is not here cannot be changed, and an index of both would name digests that do not belong together.
      if (this.source.has(entry)) manifests.push(await this.document(entry));
    }
    const untouched = parsed.index.manifests;
    const same =
      manifests.length === untouched.length &&
      manifests.every((entry, at) => entry.digest === untouched[at]!.digest);
    if (same && format === parsed.format) return descriptor;
    const mediaType = format === "docker" ? mediaTypes.dockerManifestList : mediaTypes.index;
    return this.keep(descriptor, {
      mediaType,
      bytes: encodeIndex({ ...withoutAnnotations(parsed.index, format), mediaType, manifests }),
    });
  }

  private async manifest(
    parsed: ParsedManifest,
  ): Promise<{ readonly mediaType: string; readonly bytes: Uint8Array }> {
    const { manifest } = parsed;
    const format = this.conversion.format ?? parsed.format;
    if (!isConfigMediaType(manifest.config.mediaType)) {
      if (format === parsed.format) return parsed;
      throw new VitrineError("unsupported", "an artifact cannot be written in docker's format", {
        code: "conversion-artifact",
        operand: manifest.artifactType ?? manifest.config.mediaType,
        hint: "leave --format out, or say --format oci",
      });
    }
    const layers: Descriptor[] = [];
    for (const layer of manifest.layers) layers.push(await this.layer(layer, format));
    const same = layers.every((layer, at) => layer === manifest.layers[at]);
    if (same && format === parsed.format) return parsed;
    const config = {
      ...manifest.config,
      mediaType: format === "docker" ? mediaTypes.dockerConfig : mediaTypes.config,
    };
    const mediaType = format === "docker" ? mediaTypes.dockerManifest : mediaTypes.manifest;
    const plain: Manifest = withoutAnnotations(manifest, format);
    return { mediaType, bytes: encodeManifest({ ...plain, mediaType, config, layers }) };
  }

  private async layer(layer: Descriptor, format: DocumentFormat): Promise<Descriptor> {
    const type = layerMediaType(layer.mediaType);
    if (type === undefined || type.nondistributable) return layer;
    const { compression, level, force = level !== undefined } = this.conversion;
    const wanted: Packing =
      compression === "gzip-plain" || compression === undefined
        ? compression !== undefined && type.compression === "none"
          ? "gzip"
          : type.compression
        : compression;
    if (wanted.startsWith("zstd") && format === "docker") {
      throw new VitrineError("unsupported", "docker's format has no layers with zstd", {
        code: "conversion-format",
        hint: `use --format oci with --compression-format ${wanted}`,
      });
    }
    const mediaType = layerTypes[format][wanted];
    const isSo = wanted === "zstd:chunked" ? isChunked(layer) : wanted === type.compression;
    if (isSo && (!force || wanted === "none")) {
      return mediaType === layer.mediaType ? layer : { ...layer, mediaType };
    }
    requireLevel(wanted, level);
    let made = this.made.get(layer.digest);
    if (made === undefined) {
      made = await this.recompress(layer, wanted);
      this.made.set(layer.digest, made);
    }
    const annotations = { ...withoutChunked(layer.annotations), ...made.annotations };
    const { annotations: _, ...plain } = made;
    return { ...plain, mediaType, ...(Object.keys(annotations).length > 0 && { annotations }) };
  }

  private async recompress(layer: Descriptor, packing: Packing): Promise<Descriptor> {
    const plain = await decompress(this.source.openBlob(layer), layer.digest);
    const checked = bounded(plain.stream, {
      maxBytes: limits.layerBytes,
      maxRatio: limits.compressionRatio,
      freeBytes: limits.expansionFreeBytes,
      input: plain.input,
      name: layer.digest,
    });
    const hasher = createHasher("sha256");
    const file = await TemporaryFile.create(this.directory, "layer");
    try {
      const { level } = this.conversion;
      const chunked = packing === "zstd:chunked" ? new ChunkedLayer(checked, level) : undefined;
      const packed =
        chunked?.stream() ?? compress(checked, packing as Exclude<Packing, "zstd:chunked">, { level });
      const size = await file.write(observed(packed, (chunk) => hasher.update(chunk)));
      const digest = formatDigest("sha256", hasher.hex());
      await this.files.get(digest)?.discard();
      this.files.set(digest, file);
      const annotations = chunked?.annotations;
      return { mediaType: layer.mediaType, digest, size, ...(annotations !== undefined && { annotations }) };
    } catch (error) {
      await file.discard();
      throw error;
    }
  }

  private keep(
    before: Descriptor,
    { mediaType, bytes }: { readonly mediaType: string; readonly bytes: Uint8Array },
  ): Descriptor {
    const digest = digestOf(bytes);
    this.documents.set(digest, bytes);
    return { ...before, mediaType, digest, size: bytes.length, data: undefined };
  }
}

/** Docker's documents have no annotations, subject or artifactType. */
function withoutAnnotations<
  T extends { readonly annotations?: unknown; readonly subject?: unknown; readonly artifactType?: unknown },
>(document: T, format: DocumentFormat): T {
  if (format === "oci") return document;
  const { annotations: _a, subject: _s, artifactType: _t, ...rest } = document;
  return rest as T;
}

function isChunked({ mediaType, annotations }: Descriptor): boolean {
  return (
    layerMediaType(mediaType)?.compression === "zstd" && chunkedAnnotations.tablePlace in (annotations ?? {})
  );
}

/** What was said of the bytes before, which are others now. */
function withoutChunked(annotations: Descriptor["annotations"] = {}): Readonly<Record<string, string>> {
  const stale: readonly string[] = Object.values(chunkedAnnotations);
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => !stale.includes(key)));
}

function requireLevel(compression: keyof typeof highestLevel, level: number | undefined): void {
  const highest = highestLevel[compression];
  if (level === undefined || compression === "none" || (level >= 1 && level <= highest)) return;
  throw new VitrineError("invalid", `${compression} has no compression level ${level}`, {
    code: "compression-level-invalid",
    operand: String(level),
    hint: `levels go from 1 to ${highest}`,
  });
}

/** Whether a conversion asks for anything. */
export function converts({ format, compression, level, force }: Conversion): boolean {
  return format !== undefined || compression !== undefined || level !== undefined || force === true;
}
