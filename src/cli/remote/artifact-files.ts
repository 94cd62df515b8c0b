/** The layers of an artifact as files and directories. What an artifact says is hostile: it names nothing outside the directory. */
import * as fs from "node:fs";
import * as path from "node:path";
import { quoted, TemporaryFile, VitrineError } from "../../base/mod.ts";
import type { ImageSource } from "../../image/mod.ts";
import { type Descriptor, parseManifest } from "../../oci/mod.ts";
import { titleKey } from "./artifact.ts";
import { tarDigestKey, unpackDirectory, unpackKey } from "./artifact-directory.ts";

/** A layer and the path, below the output directory, that it is written to. */
export interface TitledLayer {
  readonly layer: Descriptor;
  /** Parts of the path: plain names, one at least. */
  readonly parts: readonly string[];
}

/** All layers of an artifact, and those of them that have a title. Errors: those of the source; `artifact-title-unsafe`, `artifact-title-twice`. */
export async function readLayers(
  source: ImageSource,
): Promise<{ readonly all: readonly Descriptor[]; readonly titled: readonly TitledLayer[] }> {
  const bytes = await source.readDocument(source.root);
  const { layers } = parseManifest(bytes, source.root.mediaType).manifest;
  const titled = layers.flatMap((layer) => {
    const title = layer.annotations?.[titleKey];
    return title === undefined ? [] : [{ layer, parts: partsOf(title) }];
  });
  const seen = new Set<string>();
  for (const { parts } of titled) {
    const title = parts.join("/");
    if (seen.has(title)) {
      throw new VitrineError("invalid", `two files of the artifact are called ${quoted(title)}`, {
        code: "artifact-title-twice",
        operand: title,
        hint: "'vitrine artifact extract --digest' takes one of them",
      });
    }
    seen.add(title);
  }
  return { all: layers, titled };
}

/**
 * Writes titled layers below `directory`, directories unpacked; returns the paths. A title is plain names with slashes between, and
 * leads through no link. Errors: `artifact-title-unsafe`, `artifact-file-exists`, those of the source and of `unpackDirectory`.
 */
export async function writeFiles(
  source: ImageSource,
  layers: readonly TitledLayer[],
  directory: string,
  overwrite: boolean,
): Promise<readonly string[]> {
  const wanted = layers.map(({ layer, parts }) => ({
    layer,
    title: parts.join("/"),
    parts,
    target: path.join(directory, ...parts),
    unpacks: layer.annotations?.[unpackKey] === "true",
  }));
  for (const { target, unpacks } of wanted) requireFree(target, overwrite && !unpacks);
  fs.mkdirSync(directory, { recursive: true });
  for (const { layer, parts, title, target, unpacks } of wanted) {
    makeParents(directory, parts);
    if (unpacks) {
      // Asked again: an earlier layer of the same artifact may have put something there.
      requireFree(target, false);
      await unpackDirectory(source.openBlob(layer), title, target, layer.annotations?.[tarDigestKey]);
    } else await writeFile(source, layer, target);
  }
  return wanted.map(({ target }) => target);
}

/** Writes one layer to a file, as it is. Errors: those of the source. */
export async function writeFile(source: ImageSource, layer: Descriptor, target: string): Promise<void> {
  await using file = await TemporaryFile.create(path.dirname(target), ".vitrine-artifact");
  await file.write(source.openBlob(layer));
  await file.commit(target, { sync: false });
}

/** Error: `artifact-file-exists`. */
export function requireFree(target: string, overwrite: boolean): void {
  const stat = fs.lstatSync(target, { throwIfNoEntry: false });
  if (stat === undefined || (overwrite && !stat.isDirectory())) return;
  const hint = "use another directory, or --overwrite";
  throw new VitrineError("exists", `${target} is there already`, {
    code: "artifact-file-exists",
    operand: target,
    hint: overwrite || stat.isDirectory() ? "use another directory: directories are not merged" : hint,
  });
}

function partsOf(title: string): readonly string[] {
  const parts = title.replace(/\/+$/, "").split("/");
  const plain = (part: string): boolean =>
    part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= 255 && !part.includes("\0");
  if (parts.every(plain) && title.length <= 4096) return parts;
  throw new VitrineError(
    "invalid",
    `a file of the artifact is called ${quoted(title)}, which is no name below a directory`,
    { code: "artifact-title-unsafe", operand: title },
  );
}

function makeParents(directory: string, parts: readonly string[]): void {
  for (let length = 1; length < parts.length; length++) {
    const parent = path.join(directory, ...parts.slice(0, length));
    const stat = fs.lstatSync(parent, { throwIfNoEntry: false });
    if (stat === undefined) fs.mkdirSync(parent);
    else if (!stat.isDirectory()) {
      throw new VitrineError(
        "invalid",
        `${quoted(parts.join("/"))} of the artifact leads through ${parent}`,
        {
          code: "artifact-title-unsafe",
          operand: parent,
          hint: "it is no directory: use another --output directory",
        },
      );
    }
  }
}
