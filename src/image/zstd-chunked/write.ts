/**
 * zstd:chunked (containers-storage-zstd-chunked.md): a tar packed by zstd so that one file can be fetched alone. The content of
 * each file is in frames of its own, the headers in others; a table of contents and the tar's headers (in tar-split's form) follow
 * in frames that decompressors pass over. Whoever does not know of it reads a tar in zstd.
 */
import { type ByteStream, createHasher, type Hasher, hashHex } from "../../base/mod.ts";
import { ByteReader } from "./byte-reader.ts";
import { Crc64 } from "./crc64.ts";
import { Cutter } from "./cutter.ts";
import { FrameLog, type PackFrame, packer, skippable } from "./frames.ts";
import { type Member, padding, readHeader } from "./member.ts";

/** Where readers look; on the layer's descriptor. */
export const chunkedAnnotations = {
  tableDigest: "io.github.containers.zstd-chunked.manifest-checksum",
  tablePlace: "io.github.containers.zstd-chunked.manifest-position",
  headersPlace: "io.github.containers.zstd-chunked.tarsplit-position",
  /** No longer written. */
  headersDigest: "io.github.containers.zstd-chunked.tarsplit-checksum",
  /** Of another format, with another table. */
  stargz: "containerd.io/snapshot/stargz/toc.digest",
} as const;

/** A file without a cut for so long is cut here. */
const mostChunkBytes = 4 * 1024 * 1024;
/** Readers take no larger table. */
const mostTableBytes = 150 * 1024 * 1024;
const tableType = 1;
const magic = "GNUlInUx";

interface Chunk {
  readonly at: number;
  readonly bytes: number;
  /** In the packed stream. */
  readonly offset: number;
  readonly digest: string;
}

/** Packs one layer: read `stream` to its end, then ask for `annotations`. */
export class ChunkedLayer {
  private readonly reader: ByteReader;
  private readonly level: number | undefined;
  private readonly names = new Set<string>();
  private offset = 0;
  private described: Readonly<Record<string, string>> | undefined;

  constructor(plain: ByteStream, level?: number) {
    this.reader = new ByteReader(plain);
    this.level = level;
  }

  /** Undefined where the tar holds what the table cannot tell: the stream is plain zstd then. */
  get annotations(): Readonly<Record<string, string>> | undefined {
    return this.described;
  }

  async *stream(): AsyncGenerator<Uint8Array, void> {
    const pack = await packer(this.level);
    const table = new FrameLog(pack, '{"version":1,"entries":[');
    const headers = new HeaderLog(pack);
    try {
      const isWhole = yield* this.members(pack, table, headers);
      if (!isWhole || table.plainBytes > mostTableBytes) return;
      yield* this.tables(table, headers);
    } finally {
      await this.reader.close();
    }
  }

  /** Returns whether all was understood. */
  private async *members(
    pack: PackFrame,
    table: FrameLog,
    headers: HeaderLog,
  ): AsyncGenerator<Uint8Array, boolean> {
    let before: Buffer = Buffer.alloc(0);
    for (let count = 0; ; count++) {
      const { raw, member, isEnd } = await readHeader(this.reader);
      const segment = Buffer.concat([before, raw]);
      yield* this.sent(pack(segment));
      headers.addSegment(segment);
      if (member === undefined || !this.isNew(member.name)) {
        yield* this.rest(pack, isEnd ? headers : undefined);
        return isEnd;
      }
      const { chunks, digest, crc, isShort } = yield* this.content(pack, member.size);
      const entries = entriesOf(member, chunks, digest, this.offset);
      table.add(`${count === 0 ? "" : ","}${entries.map((entry) => JSON.stringify(entry)).join()}`);
      headers.addFile(member, crc);
      if (isShort) return false;
      before = await this.reader.exactly(padding(member.size));
    }
  }

  /** One frame or more; the offset afterwards is the end of the last. */
  private async *content(
    pack: PackFrame,
    size: number,
  ): AsyncGenerator<
    Uint8Array,
    {
      readonly chunks: readonly Chunk[];
      readonly digest: string;
      readonly crc: Crc64;
      readonly isShort: boolean;
    }
  > {
    const whole: Hasher = createHasher("sha256");
    const crc = new Crc64();
    const cutter = new Cutter();
    const chunks: Chunk[] = [];
    let pieces: Uint8Array[] = [];
    let held = 0;
    let at = 0;
    let left = size;
    const packed = (): Uint8Array => {
      const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      chunks.push({ at, bytes: held, offset: this.offset, digest: `sha256:${hashHex("sha256", bytes)}` });
      at += held;
      held = 0;
      pieces = [];
      return pack(bytes);
    };
    while (left > 0) {
      const bytes = await this.reader.some(Math.min(left, mostChunkBytes));
      if (bytes.length === 0) break;
      left -= bytes.length;
      whole.update(bytes);
      crc.update(bytes);
      for (let from = 0; from < bytes.length; ) {
        const cut = cutter.next(bytes, from);
        const piece = bytes.subarray(from, cut === -1 ? bytes.length : cut);
        pieces.push(piece);
        held += piece.length;
        from += piece.length;
        if (cut !== -1 || held >= mostChunkBytes) yield* this.sent(packed());
      }
    }
    if (held > 0) yield* this.sent(packed());
    return { chunks, digest: `sha256:${whole.hex()}`, crc, isShort: left > 0 };
  }

