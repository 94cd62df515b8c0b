import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it } from "node:test";
import { type ByteStream, collect, decompress, hashHex, type TarInput, writeTar } from "../../base/mod.ts";
import { Crc64 } from "./crc64.ts";
import { ChunkedLayer, chunkedAnnotations } from "./write.ts";

async function* pieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function packed(
  bytes: Uint8Array,
  length = 1000,
): Promise<{ readonly stream: Buffer; readonly annotations: ChunkedLayer["annotations"] }> {
  const layer = new ChunkedLayer(pieces(bytes, length));
  return { stream: Buffer.from(await collect(layer.stream(), 2 ** 28)), annotations: layer.annotations };
}

const plain = async (stream: ByteStream): Promise<Buffer> =>
  Buffer.from(await collect((await decompress(stream)).stream, 2 ** 28));
const unpacked = (bytes: Uint8Array): Promise<Buffer> => plain(pieces(bytes, 65_536));

type Made = Omit<TarInput, "type"> & { readonly type?: TarInput["type"]; readonly body?: Uint8Array };

const tar = async (made: readonly Made[]): Promise<Buffer> =>
  Buffer.from(await collect(writeTar(made.map((member) => ({ type: "file" as const, ...member }))), 2 ** 28));

interface Entry {
  readonly type: string;
  readonly name: string;
  readonly digest?: string;
  readonly offset?: number;
  readonly endOffset?: number;
  readonly chunkOffset?: number;
  readonly chunkSize?: number;
  readonly chunkDigest?: string;
}
interface Segment {
  readonly type: 1 | 2;
  readonly name?: string;
  readonly size?: number;
  readonly payload: string | null;
  readonly position: number;
}

/** What the annotations lead to. */
async function tables(
  stream: Buffer,
  annotations: Readonly<Record<string, string>>,
): Promise<{ readonly entries: readonly Entry[]; readonly segments: readonly Segment[] }> {
  const at = (key: string): readonly number[] => annotations[key]!.split(":").map(Number);
  const read = async ([offset, length, whole]: readonly number[]): Promise<readonly [Buffer, string]> => {
    const frame = stream.subarray(offset!, offset! + length!);
    const text = await unpacked(frame);
    assert.equal(text.length, whole);
    return [frame, text.toString()];
  };
  const [frame, text] = await read(at(chunkedAnnotations.tablePlace));
  assert.equal(annotations[chunkedAnnotations.tableDigest], `sha256:${hashHex("sha256", frame)}`);
  assert.equal(at(chunkedAnnotations.tablePlace)[3], 1);
  const table = JSON.parse(text) as { version: number; entries: Entry[]; tarSplitDigest: string };
  assert.equal(table.version, 1);
  const [splitFrame, lines] = await read(at(chunkedAnnotations.headersPlace));
  assert.equal(table.tarSplitDigest, `sha256:${hashHex("sha256", splitFrame)}`);
  const footer = stream.subarray(-64);
  const numbers = Array.from({ length: 7 }, (_, index) => Number(footer.readBigUInt64LE(index * 8)));
  assert.deepEqual(numbers, [...at(chunkedAnnotations.tablePlace), ...at(chunkedAnnotations.headersPlace)]);
  assert.equal(footer.toString("latin1", 56), "GNUlInUx");
  return {
    entries: table.entries,
    segments: lines
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
  };
}

const random = randomBytes(700_000);
const members: readonly Made[] = [
  { path: "dir/", type: "directory", mode: 0o755 },
  { path: "dir/small", body: Buffer.from("hello") },
  { path: "dir/empty" },
  { path: "dir/random", body: random, uid: 7, gid: 8, mtimeSeconds: 1_600_000_000 },
  { path: `dir/${"long".repeat(60)}/ünï`, body: Buffer.alloc(2000, "x") },
  { path: "dir/zeros", body: Buffer.alloc(9 * 1024 * 1024) },
  { path: "dir/link", type: "symlink", linkTarget: "small" },
  { path: "dir/hard", type: "hardlink", linkTarget: "dir/small" },
  { path: "dir/null", type: "char", devMajor: 1, devMinor: 3 },
  { path: "dir/xattr", body: Buffer.from("y"), xattrs: new Map([["user.a", Buffer.from([0, 255, 10])]]) },
];

