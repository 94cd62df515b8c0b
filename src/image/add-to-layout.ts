/** Adds an image to a layout directory that may hold others (image-layout.md), as skopeo does with `oci:DIR:NAME`. */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  errnoOf,
  limits,
  syncDirectory,
  TemporaryFile,
  VitrineError,
  writeFileAtomically,
} from "../base/mod.ts";
import { annotationKeys, type Descriptor, mediaTypes, parseIndex, parseLayoutHeader } from "../oci/mod.ts";
import { blobPath } from "./content.ts";
import { encodeLayoutIndex, layoutEntries, layoutHeaderBytes, withName } from "./layout.ts";
import type { ImageSource } from "./source.ts";
import { walkImage } from "./walk.ts";

/**
 * Copies what the layout lacks, then names it: `name` (any text, a tag as a rule) is taken from whoever had it. Without a
 * name the image replaces others without one. Errors: `directory-not-empty` (no layout), those of the source and of `parseIndex`.
 */
export async function addToLayout(
  source: ImageSource,
  directory: string,
  name: string | undefined,
): Promise<void> {
  fs.mkdirSync(directory, { recursive: true });
  requireLayout(directory);
  const walk = await walkImage(source);
  const documents = [...walk.manifests, ...walk.indexes].map(({ descriptor }) => descriptor);
  for (const descriptor of [...walk.blobs, ...documents]) {
    const file = path.join(directory, blobPath(descriptor.digest));
    if (fs.statSync(file, { throwIfNoEntry: false })?.size === descriptor.size) continue;
    fs.mkdirSync(path.dirname(file), { recursive: true });
    await using temporary = await TemporaryFile.create(path.dirname(file), "blob");
    await temporary.write(source.openBlob(descriptor));
    await temporary.commit(file, { sync: false });
  }
  const others = readLayoutIndex(directory).filter((entry) => nameIn(entry) !== name);
  writeFileAtomically(path.join(directory, "oci-layout"), layoutHeaderBytes());
  // Read anew at the end, and replaced as a whole: readers never see a name without its content.
  const index = encodeLayoutIndex([...others, withName(source.root, name)]);
  writeFileAtomically(path.join(directory, "index.json"), index);
  syncDirectory(directory);
}

function nameIn(entry: Descriptor): string | undefined {
  return entry.annotations?.[annotationKeys.refName];
}

function requireLayout(directory: string): void {
  if (fs.readdirSync(directory).length === 0) return;
  try {
    parseLayoutHeader(fs.readFileSync(path.join(directory, "oci-layout")));
  } catch (cause) {
    if (errnoOf(cause) !== "ENOENT") throw cause;
    throw new VitrineError("exists", `directory ${directory} is not empty and is no OCI layout`, {
      code: "directory-not-empty",
      operand: directory,
      hint: "name a new directory, or one with an oci-layout file",
    });
  }
}

/** What index.json of a layout directory names; nothing where there is none yet. Errors: those of `parseIndex`. */
export function readLayoutIndex(directory: string): readonly Descriptor[] {
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(path.join(directory, "index.json"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
  const bounds = { maxBytes: limits.layoutIndexBytes, maxManifests: layoutEntries };
  return parseIndex(bytes, mediaTypes.index, bounds).index.manifests;
}
