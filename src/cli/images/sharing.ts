/** Which images of the store have which layers. */
import { VitrineError } from "../../base/mod.ts";
import type { Store, StoredImage } from "../../store/mod.ts";

export interface NamedImage {
  /** The first name, else the ID. */
  readonly label: string;
  readonly image: StoredImage;
}

/** Each image once. One that cannot be read (its platform is not here, a blob is damaged) is left out. */
export function allImages(store: Store): readonly NamedImage[] {
  const images = new Map<string, NamedImage>();
  for (const row of store.list()) {
    if (images.has(row.id)) continue;
    try {
      const image = store.resolve(row.id, row.platform);
      images.set(row.id, { label: row.name ?? row.id, image });
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
    }
  }
  return [...images.values()];
}

/** For each layer of `image`, lowest first: the other images that have a layer of the same diffID. */
export function sharersOf(image: StoredImage, all: readonly NamedImage[]): readonly (readonly string[])[] {
  const others = all
    .filter((other) => other.image.id !== image.id)
    .map((other) => ({
      label: other.label,
      diffIDs: new Set(other.image.layers.map(({ diffID }) => diffID)),
    }));
  return image.layers.map(({ diffID }) =>
    others.filter(({ diffIDs }) => diffIDs.has(diffID)).map(({ label }) => label),
  );
}
