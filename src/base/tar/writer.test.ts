import assert from "node:assert/strict";
import { test } from "node:test";
import { chunkBytes, streamOf } from "../streams.ts";
import { gather, hasCode, randomBytes, seededRandom } from "../testing.ts";
import { parseAll } from "./testing.ts";
import { encodeHeader, type TarInput, writeTar } from "./writer.ts";

test("the same members give the same bytes, however their bodies come", async () => {
  const body = randomBytes(seededRandom(2), 3 * chunkBytes + 7);
  const xattrs: [string, Uint8Array][] = [
    ["user.b", Uint8Array.of(1)],
    ["user.a", Uint8Array.of(2)],
  ];
  const whole: TarInput[] = [{ path: "f", type: "file", body, xattrs: new Map(xattrs) }];
  async function* streamedMembers(): AsyncGenerator<TarInput, void> {
    const parts = streamOf(body.subarray(0, 5), body.subarray(5));
    yield { path: "f", type: "file", size: body.length, body: parts, xattrs: new Map([...xattrs].reverse()) };
  }
  const first = await gather(writeTar(whole));
  assert.ok(first.equals(await gather(writeTar(streamedMembers()))));
  assert.ok(parseAll([first])[0]!.data.equals(body));
  assert.equal(first.length % 512, 0);
});

test("a plain member is one ustar header without pax", () => {
  const header = Buffer.from(encodeHeader({ path: "a", type: "file", mtimeSeconds: 1 }, 3));
  assert.equal(header.length, 512);
  assert.equal(header.toString("latin1", 257, 265), "ustar\x0000");
});

test("a body of another length than announced is an error", async () => {
  const member = (size: number, body: TarInput["body"]): TarInput => ({
    path: "f",
    type: "file",
    size,
    body,
  });
  for (const size of [2, 4]) {
    await assert.rejects(
      gather(writeTar([member(size, streamOf(Buffer.from("abc")))])),
      hasCode("tar-body-size"),
    );
    await assert.rejects(gather(writeTar([member(size, Buffer.from("abc"))])), hasCode("tar-body-size"));
  }
  await assert.rejects(
    gather(writeTar([{ path: "f", type: "file", body: streamOf(Buffer.from("abc")) }])),
    hasCode("tar-body-size"),
  );
  await assert.rejects(
    gather(writeTar([{ path: "d", type: "directory", body: Buffer.from("abc") }])),
    hasCode("tar-body-size"),
  );
});

test("what tar cannot say is refused", () => {
  const refused: TarInput[] = [
    { path: "a\0b", type: "file" },
    { path: "", type: "file" },
    { path: "l", type: "symlink", linkTarget: "a\0" },
    { path: "f", type: "file", uid: -1 },
    { path: "f", type: "file", uid: 1.5 },
    { path: "f", type: "file", mtimeNanoseconds: 1e9 },
    { path: "n", type: "char", devMajor: 2 ** 33 },
    { path: "f", type: "file", xattrs: new Map([["user.a=b", new Uint8Array(0)]]) },
  ];
  for (const member of refused) {
    assert.throws(() => encodeHeader(member, 0), hasCode("tar-unwritable"), JSON.stringify(member));
  }
});

test("device numbers of Linux, 12 and 20 bits, are kept", async () => {
  const input: TarInput = { path: "n", type: "block", devMajor: 0xfff, devMinor: 0xfffff };
  const { entry } = parseAll([await gather(writeTar([input]))])[0]!;
  assert.deepEqual([entry.devMajor, entry.devMinor], [0xfff, 0xfffff]);
});

test("small members come in few chunks", async () => {
  const small: TarInput[] = Array.from({ length: 5000 }, (_, index) => ({
    path: `f${index}`,
    type: "file",
    body: Buffer.from("x"),
  }));
  let chunks = 0;
  for await (const chunk of writeTar(small)) {
    assert.ok(chunk.length > 0);
    chunks += 1;
  }
  assert.ok(chunks <= 6, `${chunks}`);
});
