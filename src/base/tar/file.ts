import * as fs from "node:fs";
import * as nodePath from "node:path/posix";
import { VitrineError } from "../errors.ts";
import { type ByteStream, readHandleStream } from "../streams.ts";
import type { TarEntry } from "./entry.ts";
import { filled } from "./holes.ts";
import { TarParser } from "./parser.ts";

/** Small bodies are read through rather than jumped over. */
const indexReadBytes = 64 * 1024;
/** Links in an archive lead to other members; more in a row than this are a loop. */
const maxLinks = 16;

/** An uncompressed archive on disk, opened for random access. */
export class TarFile {
  readonly path: string;
  readonly entries: readonly TarEntry[];
  private readonly file: fs.promises.FileHandle;
  private readonly byPath = new Map<string, TarEntry>();

  private constructor(path: string, file: fs.promises.FileHandle, entries: readonly TarEntry[]) {
    this.path = path;
    this.file = file;
    this.entries = entries;
    for (const entry of entries) this.byPath.set(normalize(entry.path), entry);
  }

  /** Opens and lists it: headers are read, bodies jumped over. Errors of TarParser. */
  static async open(path: string, options: { readonly maxEntries?: number } = {}): Promise<TarFile> {
    const file = await fs.promises.open(path, "r");
    try {
      return new TarFile(path, file, index(file.fd, path, options.maxEntries));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * The last member of that path, or undefined; `./a`, `/a` and `a` are the same. Links between members are followed, as
   * `docker save` wrote them for layers that occur twice.
   */
  find(path: string): TarEntry | undefined {
    let name = normalize(path);
    for (let links = 0; links < maxLinks; links++) {
      const entry = this.byPath.get(name);
      if (entry === undefined) return undefined;
      if (entry.type === "hardlink") name = normalize(entry.linkTarget);
      else if (entry.type === "symlink") name = normalize(nodePath.join("/", name, "..", entry.linkTarget));
      else return entry;
    }
    return undefined;
  }

  /** The data of one member, holes filled with zeros. */
  async *read(entry: TarEntry): AsyncGenerator<Uint8Array, void> {
    if (entry.type !== "file") {
      throw new VitrineError("invalid", `${entry.path} in ${this.path} is a ${entry.type}, not a file`, {
        code: "tar-not-a-file",
        operand: entry.path,
      });
    }
    if (entry.sparse === undefined) yield* this.readStored(entry.bodyOffset, entry.bodySize);
    else yield* filled(entry, this.readRuns(entry));
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private readStored(start: number, length: number): ByteStream {
    return readHandleStream(this.file, { start, length }, this.path);
  }

  private async *readRuns(entry: TarEntry): AsyncGenerator<{ offset: number; chunk: Uint8Array }, void> {
    let start = entry.bodyOffset;
    for (const run of entry.sparse ?? []) {
      let { offset } = run;
      for await (const chunk of this.readStored(start, run.length)) {
        yield { offset, chunk };
        offset += chunk.length;
      }
      start += run.length;
    }
  }
}

/** `./a//b/` and `/a/b` → `a/b`. */
function normalize(path: string): string {
  const clean = nodePath.join("/", path);
  return clean.endsWith("/") ? clean.slice(1, -1) : clean.slice(1);
}

function index(fd: number, path: string, maxEntries: number | undefined): TarEntry[] {
  const entries: TarEntry[] = [];
  const parser = new TarParser(
    { onEntry: (entry) => entries.push(entry), onData: () => undefined, onEnd: () => undefined },
    { name: path, maxEntries },
  );
  const { size } = fs.fstatSync(fd);
  const buffer = Buffer.alloc(indexReadBytes);
  let position = 0;
  while (!parser.ended) {
    const count = fs.readSync(fd, buffer, 0, buffer.length, position);
    if (count === 0) break;
    parser.push(buffer.subarray(0, count));
    position += count;
    // A body that the file cuts short is not jumped over: its end must be missed.
    const bodyEnd = position + parser.bodyRemaining;
    if (bodyEnd <= size) position += parser.skipBody();
    else break;
  }
  parser.finish();
  return entries;
}
