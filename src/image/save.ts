/**
 * The sinks: images → a docker-archive, an OCI archive or a layout directory. The same images give the same bytes: entries
 * have no time and no owner, and their order follows from the images.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  type ByteStream,
  bounded,
  decompress,
  errnoOf,
  limits,
  readFileStream,
  stringifyJson,
  syncDirectory,
  type TarInput,
  TemporaryFile,
  VitrineError,
  verified,
  writeAll,
  writeTar,
} from "../base/mod.ts";
import { type Descriptor, type Digest, layerMediaType, requireImage, splitDigest } from "../oci/mod.ts";
import { blobPath, expectedContent } from "./content.ts";
import { encodeLayoutIndex, layoutHeaderBytes, withName } from "./layout.ts";
import { formatReference, parseReference, repositoryName } from "./reference.ts";
import type { ArchiveFormat, ImageSource } from "./source.ts";
import { readConfig, type Walk, walkImage } from "./walk.ts";

export interface SaveOptions {
  /** Existing directory for layers that are inflated on the way. */
  readonly temporaryDirectory: string;
}

/**
 * The bytes of an archive of `images`, each under its `names`.
 * Errors: `archive-needs-one-platform` (docker-archive holds one platform of an image), those of the sources.
 */
export function encodeArchive(
  images: readonly ImageSource[],
  format: Exclude<ArchiveFormat, "oci-dir">,
  options: SaveOptions,
): ByteStream {
  return writeTar(format === "oci-archive" ? ociMembers(images) : dockerMembers(images, options));
}

async function* ociMembers(images: readonly ImageSource[]): AsyncGenerator<TarInput, void> {
  const written = new Set<string>();
  const roots: Descriptor[] = [];
  yield directory("blobs");
  for (const image of images) {
    for (const descriptor of contentOf(await walkImage(image))) {
      const target = blobPath(descriptor.digest);
      const parent = path.posix.dirname(target);
      if (!written.has(parent)) yield directory(parent);
      written.add(parent);
      if (written.has(target)) continue;
      written.add(target);
      yield { path: target, type: "file", size: descriptor.size, body: image.openBlob(descriptor) };
    }
    roots.push(...namedRoots(image));
  }
  yield { path: "index.json", type: "file", body: encodeLayoutIndex(roots) };
  yield { path: "oci-layout", type: "file", body: layoutHeaderBytes() };
}

function directory(name: string): TarInput {
  return { path: `${name}/`, type: "directory" };
}

/** Children before what names them, so that a reader that stops early never saw a dangling name. */
function contentOf(walk: Walk): readonly Descriptor[] {
  return [...walk.blobs, ...walk.manifests, ...walk.indexes].map((item) =>
    "descriptor" in item ? item.descriptor : item,
  );
}

function namedRoots(image: ImageSource): readonly Descriptor[] {
  return image.names.length === 0
    ? [withName(image.root, undefined)]
    : image.names.map((name) => withName(image.root, name));
}

/** One entry of manifest.json, with the keys in the order in which Docker writes them. */
interface ManifestRow {
  readonly Config: string;
  readonly RepoTags: readonly string[] | null;
  readonly Layers: readonly string[];
}

async function* dockerMembers(
  images: readonly ImageSource[],
  options: SaveOptions,
): AsyncGenerator<TarInput, void> {
  const written = new Set<string>();
  const rows: ManifestRow[] = [];
  const repositories: Record<string, Record<string, string>> = {};
  for (const image of images) {
    const { manifests } = await walkImage(image);
    const [only] = manifests;
    if (only === undefined || manifests.length > 1) throw needsOnePlatform(image, manifests.length);
    const { manifest } = only.parsed;
    requireImage(manifest);
    const { bytes, config } = await readConfig(image, only.parsed);
    const layers: string[] = [];
    for (const [at, descriptor] of manifest.layers.entries()) {
      const diffID = config.rootfs.diff_ids[at]!;
      const name = `${splitDigest(diffID).hex}.tar`;
      layers.push(name);
      if (written.has(name)) continue;
      written.add(name);
      yield* plainLayer(image, descriptor, diffID, name, options);
    }
    const configName = `${splitDigest(manifest.config.digest).hex}.json`;
    if (!written.has(configName)) yield { path: configName, type: "file", body: bytes };
    written.add(configName);
    rows.push({
      Config: configName,
      RepoTags: image.names.length === 0 ? null : image.names,
      Layers: layers,
    });
    noteRepositories(repositories, image.names, layers.at(-1));
  }
  yield { path: "manifest.json", type: "file", body: json(rows) };
  yield { path: "repositories", type: "file", body: json(repositories) };
}

