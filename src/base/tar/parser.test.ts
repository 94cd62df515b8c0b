import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../errors.ts";
import { hasCode, seededRandom } from "../testing.ts";
import { decodeText } from "../text.ts";
import { TarParser } from "./parser.ts";
import { type Fields, gnuLong, headerBlock, padded, paxBlocks, zeroBlocks } from "./testdata.ts";
import { parseAll, type Seen } from "./testing.ts";

function only(...parts: readonly Uint8Array[]): Seen {
  const seen = parseAll([Buffer.concat([...parts, zeroBlocks])]);
  assert.equal(seen.length, 1);
  return seen[0]!;
}

const file = (fields: Partial<Fields>, body = ""): Buffer =>
  Buffer.concat([
    headerBlock({ name: "f", size: Buffer.byteLength(body), ...fields }),
    padded(Buffer.from(body)),
  ]);

test("a ustar member with all its fields", () => {
  const { entry, data } = only(
    file({ name: "b", prefix: "a", mode: 0o4755, uid: 1000, gid: 50, mtime: 1234567890 }, "hello"),
  );
  assert.equal(entry.path, "a/b");
  assert.equal(entry.type, "file");
  assert.equal(entry.mode, 0o4755);
  assert.deepEqual([entry.uid, entry.gid, entry.size], [1000, 50, 5]);
  assert.deepEqual([entry.mtimeSeconds, entry.mtimeNanoseconds], [1234567890, 0]);
  assert.deepEqual([entry.bodyOffset, entry.bodySize], [512, 5]);
  assert.equal(entry.sparse, undefined);
  assert.equal(data.toString(), "hello");
});

test("types", () => {
  const types = {
    "0": "file",
    "\0": "file",
    "7": "file",
    "1": "hardlink",
    "2": "symlink",
    "3": "char",
    "4": "block",
    "5": "directory",
    "6": "fifo",
  };
  for (const [type, expected] of Object.entries(types)) {
    const { entry } = only(file({ type, linkName: "target", devMajor: 8, devMinor: 300 }));
    assert.equal(entry.type, expected);
    const isLink = expected === "hardlink" || expected === "symlink";
    assert.equal(entry.linkTarget, isLink ? "target" : "");
    const isDevice = expected === "char" || expected === "block";
    assert.deepEqual([entry.devMajor, entry.devMinor], isDevice ? [8, 300] : [0, 0]);
  }
});

test("a v7 header: no magic, what lies in the ustar fields is not read, a slash makes a directory", () => {
  const { entry } = only(file({ name: "old/", magic: "", type: "\0", prefix: "junk" }));
  assert.equal(entry.path, "old/");
  assert.equal(entry.type, "directory");
});

test("a v7 directory with a body: the body is no data", () => {
  const seen = parseAll([
    Buffer.concat([
      file({ name: "old/", magic: "", type: "\0" }, "body"),
      file({ name: "next" }, "x"),
      zeroBlocks,
    ]),
  ]);
  assert.deepEqual(
    seen.map(({ entry }) => [entry.path, entry.type, entry.size]),
    [
      ["old/", "directory", 0],
      ["next", "file", 1],
    ],
  );
  assert.equal(seen[0]!.data.length, 0);
});

test("members that can have no body have none, whatever size says", () => {
  for (const type of ["1", "2", "3", "4", "5", "6"]) {
    const seen = parseAll([
      Buffer.concat([
        headerBlock({ name: "n", type, linkName: "t", size: 512 }),
        file({ name: "next" }, "x"),
        zeroBlocks,
      ]),
    ]);
    assert.deepEqual(
      seen.map(({ entry }) => [entry.path, entry.size]),
      [
        ["n", 0],
        ["next", 1],
      ],
    );
  }
});

test("GNU magic: the prefix area is not a prefix", () => {
  assert.equal(only(file({ magic: "ustar  \0", prefix: "12345670123" })).entry.path, "f");
});

