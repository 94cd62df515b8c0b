/**
 * A directory as one layer of an artifact, as oras has it: a tar with gzip whose members are below the directory's name, and two
 * annotations that say so.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import {
  type ByteStream,
  bounded,
  compress,
  createHasher,
  decodeText,
  decompress,
  encodeText,
  errnoOf,
  limits,
  observed,
  quoted,
  readFileStream,
  readTar,
  removeTree,
  type TarEntry,
  type TarInput,
  TemporaryFile,
  temporaryName,
  VitrineError,
  writeStream,
  writeTar,
} from "../../base/mod.ts";
import { type Descriptor, type Digest, formatDigest, mediaTypes } from "../../oci/mod.ts";

/** `"true"`: the layer is a directory. */
export const unpackKey = "io.deis.oras.content.unpack";
/** Digest of its tar. */
export const tarDigestKey = "io.deis.oras.content.digest";

/**
 * Packs `directory` under the name `title` into a file of `temporaryDirectory`, which is the caller's to remove. Owners are left out, times are kept: the same tree
 * gives the same digest. Errors: `artifact-entry-unsupported` for sockets and devices.
 */
export async function packDirectory(
  directory: string,
  title: string,
  temporaryDirectory: string,
): Promise<{ readonly file: string; readonly descriptor: Descriptor }> {
  const plain = createHasher("sha256");
  const packed = createHasher("sha256");
  const tar = observed(writeTar(membersOf(Buffer.from(directory), title)), (chunk) => plain.update(chunk));
  await using spool = await TemporaryFile.create(temporaryDirectory, "artifact");
  const size = await spool.write(observed(compress(tar, "gzip"), (chunk) => packed.update(chunk)));
  const hex = packed.hex();
  const file = path.join(temporaryDirectory, hex);
  await spool.keepAs(file);
  const descriptor: Descriptor = {
    mediaType: mediaTypes.layerGzip,
    digest: formatDigest("sha256", hex),
    size,
    annotations: { [tarDigestKey]: formatDigest("sha256", plain.hex()), [unpackKey]: "true" },
  };
  return { file, descriptor };
}

/** Parents first, in the order of the names' bytes. Names are bytes: see base/text.ts. */
function* membersOf(place: Buffer, name: string): Generator<TarInput, void> {
  const stat = fs.lstatSync(place, { bigint: true });
  const common = {
    path: name,
    mode: Number(stat.mode & 0o777n),
    mtimeSeconds: Number(stat.mtimeNs / 1_000_000_000n),
  };
  if (stat.isDirectory()) {
    yield { ...common, type: "directory" };
    for (const below of fs.readdirSync(place, { encoding: "buffer" }).sort(Buffer.compare)) {
      yield* membersOf(Buffer.concat([place, Buffer.from("/"), below]), `${name}/${decodeText(below)}`);
    }
  } else if (stat.isSymbolicLink()) {
    const linkTarget = decodeText(fs.readlinkSync(place, { encoding: "buffer" }));
    yield { ...common, type: "symlink", linkTarget };
  } else if (stat.isFile()) {
    yield { ...common, type: "file", size: Number(stat.size), body: bodyOf(place) };
  } else {
    throw new VitrineError("unsupported", `${quoted(name)} is neither a file nor a directory nor a link`, {
      code: "artifact-entry-unsupported",
      operand: name,
      hint: "leave sockets, FIFOs and devices out of the directory",
    });
  }
}

