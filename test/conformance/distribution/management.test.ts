import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TestClient } from "../../../src/registry/server/testing.ts";
import { absentDigest, newContent, newName, useRegistry } from "./support.ts";

let client: TestClient;
const name = newName("management");
useRegistry((ready) => {
  client = ready;
});

describe("content management", () => {
  it("deleting a tag MUST be 202; the tag is gone, the manifest stays", async () => {
    const { digest } = await client.pushImage(name, "tagged");
    assert.equal((await client.request("DELETE", `/v2/${name}/manifests/tagged`)).status, 202);
    assert.equal((await client.get(`/v2/${name}/manifests/tagged`)).status, 404);
    assert.equal((await client.request("HEAD", `/v2/${name}/manifests/${digest}`)).status, 200);
  });
  it("deleting a manifest MUST be 202; it and its tags are gone", async () => {
    const { digest, bytes } = await client.pushImage(name, "first");
    await client.pushManifest(name, "second", bytes);
    assert.equal((await client.request("DELETE", `/v2/${name}/manifests/${digest}`)).status, 202);
    for (const reference of [digest, "first", "second"]) {
      assert.equal((await client.get(`/v2/${name}/manifests/${reference}`)).status, 404, reference);
    }
    const listed = await client.get(`/v2/${name}/tags/list`);
    assert.doesNotMatch(listed.text(), /"first"|"second"/);
  });
  it("what was deleted can be pushed again", async () => {
    const { digest } = await client.pushImage(name, "again");
    await client.request("DELETE", `/v2/${name}/manifests/${digest}`);
    assert.equal((await client.pushImage(name, "again")).digest, digest);
    assert.equal((await client.request("HEAD", `/v2/${name}/manifests/again`)).status, 200);
  });
  it("deleting a blob MUST be 202, and only in its repository", async () => {
    const content = newContent();
    const other = newName("other");
    const digest = await client.pushBlob(name, content);
    await client.pushBlob(other, content);
    assert.equal((await client.request("DELETE", `/v2/${name}/blobs/${digest}`)).status, 202);
    assert.equal((await client.get(`/v2/${name}/blobs/${digest}`)).status, 404);
    assert.equal((await client.get(`/v2/${other}/blobs/${digest}`)).status, 200);
  });
  it("deleting what is not there is 404", async () => {
    for (const path of [`blobs/${absentDigest}`, `manifests/${absentDigest}`, "manifests/absent"]) {
      assert.equal((await client.request("DELETE", `/v2/${name}/${path}`)).status, 404, path);
    }
    const absent = await client.request("DELETE", `/v2/${newName("absent")}/manifests/${absentDigest}`);
    assert.equal(absent.status, 404);
  });
});