test("GNU long names and links, and pax over them", () => {
  const name = `${"d/".repeat(120)}name`;
  const target = "t".repeat(300);
  const { entry } = only(gnuLong("L", name), gnuLong("K", target), file({ type: "2", linkName: "short" }));
  assert.equal(entry.path, name);
  assert.equal(entry.linkTarget, target);
  assert.equal(only(gnuLong("L", name), paxBlocks([["path", "pax"]]), file({})).entry.path, "pax");
});

test("base-256 numbers, also negative", () => {
  const { entry } = only(
    file({ uid: 2 ** 31 + 5, gid: 3_000_000_000, mtime: -1_000_000_000, base256: true }),
  );
  assert.deepEqual([entry.uid, entry.gid, entry.mtimeSeconds], [2 ** 31 + 5, 3_000_000_000, -1_000_000_000]);
  assert.throws(() => only(file({ mtime: 2 ** 60, base256: true })), hasCode("tar-invalid-header"));
  assert.throws(() => only(file({ size: -1, base256: true })), hasCode("tar-invalid-header"));
});

test("pax overrides names, ids, size and times", () => {
  const records: [string, string][] = [
    ["path", "dir/ünïcode"],
    ["uid", "4000000000"],
    ["gid", "70000"],
    ["mtime", "1700000000.123456789"],
    ["size", "3"],
    ["comment", "ignored"],
  ];
  const { entry, data } = only(
    paxBlocks(records),
    headerBlock({ name: "f", size: 0 }),
    padded(Buffer.from("abc")),
  );
  assert.equal(entry.path, "dir/ünïcode");
  assert.deepEqual([entry.uid, entry.gid, entry.size], [4000000000, 70000, 3]);
  assert.deepEqual([entry.mtimeSeconds, entry.mtimeNanoseconds], [1700000000, 123456789]);
  assert.equal(data.toString(), "abc");
});

test("pax times round down", () => {
  const cases: [string, number, number][] = [
    ["0", 0, 0],
    ["-0", 0, 0],
    ["1.5", 1, 500_000_000],
    ["1.", 1, 0],
    ["-1.5", -2, 500_000_000],
    ["-0.000000001", -1, 999_999_999],
    ["-1", -1, 0],
    ["1.9999999999", 1, 999_999_999],
    ["-1.0000000001", -2, 999_999_999],
    ["-0.9999999999", -1, 0],
  ];
  for (const [text, seconds, nanoseconds] of cases) {
    const { entry } = only(paxBlocks([["mtime", text]]), file({}));
    assert.deepEqual([entry.mtimeSeconds, entry.mtimeNanoseconds], [seconds, nanoseconds], text);
  }
  for (const text of ["x", "1e5", "--1", "1.5.5", " 1", "99999999999999999"]) {
    assert.throws(() => only(paxBlocks([["mtime", text]]), file({})), hasCode("tar-invalid-pax"), text);
  }
});

test("CVE-2025-62518: the pax size rules the body, so nothing in it is taken for a member", () => {
  const hidden = file({ name: "hidden" }, "evil");
  const seen = parseAll([
    Buffer.concat([
      paxBlocks([["size", `${hidden.length}`]]),
      headerBlock({ name: "nested.tar", size: 0 }),
      hidden,
      file({ name: "after" }),
      zeroBlocks,
    ]),
  ]);
  assert.deepEqual(
    seen.map(({ entry }) => entry.path),
    ["nested.tar", "after"],
  );
  assert.ok(seen[0]!.data.equals(hidden));
});

test("global records hold until they are taken back, and local ones win", () => {
  const seen = parseAll([
    Buffer.concat([
      paxBlocks(
        [
          ["uid", "77"],
          ["gid", "78"],
        ],
        "g",
      ),
      file({ name: "a" }),
      paxBlocks([["uid", "99"]]),
      file({ name: "b" }),
      paxBlocks([["uid", ""]]),
      file({ name: "c", uid: 5 }),
      file({ name: "d" }),
      paxBlocks([["uid", ""]], "g"),
      file({ name: "e", uid: 6 }),
      zeroBlocks,
    ]),
  ]);
  assert.deepEqual(
    seen.map(({ entry }) => [entry.path, entry.uid, entry.gid]),
    [
      ["a", 77, 78],
      ["b", 99, 78],
      ["c", 5, 78],
      ["d", 77, 78],
      ["e", 6, 78],
    ],
  );
});

