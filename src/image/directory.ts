/** The `dir:` transport of skopeo and podman: one image as plain files, `manifest.json` and blobs by their hex digits. */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  errnoOf,
  limits,
  readFileStream,
  syncDirectory,
  TemporaryFile,
  VitrineError,
  writeFileAtomically,
} from "../base/mod.ts";
import { type Digest, digestOf, parseManifestOrIndex, splitDigest } from "../oci/mod.ts";
import { type RawContent, sourceOf } from "./content.ts";
import type { ImageSource } from "./source.ts";
import { walkImage } from "./walk.ts";

const version = "Directory Transport Version: 1.1\n";

/** Error: `directory-image-invalid`, those of `parseManifestOrIndex`. */
export function openDirectory(directory: string): ImageSource {
  const bytes = readManifest(directory);
  const { mediaType } = parseManifestOrIndex(bytes);
  const digest = digestOf(bytes);
  const fileOf = (wanted: Digest): string | undefined => {
    if (wanted === digest) return path.join(directory, "manifest.json");
    const name = nameOf(wanted);
    return [`${name}.manifest.json`, name]
      .map((file) => path.join(directory, file))
      .find((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true);
  };
  const content: RawContent = {
    has: (wanted) => fileOf(wanted) !== undefined,
    openUnverified: (wanted) => {
      const file = fileOf(wanted);
      return file === undefined ? undefined : readFileStream(file);
    },
  };
  return sourceOf(content, { mediaType, digest, size: bytes.length }, []);
}

function readManifest(directory: string): Uint8Array {
  const file = path.join(directory, "manifest.json");
  try {
    if (fs.statSync(file).size <= limits.manifestBytes) return fs.readFileSync(file);
  } catch (cause) {
    throw invalid(
      directory,
      `it has no manifest.json that can be read (${errnoOf(cause) ?? "unknown error"})`,
      cause,
    );
  }
  throw invalid(directory, "its manifest.json is too large");
}

function invalid(directory: string, what: string, cause?: unknown): VitrineError {
  return new VitrineError("invalid", `${directory} is no image directory: ${what}`, {
    code: "directory-image-invalid",
    operand: directory,
    hint: "skopeo copy … dir:PATH writes such a directory; an OCI layout is oci:PATH",
    cause,
  });
}

/** sha256 by its digits alone, others with the algorithm before them: as skopeo. */
function nameOf(digest: Digest): string {
  const { algorithm, hex } = splitDigest(digest);
  return algorithm === "sha256" ? hex : `${algorithm}-${hex}`;
}

/** Writes into a directory that is missing, empty, or held such an image before, which it replaces. Error: `directory-not-empty`. */
export async function writeDirectory(source: ImageSource, directory: string): Promise<void> {
  fs.mkdirSync(directory, { recursive: true });
  const before = fs.readdirSync(directory);
  if (before.length > 0 && !before.includes("version")) {
    throw new VitrineError("exists", `directory ${directory} is not empty and holds no image`, {
      code: "directory-not-empty",
      operand: directory,
      hint: "name a new directory",
    });
  }
  for (const name of before) fs.rmSync(path.join(directory, name), { recursive: true, force: true });
  const walk = await walkImage(source);
  writeFileAtomically(path.join(directory, "version"), version, { sync: false });
  for (const blob of walk.blobs) {
    await using file = await TemporaryFile.create(directory, "blob");
    await file.write(source.openBlob(blob));
    await file.commit(path.join(directory, nameOf(blob.digest)), { sync: false });
  }
  for (const { descriptor, parsed } of [...walk.manifests, ...walk.indexes]) {
    const isRoot = descriptor.digest === source.root.digest;
    const name = isRoot ? "manifest.json" : `${nameOf(descriptor.digest)}.manifest.json`;
    writeFileAtomically(path.join(directory, name), parsed.bytes, { sync: false });
  }
  syncDirectory(directory);
}