describe("zstd:chunked", () => {
  it("is the same tar to whoever knows zstd alone", async () => {
    const archive = await tar(members);
    for (const length of [1, 511, 512, 65_536].slice(archive.length > 2 ** 22 ? 1 : 0)) {
      assert.ok((await unpacked((await packed(archive, length)).stream)).equals(archive));
    }
  });

  it("leads to each file and each part of it, alone", async () => {
    const archive = await tar(members);
    const { stream, annotations } = await packed(archive);
    const { entries } = await tables(stream, annotations!);
    const content = new Map(members.map(({ path, body }) => [path, body]));
    assert.deepEqual(
      entries.filter(({ type }) => type !== "chunk").map(({ name }) => name),
      members.map(({ path }) => path),
    );
    for (const [index, entry] of entries.entries()) {
      if (entry.offset === undefined) {
        assert.ok((content.get(entry.name)?.length ?? 0) === 0, entry.name);
        continue;
      }
      const whole = content.get(entry.name)!;
      const following = entries[index + 1];
      const main = entries.findLast(({ name, endOffset }) => name === entry.name && endOffset !== undefined)!;
      const end = following?.type === "chunk" ? following.offset! : main.endOffset!;
      const part = whole.subarray(
        entry.chunkOffset ?? 0,
        (entry.chunkOffset ?? 0) + (entry.chunkSize ?? whole.length),
      );
      assert.ok((await unpacked(stream.subarray(entry.offset, end))).equals(part), entry.name);
      if (entry.chunkSize !== undefined) {
        assert.equal(entry.chunkDigest, `sha256:${hashHex("sha256", part)}`);
      }
      if (entry.digest !== undefined) assert.equal(entry.digest, `sha256:${hashHex("sha256", whole)}`);
    }
    const parts = (wanted: string): number => entries.filter(({ name }) => name === wanted).length;
    assert.ok(parts("dir/random") > 1, "700 KB are cut");
    assert.equal(parts("dir/zeros"), 3, "no cut in 9 MiB: at 4 MiB and at 8");
    assert.equal(parts("dir/small"), 1);
  });

  it("cuts what two files have in common at the same places", async () => {
    const archive = await tar([
      { path: "one", body: random },
      { path: "two", body: Buffer.concat([Buffer.from("something before it"), random]) },
    ]);
    const { stream, annotations } = await packed(archive);
    const { entries } = await tables(stream, annotations!);
    const digests = (wanted: string): readonly (string | undefined)[] =>
      entries.filter(({ name }) => name === wanted).map(({ chunkDigest }) => chunkDigest);
    assert.deepEqual(digests("two").slice(1), digests("one").slice(1));
  });

  it("says what each member is, as Go's reader of tar does", async () => {
    const { stream, annotations } = await packed(await tar(members));
    const { entries } = await tables(stream, annotations!);
    const entry = (wanted: string): object => entries.find(({ name }) => name === wanted)!;
    const { digest: _d, offset: _o, endOffset: _e, ...small } = entry("dir/random") as Entry;
    assert.partialDeepStrictEqual(small, {
      type: "reg",
      mode: 0o644,
      size: 700_000,
      uid: 7,
      gid: 8,
      modtime: "2020-09-13T12:26:40Z",
    });
    assert.partialDeepStrictEqual(entry("dir/"), { type: "dir", mode: 0o755 });
    assert.partialDeepStrictEqual(entry("dir/link"), { type: "symlink", linkName: "small" });
    assert.partialDeepStrictEqual(entry("dir/hard"), { type: "hardlink", linkName: "dir/small" });
    assert.partialDeepStrictEqual(entry("dir/null"), { type: "char", devMajor: 1, devMinor: 3 });
    assert.partialDeepStrictEqual(entry("dir/xattr"), { xattrs: { "user.a": "AP8K" } });
  });

  it("keeps the headers so that the tar can be put together again", async () => {
    const archive = await tar(members);
    const { stream, annotations } = await packed(archive);
    const { segments } = await tables(stream, annotations!);
    const files = new Map(members.map(({ path, body }) => [path, body]));
    const parts = segments.map(({ type, name, size, payload }) => {
      if (type === 2) return Buffer.from(payload!, "base64");
      if (size === undefined) return Buffer.alloc(0);
      const crc = new Crc64();
      crc.update(files.get(name ?? "")!);
      assert.equal(payload, crc.bytes().toString("base64"));
      return files.get(name ?? "")!;
    });
    assert.ok(Buffer.concat(parts).equals(archive));
    assert.deepEqual(
      segments.map(({ position }) => position),
      segments.map((_, index) => index),
    );
  });

  it("is plain zstd where the table cannot tell what the tar holds", async () => {
    const twice = await tar([{ path: "a" }, { path: "./a" }]);
    const bytes = await tar([{ path: "b\udcff", body: Buffer.from("not UTF-8") }]);
    const cut = (await tar(members)).subarray(0, 300_000);
    const garbage = randomBytes(5000);
    const whole = await tar([{ path: "a", body: Buffer.from("1") }]);
    const broken = Buffer.from(whole);
    broken[0]! ^= 1;
    for (const archive of [twice, bytes, cut, garbage, broken, Buffer.alloc(512), Buffer.from("x")]) {
      const { stream, annotations } = await packed(archive);
      assert.equal(annotations, undefined);
      assert.ok((await unpacked(stream)).equals(archive));
    }
  });

  it("takes an empty tar, one without its end, and zeros after it", async () => {
    const archive = await tar([{ path: "a", body: Buffer.from("1") }]);
    const noEnd = archive.subarray(0, 1024);
    for (const some of [await tar([]), noEnd, Buffer.concat([archive, Buffer.alloc(20_480)])]) {
      const { stream, annotations } = await packed(some);
      await tables(stream, annotations!);
      assert.ok((await unpacked(stream)).equals(some));
    }
  });
});

describe("CRC-64", () => {
  it("is the one of Go's crc64.ISO", () => {
    const crc = new Crc64();
    crc.update(Buffer.from("123456"));
    crc.update(Buffer.from("789"));
    assert.equal(crc.bytes().toString("hex"), "b90956c775a41001");
  });
});
