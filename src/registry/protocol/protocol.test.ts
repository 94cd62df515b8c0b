import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  digestOfReferrersTag,
  encodeErrors,
  formatChallenge,
  formatNextLink,
  formatScope,
  formatUploadRange,
  formatWarning,
  formatWarnings,
  isRepositoryName,
  isTag,
  matchesEntityTag,
  parseApiPath,
  parseBasic,
  parseBearer,
  parseChallenges,
  parseContentRange,
  parseErrors,
  parseManifestReference,
  parseNextLink,
  parseScopes,
  parseUnsatisfiedRange,
  parseUploadedRange,
  parseUploadRange,
  parseWarnings,
  paths,
  referrersTag,
  resolveRange,
  withoutParameters,
} from "./mod.ts";

const hex = "a".repeat(64);

describe("names", () => {
  it("accepts what the spec's expression accepts", () => {
    for (const name of ["a", "library/alpine", "a.b/c_d/e__f/g---h", "0/1", "a".repeat(255)]) {
      assert.equal(isRepositoryName(name), true, name);
    }
  });
  it("refuses everything else, dots and traversal first", () => {
    const bad = [
      "",
      "..",
      "a/../b",
      "a/..",
      ".a",
      "a.",
      "a..b",
      "_a",
      "a___b",
      "A",
      "a//b",
      "/a",
      "a/",
      "a b",
      "a\0",
      "a%2fb",
      "é",
      "a".repeat(256),
    ];
    for (const name of bad) assert.equal(isRepositoryName(name), false, name);
  });
  it("is quick on what would make a careless expression backtrack", () => {
    const started = performance.now();
    assert.equal(isRepositoryName(`${"a-".repeat(127)}!`), false);
    assert.ok(performance.now() - started < 5000);
  });
  it("knows tags", () => {
    for (const tag of ["latest", "_x", "1.2-3", "A".repeat(128)]) assert.equal(isTag(tag), true);
    for (const tag of ["", ".x", "-x", "a/b", "a:b", "A".repeat(129), "a\n"]) assert.equal(isTag(tag), false);
  });
  it("tells tags from digests", () => {
    assert.deepEqual(parseManifestReference("latest"), { tag: "latest" });
    assert.deepEqual(parseManifestReference(`sha256:${hex}`), { digest: `sha256:${hex}` });
    assert.equal(parseManifestReference(".."), undefined);
    assert.throws(() => parseManifestReference("sha256:xyz"), { code: "digest-invalid" });
    assert.throws(() => parseManifestReference("md5:0123"), { code: "digest-algorithm-unsupported" });
  });
  it("makes the referrers tags of the spec's table", () => {
    assert.equal(referrersTag(`sha256:${hex}`), `sha256-${hex}`);
    assert.equal(referrersTag(`sha512:${"a".repeat(128)}`), `sha512-${hex}`);
    assert.equal(
      referrersTag(
        "test+algorithm+using+algorithm+separators+and+lots+of+characters+to+excercise+overall+truncation:alsoSome=InTheEncodedSectionToShowHyphenReplacementAndLotsAndLotsOfCharactersToExcerciseEncodedTruncation",
      ),
      "test-algorithm-using-algorithm-s-alsoSome-InTheEncodedSectionToShowHyphenReplacementAndLotsAndLot",
    );
    assert.equal(digestOfReferrersTag(`sha256-${hex}`), `sha256:${hex}`);
    assert.equal(digestOfReferrersTag("sha256-short"), undefined);
  });
});

