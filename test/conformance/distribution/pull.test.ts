import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { digestOf, mediaTypes } from "../../../src/oci/mod.ts";
import type { TestClient } from "../../../src/registry/server/testing.ts";
import { absentDigest, newContent, newName, useRegistry } from "./support.ts";

let client: TestClient;
const name = newName("pull");
const content = newContent(1000);
let image: Awaited<ReturnType<TestClient["pushImage"]>>;

useRegistry(async (ready) => {
  client = ready;
  image = await client.pushImage(name, "one");
  await client.pushBlob(name, content);
});

describe("api: determining support", () => {
  it("GET /v2/ is 200", async () => {
    assert.equal((await client.get("/v2/")).status, 200);
  });
});

describe("pull: manifests", () => {
  for (const kind of ["tag", "digest"] as const) {
    const reference = (): string => (kind === "tag" ? "one" : image.digest);
    it(`GET by ${kind} MUST be 200 with the bytes that were pushed`, async () => {
      const got = await client.get(`/v2/${name}/manifests/${reference()}`, { Accept: mediaTypes.manifest });
      assert.equal(got.status, 200);
      assert.deepEqual(got.body, image.bytes);
    });
    it(`GET by ${kind}: Content-Type SHOULD be what was pushed, without parameters`, async () => {
      const got = await client.get(`/v2/${name}/manifests/${reference()}`, { Accept: mediaTypes.manifest });
      assert.equal(got.headers["content-type"], mediaTypes.manifest);
    });
    it(`GET by ${kind} MUST have Docker-Content-Digest`, async () => {
      const got = await client.get(`/v2/${name}/manifests/${reference()}`, { Accept: mediaTypes.manifest });
      assert.equal(got.headers["docker-content-digest"], image.digest);
    });
    it(`HEAD by ${kind} MUST be 200 with digest and length`, async () => {
      const got = await client.request("HEAD", `/v2/${name}/manifests/${reference()}`, {
        headers: { Accept: mediaTypes.manifest },
      });
      assert.equal(got.status, 200);
      assert.equal(got.headers["docker-content-digest"], image.digest);
      assert.equal(got.headers["content-length"], String(image.bytes.length));
      assert.equal(got.body.length, 0);
    });
  }
  it("a manifest that is not there MUST be 404", async () => {
    for (const reference of ["absent", absentDigest]) {
      for (const method of ["GET", "HEAD"]) {
        assert.equal((await client.request(method, `/v2/${name}/manifests/${reference}`)).status, 404);
      }
    }
  });
  it("pulling from a repository that is not there MUST be 404", async () => {
    assert.equal((await client.get(`/v2/${newName("absent")}/manifests/latest`)).status, 404);
  });
  it("<tag-or-digest> MUST NOT be in any other format", async () => {
    for (const reference of [".hidden", "-x", "a".repeat(129), "sha256:xyz", "sha256:ABCDEF"]) {
      const { status } = await client.get(`/v2/${name}/manifests/${reference}`);
      assert.ok(status === 404 || status === 400, `${reference}: ${status}`);
    }
  });
  it("a manifest is visible only in its repository", async () => {
    const other = newName("other");
    await client.pushImage(other, "two");
    assert.equal((await client.get(`/v2/${other}/manifests/${image.digest}`)).status, 404);
  });
});

describe("pull: blobs", () => {
  const blob = (): string => `/v2/${name}/blobs/${digestOf(content)}`;
  it("GET MUST be 200 with the bytes and their digest", async () => {
    const got = await client.get(blob());
    assert.equal(got.status, 200);
    assert.deepEqual(got.body, content);
    assert.equal(got.headers["docker-content-digest"], digestOf(content));
  });
  it("HEAD MUST be 200 with digest and length", async () => {
    const got = await client.request("HEAD", blob());
    assert.equal(got.status, 200);
    assert.equal(got.headers["docker-content-digest"], digestOf(content));
    assert.equal(got.headers["content-length"], String(content.length));
  });
  it("a blob that is not there MUST be 404", async () => {
    for (const method of ["GET", "HEAD"]) {
      assert.equal((await client.request(method, `/v2/${name}/blobs/${absentDigest}`)).status, 404);
    }
  });
  it("a blob of another repository is 404", async () => {
    assert.equal((await client.get(`/v2/${newName("other")}/blobs/${digestOf(content)}`)).status, 404);
  });
  it("SHOULD support Range: the first, the middle and the last bytes", async () => {
    for (const [range, first, end] of [
      ["bytes=0-99", 0, 100],
      ["bytes=100-", 100, 1000],
      ["bytes=-10", 990, 1000],
      ["bytes=900-5000", 900, 1000],
    ] as const) {
      const got = await client.get(blob(), { Range: range });
      assert.equal(got.status, 206, range);
      assert.deepEqual(got.body, content.subarray(first, end), range);
      assert.equal(got.headers["content-range"], `bytes ${first}-${end - 1}/1000`, range);
    }
  });
  it("SHOULD support Range: 416 beyond the end (RFC 9110 section 14)", async () => {
    const got = await client.get(blob(), { Range: "bytes=1000-" });
    assert.equal(got.status, 416);
    assert.equal(got.headers["content-range"], "bytes */1000");
  });
  it("a Range of another unit is ignored; one whose end is before its start may be refused as well (RFC 9110 section 14.2)", async () => {
    for (const range of ["bytes=9-3", "lines=1-2"]) {
      const got = await client.get(blob(), { Range: range });
      if (range === "bytes=9-3" && got.status === 416) continue;
      assert.equal(got.status, 200, range);
      assert.deepEqual(got.body, content);
    }
  });
  it("an entity tag lets a client ask whether it has the current bytes (RFC 9110 section 13)", async () => {
    const { etag } = (await client.get(blob())).headers;
    assert.ok(etag);
    const got = await client.get(blob(), { "If-None-Match": etag });
    assert.equal(got.status, 304);
    assert.equal(got.body.length, 0);
  });
});