/** The size must stand in the header before the bytes: a compressed layer is inflated to a file first. */
async function* plainLayer(
  image: ImageSource,
  descriptor: Descriptor,
  diffID: Digest,
  name: string,
  options: SaveOptions,
): AsyncGenerator<TarInput, void> {
  const size = descriptor.size;
  if (layerMediaType(descriptor.mediaType)?.compression === "none" && descriptor.digest === diffID) {
    yield { path: name, type: "file", size, body: image.openBlob(descriptor) };
    return;
  }
  await using spool = await TemporaryFile.create(options.temporaryDirectory, "layer");
  const plain = await decompress(image.openBlob(descriptor));
  const plainSize = await spool.write(
    bounded(plain.stream, {
      maxBytes: limits.layerBytes,
      maxRatio: limits.compressionRatio,
      freeBytes: limits.expansionFreeBytes,
      input: plain.input,
      name: descriptor.digest,
    }),
  );
  const expected = { ...expectedContent({ ...descriptor, digest: diffID, size: plainSize }) };
  yield { path: name, type: "file", size: plainSize, body: verified(readFileStream(spool.path), expected) };
}

function noteRepositories(
  repositories: Record<string, Record<string, string>>,
  names: readonly string[],
  topLayer: string | undefined,
): void {
  if (topLayer === undefined) return;
  for (const name of names) {
    const reference = parseReference(name);
    if (reference.tag === undefined) continue;
    const repository = repositoryName(reference);
    repositories[repository] = {
      ...repositories[repository],
      [reference.tag]: topLayer.slice(0, -".tar".length),
    };
  }
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${stringifyJson(value)}\n`);
}

function needsOnePlatform(image: ImageSource, found: number): VitrineError {
  return new VitrineError(
    "invalid",
    `a docker-archive holds one platform of an image, this one has ${found}`,
    {
      code: "archive-needs-one-platform",
      operand: image.names[0] ?? image.root.digest,
      hint: "choose one with --platform, or save with --format oci-archive",
    },
  );
}

/**
 * Writes a layout directory, which must be missing or empty. Index last: a reader never sees a name without its content.
 * Errors: `directory-not-empty`, those of the sources.
 */
export async function writeLayoutDirectory(images: readonly ImageSource[], target: string): Promise<void> {
  fs.mkdirSync(target, { recursive: true });
  if (fs.readdirSync(target).length > 0) {
    throw new VitrineError("exists", `directory ${target} is not empty`, {
      code: "directory-not-empty",
      operand: target,
      hint: "name a new directory",
    });
  }
  try {
    await fillLayout(images, target);
  } catch (error) {
    for (const name of ["blobs", "index.json", "oci-layout"]) {
      fs.rmSync(path.join(target, name), { recursive: true, force: true });
    }
    throw error;
  }
}

async function fillLayout(images: readonly ImageSource[], target: string): Promise<void> {
  const roots: Descriptor[] = [];
  for (const image of images) {
    for (const descriptor of contentOf(await walkImage(image))) {
      const file = path.join(target, blobPath(descriptor.digest));
      if (fs.existsSync(file)) continue;
      fs.mkdirSync(path.dirname(file), { recursive: true });
      await using temporary = await TemporaryFile.create(path.dirname(file), "blob");
      await temporary.write(image.openBlob(descriptor));
      await temporary.commit(file, { sync: false });
    }
    roots.push(...namedRoots(image));
  }
  fs.writeFileSync(path.join(target, "oci-layout"), layoutHeaderBytes());
  fs.writeFileSync(path.join(target, "index.json"), encodeLayoutIndex(roots));
  syncDirectory(target);
}

/**
 * Writes a stream to a file that appears complete or not at all. What is there and no file (/dev/null, a FIFO) is written to: a
 * rename would put a file in its place. Error: `archive-unwritable`.
 */
export async function writeArchiveFile(stream: ByteStream, target: string): Promise<void> {
  let temporary: TemporaryFile;
  try {
    const found = fs.statSync(target, { throwIfNoEntry: false });
    if (found !== undefined && !found.isFile()) return await writeInPlace(stream, target);
    temporary = await TemporaryFile.create(path.dirname(path.resolve(target)), ".vitrine-save");
  } catch (cause) {
    throw new VitrineError("unavailable", `cannot write ${target}: ${errnoOf(cause) ?? "unknown error"}`, {
      code: "archive-unwritable",
      operand: target,
      hint: "check the path",
      cause,
    });
  }
  try {
    await temporary.write(stream);
    await temporary.commit(target);
  } finally {
    await temporary.discard();
  }
}

async function writeInPlace(stream: ByteStream, target: string): Promise<void> {
  const fd = fs.openSync(target, "w");
  try {
    for await (const chunk of stream) {
      if (!writeAll(fd, chunk)) throw Object.assign(new Error("nobody reads it"), { code: "EPIPE" });
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** The image under other names. */
export function renamed(image: ImageSource, names: readonly string[]): ImageSource {
  return { ...image, names: names.map((name) => formatReference(parseReference(name))) };
}
