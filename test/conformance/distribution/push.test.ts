import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type Digest, digestOf, mediaTypes } from "../../../src/oci/mod.ts";
import { type TestClient, withQuery } from "../../../src/registry/server/testing.ts";
import { absentDigest, newContent, newName, octets, useRegistry } from "./support.ts";

let client: TestClient;
const name = newName("push");
useRegistry((ready) => {
  client = ready;
});

async function begin(query = ""): Promise<string> {
  const started = await client.request("POST", `/v2/${name}/blobs/uploads/${query}`);
  assert.equal(started.status, 202);
  assert.ok(started.headers.location);
  return started.headers.location;
}
const patch = (location: string, body: Uint8Array, first: number) =>
  client.request("PATCH", location, {
    body,
    headers: { ...octets, "Content-Range": `${first}-${first + body.length - 1}` },
  });
const put = (location: string, digest: string, body?: Uint8Array, headers = {}) =>
  client.request("PUT", withQuery(location, `digest=${digest}`), {
    body,
    headers: { ...octets, ...headers },
  });

async function assertPullable(location: string | undefined, content: Uint8Array): Promise<void> {
  assert.ok(location);
  const got = await client.get(location);
  assert.equal(got.status, 200);
  assert.deepEqual(got.body, Buffer.from(content));
}

describe("push: a blob monolithically", () => {
  it("POST then PUT MUST be 202, then 201 with the location of the blob", async () => {
    const content = newContent();
    const done = await put(await begin(), digestOf(content), content);
    assert.equal(done.status, 201);
    await assertPullable(done.headers.location, content);
  });
  it("a single POST is 201, or 202 where it is not supported", async () => {
    const content = newContent();
    const done = await client.request("POST", `/v2/${name}/blobs/uploads/?digest=${digestOf(content)}`, {
      body: content,
      headers: octets,
    });
    if (done.status === 202) {
      assert.ok(done.headers.location);
      return;
    }
    assert.equal(done.status, 201);
    await assertPullable(done.headers.location, content);
  });
  it("an empty blob is a blob", async () => {
    const content = Buffer.alloc(0);
    const done = await put(await begin(), digestOf(content), content);
    assert.equal(done.status, 201);
    await assertPullable(done.headers.location, content);
  });
  it("sha512 digests are supported", async () => {
    const content = newContent();
    const digest = digestOf(content, "sha512");
    const done = await put(await begin("?digest-algorithm=sha512"), digest, content);
    assert.equal(done.status, 201);
    await assertPullable(done.headers.location, content);
  });
  it("an invalid or unsupported digest SHOULD be 400", async () => {
    for (const digest of ["sha256:xyz", "nothing", "md5:d41d8cd98f00b204e9800998ecf8427e"]) {
      const done = await put(await begin(), digest, newContent());
      assert.equal(done.status, 400, digest);
      assert.equal(done.code(), "DIGEST_INVALID", digest);
    }
  });
  it("a digest that is not the content's is 400 DIGEST_INVALID, and nothing is stored", async () => {
    const done = await put(await begin(), absentDigest, newContent());
    assert.equal(done.status, 400);
    assert.equal(done.code(), "DIGEST_INVALID");
    assert.equal((await client.request("HEAD", `/v2/${name}/blobs/${absentDigest}`)).status, 404);
  });
  it("an upload that was never begun is 404 BLOB_UPLOAD_UNKNOWN", async () => {
    const unknown = `/v2/${name}/blobs/uploads/00000000-0000-4000-8000-000000000000`;
    for (const done of [await patch(unknown, newContent(), 0), await put(unknown, absentDigest)]) {
      assert.equal(done.status, 404);
      assert.equal(done.code(), "BLOB_UPLOAD_UNKNOWN");
    }
  });
});

describe("push: the session of an upload", () => {
  it("each MUST have an id of its own, in a location of the registry's", async () => {
    const locations = await Promise.all([begin(), begin(), begin()]);
    assert.equal(new Set(locations).size, locations.length);
  });
  it("what is sent to one MUST NOT be in another", async () => {
    const [one, other] = [newContent(), newContent()];
    const [first, second] = [await begin(), await begin()];
    const sent = await patch(first, one, 0);
    assert.equal((await put(second, digestOf(other), other)).status, 201);
    assert.equal((await put(String(sent.headers.location), digestOf(one))).status, 201);
  });
  it("GET of one MUST be 204 with Location and Range", async () => {
    const sent = await patch(await begin(), newContent(100), 0);
    const status = await client.get(String(sent.headers.location));
    assert.equal(status.status, 204);
    assert.equal(status.headers["range"], "0-99");
    assert.ok(status.headers.location);
  });
  it("one that has ended is 404", async () => {
    const location = await begin();
    const content = newContent();
    assert.equal((await put(location, digestOf(content), content)).status, 201);
    assert.equal((await client.get(location)).status, 404);
  });
});

