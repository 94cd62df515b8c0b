import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "./errors.ts";
import { parseJson, stringifyJson } from "./json.ts";
import { hasCode, seededRandom } from "./testing.ts";

const maxBytes = 1024 * 1024;
const parse = (text: string | Uint8Array, maxDepth?: number): unknown =>
  parseJson(typeof text === "string" ? Buffer.from(text) : text, { maxBytes, maxDepth });

test("valid documents parse as JSON.parse does", () => {
  const texts = [
    '{"a":[1,-2.5e+3,true,false,null,"x\\u0041\\n\\"/\\\\"],"b":{}}',
    " [ ] ",
    "0",
    "-0",
    "1E9",
    '"é😀"',
    "[[],[[]]]",
    '{"":""}',
    "\t\r\n{}\n",
    '{"_proto__":1,"__proto":2,"constructor":3}',
  ];
  for (const text of texts) assert.deepEqual(parse(text), JSON.parse(text));
});

test("of duplicate keys the last wins", () => {
  assert.deepEqual(parse('{"a":1,"a":2}'), { a: 2 });
});

test("what JSON.parse refuses is refused, with a place", () => {
  const texts = [
    "",
    " ",
    "{",
    "[1,]",
    "[,1]",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    "{a:1}",
    "[1 2]",
    "01",
    "1.",
    ".5",
    "+1",
    "1e",
    "-",
    "nul",
    "truex",
    '"a',
    '"\\x"',
    '"\\u12g4"',
    '"\\u123',
    '"\n"',
    "[]]",
    "{}{}",
    "'a'",
    "NaN",
    "\ufeff{}",
    '"\\',
    "[1}",
    '{"a":1]',
    '"\\u\u00101\u0011"',
  ];
  for (const text of texts) {
    assert.throws(() => JSON.parse(text), SyntaxError, text);
    assert.throws(() => parse(text), hasCode("json-syntax"), text);
  }
});

test("an error names line and column", () => {
  assert.throws(
    () => parse('{\n  "a": 1,\n  "b" 2\n}'),
    (error) => error instanceof VitrineError && error.message.includes("line 3 column 7"),
  );
});

test("depth is bounded before anything is built", () => {
  assert.deepEqual(parse("[[[]]]", 3), [[[]]]);
  assert.throws(() => parse("[[[[]]]]", 3), hasCode("json-too-deep"));
  assert.throws(() => parse("[".repeat(500_000)), hasCode("json-too-deep"));
  assert.throws(() => parse('{"a":'.repeat(100_000)), hasCode("json-too-deep"));
  // Brackets in strings nest nothing.
  assert.equal(parse(`"${"[".repeat(1000)}"`), "[".repeat(1000));
});

test("size is bounded", () => {
  assert.throws(() => parseJson(Buffer.from("[1,2]"), { maxBytes: 4 }), hasCode("json-too-large"));
});

test("bytes that are not UTF-8 are refused", () => {
  assert.throws(() => parse(Uint8Array.of(0x22, 0xff, 0x22)), hasCode("json-not-utf8"));
  assert.throws(() => parse(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)), hasCode("json-not-utf8"));
});

test("__proto__ is refused however it is spelled", () => {
  const spellings = [
    "__proto__",
    "\\u005f_proto__",
    "__pr\\u006fto__",
    "__proto__".replace(/./g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`),
  ];
  for (const spelling of spellings) {
    assert.throws(
      () => parse(`{"x":[{"${spelling}":{"polluted":1}}]}`),
      hasCode("json-forbidden-key"),
      spelling,
    );
  }
  assert.equal(parse('"__proto__"'), "__proto__");
});

test("mutated documents are judged as JSON.parse judges them", () => {
  const random = seededRandom(7);
  const seed = Buffer.from('{"a":[1,-2.5e3,true,null,"x\\u0041\\n"],"b":{"c":"d","e":[]},"f":0}');
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(seed);
    for (let edits = 1 + random(3); edits > 0; edits--) {
      bytes[random(bytes.length)] = '{}[]",:\\u0123456789.eE+-truefalsn \n\x01'.charCodeAt(random(38));
    }
    const text = bytes.toString("latin1");
    let expected: unknown;
    try {
      expected = JSON.parse(text);
    } catch {
      refused += 1;
      assert.throws(() => parse(bytes), hasCode("json-syntax"), text);
      continue;
    }
    assert.deepEqual(parse(bytes), expected, text);
  }
  assert.ok(refused > 1000 && refused < 20_000);
});

test("text with sorted keys does not depend on insertion order", () => {
  const left = { b: 1, a: { d: [3, { z: 1, y: 2 }], c: undefined } };
  const right = { a: { c: undefined, d: [3, { y: 2, z: 1 }] }, b: 1 };
  assert.equal(stringifyJson(left, { sortKeys: true }), '{"a":{"d":[3,{"y":2,"z":1}]},"b":1}');
  assert.equal(stringifyJson(left, { sortKeys: true }), stringifyJson(right, { sortKeys: true }));
  assert.equal(stringifyJson({ b: 1, a: 2 }), '{"b":1,"a":2}');
  assert.equal(stringifyJson({ a: [1] }, { indent: 2 }), '{\n  "a": [\n    1\n  ]\n}');
});

test("a value without a JSON form is an error", () => {
  assert.throws(() => stringifyJson(undefined), hasCode("json-no-form"));
});

test("depth is counted, not brackets: what is wide may have many", () => {
  for (const count of [1000, 5000]) {
    const wide = `[${"[{}],".repeat(count)}[]]`;
    assert.equal((parse(wide, 3) as unknown[]).length, count + 1);
    assert.throws(() => parse(wide, 2), hasCode("json-too-deep"));
  }
});
