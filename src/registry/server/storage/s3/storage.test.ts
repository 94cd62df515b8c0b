/** The storage for object stores, against one in memory that fails as it is told to. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { describe, it } from "node:test";
import { digestOf, mediaTypes } from "../../../../oci/mod.ts";
import { startRegistry } from "../../registry.ts";
import { TestClient } from "../../testing.ts";
import { checkStorage } from "../../upkeep/check.ts";
import { storageSuite } from "../suite.ts";
import { findCredentials } from "./credentials.ts";
import { openS3Storage, type S3StorageOptions } from "./storage.ts";
import { type Fault, type StoreOptions, type StoreRequest, TestingStore } from "./testing-store.ts";

storageSuite("object store in memory", () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-s3-unit-"));
  const store = TestingStore.start();
  return {
    open: async () => openS3Storage({ ...(await store).options, uploadDirectory: directory }),
    clean: async () => {
      await (await store)[Symbol.asyncDispose]();
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
});

interface Opened extends AsyncDisposable {
  readonly store: TestingStore;
  readonly storage: Awaited<ReturnType<typeof openS3Storage>>;
  readonly directory: string;
}

async function open(options: StoreOptions & Partial<S3StorageOptions> = {}): Promise<Opened> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-s3-unit-"));
  const store = await TestingStore.start(options);
  const { fault: _, credentials: __, conditions: ___, skewMilliseconds: ____, ...own } = options;
  const storage = await openS3Storage({ ...store.options, uploadDirectory: directory, ...own });
  return {
    store,
    storage,
    directory,
    async [Symbol.asyncDispose]() {
      await storage[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The same fault for the first so many requests that fit. */
function first(count: number, fits: (request: StoreRequest) => boolean, fault: Fault) {
  let left = count;
  return (request: StoreRequest): Fault => (fits(request) && --left >= 0 ? fault : undefined);
}

/** The same fault for the first two of three requests for the same: however many come at once, no one's attempts are used up. */
function twiceEach(fault: Fault) {
  const turns = new Map<string, number>();
  return ({ method, key: object, query }: StoreRequest): Fault => {
    const key = JSON.stringify([method, object, query]);
    const turn = turns.get(key) ?? 0;
    turns.set(key, turn + 1);
    return turn % 3 === 2 ? undefined : fault;
  };
}

const large = Buffer.alloc(20 * 1024 * 1024 + 3, "in parts ");
const largeDigest = digestOf(large);
const written = (directory: string): string => {
  const file = path.join(directory, "file");
  fs.writeFileSync(file, large);
  return file;
};

