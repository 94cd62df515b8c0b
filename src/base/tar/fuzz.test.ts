/** Seeded mutations of archives that use every format: the parser ends with members or with a VitrineError, nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../errors.ts";
import { limits } from "../limits.ts";
import { gather, randomBytes, seededRandom } from "../testing.ts";
import { gnuLong, headerBlock, padded, paxBlocks, withChecksum, zeroBlocks } from "./testdata.ts";
import { parseAll } from "./testing.ts";
import { writeTar } from "./writer.ts";

/** GNU's old sparse header: two runs, one extension block with one more. */
function oldSparse(): Buffer {
  const header = headerBlock({ name: "s", type: "S", size: 1536, magic: "ustar  \0" });
  const run = (block: Buffer, at: number, offset: number, length: number): void => {
    block.write(
      `${offset.toString(8).padStart(11, "0")}\0${length.toString(8).padStart(11, "0")}\0`,
      at,
      "latin1",
    );
  };
  run(header, 386, 512, 512);
  run(header, 410, 2048, 512);
  header[482] = 1;
  header.write("00000020000\0", 483, "latin1");
  const extension = Buffer.alloc(512);
  run(extension, 0, 4096, 512);
  run(extension, 24, 8192, 0);
  return Buffer.concat([headerBlock(header), extension, Buffer.alloc(1536, "s")]);
}

function bodySparse(): Buffer {
  const records: [string, string][] = [
    ["GNU.sparse.major", "1"],
    ["GNU.sparse.minor", "0"],
    ["GNU.sparse.name", "sparse"],
    ["GNU.sparse.realsize", "5000"],
  ];
  const body = Buffer.concat([padded(Buffer.from("2\n100\n10\n4000\n20\n")), Buffer.alloc(30, "d")]);
  return Buffer.concat([paxBlocks(records), headerBlock({ name: "x", size: body.length }), padded(body)]);
}

function listSparse(): Buffer {
  const map: [string, string][] = [
    ["GNU.sparse.map", "0,5,100,5"],
    ["GNU.sparse.size", "200"],
  ];
  const pairs: [string, string][] = [
    ["GNU.sparse.size", "200"],
    ["GNU.sparse.numblocks", "2"],
    ["GNU.sparse.offset", "0"],
    ["GNU.sparse.numbytes", "5"],
    ["GNU.sparse.offset", "100"],
    ["GNU.sparse.numbytes", "5"],
  ];
  const file = Buffer.concat([headerBlock({ name: "x", size: 10 }), padded(Buffer.alloc(10, "d"))]);
  return Buffer.concat([paxBlocks(map), file, paxBlocks(pairs), file]);
}

async function seedArchive(): Promise<Buffer> {
  const written = await gather(
    writeTar([
      { path: "d", type: "directory" },
      {
        path: "é".repeat(80),
        type: "file",
        body: Buffer.alloc(700, "x"),
        mtimeNanoseconds: 5,
        uid: 3_000_000,
      },
      { path: "x", type: "file", xattrs: new Map([["user.a", Uint8Array.of(1, 2)]]) },
    ]),
  );
  return Buffer.concat([
    written.subarray(0, -1024),
    paxBlocks([["gid", "5"]], "g"),
    gnuLong("L", "n".repeat(200)),
    gnuLong("K", "k".repeat(200)),
    headerBlock({ name: "l", type: "2", linkName: "t", uid: 2 ** 30, base256: true }),
    oldSparse(),
    bodySparse(),
    listSparse(),
    headerBlock({ name: "old/", magic: "", type: "\0", size: 3 }),
    padded(Buffer.from("abc")),
    zeroBlocks,
  ]);
}

test("the seed itself parses", async () => {
  const seen = parseAll([await seedArchive()]);
  assert.deepEqual(
    seen.map(({ entry }) => [entry.type, entry.size, entry.sparse?.length]),
    [
      ["directory", 0, undefined],
      ["file", 700, undefined],
      ["file", 0, undefined],
      ["symlink", 0, undefined],
      ["file", 8192, 3],
      ["file", 5000, 2],
      ["file", 200, 2],
      ["file", 200, 2],
      ["directory", 0, undefined],
    ],
  );
});

const interesting = [
  0, 1, 0x20, 0x30, 0x37, 0x38, 0x39, 0x2c, 0x0a, 0x3d, 0x2d, 0x7f, 0x80, 0xbf, 0xc0, 0xff,
];

test("mutated archives: members within limits or a VitrineError, the same for any chunking", async () => {
  const seed = await seedArchive();
  const random = seededRandom(99);
  let parsed = 0;
  const codes = new Map<string, number>();
  const outcome = (chunks: readonly Uint8Array[]): unknown => {
    try {
      return parseAll(chunks);
    } catch (error) {
      if (!(error instanceof VitrineError)) throw error;
      return error.code;
    }
  };
  for (let round = 0; round < 6000; round++) {
    const bytes = Buffer.from(seed);
    for (let edits = 1 + random(4); edits > 0; edits--) {
      const at = random(bytes.length);
      if (random(4) === 0) bytes.set(randomBytes(random, Math.min(1 + random(12), bytes.length - at)), at);
      else bytes[at] = interesting[random(interesting.length)]!;
      // Most changes would only fail the checksum: mend it, so that what lies behind it is reached.
      const block = at - (at % 512);
      const isHeader = bytes.toString("latin1", block + 257, block + 262) === "ustar";
      if (isHeader && random(8) !== 0) withChecksum(bytes.subarray(block, block + 512) as Buffer, false);
    }
    const end = random(10) === 0 ? random(bytes.length) : bytes.length;
    const archive = bytes.subarray(0, end);
    const result = outcome([archive]);
    if (typeof result === "string") codes.set(result, (codes.get(result) ?? 0) + 1);
    else {
      parsed += 1;
      for (const { entry } of result as ReturnType<typeof parseAll>) {
        assert.ok(entry.size >= 0 && entry.size <= limits.tarFileBytes);
        assert.ok(entry.path !== "" && !entry.path.includes("\0"));
        assert.ok(entry.mode >= 0 && entry.mode <= 0o7777);
        assert.ok(entry.uid >= 0 && entry.uid < 0xffffffff && entry.gid >= 0 && entry.gid < 0xffffffff);
        assert.ok(Number.isSafeInteger(entry.mtimeSeconds));
        assert.ok(entry.mtimeNanoseconds >= 0 && entry.mtimeNanoseconds < 1e9);
      }
    }
    if (round % 4 === 0) {
      const cut = random(archive.length + 1);
      assert.deepEqual(outcome([archive.subarray(0, cut), archive.subarray(cut)]), result);
    }
  }
  // The mutations reach both sides of the decisions that matter.
  assert.ok(parsed > 500, `${parsed}`);
  for (const code of [
    "tar-checksum",
    "tar-invalid-header",
    "tar-invalid-pax",
    "tar-invalid-sparse",
    "tar-truncated",
    "tar-unsupported",
  ]) {
    assert.ok((codes.get(code) ?? 0) > 0, `${code} never seen: ${JSON.stringify([...codes])}`);
  }
});

test("random bytes never pass for an archive", () => {
  const random = seededRandom(100);
  for (let round = 0; round < 500; round++) {
    const bytes = randomBytes(random, 512 * (1 + random(6)));
    bytes[0] = 1 + random(255);
    assert.throws(() => parseAll([bytes]), VitrineError);
  }
});
