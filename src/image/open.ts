/** Opens what `load` is given: a layout directory, a file or a stream, in any format and compression. */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  type ByteStream,
  bounded,
  collect,
  decompress,
  detectCompression,
  errnoOf,
  limits,
  quoted,
  readFileStream,
  TarFile,
  TemporaryFile,
  VitrineError,
} from "../base/mod.ts";
import { blobPath, directoryContent, type RawContent, sourceOf } from "./content.ts";
import { openDockerArchive, readRepoTags } from "./docker-archive.ts";
import { parseLayout, repositoryOf } from "./layout.ts";
import type { ImageArchive, ImageSource } from "./source.ts";
import { readConfigDigest } from "./walk.ts";

export interface OpenOptions {
  /** Existing directory for what must be spooled: streams, and archives that are compressed. */
  readonly temporaryDirectory: string;
}

/**
 * Opens an archive. A compressed one and a stream are spooled, so that any image in it can be read in any order.
 * Errors: `archive-not-found`, `archive-unreadable`, `archive-unknown-format`, `archive-empty`, `bomb`, and the codes
 * `compressed-data-…`, `tar-…`, `layout-…`, `index-…` and `docker-archive-…`.
 */
export async function openArchive(input: string | ByteStream, options: OpenOptions): Promise<ImageArchive> {
  if (typeof input !== "string") return openSpooled(input, options, "");
  const stat = statInput(input);
  const name = path.basename(path.resolve(input));
  if (stat.isDirectory()) return openLayoutDirectory(input, name);
  if (stat.isFile() && detectCompression(readHead(input)) === "none") {
    return openTar(input, name, async () => {});
  }
  return openSpooled(readFileStream(input), options, name);
}

function statInput(input: string): fs.Stats {
  try {
    const stat = fs.statSync(input);
    fs.accessSync(input, fs.constants.R_OK);
    return stat;
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT" || errnoOf(cause) === "ENOTDIR") {
      throw new VitrineError("not-found", `there is no file ${quoted(input)}`, {
        code: "archive-not-found",
        operand: input,
        cause,
      });
    }
    throw new VitrineError("denied", `cannot read ${quoted(input)}: ${errnoOf(cause) ?? "unknown error"}`, {
      code: "archive-unreadable",
      operand: input,
      cause,
    });
  }
}

function readHead(file: string): Uint8Array {
  const fd = fs.openSync(file, "r");
  try {
    const head = new Uint8Array(16);
    return head.subarray(0, fs.readSync(fd, head, 0, head.length, 0));
  } finally {
    fs.closeSync(fd);
  }
}

async function openSpooled(input: ByteStream, options: OpenOptions, name: string): Promise<ImageArchive> {
  const spool = await TemporaryFile.create(options.temporaryDirectory, "archive");
  try {
    const plain = await decompress(input);
    const checked = bounded(plain.stream, {
      maxBytes: limits.layerBytes,
      maxRatio: limits.compressionRatio,
      freeBytes: limits.expansionFreeBytes,
      input: plain.input,
      name: name === "" ? "standard input" : name,
    });
    const bytes = await spool.write(checked);
    if (bytes === 0) throw emptyInput(name);
    return await openTar(spool.path, name, () => spool.discard());
  } catch (error) {
    await spool.discard();
    throw error;
  }
}

function emptyInput(name: string): VitrineError {
  return new VitrineError("invalid", `${name === "" ? "standard input" : quoted(name)} is empty`, {
    code: "archive-empty",
    operand: name,
    hint: "give an archive: vitrine load --input FILE",
  });
}

async function openTar(file: string, name: string, discard: () => Promise<void>): Promise<ImageArchive> {
  let tar: TarFile;
  try {
    tar = await TarFile.open(file);
  } catch (error) {
    await discard();
    throw error;
  }
  const close = async (): Promise<void> => {
    await tar.close();
    await discard();
  };
  try {
    const header = tar.find("oci-layout");
    const index = tar.find("index.json");
    const manifest = tar.find("manifest.json");
    // `docker save` of today writes both; the layout keeps digests and indexes as they are.
    if (header !== undefined && index !== undefined) {
      const content = tarContent(tar);
      const images = layoutImages(
        content,
        await readMember(tar, "oci-layout"),
        await readMember(tar, "index.json"),
        repositoryOf(name),
      );
      const named =
        manifest === undefined ? images : await nameByConfig(images, await readMember(tar, "manifest.json"));
      return { format: "oci-archive", images: requireSome(named, name), close };
    }
    if (manifest !== undefined) {
      const images = await openDockerArchive(tar, await readMember(tar, "manifest.json"));
      return { format: "docker-archive", images: requireSome(images, name), close };
    }
    throw unknownFormat(tar, name);
  } catch (error) {
    await close();
    throw error;
  }
}