describe("push: a blob in chunks", () => {
  const content = newContent(3000);
  const chunks = [content.subarray(0, 1000), content.subarray(1000, 2000), content.subarray(2000)] as const;

  it("each chunk MUST be 202 with Location and Range; PUT closes", async () => {
    let location = await begin();
    for (const [index, chunk] of chunks.entries()) {
      const done = await patch(location, chunk, index * 1000);
      assert.equal(done.status, 202);
      assert.equal(done.headers["range"], `0-${index * 1000 + 999}`);
      location = String(done.headers.location);
    }
    const done = await put(location, digestOf(content));
    assert.equal(done.status, 201);
    await assertPullable(done.headers.location, content);
  });
  it("the final chunk MAY come with PUT", async () => {
    const first = await patch(await begin(), content.subarray(0, 2000), 0);
    const done = await put(String(first.headers.location), digestOf(content), chunks[2], {
      "Content-Range": "2000-2999",
    });
    assert.equal(done.status, 201);
    await assertPullable(done.headers.location, content);
  });
  it("a chunk out of order MUST be 416, and GET tells where to go on", async () => {
    const first = await patch(await begin(), chunks[0], 0);
    const location = String(first.headers.location);
    for (const at of [0, 2000]) assert.equal((await patch(location, chunks[2], at)).status, 416);
    const status = await client.get(location);
    assert.equal(status.status, 204);
    assert.equal(status.headers["range"], "0-999");
    assert.ok(status.headers.location);
    const next = await patch(String(status.headers.location), content.subarray(1000), 1000);
    assert.equal(next.status, 202);
    assert.equal((await put(String(next.headers.location), digestOf(content))).status, 201);
  });
  it("the final chunk out of order MUST be 416", async () => {
    const first = await patch(await begin(), chunks[0], 0);
    const done = await put(String(first.headers.location), digestOf(content), chunks[2], {
      "Content-Range": "2000-2999",
    });
    assert.equal(done.status, 416);
  });
  it("of another algorithm than sha256: the POST SHOULD name it", async () => {
    let location = await begin("?digest-algorithm=sha512");
    for (const [index, chunk] of chunks.entries()) {
      const done = await patch(location, chunk, index * 1000);
      assert.equal(done.status, 202);
      location = String(done.headers.location);
    }
    const done = await put(location, digestOf(content, "sha512"));
    assert.equal(done.status, 201);
    await assertPullable(done.headers.location, content);
  });
  it("a Content-Range MUST be FIRST-LAST and fit what is sent", async () => {
    for (const range of ["0-998", "999-0", "x"]) {
      const done = await client.request("PATCH", await begin(), {
        body: chunks[0],
        headers: { ...octets, "Content-Range": range },
      });
      assert.ok(done.status === 400 || done.status === 416, `${range}: ${done.status}`);
    }
  });
  it("a stream without Content-Range is taken as it comes", async () => {
    const first = await client.request("PATCH", await begin(), { body: content, headers: octets });
    assert.equal(first.status, 202);
    assert.equal((await put(String(first.headers.location), digestOf(content))).status, 201);
  });
  it("a cancelled upload SHOULD be 204, and is gone", async () => {
    const location = await begin();
    assert.equal((await client.request("DELETE", location)).status, 204);
    assert.equal((await client.get(location)).status, 404);
  });
});