describe("an object store that fails for a while", () => {
  for (const fault of [
    "cut-before",
    "cut-after",
    "cut-body",
    { status: 500 },
    { status: 503, code: "SlowDown" },
  ] as const) {
    it(`is asked again: ${typeof fault === "string" ? fault : fault.status}`, async () => {
      await using opened = await open();
      const { store, storage, directory } = opened;
      const { documents, blobs } = storage;
      store.fault = twiceEach(fault);
      await documents.put("r/a", Buffer.from("1"));
      assert.equal((await documents.get("r/a"))?.toString(), "1");
      assert.deepEqual(await documents.list("r/"), ["a"]);
      await blobs.adopt(largeDigest, written(directory));
      const reader = (await blobs.open(largeDigest))!;
      assert.equal(reader.size, large.length);
      assert.equal(digestOf(await bytesOf(reader.stream(0, large.length))), largeDigest);
      assert.equal(await blobs.delete(largeDigest), true);
      assert.equal(store.objects.size, 1);
      // Whose id got lost on its way, nobody could give up.
      await blobs.removeUnfinished!(Date.now());
      assert.equal(store.uploads.size, 0);
    });
  }
  it("gets as much time as it asks for", async () => {
    await using opened = await open();
    const { store, storage } = opened;
    store.fault = first(1, () => true, { status: 503, code: "SlowDown", headers: { "Retry-After": "1" } });
    const began = performance.now();
    await storage.documents.put("r/a", Buffer.from("1"));
    // Half of what was asked at least: they shall not all come back at once.
    assert.ok(performance.now() - began >= 490);
  });
  it("goes on in the middle of a blob", async () => {
    await using opened = await open();
    const { store, storage, directory } = opened;
    await storage.blobs.adopt(largeDigest, written(directory));
    store.fault = first(3, ({ headers }) => headers.range !== undefined, "cut-body");
    store.requests.length = 0;
    const reader = (await storage.blobs.open(largeDigest))!;
    assert.equal(digestOf(await bytesOf(reader.stream(0, large.length))), largeDigest);
    const ranges = store.requests.flatMap(({ headers }) => headers.range ?? []);
    assert.equal(ranges.length, 4);
    assert.equal(new Set(ranges).size, 4);
  });
  it("that does not come back is told, and leaves no parts and the upload", async () => {
    await using opened = await open();
    const { store, storage, directory } = opened;
    const file = written(directory);
    store.fault = ({ query, method }) =>
      method === "PUT" && query["partNumber"] === "2" ? { status: 500, code: "InternalError" } : undefined;
    await assert.rejects(storage.blobs.adopt(largeDigest, file), {
      code: "s3-failed",
      message: /answered 500 InternalError/,
    });
    assert.equal(store.uploads.size, 0);
    assert.equal(fs.statSync(file).size, large.length);
    assert.equal(await storage.blobs.stat(largeDigest), undefined);
  });
  it("whose last answer to an upload got lost has it", async () => {
    await using opened = await open();
    const { store, storage, directory } = opened;
    store.fault = first(1, ({ method, query }) => method === "POST" && "uploadId" in query, "cut-after");
    await storage.blobs.adopt(largeDigest, written(directory));
    assert.equal((await storage.blobs.stat(largeDigest))?.size, large.length);
  });
});

