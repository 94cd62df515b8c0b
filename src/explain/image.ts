/** `vitrine explain IMAGE`: manifest, config and what each layer does to the files, from the verified blobs. */
import {
  bounded,
  createHasher,
  decodeText,
  decompress,
  type Hasher,
  limits,
  type TarEntry,
  TarParser,
} from "../base/mod.ts";
import type { ImageSource } from "../image/mod.ts";
import type { ExecutionConfig, HistoryEntry, Platform } from "../oci/mod.ts";
import type { StoredImage, StoredLayer } from "../store/mod.ts";
import {
  type DuplicateFiles,
  type FileBytes,
  ImageTree,
  type LayerEffect,
  type LayerMember,
  type PrivilegedFile,
  type WastedFile,
} from "./image-tree.ts";

export interface ImageExplanation {
  readonly id: string;
  readonly names: readonly string[];
  readonly platform: Platform;
  /** As the config says it; undefined when it does not. */
  readonly created: string | undefined;
  readonly author: string | undefined;
  readonly manifest: {
    readonly digest: string;
    readonly mediaType: string;
    readonly size: number;
    readonly annotations: Readonly<Record<string, string>>;
    /** The digest of the index that the manifest was chosen from, if any. */
    readonly index: string | undefined;
  };
  readonly config: { readonly digest: string; readonly size: number; readonly execution: ExecutionConfig };
  /** In the order they were made: layers, and steps that made none. */
  readonly steps: readonly ImageStep[];
  readonly totals: {
    /** Bytes of the layers as they are stored and transferred. */
    readonly compressedBytes: number;
    /** Bytes of all files of all layers. */
    readonly layerBytes: number;
    /** What a container sees. */
    readonly visibleFiles: number;
    readonly visibleBytes: number;
  };
  /** Files that are stored and that no container sees, those of most bytes first. */
  readonly waste: { readonly bytes: number; readonly files: number; readonly largest: readonly WastedFile[] };
  readonly duplicates: {
    /** Bytes that one copy of each would save. */
    readonly bytes: number;
    readonly groups: number;
    readonly largest: readonly DuplicateFiles[];
  };
  readonly privileged: readonly PrivilegedFile[];
}

export interface ImageStep {
  /** The history's `created_by`, empty when the history does not tell. */
  readonly createdBy: string;
  readonly comment: string;
  readonly created: string | undefined;
  /** Undefined for a step that changed only the config. */
  readonly layer: ExplainedLayer | undefined;
}

export interface ExplainedLayer extends LayerEffect {
  /** From 0, lowest first: as `waste` names them. */
  readonly index: number;
  readonly digest: string;
  readonly diffID: string;
  readonly mediaType: string;
  readonly compressedBytes: number;
  /** Bytes of the files in it, and how many of them later layers replace or hide. */
  readonly bytes: number;
  readonly wastedBytes: number;
}

/** How many files and groups are named. */
const named = 10;

/**
 * Reads every layer once, one after the other. Errors: those of the source (each blob is verified), `bomb`,
 * `compressed-data-corrupt`, `tar-…`.
 */
