import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type Digest, digestOf, mediaTypes } from "../../../src/oci/mod.ts";
import { parseNextLink } from "../../../src/registry/mod.ts";
import type { Answer, TestClient } from "../../../src/registry/server/testing.ts";
import { absentDigest, newContent, newName, useRegistry } from "./support.ts";

let client: TestClient;
const name = newName("discovery");
const tags = ["1", "10", "2", "A", "Z", "_", "a", "b", "z"];

useRegistry(async (ready) => {
  client = ready;
  const { bytes } = await client.pushImage(name, "z");
  for (const tag of tags) await client.pushManifest(name, tag, bytes);
});

const tagsOf = (answer: Answer): string[] => (answer.json() as { tags: string[] | null }).tags ?? [];

/** ASCII order, or the same without regard to case. */
function assertOrdered(list: readonly string[]): void {
  const ascii = [...list].sort();
  const lexical = [...list].sort((left, right) => {
    const [a, b] = [left.toLowerCase(), right.toLowerCase()];
    return a < b ? -1 : a > b ? 1 : 0;
  });
  assert.ok(
    JSON.stringify(list) === JSON.stringify(ascii) || JSON.stringify(list) === JSON.stringify(lexical),
    list.join(" "),
  );
}

describe("content discovery: listing tags", () => {
  it("MUST be 200 with name and all tags in order", async () => {
    const got = await client.get(`/v2/${name}/tags/list`);
    assert.equal(got.status, 200);
    assert.equal((got.json() as { name: string }).name, name);
    assertOrdered(tagsOf(got));
    assert.deepEqual([...tagsOf(got)].sort(), tags);
  });
  it("n MUST give so many, and Link leads through the rest", async () => {
    const seen: string[] = [];
    let next: string | undefined = `/v2/${name}/tags/list?n=4`;
    for (let page = 0; next !== undefined; page++) {
      assert.ok(page < tags.length);
      const got = await client.get(next);
      assert.equal(got.status, 200);
      assert.ok(tagsOf(got).length <= 4);
      seen.push(...tagsOf(got));
      next = got.headers["link"] === undefined ? undefined : parseNextLink(String(got.headers["link"]));
    }
    assert.deepEqual([...seen].sort(), tags);
    assertOrdered(seen);
  });
  it("n beyond what there is gives all of it, without Link", async () => {
    const got = await client.get(`/v2/${name}/tags/list?n=1000`);
    assert.equal(got.status, 200);
    assert.deepEqual([...tagsOf(got)].sort(), tags);
    assert.equal(got.headers["link"], undefined);
  });
  it("last need not be a tag that is there", async () => {
    const all = tagsOf(await client.get(`/v2/${name}/tags/list`));
    const got = tagsOf(await client.get(`/v2/${name}/tags/list?last=zz`));
    assert.deepEqual(got, []);
    assert.deepEqual(
      tagsOf(await client.get(`/v2/${name}/tags/list?last=0`)),
      all.filter((tag) => tag > "0"),
    );
  });
  it("n=0 MUST be an empty list without Link", async () => {
    const got = await client.get(`/v2/${name}/tags/list?n=0`);
    assert.equal(got.status, 200);
    assert.deepEqual(tagsOf(got), []);
    assert.equal(got.headers["link"], undefined);
  });
  it("last MUST NOT be among the results", async () => {
    const all = tagsOf(await client.get(`/v2/${name}/tags/list`));
    for (const [index, last] of all.entries()) {
      const got = tagsOf(await client.get(`/v2/${name}/tags/list?last=${last}`));
      assert.deepEqual(got, all.slice(index + 1), last);
      assert.deepEqual(
        tagsOf(await client.get(`/v2/${name}/tags/list?n=2&last=${last}`)),
        all.slice(index + 1, index + 3),
      );
    }
  });
  it("the last page has no Link", async () => {
    const got = await client.get(`/v2/${name}/tags/list?n=${tags.length}`);
    assert.equal(tagsOf(got).length, tags.length);
    assert.equal(got.headers["link"], undefined);
  });
  it("a repository that is not there is 404", async () => {
    assert.equal((await client.get(`/v2/${newName("absent")}/tags/list`)).status, 404);
  });
});

