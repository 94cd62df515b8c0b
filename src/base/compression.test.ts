import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import * as zlib from "node:zlib";
import { type Compression, compress, decompress, detectCompression } from "./compression.ts";
import { hashHex } from "./hash.ts";
import { chunkBytes, streamOf, verified } from "./streams.ts";
import { gather, hasCode, randomBytes, randomChunks, seededRandom, streamed } from "./testing.ts";

const random = seededRandom(11);
/** Compressible and not, longer than one output chunk. */
const plain = Buffer.concat([
  Buffer.alloc(chunkBytes, "abcdefgh"),
  randomBytes(random, 200_000),
  Buffer.alloc(chunkBytes + 1),
]);
const other = Buffer.from("another member");

const gzip = (bytes: Uint8Array): Buffer => zlib.gzipSync(bytes);
const zstd = (bytes: Uint8Array, checksum = 1): Buffer =>
  zlib.zstdCompressSync(bytes, { params: { [zlib.constants.ZSTD_c_checksumFlag]: checksum } });
function xz(bytes: Uint8Array): Buffer {
  const result = spawnSync("xz", ["-0", "-c"], { input: bytes, maxBuffer: 1 << 28 });
  assert.equal(result.status, 0);
  return result.stdout;
}

async function plainOf(...chunks: readonly Uint8Array[]): Promise<Buffer> {
  return gather((await decompress(streamed(chunks))).stream);
}

const formats: readonly (readonly [Compression, (bytes: Uint8Array) => Buffer])[] = [
  ["gzip", gzip],
  ["zstd", zstd],
  ["xz", xz],
];

test("formats are told by their first bytes", () => {
  for (const [compression, pack] of formats) assert.equal(detectCompression(pack(other)), compression);
  assert.equal(detectCompression(Buffer.from("BZh91AY")), "bzip2");
  assert.equal(detectCompression(Uint8Array.of(0x5f, 0x2a, 0x4d, 0x18, 0, 0)), "zstd");
  for (const text of ["", "\x1f", "\x1f\x8b", "./", "BZ", "(µ/"])
    assert.equal(detectCompression(Buffer.from(text, "latin1")), "none");
});

test("what is not compressed passes through, also when shorter than a magic", async () => {
  for (const bytes of [plain, other, Buffer.from("a"), Buffer.alloc(0)]) {
    assert.ok((await plainOf(bytes)).equals(bytes));
  }
});

