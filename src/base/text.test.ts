import assert from "node:assert/strict";
import { test } from "node:test";
import { randomBytes, seededRandom } from "./testing.ts";
import { decodeText, encodeText } from "./text.ts";

test("ordinary UTF-8 is ordinary text", () => {
  for (const text of ["", "a", "naïve/ファイル/😀", "\u{10ffff}", "\ufeffbom", "\0"]) {
    assert.equal(decodeText(Buffer.from(text)), text);
    assert.deepEqual(Buffer.from(encodeText(text)), Buffer.from(text));
  }
});

test("bytes that are not UTF-8 become lone surrogates of their value", () => {
  assert.equal(decodeText(Uint8Array.of(0x61, 0xff, 0x62)), "a\udcffb");
  // Latin-1 é, a cut sequence, an overlong slash, a surrogate in CESU style, beyond Unicode.
  assert.equal(decodeText(Uint8Array.of(0xe9)), "\udce9");
  assert.equal(decodeText(Uint8Array.of(0xe2, 0x82)), "\udce2\udc82");
  assert.equal(decodeText(Uint8Array.of(0xc0, 0xaf)), "\udcc0\udcaf");
  assert.equal(decodeText(Uint8Array.of(0xed, 0xb3, 0xbf)), "\udced\udcb3\udcbf");
  assert.equal(decodeText(Uint8Array.of(0xf4, 0x90, 0x80, 0x80)), "\udcf4\udc90\udc80\udc80");
});

test("any bytes survive the round trip, and agree with the strict decoder where it accepts them", () => {
  const random = seededRandom(1);
  const fragments = [
    [0x41],
    [0xc3, 0xa9],
    [0xe2, 0x82, 0xac],
    [0xf0, 0x9f, 0x98, 0x80],
    [0xed, 0xa0, 0x80],
    [0x80],
    [0xff],
    [0xf0, 0x9f],
  ];
  for (let round = 0; round < 3000; round++) {
    const bytes =
      round % 2 === 0
        ? randomBytes(random, random(12))
        : Uint8Array.from(
            Array.from({ length: random(6) }, () => fragments[random(fragments.length)]!).flat(),
          );
    const text = decodeText(bytes);
    assert.deepEqual(Buffer.from(encodeText(text)), Buffer.from(bytes));
    let strict: string | undefined;
    try {
      strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      assert.equal(text.isWellFormed(), false);
    }
    if (strict !== undefined) assert.equal(text, strict);
  }
});

test("lone surrogates that stand for no byte are replaced", () => {
  assert.deepEqual(encodeText("\ud800"), Uint8Array.of(0xef, 0xbf, 0xbd));
});
