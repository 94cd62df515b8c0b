import assert from "node:assert/strict";
import { test } from "node:test";
import { chainID, chainIDs } from "./chain-id.ts";
import { digestOf, formatDigest, isDigest, parseDigest, splitDigest } from "./digest.ts";
import { assertFails, bytesOf } from "./test-support.ts";

const sha256 = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

test("the digest of the empty object is the one of the image spec", () => {
  assert.equal(digestOf(bytesOf("{}")), `sha256:${sha256}`);
  assert.equal(splitDigest(digestOf(bytesOf("{}"), "sha512")).hex.length, 128);
});

test("a digest splits into algorithm and hex", () => {
  assert.deepEqual(splitDigest(parseDigest(`sha256:${sha256}`)), { algorithm: "sha256", hex: sha256 });
  assert.equal(splitDigest(parseDigest(`sha512:${sha256}${sha256}`)).algorithm, "sha512");
  assert.equal(formatDigest("sha256", sha256), `sha256:${sha256}`);
});

test("what is no digest is refused", () => {
  for (const text of [
    "",
    ":",
    "sha256",
    "sha256:",
    `:${sha256}`,
    sha256,
    `sha256:${sha256.toUpperCase()}`,
    `SHA256:${sha256}`,
    `sha256:${sha256}0`,
    `sha256:${sha256.slice(1)}`,
    `sha256:${sha256.slice(1)}g`,
    `sha256:${sha256}\n`,
    ` sha256:${sha256}`,
    `sha512:${sha256}`,
    `sha256:../../../etc/passwd`,
    `../sha256:${sha256}`,
    `sha256+foo+-b:${sha256}`,
    `sha256:${"a".repeat(100_000)}`,
    `__proto__:${sha256}`,
  ]) {
    assert.equal(isDigest(text), false, text);
    assertFails("digest-invalid", () => parseDigest(text), text);
  }
});

test("an algorithm that we cannot verify is unsupported, not invalid", () => {
  for (const text of [
    `sha384:${sha256.slice(0, 32)}${sha256}`,
    `blake3:${sha256}`,
    `sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564`,
    "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
    `constructor:${sha256}`,
    `md5:${sha256.slice(32)}`,
  ]) {
    const error = assertFails("digest-algorithm-unsupported", () => parseDigest(text), text);
    assert.equal(error.kind, "unsupported");
  }
});

test("a hostile digest cannot write to the terminal", () => {
  const error = assertFails("digest-invalid", () => parseDigest("sha256:\x1b]0;title\x07"));
  assert.doesNotMatch(error.message, /[\x00-\x1f]/);
});

test("chainIDs are those of the spec's recursion", () => {
  const a = formatDigest("sha256", "a".repeat(64));
  const b = formatDigest("sha256", "b".repeat(64));
  const c = formatDigest("sha512", "c".repeat(128));
  const ab = digestOf(bytesOf(`${a} ${b}`));
  assert.deepEqual(chainIDs([a, b, c]), [a, ab, digestOf(bytesOf(`${ab} ${c}`))]);
  // Computed by `printf '%s %s' sha256:aa… sha256:bb… | sha256sum`.
  assert.equal(ab, "sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c");
  assert.equal(chainID([c]), c);
  assert.equal(chainID([]), undefined);
  assert.notEqual(chainID([b, a]), ab);
});
