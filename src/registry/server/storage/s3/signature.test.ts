import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { canonicalQuery, sha256Hex, signRequest } from "./signature.ts";

/** The examples of "Authenticating Requests: Using the Authorization Header" in the reference of Amazon S3. */
const context = {
  credentials: { accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" },
  region: "us-east-1",
  now: new Date("2013-05-24T00:00:00Z"),
};
const base = { host: "examplebucket.s3.amazonaws.com", query: {}, payloadHash: sha256Hex("") };
const signatureOf = (request: Parameters<typeof signRequest>[0]): string =>
  signRequest(request, context)["authorization"]!.replace(/.*Signature=/, "");

describe("signRequest", () => {
  it("agrees with the examples of the S3 reference", () => {
    assert.equal(
      signatureOf({ ...base, method: "GET", path: "/test.txt", headers: { range: "bytes=0-9" } }),
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    assert.equal(
      signatureOf({
        ...base,
        method: "PUT",
        path: "/test%24file.text",
        headers: { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
        payloadHash: sha256Hex("Welcome to Amazon S3."),
      }),
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    );
    assert.equal(
      signatureOf({ ...base, method: "GET", path: "/", query: { lifecycle: "" }, headers: {} }),
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    );
    assert.equal(
      signatureOf({
        ...base,
        method: "GET",
        path: "/",
        query: { "max-keys": "2", prefix: "J" },
        headers: {},
      }),
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    );
  });
  it("encodes queries as the reference says", () => {
    assert.equal(canonicalQuery({ b: "x y/z", a: "*'()!~" }), "a=%2A%27%28%29%21~&b=x%20y%2Fz");
  });
});