describe("push: mounting a blob", () => {
  it("a blob of another repository MUST be 201 with its location", async () => {
    const from = newName("from");
    const content = newContent();
    const digest = await client.pushBlob(from, content);
    const mounted = await client.request("POST", `/v2/${name}/blobs/uploads/?mount=${digest}&from=${from}`);
    assert.equal(mounted.status, 201);
    await assertPullable(mounted.headers.location, content);
  });
  it("without from, the registry MAY find it (201), else it SHOULD begin an upload (202)", async () => {
    const digest = await client.pushBlob(newName("from"), newContent());
    const mounted = await client.request("POST", `/v2/${name}/blobs/uploads/?mount=${digest}`);
    assert.ok(mounted.status === 201 || mounted.status === 202, String(mounted.status));
    assert.ok(mounted.headers.location);
  });
  it("a blob that cannot be mounted SHOULD be 202 with an upload", async () => {
    const mounted = await client.request(
      "POST",
      `/v2/${name}/blobs/uploads/?mount=${absentDigest}&from=${newName("from")}`,
    );
    assert.equal(mounted.status, 202);
    assert.ok(mounted.headers.location);
  });
});

describe("push: manifests", () => {
  let layer: Digest;
  const layerContent = newContent();
  const config = Buffer.from("{}");
  before(async () => {
    layer = await client.pushBlob(name, layerContent);
    await client.pushBlob(name, config);
  });
  const manifest = (extra: object = {}): Buffer =>
    Buffer.from(
      JSON.stringify(
        {
          schemaVersion: 2,
          mediaType: mediaTypes.manifest,
          config: { mediaType: mediaTypes.config, digest: digestOf(config), size: 2 },
          layers: [{ mediaType: mediaTypes.layer, digest: layer, size: layerContent.length }],
          ...extra,
        },
        undefined,
        3,
      ),
    );

  it("MUST be 201 with a pullable location and stored in the exact bytes", async () => {
    const bytes = manifest({ annotations: { "a.b": newContent().toString() } });
    const done = await client.pushManifest(name, "exact", bytes);
    assert.equal(done.status, 201);
    assert.equal(done.headers["docker-content-digest"], digestOf(bytes));
    const got = await client.get(String(done.headers.location), { Accept: mediaTypes.manifest });
    assert.deepEqual(got.body, bytes);
  });
  it("parameters of Content-Type SHOULD be ignored", async () => {
    const done = await client.pushManifest(
      name,
      "params",
      manifest(),
      `${mediaTypes.manifest}; charset=utf-8`,
    );
    assert.equal(done.status, 201);
  });
  it("by digest: the digest MUST be the manifest's", async () => {
    const bytes = manifest();
    assert.equal((await client.pushManifest(name, digestOf(bytes), bytes)).status, 201);
    const wrong = await client.pushManifest(name, absentDigest, bytes);
    assert.equal(wrong.status, 400);
    assert.equal(wrong.code(), "DIGEST_INVALID");
  });
  it("by sha512 digest", async () => {
    const bytes = manifest({ annotations: { wide: "sha512" } });
    const digest = digestOf(bytes, "sha512");
    const done = await client.pushManifest(name, digest, bytes);
    assert.equal(done.status, 201);
    assert.equal(done.headers["docker-content-digest"], digest);
    const got = await client.get(`/v2/${name}/manifests/${digest}`, { Accept: mediaTypes.manifest });
    assert.deepEqual(got.body, bytes);
  });
  it("with tag parameters: an OCI-Tag for each that was accepted", async () => {
    const bytes = manifest({ annotations: { many: "tags" } });
    const tags = ["1", "1.2", "1.2.3", "a", "b", "c", "d", "e", "f", "g"];
    const query = tags.map((tag) => `tag=${tag}`).join("&");
    const done = await client.pushManifest(name, `${digestOf(bytes)}?${query}`, bytes);
    assert.equal(done.status, 201);
    const accepted = String(done.headers["oci-tag"] ?? "")
      .split(",")
      .map((tag) => tag.trim());
    assert.deepEqual(accepted, tags);
    for (const tag of tags) {
      const got = await client.request("HEAD", `/v2/${name}/manifests/${tag}`, {
        headers: { Accept: mediaTypes.manifest },
      });
      assert.equal(got.headers["docker-content-digest"], digestOf(bytes));
    }
  });
  it("one that names content that is not there is 201, or MUST be MANIFEST_BLOB_UNKNOWN", async () => {
    const done = await client.pushManifest(
      name,
      "missing",
      manifest({ layers: [{ mediaType: mediaTypes.layer, digest: absentDigest, size: 15 }] }),
    );
    if (done.status === 201) return;
    assert.ok(done.status === 400 || done.status === 404, String(done.status));
    assert.equal(done.code(), "MANIFEST_BLOB_UNKNOWN");
  });
  it("the list of blobs MAY be empty", async () => {
    assert.equal((await client.pushManifest(name, "empty", manifest({ layers: [] }))).status, 201);
  });
  it("an index of what is there", async () => {
    const bytes = manifest();
    await client.pushManifest(name, "indexed", bytes);
    const index = {
      schemaVersion: 2,
      mediaType: mediaTypes.index,
      manifests: [{ mediaType: mediaTypes.manifest, digest: digestOf(bytes), size: bytes.length }],
    };
    assert.equal((await client.pushManifest(name, "index", index, mediaTypes.index)).status, 201);
    const got = await client.get(`/v2/${name}/manifests/index`, { Accept: mediaTypes.index });
    assert.equal(got.headers["content-type"], mediaTypes.index);
  });
  it("what is no manifest is 400 MANIFEST_INVALID", async () => {
    for (const body of ["", "{", "[]", "{}", '{"schemaVersion":1}', '{"schemaVersion":2,"layers":3}']) {
      const done = await client.pushManifest(name, "bad", Buffer.from(body));
      assert.equal(done.status, 400, body);
      assert.equal(done.code(), "MANIFEST_INVALID", body);
    }
  });
  it("4 MiB SHOULD be accepted", async () => {
    const room = 4 * 1024 * 1024 - 2000;
    const done = await client.pushManifest(name, "large", manifest({ annotations: { x: "y".repeat(room) } }));
    assert.equal(done.status, 201);
  });
  it("beyond the limit SHOULD be 413", async () => {
    const body = Buffer.alloc(100 * 1024 * 1024, " ");
    // The server need not read all of it: a connection closed in the middle says the same as the status.
    const done = await client.pushManifest(name, "huge", body).catch((error: unknown) => error as Error);
    if (!(done instanceof Error)) assert.equal(done.status, 413);
  });
  it("with a subject that is not there MUST be accepted, with OCI-Subject", async () => {
    const bytes = manifest({
      subject: { mediaType: mediaTypes.manifest, digest: absentDigest, size: 15 },
    });
    const done = await client.pushManifest(name, digestOf(bytes), bytes);
    assert.equal(done.status, 201);
    assert.equal(done.headers["oci-subject"], absentDigest);
  });
});