function openLayoutDirectory(directory: string, name: string): ImageArchive {
  const read = (file: string): Uint8Array => {
    try {
      const full = path.join(directory, file);
      const { size } = fs.statSync(full);
      if (size > limits.layoutIndexBytes) {
        throw new VitrineError("invalid", `${file} has ${size} bytes`, {
          code: "document-too-large",
          operand: full,
        });
      }
      return fs.readFileSync(full);
    } catch (cause) {
      if (cause instanceof VitrineError) throw cause;
      throw new VitrineError("invalid", `${quoted(directory)} is not an OCI image layout: no ${file}`, {
        code: "archive-unknown-format",
        operand: directory,
        hint: "an image layout has the files oci-layout and index.json; a root filesystem is taken by: tar -C DIR -c . | vitrine import -",
        cause,
      });
    }
  };
  const images = layoutImages(
    directoryContent(directory),
    read("oci-layout"),
    read("index.json"),
    repositoryOf(name),
  );
  return { format: "oci-dir", images: requireSome(images, name), close: async () => {} };
}

function layoutImages(
  content: RawContent,
  header: Uint8Array,
  index: Uint8Array,
  repository: string,
): readonly ImageSource[] {
  return parseLayout(header, index, repository).map(({ descriptor, names }) =>
    sourceOf(content, descriptor, names),
  );
}

/** Some versions of Docker name the images of a layout only in manifest.json beside it, by their config. */
async function nameByConfig(
  images: readonly ImageSource[],
  manifestJson: Uint8Array,
): Promise<readonly ImageSource[]> {
  if (images.every(({ names }) => names.length > 0)) return images;
  const tags = readRepoTags(manifestJson);
  const named: ImageSource[] = [];
  for (const image of images) {
    const config = image.names.length > 0 ? undefined : await readConfigDigest(image);
    named.push(config === undefined ? image : { ...image, names: tags.get(config) ?? [] });
  }
  return named;
}

function requireSome(images: readonly ImageSource[], name: string): readonly ImageSource[] {
  if (images.length > 0) return images;
  throw new VitrineError("not-found", "the archive holds no image that is known here", {
    code: "archive-empty",
    operand: name,
    hint: "its index.json leads to no OCI or Docker manifest or index",
  });
}

function unknownFormat(tar: TarFile, name: string): VitrineError {
  const first = tar.entries[0]?.path;
  const legacy = tar.find("repositories") !== undefined;
  const rootfs = ["bin", "etc", "usr"].some((directory) => tar.find(directory) !== undefined);
  return new VitrineError(
    legacy ? "unsupported" : "invalid",
    `not an image archive: it has no manifest.json and no index.json${first === undefined ? "" : `; its first entry is ${quoted(first)}`}`,
    {
      code: "archive-unknown-format",
      operand: name,
      hint: rootfs
        ? `this is a root filesystem: vitrine import ${name === "" ? "-" : name} NAME`
        : legacy
          ? "archives of Docker before 1.10 must be loaded and saved again by a newer Docker"
          : "load takes what docker save, podman save, skopeo or vitrine save write",
    },
  );
}

async function readMember(tar: TarFile, member: string): Promise<Uint8Array> {
  const entry = tar.find(member);
  if (entry?.type !== "file") {
    throw new VitrineError("invalid", `${member} of the archive is not a file`, {
      code: "archive-unknown-format",
      operand: member,
    });
  }
  return collect(tar.read(entry), limits.layoutIndexBytes, member);
}

/** The blobs of a layout in a tar file. */
function tarContent(tar: TarFile): RawContent {
  return {
    has: (digest) => tar.find(blobPath(digest))?.type === "file",
    openUnverified: (digest) => {
      const entry = tar.find(blobPath(digest));
      return entry?.type === "file" ? tar.read(entry) : undefined;
    },
  };
}