describe("paths", () => {
  it("reads from the end, so that a repository may have any name", () => {
    assert.deepEqual(parseApiPath("/v2/a/blobs/manifests/x"), {
      kind: "manifest",
      name: "a/blobs",
      reference: "x",
    });
    assert.deepEqual(parseApiPath("/v2/a/tags/tags/list"), { kind: "tags", name: "a/tags" });
    assert.deepEqual(parseApiPath("/v2/a/blobs/uploads/"), { kind: "uploads", name: "a" });
    assert.deepEqual(parseApiPath("/v2/a/blobs/uploads"), { kind: "uploads", name: "a" });
    assert.deepEqual(parseApiPath("/v2/a/b/blobs/uploads/x"), { kind: "upload", name: "a/b", id: "x" });
    assert.deepEqual(parseApiPath(`/v2/a/blobs/sha256%3A${hex}`), {
      kind: "blob",
      name: "a",
      digest: `sha256:${hex}`,
    });
    assert.deepEqual(parseApiPath("/v2/_catalog"), { kind: "catalog" });
    assert.deepEqual(parseApiPath("/v2/"), { kind: "base" });
  });
  it("reads what it writes", () => {
    assert.deepEqual(parseApiPath(paths.manifest("a/b", "t")), {
      kind: "manifest",
      name: "a/b",
      reference: "t",
    });
    assert.deepEqual(parseApiPath(paths.upload("a", "i")), { kind: "upload", name: "a", id: "i" });
    assert.deepEqual(parseApiPath(paths.referrers("a", "d")), { kind: "referrers", name: "a", digest: "d" });
  });
  it("refuses names by the grammar, however they are encoded", () => {
    for (const path of [
      "/v2/../manifests/x",
      "/v2/a/%2e%2e/manifests/x",
      "/v2/a%2fb/manifests/x",
      "/v2//manifests/x",
      "/v2/_tags/manifests/x",
      "/v2/manifests/x",
    ]) {
      assert.equal(parseApiPath(path), "name-invalid", path);
    }
    for (const path of ["/v2/a/%zz/x", "/v3/", "/v2/a", "/v2/a/tags/other"])
      assert.equal(parseApiPath(path), undefined, path);
  });
});

describe("ranges", () => {
  it("resolves a range of HTTP", () => {
    assert.deepEqual(resolveRange("bytes=0-0", 10), { first: 0, last: 0 });
    assert.deepEqual(resolveRange("bytes=5-", 10), { first: 5, last: 9 });
    assert.deepEqual(resolveRange("bytes=-3", 10), { first: 7, last: 9 });
    assert.deepEqual(resolveRange("bytes=-30", 10), { first: 0, last: 9 });
    assert.deepEqual(resolveRange("bytes=8-100", 10), { first: 8, last: 9 });
  });
  it("tells what cannot be satisfied from what is no range", () => {
    for (const header of ["bytes=10-", "bytes=-0", "bytes=99-100", "bytes=5-4"])
      assert.equal(resolveRange(header, 10), "unsatisfiable");
    for (const header of [
      undefined,
      "bytes=",
      "bytes=-",
      "items=0-1",
      "bytes=0-1,3-4",
      "bytes=a-b",
      `bytes=${"9".repeat(40)}-`,
    ]) {
      assert.equal(resolveRange(header, 10), undefined);
    }
    assert.equal(resolveRange("bytes=0-", 0), "unsatisfiable");
  });
  it("reads Content-Range of answers", () => {
    assert.deepEqual(parseContentRange("bytes 0-9/100"), { first: 0, last: 9, size: 100 });
    assert.deepEqual(parseContentRange("bytes 0-9/*"), { first: 0, last: 9 });
    for (const bad of ["bytes 9-0/100", "0-9/100", "bytes */100", ""])
      assert.equal(parseContentRange(bad), undefined);
    assert.equal(parseUnsatisfiedRange("bytes */100"), 100);
    assert.equal(parseUnsatisfiedRange("bytes 0-1/100"), undefined);
  });
  it("reads and writes those of uploads", () => {
    assert.deepEqual(parseUploadRange("0-99"), { first: 0, last: 99 });
    assert.deepEqual(parseUploadRange("bytes 5-9/*"), { first: 5, last: 9 });
    for (const bad of ["", "0", "9-0", "a-b", "-5", "0-1,2-3"])
      assert.equal(parseUploadRange(bad), undefined);
    assert.equal(formatUploadRange(100), "0-99");
    assert.equal(formatUploadRange(0), "0-0");
    assert.equal(parseUploadedRange("0-99"), 100);
    assert.equal(parseUploadedRange("5-99"), undefined);
  });
});