for (const [compression, pack] of formats) {
  const packed = pack(plain);

  test(`${compression}: whole, and cut anywhere`, async () => {
    const result = await decompress(streamOf(packed));
    assert.equal(result.compression, compression);
    assert.ok((await gather(result.stream)).equals(plain));
    assert.equal(result.input.bytes, packed.length);
    const small = pack(other);
    for (let round = 0; round < 20; round++) {
      assert.ok((await plainOf(...randomChunks(small, random, 1 + random(8)))).equals(other));
    }
  });

  test(`${compression}: several streams in a row are one, wherever chunks end`, async () => {
    const small = pack(other);
    const twice = Buffer.concat([small, small]);
    for (let at = 1; at < twice.length; at++) {
      const bytes = await plainOf(twice.subarray(0, at), twice.subarray(at));
      assert.equal(bytes.toString(), "another memberanother member");
    }
  });

  test(`${compression}: every truncation is an error`, async () => {
    const small = pack(other);
    const lengths = compression === "xz" ? [6, 7, 12, 20, small.length - 12, small.length - 1] : undefined;
    for (const length of lengths ?? Array.from({ length: small.length - 4 }, (_, index) => index + 4)) {
      await assert.rejects(
        plainOf(small.subarray(0, length)),
        hasCode("compressed-data-corrupt"),
        `${length}`,
      );
    }
    await assert.rejects(plainOf(packed.subarray(0, packed.length >> 1)), hasCode("compressed-data-corrupt"));
    await assert.rejects(plainOf(small, small.subarray(0, -1)), hasCode("compressed-data-corrupt"));
  });

  test(`${compression}: garbage behind it is an error`, async () => {
    const small = pack(other);
    await assert.rejects(
      plainOf(Buffer.concat([small, Buffer.from("garbage")])),
      hasCode("compressed-data-corrupt"),
    );
    await assert.rejects(plainOf(small, Buffer.from("garbage")), hasCode("compressed-data-corrupt"));
  });

  test(`${compression}: a changed body never passes for the original`, async () => {
    const small = pack(randomBytes(random, 3000));
    const original = await plainOf(small);
    let refused = 0;
    for (let round = 0; round < 60; round++) {
      const changed = Buffer.from(small);
      changed[10 + random(small.length - 10)]! ^= 1 << random(8);
      try {
        assert.ok((await plainOf(changed)).equals(original));
      } catch (error) {
        assert.ok(hasCode("compressed-data-corrupt")(error));
        refused += 1;
      }
    }
    assert.ok(refused >= 50);
  });

  test(`${compression}: an error of the source comes out as it is`, async () => {
    const expected = { size: packed.length, algorithm: "sha256", hex: hashHex("sha256", other) } as const;
    const { stream } = await decompress(
      verified(streamOf(packed.subarray(0, 5000), packed.subarray(5000)), expected),
    );
    await assert.rejects(gather(stream), hasCode("content-digest-mismatch"));
  });

  test(`${compression}: a consumer may leave early, and the source is closed`, async () => {
    let closed = false;
    async function* source(): AsyncGenerator<Uint8Array, void> {
      try {
        yield packed;
        yield packed;
      } finally {
        closed = true;
      }
    }
    for await (const chunk of (await decompress(source())).stream) {
      assert.ok(chunk.length > 0);
      break;
    }
    assert.equal(closed, true);
    // The next stream is not in the way of the one that was left.
    assert.ok((await plainOf(packed)).equals(plain));
  });
}

test("gzip: zeros behind it are padding", async () => {
  const padded = [gzip(other), Buffer.alloc(512)];
  assert.ok((await plainOf(...padded)).equals(other));
  assert.ok((await plainOf(Buffer.concat(padded))).equals(other));
});

test("zstd: skippable frames, and frames of every header shape", async () => {
  const skippable = Buffer.of(0x53, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4);
  assert.ok((await plainOf(Buffer.concat([skippable, zstd(other), skippable]))).equals(other));
  for (const size of [0, 1, 255, 256, 70_000, 300_000]) {
    for (const checksum of [0, 1]) {
      const bytes = randomBytes(random, size);
      assert.ok((await plainOf(zstd(bytes, checksum))).equals(bytes));
      const streamedBytes = await gather(compress(streamOf(bytes), "zstd"));
      assert.ok((await plainOf(streamedBytes)).equals(bytes));
    }
  }
});

test("bzip2 is refused with a hint, and the source is closed", async () => {
  let closed = false;
  async function* source(): AsyncGenerator<Uint8Array, void> {
    try {
      yield Buffer.from("BZh91AY&SY");
    } finally {
      closed = true;
    }
  }
  await assert.rejects(decompress(source()), hasCode("compression-unsupported"));
  assert.equal(closed, true);
});

test("compressed output is deterministic and other tools read it", async () => {
  for (const [compression, tool] of [
    ["gzip", "gzip"],
    ["zstd", "zstd"],
  ] as const) {
    const first = await gather(compress(streamOf(plain), compression));
    const second = await gather(compress(streamed(randomChunks(plain, random, 100_000)), compression));
    assert.ok(first.equals(second));
    const result = spawnSync(tool, ["-dc"], { input: first, maxBuffer: 1 << 28 });
    if (result.error === undefined) assert.ok(result.stdout.equals(plain));
    assert.ok((await plainOf(first)).equals(plain));
  }
  const header = await gather(compress(streamOf(other), "gzip"));
  // Flags and time of the gzip header (RFC 1952, 2.3).
  assert.deepEqual([...header.subarray(3, 8)], [0, 0, 0, 0, 0]);
  assert.ok((await gather(compress(streamOf(other), "none"))).equals(other));
});