describe("an object store", () => {
  it("with another clock is followed, and told where that does not help", async () => {
    await using opened = await open({ skewMilliseconds: 3600_000 });
    await opened.storage.documents.put("r/a", Buffer.from("1"));
    assert.equal((await opened.storage.documents.get("r/a"))?.toString(), "1");
    opened.store.fault = () => ({ status: 403, code: "RequestTimeTooSkewed" });
    await assert.rejects(
      async () => opened.storage.documents.get("r/a"),
      (error: Error & { hint?: string }) => {
        assert.match(error.hint ?? "", /^set this machine's clock: the object store says that it is /);
        return true;
      },
    );
  });
  it("is not asked without credentials", async () => {
    await using store = await TestingStore.start();
    const credentials = findCredentials({ HOME: "/nonexistent", AWS_EC2_METADATA_DISABLED: "true" }, "r");
    const uploadDirectory = path.join(os.tmpdir(), `vt-s3-unit-${process.pid}`);
    await assert.rejects(openS3Storage({ ...store.options, credentials, uploadDirectory }), {
      code: "s3-credentials-missing",
    });
    fs.rmSync(uploadDirectory, { recursive: true });
    assert.equal(store.requests.length, 0);
  });
  it("is told how to keep what it gets", async () => {
    await using opened = await open({ encryption: { algorithm: "aws:kms", keyId: "arn:key" } });
    const { store, storage, directory } = opened;
    await storage.documents.put("r/a", Buffer.from("1"));
    await storage.blobs.adopt(largeDigest, written(directory));
    const making = store.requests.filter(({ method, query }) => method === "PUT" && !("partNumber" in query));
    const begun = store.requests.filter(({ query }) => "uploads" in query);
    assert.equal(making.length + begun.length, 2);
    for (const { headers } of [...making, ...begun]) {
      assert.equal(headers["x-amz-server-side-encryption"], "aws:kms");
      assert.equal(headers["x-amz-server-side-encryption-aws-kms-key-id"], "arn:key");
    }
  });
  it("keeps parts of uploads that ended in a crash until they are removed", async () => {
    await using opened = await open();
    const { store, storage } = opened;
    for (const [id, begun] of [
      ["old", 1000],
      ["new", Date.now()],
    ] as const) {
      store.uploads.set(id, { key: "blobs/sha256/x", begun, parts: new Map() });
    }
    store.uploads.set("other", { key: "others/x", begun: 1000, parts: new Map() });
    assert.equal(await storage.blobs.removeUnfinished!(Date.now() - 60_000), 1);
    assert.deepEqual([...store.uploads.keys()], ["new", "other"]);
  });
});

describe("a registry on an object store that clients may read from", () => {
  it("sends them there for blobs, but small ones, and for nothing else", async () => {
    await using opened = await open({ redirectSeconds: 60 });
    await using registry = await startRegistry({ storage: opened.storage });
    const client = new TestClient(registry.url);
    const { digest, config } = await client.pushImage("a", "1");
    await client.pushBlob("a", large);
    const sent = await client.get(`/v2/a/blobs/${largeDigest}`);
    assert.equal(sent.status, 307);
    assert.equal(sent.headers["cache-control"], "no-store");
    const location = String(sent.headers["location"]);
    const got = await fetch(location, { headers: { Range: "bytes=5-8" } });
    assert.deepEqual([got.status, await got.text()], [206, large.toString("utf8", 5, 9)]);
    assert.equal(digestOf(await (await fetch(location)).bytes()), largeDigest);
    opened.store.skew += 61_000;
    assert.equal((await fetch(location)).status, 403);
    const head = await client.request("HEAD", `/v2/a/blobs/${largeDigest}`);
    assert.deepEqual([head.status, head.headers["content-length"]], [200, String(large.length)]);
    assert.equal((await client.get(`/v2/a/blobs/${config}`)).status, 200);
    assert.equal((await client.get(`/v2/a/manifests/${digest}`)).status, 200);
    assert.equal((await client.get(`/v2/b/blobs/${largeDigest}`)).status, 404);
  });
  it("names the address that they know", async () => {
    await using opened = await open({ redirectSeconds: 60, publicEndpoint: "https://images.example:8443" });
    const url = new URL(await opened.storage.blobs.locate!(largeDigest));
    assert.equal(url.origin, "https://images.example:8443");
  });
});

describe("a registry that moves", () => {
  it("from a directory to a bucket and back has everything there, by the same names", async () => {
    await using opened = await open();
    const from = path.join(opened.directory, "from");
    const to = path.join(opened.directory, "to");
    let untagged = "";
    let subject = "";
    {
      await using registry = await startRegistry({ root: from });
      const client = new TestClient(registry.url);
      const image = await client.pushImage("team/a", "1");
      subject = image.digest;
      const annotations = { of: "no tag" };
      const referrer = {
        ...JSON.parse(image.bytes.toString()),
        annotations,
        subject: { mediaType: mediaTypes.manifest, digest: subject, size: image.bytes.length },
      };
      untagged = digestOf(Buffer.from(JSON.stringify(referrer)));
      assert.equal((await client.pushManifest("team/a", untagged, referrer)).status, 201);
    }
    for (const place of ["blobs", "repositories"]) {
      for (const file of fs.readdirSync(path.join(from, place), { recursive: true, encoding: "utf8" })) {
        const source = path.join(from, place, file);
        if (!fs.statSync(source).isFile()) continue;
        const body = fs.readFileSync(source);
        opened.store.objects.set(`${place}/${file}`, { body, tag: '"x"', modified: Date.now(), headers: {} });
      }
    }
    const checkMoved = async (registry: Awaited<ReturnType<typeof startRegistry>>): Promise<void> => {
      const client = new TestClient(registry.url);
      assert.equal((await client.get("/v2/team/a/manifests/1")).headers["docker-content-digest"], subject);
      const referrers = (await client.get(`/v2/team/a/referrers/${subject}`)).json() as {
        readonly manifests: readonly { readonly digest: string }[];
      };
      assert.deepEqual(
        referrers.manifests.map(({ digest }) => digest),
        [untagged],
      );
      const report = await checkStorage(registry.service.repositories.storage);
      assert.deepEqual([report.problems, report.incomplete], [[], []]);
      assert.deepEqual([report.tags, report.manifests, report.blobs], [1, 2, 4]);
    };
    {
      await using registry = await startRegistry({ storage: opened.storage });
      await checkMoved(registry);
    }
    for (const [key, { body }] of opened.store.objects) {
      const file = path.join(to, key);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, body);
    }
    fs.chmodSync(to, 0o700);
    await using registry = await startRegistry({ root: to });
    await checkMoved(registry);
  });
});
