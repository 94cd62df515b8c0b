/** Source → repository: blobs first and several at a time, then manifests, inner ones first, the tags last of all. */
import { VitrineError } from "../../base/mod.ts";
import { type ImageSource, type Walk, walkImage } from "../../image/mod.ts";
import { type Descriptor, layerMediaType } from "../../oci/mod.ts";
import { inParallel } from "./parallel.ts";
import type { BlobOutcome, Repository } from "./types.ts";

export interface PushOptions {
  /** Names of the root; without any it is pushed by digest. */
  readonly tags: readonly string[];
  /** Repositories of the same registry that may have a blob. */
  readonly mountFrom?: (blob: Descriptor) => readonly string[];
  readonly chunkBytes?: number;
  /** Blobs at a time; default 4. */
  readonly parallel?: number;
  readonly watch?: BlobWatch;
}

/** Hears of each blob. */
export interface BlobWatch {
  begin(blob: Descriptor): void;
  progress(blob: Descriptor, bytes: number): void;
  end(blob: Descriptor, outcome: BlobOutcome | "left out"): void;
}

export interface PushResult {
  readonly root: Descriptor;
  readonly walk: Walk;
}

const defaultParallel = 4;

/** Errors: those of the source, `Repository.putBlob` and `putManifest`; `push-incomplete`. */
export async function pushImage(
  target: Repository,
  source: ImageSource,
  options: PushOptions,
): Promise<PushResult> {
  const walk = await walkImage(source);
  requireComplete(walk);
  const { watch, parallel = defaultParallel } = options;
  await inParallel(walk.blobs, parallel, async (descriptor) => {
    watch?.begin(descriptor);
    // Foreign layers are fetched from elsewhere by whoever pulls (media-types.md).
    const foreign = layerMediaType(descriptor.mediaType)?.nondistributable === true;
    if (foreign && !source.has(descriptor)) {
      watch?.end(descriptor, "left out");
      return;
    }
    const outcome = await target.putBlob({
      descriptor,
      open: () => source.openBlob(descriptor),
      file: source.blobFile?.(descriptor),
      mountFrom: options.mountFrom?.(descriptor),
      chunkBytes: options.chunkBytes,
      onProgress: (bytes) => watch?.progress(descriptor, bytes),
    });
    watch?.end(descriptor, outcome);
  });
  for (const { descriptor, parsed } of [...walk.manifests, ...walk.indexes]) {
    const isRoot = descriptor.digest === source.root.digest;
    const manifest = { bytes: parsed.bytes, mediaType: parsed.mediaType, digest: descriptor.digest };
    await target.putManifest(manifest, { tags: isRoot ? options.tags : [] });
  }
  return { root: source.root, walk };
}

/** An index whose images are not all here would be refused by registries, or break for those who pull it. */
function requireComplete(walk: Walk): void {
  const [first] = walk.missing;
  if (first === undefined) return;
  throw new VitrineError("not-found", `${walk.missing.length} images that the index names are not here`, {
    code: "push-incomplete",
    operand: first.digest,
    hint: "push one platform with --platform, or pull all with --all-platforms first",
  });
}