describe("links", () => {
  it("finds what it writes, and what others write", () => {
    assert.equal(parseNextLink(formatNextLink("/v2/_catalog?n=2&last=b")), "/v2/_catalog?n=2&last=b");
    assert.equal(parseNextLink('<http://a/?x=1,2>; rel="prev", </b>; title="a,b"; rel=next'), "/b");
    assert.equal(parseNextLink('</a>; rel="first next"'), "/a");
    for (const none of ["", "</a>", '</a>; rel="prev"', "a; rel=next", `<${"a".repeat(20_000)}>; rel=next`]) {
      assert.equal(parseNextLink(none), undefined);
    }
  });
});

describe("challenges", () => {
  it("reads what registries send", () => {
    assert.deepEqual(
      parseChallenges('Bearer realm="https://auth/token",service="reg",scope="repository:a/b:pull,push"'),
      [
        {
          scheme: "bearer",
          parameters: { realm: "https://auth/token", service: "reg", scope: "repository:a/b:pull,push" },
        },
      ],
    );
    assert.deepEqual(parseChallenges('Negotiate, Basic realm="x \\"y\\"", Bearer realm=z'), [
      { scheme: "negotiate", parameters: {} },
      { scheme: "basic", parameters: { realm: 'x "y"' } },
      { scheme: "bearer", parameters: { realm: "z" } },
    ]);
    assert.deepEqual(parseChallenges("NTLM TlRMTVNTUAA="), [{ scheme: "ntlm", parameters: {} }]);
    assert.deepEqual(parseChallenges(""), []);
    assert.deepEqual(parseChallenges("a".repeat(20_000)), []);
  });
  it("reads what it writes", () => {
    const parameters = {
      realm: 'a"b\\c',
      scope: formatScope({ type: "repository", name: "a", actions: ["pull"] }),
    };
    assert.deepEqual(parseChallenges(formatChallenge("Bearer", parameters)), [
      { scheme: "bearer", parameters },
    ]);
  });
  it("reads scopes", () => {
    assert.deepEqual(parseScopes("repository:host:5000/a:pull,push bad registry:catalog:*"), [
      { type: "repository", name: "host:5000/a", actions: ["pull", "push"] },
      { type: "registry", name: "catalog", actions: ["*"] },
    ]);
  });
  it("reads credentials", () => {
    assert.deepEqual(parseBasic(`Basic ${Buffer.from("ü:p:w").toString("base64")}`), {
      user: "ü",
      password: "p:w",
    });
    for (const bad of ["Basic", "Basic !!!", `Basic ${Buffer.from("x").toString("base64")}`, "Bearer x"]) {
      assert.equal(parseBasic(bad), undefined);
    }
    assert.equal(parseBearer("Bearer a.b-c_d="), "a.b-c_d=");
    assert.equal(parseBearer("Bearer a b"), undefined);
  });
});

describe("errors and headers", () => {
  it("reads what it writes, and nothing else", () => {
    const errors = [{ code: "NAME_INVALID", message: "m", detail: { a: 1 } }];
    assert.deepEqual(parseErrors(Buffer.from(encodeErrors(errors))), errors);
    for (const bad of ["", "<html>", "[]", '{"errors":{}}', '{"errors":[1,{"message":"x"}]}']) {
      assert.deepEqual(parseErrors(Buffer.from(bad)), []);
    }
  });
  it("keeps warnings to their grammar and size", () => {
    assert.equal(formatWarning('a"b\r\nWarning: x'), '299 - "a\\"b??Warning: x"');
    assert.deepEqual(parseWarnings('299 - "a\\"b", 199 - "no", 299 - "c"'), ['a"b', "c"]);
    assert.equal(formatWarnings(Array.from({ length: 9 }, () => "w".repeat(1000))).length, 4);
  });
  it("cuts parameters off media types and compares entity tags", () => {
    assert.equal(withoutParameters("a/b; charset=utf-8"), "a/b");
    assert.equal(matchesEntityTag('W/"x", "y"', '"y"'), true);
    assert.equal(matchesEntityTag("*", '"y"'), true);
    assert.equal(matchesEntityTag('"x"', '"y"'), false);
  });
});