describe("api: error codes", () => {
  it("a body in JSON MUST have errors, each with a code of capitals and underscores", async () => {
    const answers = [
      await client.get(`/v2/${name}/manifests/absent`),
      await client.get(`/v2/${name}/blobs/${absentDigest}`),
      await client.get(`/v2/${newName("absent")}/tags/list`),
      await client.pushManifest(name, "bad", Buffer.from("{}")),
      await put(await begin(), absentDigest, newContent()),
    ];
    for (const got of answers) {
      assert.ok(got.status >= 400 && got.status < 500, String(got.status));
      if (!/json/.test(String(got.headers["content-type"]))) continue;
      const { errors } = got.json() as { errors: { code: string; message?: unknown }[] };
      assert.ok(errors.length > 0);
      for (const { code, message } of errors) {
        assert.match(code, /^[A-Z_]+$/);
        assert.ok(message === undefined || typeof message === "string");
      }
    }
  });
  it("an answer to HEAD has no body, also where it is an error (RFC 9110 section 9.3.2)", async () => {
    for (const path of ["manifests/absent", `blobs/${absentDigest}`]) {
      const got = await client.request("HEAD", `/v2/${name}/${path}`);
      assert.equal(got.status, 404);
      assert.equal(got.body.length, 0);
    }
  });
  it("an invalid name is 400 or 404, and with JSON of the spec's form", async () => {
    for (const bad of ["UPPER", "a..b", "_x", `a/${"b".repeat(300)}`]) {
      const got = await client.request("POST", `/v2/${bad}/blobs/uploads/`);
      assert.ok([400, 404].includes(got.status), `${bad}: ${got.status}`);
      if (/json/.test(String(got.headers["content-type"]))) assert.match(String(got.code()), /^[A-Z_]+$/);
    }
  });
  it("a name never leads out of the registry", async () => {
    for (const bad of [
      "/v2/../../etc/manifests/passwd",
      "/v2/a/%2e%2e/%2e%2e/manifests/x",
      "/v2/a%2f..%2fb/tags/list",
    ]) {
      const { status } = await client.get(bad);
      assert.ok([301, 307, 400, 404].includes(status), `${bad}: ${status}`);
    }
  });
});