test("xattrs of both spellings, binary values untouched", () => {
  const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
  const { entry } = only(
    paxBlocks([
      ["SCHILY.xattr.security.capability", capability],
      ["SCHILY.xattr.user.empty", ""],
      ["SCHILY.xattr.user.newline", "a\n12 path=evil\nb\0="],
      ["LIBARCHIVE.xattr.user.na%3Dme", Buffer.from("value").toString("base64")],
      ["LIBARCHIVE.xattr.user.newline", Buffer.from("loses").toString("base64")],
    ]),
    file({}),
  );
  assert.equal(entry.path, "f");
  assert.deepEqual(
    [...entry.xattrs].map(([name, value]) => [name, Buffer.from(value).toString("latin1")]),
    [
      ["security.capability", capability.toString("latin1")],
      ["user.empty", ""],
      ["user.newline", "a\n12 path=evil\nb\0="],
      ["user.na=me", "value"],
    ],
  );
});

test("names that are not UTF-8 keep their bytes, in headers, long names and pax", () => {
  const name = Buffer.of(0x61, 0xff, 0xe9, 0x2f, 0xc3, 0xa9);
  for (const parts of [
    [file({ name })],
    [gnuLong("L", name), file({})],
    [paxBlocks([["path", name]]), file({})],
  ]) {
    assert.equal(only(...parts).entry.path, decodeText(name));
  }
});

test("checksums: signed sums are accepted, wrong ones are not", () => {
  const name = Buffer.of(0xff, 0xfe, 0x61);
  const signed = headerBlock({ name, signedChecksum: true });
  assert.equal(only(signed).entry.path, decodeText(name));
  const wrong = headerBlock({ name: "f" });
  wrong[0]! ^= 1;
  assert.throws(() => only(wrong), hasCode("tar-checksum"));
});

test("what is no tar archive at all is told as such, with a hint", () => {
  const notTar = (error: unknown): boolean =>
    error instanceof VitrineError &&
    error.message === "this is not a tar archive" &&
    error.hint !== undefined;
  assert.throws(() => parseAll([Buffer.alloc(1024, "no archive at all ")]), notTar);
  assert.throws(() => parseAll([Buffer.from("hello\n")]), notTar);
  assert.throws(
    () => parseAll([file({}), Buffer.alloc(1024, "no archive at all ")]),
    (error) => error instanceof VitrineError && error.code === "tar-checksum" && !notTar(error),
  );
});

test("numbers: spaces, NULs and empty fields as archivers write them", () => {
  const block = headerBlock({ name: "f" });
  block.write("   644 \0", 100, "latin1");
  block.fill(0, 108, 116);
  block.write("17\0 junk", 116, "latin1");
  const { entry } = only(headerBlock(block));
  assert.deepEqual([entry.mode, entry.uid, entry.gid], [0o644, 0, 0o17]);
  for (const text of ["8", "12x", "-1", "1 2"]) {
    const bad = headerBlock({ name: "f" });
    bad.write(`${text}\0\0\0\0\0\0\0\0`.slice(0, 8), 108, "latin1");
    assert.throws(() => only(headerBlock(bad)), hasCode("tar-invalid-header"), text);
  }
});

test("owners that chown would take for 'leave it' are refused", () => {
  assert.throws(() => only(file({ uid: 0xffffffff, base256: true })), hasCode("tar-invalid-header"));
  assert.throws(() => only(paxBlocks([["gid", "4294967295"]]), file({})), hasCode("tar-invalid-header"));
  assert.throws(() => only(file({ uid: -1, base256: true })), hasCode("tar-invalid-header"));
});