export async function explainImage(image: StoredImage, source: ImageSource): Promise<ImageExplanation> {
  const tree = new ImageTree();
  const effects: LayerEffect[] = [];
  for (const layer of image.layers) effects.push(tree.apply(await readMembers(source, layer)));

  const wasted = tree.wasted;
  const layers = image.layers.map(({ descriptor, diffID }, index): ExplainedLayer => {
    const effect = effects[index]!;
    return {
      index,
      digest: descriptor.digest,
      diffID,
      mediaType: descriptor.mediaType,
      compressedBytes: descriptor.size,
      bytes: effect.adds.bytes + effect.changes.bytes,
      wastedBytes: sumBytes(wasted.filter((file) => file.layer === index)),
      ...effect,
    };
  });
  const visible = tree.total();
  const duplicates = tree.duplicates();
  const { manifestDescriptor, config } = image;
  return {
    id: image.id,
    names: image.names,
    platform: { architecture: config.architecture, os: config.os, variant: config.variant },
    created: config.created,
    author: config.author,
    manifest: {
      digest: manifestDescriptor.digest,
      mediaType: manifestDescriptor.mediaType,
      size: manifestDescriptor.size,
      annotations: image.manifest.annotations ?? {},
      index: image.root.digest === manifestDescriptor.digest ? undefined : image.root.digest,
    },
    config: {
      digest: image.manifest.config.digest,
      size: image.manifest.config.size,
      execution: config.config ?? {},
    },
    steps: stepsOf(config.history ?? [], layers),
    totals: {
      compressedBytes: layers.reduce((sum, layer) => sum + layer.compressedBytes, 0),
      layerBytes: sumBytes(layers),
      visibleFiles: visible.files,
      visibleBytes: visible.bytes,
    },
    waste: {
      bytes: sumBytes(wasted),
      files: wasted.length,
      largest: [...wasted].sort((left, right) => right.bytes - left.bytes).slice(0, named),
    },
    duplicates: {
      bytes: duplicates.reduce((sum, { bytes, paths }) => sum + bytes * (paths.length - 1), 0),
      groups: duplicates.length,
      largest: duplicates.slice(0, named),
    },
    privileged: tree.privileged().sort((left, right) => (left.path < right.path ? -1 : 1)),
  };
}

function sumBytes(files: readonly Pick<FileBytes, "bytes">[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * History and layers side by side. The history is only a comment (config.md): where it does not fit the layers, they
 * are shown without it.
 */
function stepsOf(history: readonly HistoryEntry[], layers: readonly ExplainedLayer[]): readonly ImageStep[] {
  const fits = history.filter((entry) => entry.empty_layer !== true).length === layers.length;
  if (!fits) return layers.map((layer) => ({ createdBy: "", comment: "", created: undefined, layer }));
  let next = 0;
  return history.map((entry) => ({
    createdBy: entry.created_by ?? "",
    comment: entry.comment ?? "",
    created: entry.created,
    layer: entry.empty_layer === true ? undefined : layers[next++],
  }));
}

export async function readMembers(
  source: ImageSource,
  { descriptor }: StoredLayer,
): Promise<readonly LayerMember[]> {
  const members: LayerMember[] = [];
  let entry: TarEntry | undefined;
  let hasher: Hasher | undefined;
  const parser = new TarParser(
    {
      onEntry(found) {
        entry = found;
        hasher = found.type === "file" && found.size > 0 ? createHasher("sha256") : undefined;
      },
      onData(offset, chunk) {
        // Equal runs at other places are another file.
        if (entry?.sparse !== undefined) hasher?.update(Buffer.from(`${offset}:${chunk.length};`));
        hasher?.update(chunk);
      },
      onEnd() {
        if (entry !== undefined) members.push(memberOf(entry, hasher));
      },
    },
    { name: descriptor.digest },
  );
  const plain = await decompress(source.openBlob(descriptor), descriptor.digest);
  const stream = bounded(plain.stream, {
    maxBytes: limits.layerBytes,
    maxRatio: limits.compressionRatio,
    freeBytes: limits.expansionFreeBytes,
    input: plain.input,
    name: descriptor.digest,
  });
  for await (const chunk of stream) parser.push(chunk);
  parser.finish();
  return members;
}

function memberOf(entry: TarEntry, hasher: Hasher | undefined): LayerMember {
  return {
    path: entry.path,
    type: entry.type,
    mode: entry.mode,
    bytes: entry.size,
    content:
      hasher === undefined ? `${entry.type}:${decodeText(Buffer.from(entry.linkTarget))}` : hasher.hex(),
    capabilities: entry.xattrs.has("security.capability"),
    owner: `${entry.uid}:${entry.gid}`,
  };
}
