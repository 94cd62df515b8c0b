/** What `images` and `history` show. */
import { VitrineError } from "../base/mod.ts";
import { type Descriptor, isIndexMediaType, type Platform, parseImageConfig } from "../oci/mod.ts";
import { readDocument } from "./blobs.ts";
import type { StoreContext } from "./context.ts";
import { type IndexEntry, readIndex } from "./index-file.ts";
import { readLayerRow } from "./layers/rows.ts";
import { distinctRoots, manifestsUnder, readImage } from "./lookup.ts";
import type { HistoryRow, ImageRow, StoredImage } from "./types.ts";

/** One row a name, newest image first; images without a name last among equals. */
export function listImages(context: StoreContext): readonly ImageRow[] {
  const entries = readIndex(context);
  const rows = distinctRoots(entries).flatMap(({ root }) => rowsOf(context, entries, root));
  return rows.sort(
    (left, right) =>
      right.created - left.created || (left.name ?? "~").localeCompare(right.name ?? "~", "en"),
  );
}

function rowsOf(
  context: StoreContext,
  entries: readonly IndexEntry[],
  root: Descriptor,
): readonly ImageRow[] {
  const facts = factsOf(context, entries, root);
  const names = entries.filter((entry) => entry.root.digest === root.digest).map(({ name }) => name);
  return names.map((name) => ({ ...facts, name, digest: root.digest, dangling: name === undefined }));
}

type Facts = Omit<ImageRow, "name" | "digest" | "dangling">;

function factsOf(context: StoreContext, entries: readonly IndexEntry[], root: Descriptor): Facts {
  try {
    const image = readImage(context, { root, entries, by: "digest" }, undefined);
    return {
      id: image.id,
      platform: platformOf(image.config),
      created: timeOf(image.config.created),
      size: image.size,
      labels: image.config.config?.Labels ?? {},
      platforms: isIndexMediaType(root.mediaType) ? platformsUnder(context, root) : [],
    };
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    return {
      id: root.digest,
      platform: root.platform,
      created: 0,
      size: root.size,
      labels: {},
      platforms: [],
      problem: error.message,
    };
  }
}

function platformOf({ architecture, os, variant }: Platform): Platform {
  return variant === undefined ? { architecture, os } : { architecture, os, variant };
}

function platformsUnder(context: StoreContext, root: Descriptor): readonly Platform[] {
  return manifestsUnder(context, root).flatMap(({ descriptor, parsed }) => {
    if (descriptor.platform !== undefined)
      return descriptor.platform.os === "unknown" ? [] : [descriptor.platform];
    try {
      return [platformOf(parseImageConfig(readDocument(context, parsed.manifest.config)).config)];
    } catch {
      return [];
    }
  });
}

/** Milliseconds since the epoch, 0 where nothing usable is said. */
function timeOf(text: string | undefined): number {
  const time = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isFinite(time) ? time : 0;
}

/** Newest first. History without layers, and layers without history, both occur in real images. */
export function historyOf(context: StoreContext, image: StoredImage): readonly HistoryRow[] {
  const rows: HistoryRow[] = [];
  let next = 0;
  const layerRow = (): Pick<HistoryRow, "layer" | "size"> => {
    const layer = image.layers[next];
    next += 1;
    if (layer === undefined) return { layer: undefined, size: 0 };
    const unpacked = readLayerRow(context, image, next - 1);
    return { layer, size: unpacked?.fileBytes ?? layer.descriptor.size };
  };
  for (const entry of image.config.history ?? []) {
    rows.push({
      created: timeOf(entry.created),
      createdBy: entry.created_by ?? "",
      comment: entry.comment ?? "",
      author: entry.author ?? "",
      ...(entry.empty_layer === true ? { layer: undefined, size: 0 } : layerRow()),
    });
  }
  while (next < image.layers.length) {
    rows.push({ created: 0, createdBy: "", comment: "", author: "", ...layerRow() });
  }
  return rows.reverse();
}