test("the end: two zero blocks, one at the end of file, or none", () => {
  const member = file({}, "x");
  assert.equal(parseAll([member]).length, 1);
  assert.equal(parseAll([member, Buffer.alloc(512)]).length, 1);
  assert.equal(parseAll([member, zeroBlocks, Buffer.alloc(9000)]).length, 1);
  assert.equal(parseAll([member, zeroBlocks, member, Buffer.from("junk")]).length, 1);
  assert.equal(parseAll([]).length, 0);
  assert.equal(parseAll([zeroBlocks]).length, 0);
  // Without the padding of the last member.
  assert.equal(parseAll([member.subarray(0, 513)]).length, 1);
  assert.throws(() => parseAll([member, Buffer.alloc(512), member]), hasCode("tar-invalid-header"));
});

test("an archive that ends inside a member is truncated", () => {
  const whole = Buffer.concat([
    paxBlocks([["path", "long"]]),
    file({}, "x".repeat(600)),
    gnuLong("L", "n".repeat(200)),
    file({}, "y"),
  ]);
  const complete: number[] = [];
  for (let length = 1; length < whole.length; length++) {
    let seen: Seen[] | undefined;
    try {
      seen = parseAll([whole.subarray(0, length)]);
    } catch (error) {
      assert.ok(hasCode("tar-truncated")(error));
    }
    if (seen !== undefined) complete.push(length);
  }
  // After the first member's data (with any part of its padding), and after the second's.
  const first = 512 * 3 + 600;
  const expected = [
    ...Array.from({ length: 512 * 5 - first + 1 }, (_, index) => first + index),
    ...Array.from({ length: whole.length - (512 * 8 + 1) }, (_, index) => 512 * 8 + 1 + index),
  ];
  assert.deepEqual(complete, expected);
});

test("an extended header without a member is refused", () => {
  assert.throws(() => parseAll([paxBlocks([["path", "x"]]), zeroBlocks]), hasCode("tar-invalid-header"));
});

test("malformed pax headers", () => {
  const bodies = [
    "5 a=b\n",
    "6 a=b",
    "7 a=b\n",
    "06a=b\n",
    "a=b\n",
    "9999999999 a=b\n",
    "99999999999999 a=b\n",
    "6 a b\n",
    "5 =b\n",
    "-6 a=b\n",
    "6\ta=b\n",
    "0 a=b\n",
    "2 \n",
    "6 a=b\nx",
    "11 uid=abc\n",
    "10 uid=-1\n",
    "13 size=1e30\n",
    "9 path=\0\n",
    "26 SCHILY.xattr.=value123\n",
    "33 LIBARCHIVE.xattr.user%00x=YQ==\n",
  ];
  for (const body of bodies) {
    const raw = Buffer.concat([
      headerBlock({ name: "x", type: "x", size: body.length }),
      padded(Buffer.from(body)),
    ]);
    assert.throws(
      () => only(raw, file({})),
      (error) => {
        try {
          return hasCode("tar-invalid-pax")(error);
        } catch {
          return hasCode("tar-invalid-header")(error);
        }
      },
      JSON.stringify(body),
    );
  }
});

test("limits hold before memory is taken", () => {
  const large = headerBlock({ name: "x", type: "x", size: 2 ** 32 });
  assert.throws(() => parseAll([large]), hasCode("tar-limit-header"));
  assert.throws(
    () => parseAll([headerBlock({ name: "L", type: "L", size: 2 ** 40, base256: true })]),
    hasCode("tar-limit-header"),
  );
  assert.throws(() => only(gnuLong("L", "x".repeat(5000)), file({})), hasCode("tar-limit-path"));
  assert.throws(() => only(gnuLong("K", "x".repeat(5000)), file({ type: "2" })), hasCode("tar-limit-path"));
  const members = Buffer.concat([file({}), file({}), file({})]);
  assert.throws(() => parseAll([members], { maxEntries: 2 }), hasCode("tar-limit-entries"));
  const many: [string, string][] = Array.from({ length: 200 }, (_, index) => [
    `SCHILY.xattr.user.${index}`,
    "v",
  ]);
  assert.throws(() => only(paxBlocks(many), file({})), hasCode("tar-limit-xattrs"));
  assert.throws(
    () => only(paxBlocks([["SCHILY.xattr.user.a", "v".repeat(70_000)]]), file({})),
    hasCode("tar-limit-xattrs"),
  );
  assert.throws(
    () => parseAll([headerBlock({ name: "f", size: 2 ** 52, base256: true })]),
    hasCode("tar-limit-size"),
  );
});

