/** What the registry says of a manifest whose Content-Type is not its own. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { digestOf, mediaTypes } from "../../../oci/mod.ts";
import { startRegistry } from "../registry.ts";
import { TestClient } from "../testing.ts";

const { manifest, index, dockerManifest, dockerManifestList } = mediaTypes;

/** A document of that `mediaType`; without one, its members alone tell. */
function documentOf(members: "image" | "index", mediaType?: string): object {
  const empty = { mediaType: mediaTypes.config, digest: digestOf(Buffer.from("{}")), size: 2 };
  const rest = members === "image" ? { config: empty, layers: [] } : { manifests: [] };
  return { schemaVersion: 2, ...(mediaType && { mediaType }), ...rest };
}

async function push(document: object, contentType: string) {
  await using registry = await startRegistry();
  const client = new TestClient(registry.url);
  await client.pushBlob("a", "{}");
  return await client.pushManifest("a", "1", document, contentType);
}

describe("a manifest's Content-Type", () => {
  for (const [contentType, document, said] of [
    [manifest, documentOf("image", dockerManifest), `its mediaType is ${dockerManifest}`],
    [index, documentOf("image", manifest), `its mediaType is ${manifest}`],
    [dockerManifest, documentOf("index", dockerManifestList), `its mediaType is ${dockerManifestList}`],
    [index, documentOf("image"), "it has the members of an image manifest"],
    [manifest, documentOf("index"), "it has the members of an index"],
    ["image/png", documentOf("image", manifest), `its mediaType is ${manifest}`],
    ["text/html", documentOf("index"), "it has the members of an index"],
  ] as const) {
    it(`${contentType} is refused where ${said}, and the one to send is named`, async () => {
      const { mediaType = "manifests" in document ? index : manifest } = document as { mediaType?: string };
      const done = await push(document, `${contentType}; charset=utf-8`);
      assert.deepEqual([done.status, done.code()], [400, "MANIFEST_INVALID"]);
      const [{ message, detail }] = (done.json() as { errors: { message: string; detail: unknown }[] })
        .errors as [{ message: string; detail: unknown }];
      assert.equal(
        message,
        `the manifest was sent with the Content-Type ${contentType}, but ${said}: send it with Content-Type: ${mediaType}`,
      );
      assert.deepEqual(detail, { reason: "manifest-media-type-mismatch", contentType, mediaType });
    });
  }

  for (const [contentType, document] of [
    [manifest.toUpperCase(), documentOf("image", manifest)],
    [dockerManifest, documentOf("image")],
    ["application/json", documentOf("index", index)],
    ["application/octet-stream", documentOf("image")],
  ] as const) {
    it(`${contentType} says nothing against it`, async () => {
      assert.equal((await push(document, contentType)).status, 201);
    });
  }

  it("is of no account where the manifest is none", async () => {
    const done = await push({ schemaVersion: 2, config: 1 }, index);
    assert.deepEqual([done.status, done.code()], [400, "MANIFEST_INVALID"]);
    assert.doesNotMatch(done.text(), /Content-Type/);
  });
});