async function* bodyOf(place: Buffer): AsyncGenerator<Uint8Array, void> {
  const fd = fs.openSync(place, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  try {
    yield* readFileStream(`/proc/self/fd/${fd}`);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * Unpacks a verified layer beside `target`, then gives it that name: nothing of a layer that is damaged or unsafe stays. `title` is
 * the directory that all its members are below; `tarDigest` what their tar is said to be.
 * Errors: `artifact-entry-unsafe`, `artifact-entry-unsupported`, `content-digest-mismatch`, `bomb`, those of the tar and the stream.
 */
export async function unpackDirectory(
  layer: ByteStream,
  title: string,
  target: string,
  tarDigest: string | undefined,
): Promise<void> {
  const spool = path.join(path.dirname(target), temporaryName(".vitrine-artifact"));
  fs.mkdirSync(spool, { mode: 0o700 });
  try {
    const tree = new Tree(path.join(spool, "tree"), title);
    const plain = await decompress(layer, title);
    const hasher = createHasher("sha256");
    const bytes = bounded(plain.stream, {
      maxBytes: limits.layerBytes,
      maxRatio: limits.compressionRatio,
      freeBytes: limits.expansionFreeBytes,
      input: plain.input,
      name: title,
    });
    for await (const { entry, body } of readTar(observed(bytes, (chunk) => hasher.update(chunk)))) {
      await tree.add(entry, body);
    }
    requireTar(formatDigest("sha256", hasher.hex()), tarDigest, title);
    tree.moveTo(target);
  } finally {
    removeTree(spool);
  }
}

function requireTar(actual: Digest, said: string | undefined, title: string): void {
  if (said === undefined || said === actual || !said.startsWith("sha256:")) return;
  throw new VitrineError("corrupt", `the files of ${quoted(title)} are not those that the artifact says`, {
    code: "content-digest-mismatch",
    operand: said,
  });
}

/**
 * The tree being made, in a directory that is ours alone. A member is made only in a directory that this tree made, and no name is
 * made twice: no link of the archive is ever followed.
 */
class Tree {
  readonly root: string;
  private readonly title: string;
  /** By the path below the root, `""` the root itself. */
  private readonly made = new Map<string, "directory" | "file" | "link">();
  private readonly directories: { readonly name: string; readonly mode: number; readonly time: number }[] =
    [];
  /** What of a mode the user's umask lets through. */
  private readonly allowed: number;

  constructor(root: string, title: string) {
    this.root = root;
    this.title = title;
    fs.mkdirSync(root, { mode: 0o777 });
    this.allowed = fs.statSync(root).mode & 0o777;
    this.made.set("", "directory");
  }

  async add(entry: TarEntry, body: ByteStream): Promise<void> {
    const name = this.below(entry.path, entry);
    if (entry.type === "directory") return this.addDirectory(name, entry);
    if (name === "" || this.made.has(name)) throw unsafe(entry, "is in the archive twice");
    this.requireParents(name, entry);
    const place = this.placeOf(name);
    try {
      if (entry.type === "file") {
        await this.write(place, entry, body);
        this.made.set(name, "file");
      } else if (entry.type === "symlink") {
        requireInside(name, entry);
        fs.symlinkSync(Buffer.from(encodeText(entry.linkTarget)), place);
        this.made.set(name, "link");
      } else if (entry.type === "hardlink") {
        const from = this.below(entry.linkTarget, entry);
        if (this.made.get(from) !== "file") throw unsafe(entry, "is a link to what is no file of it");
        fs.linkSync(this.placeOf(from), place);
        this.made.set(name, "file");
      } else {
        throw new VitrineError("unsupported", `${quoted(entry.path)} is a device or FIFO`, {
          code: "artifact-entry-unsupported",
          operand: entry.path,
        });
      }
    } catch (error) {
      if (error instanceof VitrineError) throw error;
      throw new VitrineError("internal", `cannot write ${quoted(entry.path)}: ${errnoOf(error) ?? error}`, {
        code: "artifact-entry-unwritable",
        operand: entry.path,
        cause: error,
      });
    }
  }

  /** Directories get their modes and times once nothing is made in them any more; one that may not be written cannot be moved. */
  moveTo(target: string): void {
    fs.renameSync(this.root, target);
    for (const { name, mode, time } of this.directories.reverse()) {
      const place = Buffer.concat([Buffer.from(`${target}/`), encodeText(name)]);
      fs.chmodSync(place, mode & this.allowed);
      fs.utimesSync(place, time, time);
    }
  }

  private addDirectory(name: string, entry: TarEntry): void {
    const known = this.made.get(name);
    if (known !== undefined && known !== "directory") throw unsafe(entry, "is in the archive twice");
    if (known === undefined) {
      this.requireParents(name, entry);
      this.makeDirectory(name);
    }
    this.directories.push({ name, mode: entry.mode, time: entry.mtimeSeconds });
  }

  private makeDirectory(name: string): void {
    fs.mkdirSync(this.placeOf(name), { mode: 0o777 });
    fs.chmodSync(this.placeOf(name), this.allowed | 0o700);
    this.made.set(name, "directory");
  }

  private async write(place: Buffer, entry: TarEntry, body: ByteStream): Promise<void> {
    const file = await fs.promises.open(place, "wx", entry.mode & 0o777);
    try {
      await writeStream(file, body);
      await file.utimes(entry.mtimeSeconds, entry.mtimeSeconds);
    } finally {
      await file.close();
    }
  }

  private requireParents(name: string, entry: TarEntry): void {
    const parts = name.split("/");
    for (let length = 1; length < parts.length; length++) {
      const parent = parts.slice(0, length).join("/");
      const known = this.made.get(parent);
      if (known === undefined) this.makeDirectory(parent);
      else if (known !== "directory") throw unsafe(entry, "is below what is no directory");
    }
  }

  private placeOf(name: string): Buffer {
    return Buffer.concat([Buffer.from(`${this.root}/`), encodeText(name)]);
  }

  /** The path below the title. */
  private below(text: string, entry: TarEntry): string {
    const parts = text.split("/").filter((part) => part !== "" && part !== ".");
    const head = this.title.split("/");
    const inside = head.every((part, at) => parts[at] === part);
    if (text.startsWith("/") || parts.includes("..") || !inside) {
      throw unsafe(entry, `is not below ${quoted(this.title)}`);
    }
    return parts.slice(head.length).join("/");
  }
}

/**
 * A link stays in the tree: it is relative, and goes up only at its beginning, from a directory that is none but itself. Were `..`
 * allowed after a name, that name could be a link to another depth.
 */
function requireInside(name: string, entry: TarEntry): void {
  const parts = entry.linkTarget.split("/").filter((part) => part !== "" && part !== ".");
  const down = parts.findIndex((part) => part !== "..");
  const up = down === -1 ? parts.length : down;
  const depth = name.split("/").length - 1;
  if (!entry.linkTarget.startsWith("/") && up <= depth && !parts.slice(up).includes("..")) return;
  throw unsafe(entry, `is a link to ${quoted(entry.linkTarget)}, out of the directory`);
}

function unsafe(entry: TarEntry, what: string): VitrineError {
  return new VitrineError("invalid", `${quoted(entry.path)} of the artifact ${what}`, {
    code: "artifact-entry-unsafe",
    operand: entry.path,
    hint: "nothing was written; get the layer itself with 'vitrine copy docker://… dir:DIR' to look at it",
  });
}
