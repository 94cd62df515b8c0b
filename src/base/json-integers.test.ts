import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJson } from "./json.ts";

const text = '{"a":18446744073709551615,"b":9007199254740993,"c":1.5e300,"d":-9223372036854775808,"e":42}';
const bytes = new TextEncoder().encode(text);

test("integers beyond 2^53 are exact where asked for", () => {
  assert.deepEqual(parseJson(bytes, { maxBytes: 1000, exactIntegers: true }), {
    a: 18446744073709551615n,
    b: 9007199254740993n,
    c: 1.5e300,
    d: -9223372036854775808n,
    e: 42,
  });
});

test("integers are doubles otherwise", () => {
  assert.deepEqual(parseJson(bytes, { maxBytes: 1000 }), JSON.parse(text));
});

test("wherever in the text they stand, and however many digits they have", () => {
  for (let before = 0; before < 40; before++) {
    for (const digits of ["9007199254740993", "18446744073709551615"]) {
      const padded = new TextEncoder().encode(`{${" ".repeat(before)}"a":${digits},"b":123456789012345}`);
      assert.deepEqual(parseJson(padded, { maxBytes: 1000, exactIntegers: true }), {
        a: BigInt(digits),
        b: 123456789012345,
      });
    }
  }
});
