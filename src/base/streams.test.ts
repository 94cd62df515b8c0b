import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { hashHex } from "./hash.ts";
import {
  type ByteStream,
  bounded,
  chunkBytes,
  collect,
  counted,
  type ExpectedContent,
  observed,
  readFileStream,
  rechunked,
  streamOf,
  verified,
} from "./streams.ts";
import {
  gather,
  hasCode,
  randomBytes,
  randomChunks,
  seededRandom,
  streamed,
  withDirectory,
} from "./testing.ts";

const content = Buffer.from("the quick brown fox jumps over the lazy dog");
const expected: ExpectedContent = {
  size: content.length,
  algorithm: "sha256",
  hex: hashHex("sha256", content),
};

/** Bytes that came out before the end or the error. */
async function drain(source: ByteStream): Promise<{ readonly bytes: Buffer; readonly error: unknown }> {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of source) chunks.push(chunk);
  } catch (error) {
    return { bytes: Buffer.concat(chunks), error };
  }
  return { bytes: Buffer.concat(chunks), error: undefined };
}

test("verified passes the expected content on, however it is cut", async () => {
  const random = seededRandom(3);
  for (let round = 0; round < 50; round++) {
    const chunks = [...randomChunks(content, random, 1 + random(20))];
    assert.deepEqual(await gather(verified(streamed(chunks), expected)), content);
  }
  const sha512 = { size: content.length, algorithm: "sha512", hex: hashHex("sha512", content) } as const;
  assert.deepEqual(await gather(verified(streamOf(content), sha512)), content);
});

test("verified empty content", async () => {
  const empty = { size: 0, algorithm: "sha256", hex: hashHex("sha256", new Uint8Array(0)) } as const;
  assert.equal((await gather(verified(streamed([]), empty))).length, 0);
});

test("a changed byte is found before the last chunk is handed out", async () => {
  const changed = Buffer.from(content);
  changed[3]! ^= 1;
  const { bytes, error } = await drain(
    verified(streamOf(changed.subarray(0, 10), changed.subarray(10)), expected),
  );
  assert.throws(() => {
    throw error;
  }, hasCode("content-digest-mismatch"));
  assert.equal(bytes.length, 10);
});

test("content of another size is refused, and never more than the size comes out", async () => {
  const long = await drain(verified(streamOf(content, Buffer.from("x")), expected));
  assert.ok(hasCode("content-size-mismatch")(long.error));
  assert.ok(long.bytes.length <= content.length);
  const short = await drain(verified(streamOf(content.subarray(1)), expected));
  assert.ok(hasCode("content-size-mismatch")(short.error));
});

test("verified stops an endless source at its size", async () => {
  let pulled = 0;
  async function* endless(): AsyncGenerator<Uint8Array, void> {
    while (true) {
      pulled += 1;
      yield new Uint8Array(10);
    }
  }
  const { error } = await drain(verified(endless(), expected));
  assert.ok(hasCode("content-size-mismatch")(error));
  assert.equal(pulled, 5);
});

test("counted and observed see what passes", async () => {
  const tally = { bytes: 0 };
  const seen: number[] = [];
  const stream = observed(counted(streamOf(content, content), tally), (chunk) => seen.push(chunk.length));
  assert.equal((await gather(stream)).length, 2 * content.length);
  assert.equal(tally.bytes, 2 * content.length);
  assert.deepEqual(seen, [content.length, content.length]);
});

test("rechunked evens chunks out", async () => {
  const random = seededRandom(5);
  const bytes = randomBytes(random, 1000);
  for (let round = 0; round < 30; round++) {
    const lengths: number[] = [];
    const stream = rechunked(streamed(randomChunks(bytes, random, 1 + random(300))), 64);
    const result = await gather(observed(stream, (chunk) => lengths.push(chunk.length)));
    assert.ok(result.equals(bytes));
    assert.deepEqual(lengths, [...Array.from({ length: 15 }, () => 64), 40]);
  }
});

test("bounded stops at its size, and collect with it", async () => {
  assert.deepEqual(await gather(bounded(streamOf(content), { maxBytes: content.length })), content);
  const { bytes, error } = await drain(bounded(streamOf(content, content), { maxBytes: content.length }));
  assert.ok(hasCode("bomb")(error));
  assert.equal(bytes.length, content.length);
  assert.deepEqual(
    Buffer.from(await collect(streamOf(content, content), 1000)),
    Buffer.concat([content, content]),
  );
  await assert.rejects(collect(streamOf(content, content), content.length), hasCode("bomb"));
});

test("bounded stops what expands too much", async () => {
  const mebibyte = new Uint8Array(chunkBytes);
  const input = { bytes: 20_000 };
  const chunks = Array.from({ length: 40 }, () => mebibyte);
  const limit = { maxBytes: 1e9, maxRatio: 1100, input };
  const { bytes, error } = await drain(bounded(streamed(chunks), limit));
  assert.ok(hasCode("bomb")(error));
  assert.ok(bytes.length <= 20_000 * 1100);
  const free = await gather(bounded(streamed(chunks), { ...limit, freeBytes: 40 * chunkBytes }));
  assert.equal(free.length, 40 * chunkBytes);
  input.bytes = 50_000;
  assert.equal((await gather(bounded(streamed(chunks), limit))).length, 40 * chunkBytes);
});

test("files are read whole and in ranges", async () => {
  await withDirectory(async (dir) => {
    const file = path.join(dir, "data");
    const bytes = Buffer.from(randomBytes(seededRandom(4), 4 * chunkBytes + 77));
    fs.writeFileSync(file, bytes);
    assert.ok((await gather(readFileStream(file))).equals(bytes));
    const range = { start: 1000, length: chunkBytes + 5 };
    assert.ok(
      (await gather(readFileStream(file, range))).equals(bytes.subarray(1000, 1000 + chunkBytes + 5)),
    );
    assert.equal((await gather(readFileStream(file, { start: 5, length: 0 }))).length, 0);
    const copies: Buffer[] = [];
    const rooms = new Set<ArrayBufferLike>();
    for await (const chunk of readFileStream(file, { passing: true })) {
      // The next one is read meanwhile, elsewhere.
      await new Promise((resolve) => setTimeout(resolve, 5));
      copies.push(Buffer.from(chunk));
      rooms.add(chunk.buffer);
    }
    assert.ok(Buffer.concat(copies).equals(bytes));
    assert.ok(rooms.size <= 2 && copies.length >= rooms.size);
    await assert.rejects(
      gather(readFileStream(file, { start: bytes.length - 1, length: 2 })),
      hasCode("content-truncated"),
    );
    // Leaving early closes the file: more rounds than descriptors would otherwise run out of them.
    for (let round = 0; round < 50; round++) {
      for await (const chunk of readFileStream(file)) {
        assert.ok(chunk.length > 0 && chunk.length <= chunkBytes);
        break;
      }
    }
    const open = fs.readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`) === file;
      } catch {
        return false;
      }
    });
    assert.deepEqual(open, []);
  });
});
