import assert from "node:assert/strict";
import { test } from "node:test";
import { createHasher, hashHex } from "./hash.ts";

const sha256OfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const sha512OfAbc =
  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

test("the vectors of FIPS 180-4", () => {
  assert.equal(hashHex("sha256", Buffer.from("abc")), sha256OfAbc);
  assert.equal(hashHex("sha512", Buffer.from("abc")), sha512OfAbc);
  assert.equal(
    hashHex("sha256", new Uint8Array(0)),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
});

test("pieces hash as the whole", () => {
  const hasher = createHasher("sha256");
  for (const piece of ["a", "", "bc"]) hasher.update(Buffer.from(piece));
  assert.equal(hasher.hex(), sha256OfAbc);
});

test("a view hashes its own bytes only", () => {
  const backing = Buffer.from("xabcx");
  assert.equal(hashHex("sha256", backing.subarray(1, 4)), sha256OfAbc);
});
