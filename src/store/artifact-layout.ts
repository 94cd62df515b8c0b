/** ROOT/artifacts as it lies: names in index.json, one manifest each, and the blobs that they name. */
import * as path from "node:path";
import { VitrineError, writeFileAtomically } from "../base/mod.ts";
import {
  encodeLayoutIndex,
  layoutHeaderBytes,
  readLayoutIndex,
  withName,
  withoutName,
} from "../image/mod.ts";
import { annotationKeys, type Descriptor, type Digest, type Manifest, parseManifest } from "../oci/mod.ts";
import { listBlobs, readDocument } from "./blobs.ts";

export interface ArtifactEntry {
  /** `docker.io/library/notes:latest` */
  readonly name: string;
  readonly root: Descriptor;
}

/** In the order in which they came. */
export function readEntries(layout: string): readonly ArtifactEntry[] {
  return readLayoutIndex(layout).flatMap((descriptor) => {
    const name = descriptor.annotations?.[annotationKeys.refName];
    return name === undefined ? [] : [{ name, root: withoutName(descriptor) }];
  });
}

export function writeEntries(layout: string, entries: readonly ArtifactEntry[]): void {
  writeFileAtomically(path.join(layout, "oci-layout"), layoutHeaderBytes());
  const index = encodeLayoutIndex(entries.map(({ name, root }) => withName(root, name)));
  writeFileAtomically(path.join(layout, "index.json"), index);
}

/** Verified. Error: `artifact-damaged`. */
export function readArtifact(layout: string, { name, root }: ArtifactEntry): Manifest {
  try {
    return parseManifest(readDocument({ layout }, root), root.mediaType).manifest;
  } catch (cause) {
    if (!(cause instanceof VitrineError)) throw cause;
    throw new VitrineError("corrupt", `artifact ${name} is damaged: its manifest is not what it was`, {
      code: "artifact-damaged",
      operand: name,
      hint: "vitrine system check --repair takes away what is damaged",
      cause,
    });
  }
}

export function contentOf({ root }: ArtifactEntry, { config, layers }: Manifest): readonly Descriptor[] {
  return [root, config, ...layers];
}

interface Blob {
  readonly digest: Digest;
  readonly size: number;
}

/** Blobs that no artifact names; none where that cannot be known, as one of them is damaged. */
export function unreferenced(layout: string): readonly Blob[] {
  const entries = readEntries(layout);
  const all = entries.map((entry) => manifestUnlessDamaged(layout, entry));
  if (all.includes(undefined)) return [];
  const kept = new Set(
    entries.flatMap((entry, at) => contentOf(entry, all[at]!).map(({ digest }) => digest)),
  );
  return blobsOf(layout).filter(({ digest }) => !kept.has(digest));
}

export interface ArtifactUsage {
  readonly artifacts: readonly { readonly name: string; readonly digest: Digest; readonly size: number }[];
  /** Of all blobs: what two artifacts share counts once. */
  readonly bytes: number;
  /** What `prune` would free. */
  readonly reclaimableBytes: number;
}

export function measure(layout: string): ArtifactUsage {
  const artifacts = readEntries(layout).map((entry) => {
    const manifest = manifestUnlessDamaged(layout, entry);
    const content = manifest === undefined ? [entry.root] : contentOf(entry, manifest);
    const sizes = new Map(content.map(({ digest, size }) => [digest, size]));
    return { name: entry.name, digest: entry.root.digest, size: sum([...sizes.values()]) };
  });
  return {
    artifacts,
    bytes: sum(blobsOf(layout).map(({ size }) => size)),
    reclaimableBytes: sum(unreferenced(layout).map(({ size }) => size)),
  };
}

function manifestUnlessDamaged(layout: string, entry: ArtifactEntry): Manifest | undefined {
  try {
    return readArtifact(layout, entry);
  } catch (error) {
    if (error instanceof VitrineError && error.code === "artifact-damaged") return undefined;
    throw error;
  }
}

function blobsOf(layout: string): readonly Blob[] {
  return [...listBlobs({ layout })].map(([digest, size]) => ({ digest, size }));
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}