test("unknown types and names without characters are refused", () => {
  for (const type of ["M", "D", "Z", "8", "\x01"]) {
    assert.throws(() => only(file({ type })), hasCode("tar-unsupported"), type);
  }
  assert.throws(() => only(file({ name: "" })), hasCode("tar-invalid-header"));
  assert.throws(() => only(file({ type: "2", linkName: "" })), hasCode("tar-invalid-header"));
  assert.throws(() => only(paxBlocks([["path", "a\0b"]]), file({})), hasCode("tar-invalid-header"));
});

test("a GNU volume label is no member", () => {
  assert.equal(only(file({ name: "label", type: "V" }, "data of it"), file({})).entry.path, "f");
});

test("chunks may end anywhere", () => {
  const archive = Buffer.concat([
    paxBlocks([
      ["path", "a".repeat(300)],
      ["SCHILY.xattr.user.x", "y"],
    ]),
    file({}, "x".repeat(1000)),
    gnuLong("L", "n".repeat(700)),
    file({}, "y".repeat(512)),
    file({ type: "5", name: "d/" }),
    zeroBlocks,
  ]);
  const whole = parseAll([archive]);
  const random = seededRandom(21);
  for (let round = 0; round < 200; round++) {
    const chunks: Buffer[] = [];
    for (let at = 0; at < archive.length; ) {
      const length = 1 + random(round % 2 === 0 ? 30 : 1500);
      chunks.push(archive.subarray(at, at + length));
      at += length;
    }
    assert.deepEqual(parseAll(chunks), whole);
  }
});

test("a body can be passed without its bytes: the same places as when they are pushed", () => {
  const records = [
    ["GNU.sparse.major", "0"],
    ["GNU.sparse.minor", "1"],
    ["GNU.sparse.map", "0,700,5000,600"],
    ["GNU.sparse.size", "9000"],
  ] as const;
  const archive = Buffer.concat([
    file({ name: "plain" }, "x".repeat(1300)),
    paxBlocks(records),
    file({ name: "sparse" }, "y".repeat(1300)),
    file({ name: "empty" }),
    // A v7 directory with a body, which is dropped.
    file({ name: "old/", magic: "", type: "\0" }, "dropped"),
    zeroBlocks,
  ]);
  const bytesOf = (pass: number | undefined): readonly string[] => {
    const seen: string[] = [];
    let name = "";
    const parser = new TarParser({
      onEntry: (entry) => {
        name = entry.path;
        seen.push(name);
      },
      onData: (offset, chunk) => {
        for (let at = 0; at < chunk.length; at++) seen.push(`${name} ${offset + at} ${chunk[at]}`);
      },
      onEnd: () => seen.push("end"),
    });
    for (let at = 0; at < archive.length; ) {
      const passed =
        pass === undefined
          ? 0
          : parser.passBody(Math.min(pass, archive.length - at), (offset, length) => {
              for (let i = 0; i < length; i++) seen.push(`${name} ${offset + i} ${archive[at + i]}`);
            });
      if (passed === 0) parser.push(archive.subarray(at, at + 1));
      at += Math.max(passed, 1);
    }
    parser.finish();
    return seen;
  };
  const expected = bytesOf(undefined);
  assert.ok(expected.includes("sparse 5599 121"));
  for (const most of [1, 77, 512, 100_000]) assert.deepEqual(bytesOf(most), expected);
});