  /** What follows the last member, or what is not understood and all after it. */
  private async *rest(pack: PackFrame, headers: HeaderLog | undefined): AsyncGenerator<Uint8Array, void> {
    while (true) {
      const bytes = await this.reader.some(mostChunkBytes);
      if (bytes.length === 0) return;
      yield* this.sent(pack(bytes));
      headers?.addSegment(bytes);
    }
  }

  private async *tables(table: FrameLog, headers: HeaderLog): AsyncGenerator<Uint8Array, void> {
    const split = headers.end();
    const packedHeaders = Buffer.concat(split.frames);
    table.add(`],"tarSplitDigest":"sha256:${hashHex("sha256", packedHeaders)}"}`);
    const packedTable = Buffer.concat(table.end().frames);
    const places = [
      { offset: this.offset + 8, packed: packedTable.length, plain: table.plainBytes },
      {
        offset: this.offset + 16 + packedTable.length,
        packed: packedHeaders.length,
        plain: split.plainBytes,
      },
    ] as const;
    yield* this.sent(skippable(packedTable));
    yield* this.sent(skippable(packedHeaders));
    yield* this.sent(skippable(footer(places)));
    const texts = places.map(({ offset, packed, plain }) => `${offset}:${packed}:${plain}`);
    this.described = {
      [chunkedAnnotations.tableDigest]: `sha256:${hashHex("sha256", packedTable)}`,
      [chunkedAnnotations.tablePlace]: `${texts[0]}:${tableType}`,
      [chunkedAnnotations.headersPlace]: texts[1]!,
    };
  }

  private *sent(bytes: Uint8Array): Generator<Uint8Array, void> {
    this.offset += bytes.length;
    if (bytes.length > 0) yield bytes;
  }

  /** Readers refuse a table in which one path comes twice. */
  private isNew(name: string): boolean {
    const plain = name
      .split("/")
      .filter((part) => part !== "" && part !== ".")
      .join("/");
    if (this.names.has(plain)) return false;
    this.names.add(plain);
    return true;
  }
}

/** The tar without the content of its files, a line of JSON each (vbatts/tar-split, storage.Entry). */
class HeaderLog {
  private readonly log: FrameLog;
  private position = 0;

  constructor(pack: PackFrame) {
    this.log = new FrameLog(pack, "");
  }

  addSegment(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.add({ type: 2, payload: Buffer.from(bytes).toString("base64") });
  }

  addFile({ name, size }: Member, crc: Crc64): void {
    this.add({
      type: 1,
      name,
      ...(size > 0 && { size }),
      payload: size > 0 ? crc.bytes().toString("base64") : null,
    });
  }

  end(): { readonly frames: readonly Uint8Array[]; readonly plainBytes: number } {
    return this.log.end();
  }

  private add(entry: Readonly<Record<string, string | number | null>>): void {
    this.log.add(`${JSON.stringify({ ...entry, position: this.position })}\n`);
    this.position += 1;
  }
}

/** The member, with its first chunk where there are several, and the further ones. */
function entriesOf(
  member: Member,
  chunks: readonly Chunk[],
  digest: string,
  endOffset: number,
): readonly object[] {
  const { type, name, linkName, mode, size, uid, gid, modified, accessed, changed, xattrs } = member;
  const several = chunks.length > 1;
  const chunkOf = ({ offset, bytes, digest: chunkDigest }: Chunk): object =>
    several ? { offset, chunkSize: bytes, chunkDigest } : { offset };
  const [first, ...further] = chunks;
  const main = {
    type,
    name,
    ...(linkName !== "" && { linkName }),
    ...(mode !== 0 && { mode }),
    ...(size !== 0 && { size }),
    ...(uid !== 0 && { uid }),
    ...(gid !== 0 && { gid }),
    modtime: modified,
    ...(accessed !== undefined && { accesstime: accessed }),
    ...(changed !== undefined && { changetime: changed }),
    ...(member.devMajor !== 0 && { devMajor: member.devMajor }),
    ...(member.devMinor !== 0 && { devMinor: member.devMinor }),
    ...(Object.keys(xattrs).length > 0 && { xattrs }),
    ...(first !== undefined && { digest, ...chunkOf(first), endOffset }),
  };
  return [
    main,
    ...further.map((chunk) => ({ type: "chunk", name, ...chunkOf(chunk), chunkOffset: chunk.at })),
  ];
}

function footer(
  places: readonly {
    readonly offset: number;
    readonly packed: number;
    readonly plain: number;
  }[],
): Buffer {
  const [table, headers] = places.map(({ offset, packed, plain }) => [offset, packed, plain]);
  const bytes = Buffer.alloc(64);
  for (const [at, value] of [...table!, tableType, ...headers!].entries()) {
    bytes.writeBigUInt64LE(BigInt(value), at * 8);
  }
  bytes.write(magic, 56, "latin1");
  return bytes;
}
