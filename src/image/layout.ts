/** OCI image layouts (image-layout.md): what index.json names, and index.json for what we write. */
import { limits } from "../base/mod.ts";
import {
  annotationKeys,
  type Descriptor,
  encodeIndex,
  encodeLayoutHeader,
  isIndexMediaType,
  isManifestMediaType,
  mediaTypes,
  parseIndex,
  parseLayoutHeader,
} from "../oci/mod.ts";

/** An image of a layout: one digest with all names that index.json gives it. */
export interface LayoutEntry {
  readonly descriptor: Descriptor;
  readonly names: readonly string[];
}

/**
 * Parses `oci-layout` and `index.json`. Entries that are no image (a signature kept beside it) are left out.
 * `repository` completes names that are a tag alone (`3.20`), as skopeo and umoci write them.
 * Errors: those of `parseLayoutHeader` and `parseIndex`.
 */
export function parseLayout(
  header: Uint8Array,
  index: Uint8Array,
  repository: string,
): readonly LayoutEntry[] {
  parseLayoutHeader(header);
  const parsed = parseIndex(index, mediaTypes.index, {
    maxBytes: limits.layoutIndexBytes,
    maxManifests: layoutEntries,
  });
  const entries = new Map<string, { descriptor: Descriptor; names: string[] }>();
  for (const descriptor of parsed.index.manifests) {
    if (!isManifestMediaType(descriptor.mediaType) && !isIndexMediaType(descriptor.mediaType)) continue;
    const entry = entries.get(descriptor.digest) ?? { descriptor: withoutName(descriptor), names: [] };
    entries.set(descriptor.digest, entry);
    const name = layoutName(descriptor, repository);
    if (name !== undefined && !entry.names.includes(name)) entry.names.push(name);
  }
  return [...entries.values()];
}

/** A store of a hundred thousand names is still a layout. */
export const layoutEntries = 200_000;

function layoutName(descriptor: Descriptor, repository: string): string | undefined {
  const { annotations = {} } = descriptor;
  const full = annotations[annotationKeys.containerdImageName];
  if (full !== undefined && full !== "") return full;
  const name = annotations[annotationKeys.refName];
  if (name === undefined || name === "") return undefined;
  return /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name) ? `${repository}:${name}` : name;
}

/** `localhost/NAME` from the file name of an archive, or `localhost/image` where that has no usable letter. */
export function repositoryOf(fileName: string): string {
  const name = fileName
    .replace(/\.(tar|oci|tgz|txz|tzst)?(\.(gz|zst|xz|bz2))?$/i, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "");
  return `localhost/${name === "" ? "image" : name}`;
}

/** The descriptor without the annotations that name it in a layout. */
export function withoutName(descriptor: Descriptor): Descriptor {
  const { annotations, ...rest } = descriptor;
  if (annotations === undefined) return rest;
  const kept = Object.entries(annotations).filter(
    ([key]) => key !== annotationKeys.refName && key !== annotationKeys.containerdImageName,
  );
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) };
}

/** The descriptor under a name; without one it is a dangling image. */
export function withName(descriptor: Descriptor, name: string | undefined): Descriptor {
  const plain = withoutName(descriptor);
  if (name === undefined) return plain;
  return { ...plain, annotations: { ...plain.annotations, [annotationKeys.refName]: name } };
}

/** index.json: one descriptor for each name, in the order given. */
export function encodeLayoutIndex(manifests: readonly Descriptor[]): Uint8Array {
  return encodeIndex({ schemaVersion: 2, mediaType: mediaTypes.index, manifests });
}

export function layoutHeaderBytes(): Uint8Array {
  return encodeLayoutHeader({ imageLayoutVersion: "1.0.0" });
}