describe("content discovery: listing referrers", () => {
  const config = Buffer.from("{}");
  let subject: Digest;
  const referrers = new Map<string, Digest>();

  before(async () => {
    subject = (await client.pushImage(name, "subject")).digest;
    await client.pushBlob(name, config);
    const descriptor = { mediaType: mediaTypes.manifest, digest: subject, size: 1 };
    const push = async (key: string, document: object, mediaType: string): Promise<void> => {
      const bytes = Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType, subject: descriptor, ...document }),
      );
      assert.equal((await client.pushManifest(name, digestOf(bytes), bytes, mediaType)).status, 201);
      referrers.set(key, digestOf(bytes));
    };
    const empty = { mediaType: mediaTypes.empty, digest: digestOf(config), size: 2 };
    await push(
      "artifact",
      { artifactType: "application/x.sbom", config: empty, layers: [], annotations: { "x.y": "z" } },
      mediaTypes.manifest,
    );
    await push(
      "image",
      { config: { ...empty, mediaType: "application/x.config" }, layers: [] },
      mediaTypes.manifest,
    );
    await push("index", { manifests: [], annotations: { kind: "index" } }, mediaTypes.index);
    await push("typed-index", { artifactType: "application/x.list", manifests: [] }, mediaTypes.index);
  });

  type Entry = {
    digest: string;
    artifactType?: string;
    annotations?: Record<string, string>;
    size: number;
    mediaType: string;
  };
  const list = async (query = "", of: string = subject) => {
    const got = await client.get(`/v2/${name}/referrers/${of}${query}`);
    return { got, entries: got.status === 200 ? (got.json() as { manifests: Entry[] }).manifests : [] };
  };

  it("MUST be 200 with an index", async () => {
    const { got } = await list();
    assert.equal(got.status, 200);
    assert.equal(got.headers["content-type"], mediaTypes.index);
    const { schemaVersion, mediaType } = got.json() as { schemaVersion: number; mediaType: string };
    assert.deepEqual([schemaVersion, mediaType], [2, mediaTypes.index]);
  });
  it("MUST have each with its artifact type and annotations", async () => {
    const { entries } = await list();
    assert.equal(entries.length, referrers.size);
    const entry = (key: string) => entries.find(({ digest }) => digest === referrers.get(key));
    assert.equal(entry("artifact")?.artifactType, "application/x.sbom");
    assert.deepEqual(entry("artifact")?.annotations, { "x.y": "z" });
    assert.equal(entry("image")?.artifactType, "application/x.config");
    assert.equal(entry("typed-index")?.artifactType, "application/x.list");
    assert.deepEqual(entry("index")?.annotations, { kind: "index" });
    assert.equal(Object.hasOwn(entry("index") ?? {}, "artifactType"), false);
  });
  it("a filter that was applied MUST be named", async () => {
    const { got, entries } = await list("?artifactType=application/x.sbom");
    assert.equal(got.headers["oci-filters-applied"], "artifactType");
    assert.deepEqual(
      entries.map(({ digest }) => digest),
      [referrers.get("artifact")],
    );
  });
  it("without matches MUST be an empty list, never 404", async () => {
    for (const { got, entries } of [await list("", absentDigest), await list("?artifactType=a/none")]) {
      assert.equal(got.status, 200);
      assert.deepEqual(entries, []);
    }
  });
  it("each descriptor MUST have the media type, the size and the digest of what refers", async () => {
    for (const entry of (await list()).entries) {
      const got = await client.request("HEAD", `/v2/${name}/manifests/${entry.digest}`, {
        headers: { Accept: entry.mediaType },
      });
      assert.equal(got.status, 200);
      assert.equal(got.headers["content-type"], entry.mediaType);
      assert.equal(got.headers["content-length"], String(entry.size));
    }
  });
  it("a repository that is not there has an empty list, never 404", async () => {
    const got = await client.get(`/v2/${newName("absent")}/referrers/${absentDigest}`);
    assert.equal(got.status, 200);
    assert.deepEqual((got.json() as { manifests: Entry[] }).manifests, []);
  });
  it("an invalid digest MUST be 400", async () => {
    assert.equal((await list("", "sha256:xyz")).got.status, 400);
  });
  it("one that is deleted is gone, and the list of a deleted subject stays", async () => {
    const own = (await client.pushImage(name, newContent(8).toString())).digest;
    const bytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.index,
        manifests: [],
        subject: { mediaType: mediaTypes.manifest, digest: own, size: 1 },
      }),
    );
    await client.pushManifest(name, digestOf(bytes), bytes, mediaTypes.index);
    assert.equal((await client.request("DELETE", `/v2/${name}/manifests/${own}`)).status, 202);
    assert.equal((await list("", own)).entries.length, 1);
    assert.equal((await client.request("DELETE", `/v2/${name}/manifests/${digestOf(bytes)}`)).status, 202);
    assert.equal((await list("", own)).entries.length, 0);
  });
});
