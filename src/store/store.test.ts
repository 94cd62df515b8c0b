import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { chunks, makeImage, makeIndex, text } from "../../test/support/images.ts";
import {
  app,
  blobFile,
  blobs,
  fakeUnpack,
  leftovers,
  newStore,
  optionsOf,
  refuses,
  rejects,
} from "../../test/support/unit-stores.ts";
import type { ImageSource } from "../image/mod.ts";
import { openStore } from "./store.ts";
import type { Store } from "./types.ts";

test("an image put into the store is found by name, digest, ID and prefix, and verified", async () => {
  const store = newStore();
  const made = await app();
  refuses("image-not-found", () => store.resolve("app"));
  assert.deepEqual(store.list(), []);
  const put = await store.put(made.source);
  assert.deepEqual(put.names, ["docker.io/library/app:latest"]);
  assert.deepEqual(put.ids, [made.config.digest]);
  assert.deepEqual(leftovers(store), []);
  const hex = made.config.digest.slice(7);
  for (const reference of [
    "app",
    "app:latest",
    "docker.io/library/app",
    `app@${made.manifest.digest}`,
    `app:other@${made.manifest.digest}`,
    made.manifest.digest,
    made.config.digest,
    hex,
    hex.slice(0, 12),
  ]) {
    const image = store.resolve(reference);
    assert.equal(image.id, made.config.digest, reference);
    assert.deepEqual(image.names, ["docker.io/library/app:latest"]);
    assert.deepEqual(
      image.layers.map(({ diffID }) => diffID),
      made.diffIDs,
    );
  }
  refuses("image-not-found", () => store.resolve(`other@${made.manifest.digest}`));
  refuses("image-not-found", () => store.resolve("app:2"));
  const [row] = store.list();
  assert.equal(row!.created, Date.parse("2024-05-06T07:08:09Z"));
  assert.deepEqual(row!.labels, { team: "blue" });
  assert.equal(row!.dangling, false);
});

test("history goes from the newest to the oldest, empty layers among them", async () => {
  const store = newStore();
  const made = await app();
  await store.put(made.source);
  const rows = store.history(store.resolve("app"));
  assert.deepEqual(
    rows.map(({ createdBy, layer }) => [createdBy, layer?.diffID]),
    [
      ["COPY new", made.diffIDs[1]],
      ["ENV A=1", undefined],
      ["ADD rootfs", made.diffIDs[0]],
    ],
  );
});

test("a damaged document in the store is never returned", async () => {
  const store = newStore();
  const made = await app();
  await store.put(made.source);
  const file = blobFile(store, made.config.digest);
  const good = fs.readFileSync(file);
  fs.chmodSync(file, 0o644);
  fs.writeFileSync(file, Buffer.from(good.toString().replace("blue", "rude")));
  refuses("content-digest-mismatch", () => store.resolve("app"));
  assert.match(store.list()[0]!.problem!, /damaged/);
  fs.writeFileSync(file, good.subarray(1));
  refuses("content-size-mismatch", () => store.resolve("app"));
  fs.rmSync(file);
  refuses("blob-missing", () => store.resolve("app"));
  await store.remove("app", { force: true });
  assert.deepEqual(store.list(), []);
});

test("loading an image again mends damaged blobs", async () => {
  const store = newStore();
  const made = await app();
  await store.put(made.source);
  for (const [digest, bytes] of made.blobs) {
    fs.chmodSync(blobFile(store, digest), 0o644);
    fs.writeFileSync(blobFile(store, digest), Buffer.alloc(bytes.length));
  }
  await store.put(made.source);
  for (const [digest, bytes] of made.blobs) {
    assert.deepEqual(fs.readFileSync(blobFile(store, digest)), Buffer.from(bytes));
  }
});

test("a source that lies about a layer leaves nothing behind", async () => {
  const store = newStore();
  const made = await app();
  const lying: ImageSource = {
    ...made.source,
    openBlob: (descriptor) =>
      descriptor.mediaType.includes("layer")
        ? chunks(Buffer.alloc(descriptor.size))
        : made.source.openBlob(descriptor),
  };
  await rejects("content-digest-mismatch", store.put(lying));
  const short: ImageSource = { ...made.source, openBlob: () => chunks(Buffer.alloc(1)) };
  await rejects("content-size-mismatch", store.put(short));
  const missing: ImageSource = { ...made.source, has: () => false };
  await rejects("blob-missing", store.put(missing));
  assert.deepEqual(leftovers(store), []);
  assert.deepEqual(blobs(store), []);
  assert.deepEqual(store.list(), []);
});

test("tags: a name that moves leaves a dangling image, untag as well, prune takes it", async () => {
  const store = newStore();
  const one = await makeImage([[text("a", "1")]], { names: ["app:1"] });
  const two = await makeImage([[text("a", "2")]], { names: ["app:1"] });
  await store.put(one.source);
  const put = await store.put(two.source);
  assert.deepEqual(put.replaced, ["docker.io/library/app:1"]);
  assert.equal(store.resolve("app:1").id, two.config.digest);
  assert.deepEqual(
    store
      .list()
      .filter((row) => row.dangling)
      .map(({ id }) => id),
    [one.config.digest],
  );
  assert.equal(store.resolve(one.config.digest).id, one.config.digest);
  await store.tag(one.config.digest.slice(7, 19), "app:old");
  assert.equal(store.list().filter((row) => row.dangling).length, 0);
  await store.untag("app:old");
  await rejects("name-not-found", store.untag("app:old"));
  await rejects("name-has-digest", store.tag("app:1", `x@${one.manifest.digest}`));
  assert.equal(store.list().filter((row) => row.dangling).length, 1);
  const pruned = await store.prune();
  assert.deepEqual(pruned.removals, [{ action: "deleted", id: one.config.digest }]);
  assert.ok(pruned.reclaimedBytes > 0);
  assert.equal(store.list().length, 1);
  assert.ok(!blobs(store).includes(one.config.digest.slice(7)));
});

test("rmi: one name of several is untagged, the last one deletes, an ID of several repositories needs force", async () => {
  const store = newStore();
  const made = await app();
  await store.put(made.source);
  await store.tag("app", "app:2");
  assert.deepEqual(await store.remove("app:2"), [{ action: "untagged", name: "docker.io/library/app:2" }]);
  await store.tag("app", "quay.io/other/app:1");
  await rejects("image-has-names", store.remove(made.config.digest));
  assert.deepEqual(await store.remove(made.config.digest, { force: true }), [
    { action: "untagged", name: "docker.io/library/app:latest" },
    { action: "untagged", name: "quay.io/other/app:1" },
    { action: "deleted", id: made.config.digest },
  ]);
  assert.deepEqual(blobs(store), []);
  await rejects("image-not-found", store.remove("app"));
});

test("the same image under two roots is one to rmi by ID", async () => {
  const store = newStore();
  const layers = [[text("a", "1")]];
  const plain = await makeImage(layers, { names: ["plain"] });
  const zipped = await makeImage(layers, { names: ["plain:zipped"], compression: "gzip" });
  assert.equal(plain.config.digest, zipped.config.digest);
  await store.put(plain.source);
  await store.put(zipped.source);
  assert.deepEqual(await store.remove(plain.config.digest.slice(7, 19)), [
    { action: "untagged", name: "docker.io/library/plain:latest" },
    { action: "deleted", id: plain.config.digest },
    { action: "untagged", name: "docker.io/library/plain:zipped" },
  ]);
  assert.deepEqual(store.list(), []);
});

test("what images share stays until the last of them goes", async () => {
  const store = newStore();
  const shared = [text("base", "x".repeat(1000))];
  const one = await makeImage([shared, [text("a", "1")]], { names: ["one"] });
  const two = await makeImage([shared, [text("b", "2")]], { names: ["two"] });
  await store.put(one.source);
  await store.put(two.source);
  fakeUnpack(store, one.diffIDs);
  fakeUnpack(store, two.diffIDs);
  const layers = path.join(store.root, "layers/host");
  await store.remove("one");
  assert.deepEqual(fs.readdirSync(layers).sort(), two.diffIDs.map((id) => id.slice(7)).sort());
  assert.equal(blobs(store).length, 4);
  await store.remove("two");
  assert.deepEqual(fs.readdirSync(layers), []);
  assert.deepEqual(blobs(store), []);
  assert.deepEqual(leftovers(store), []);
});

test("a container keeps its image, and its layers even when the image was forced away", async () => {
  const store = newStore();
  const made = await app();
  await store.put(made.source);
  fakeUnpack(store, made.diffIDs);
  const container = path.join(store.root, "containers/c0ffee");
  fs.mkdirSync(container, { recursive: true });
  fs.writeFileSync(
    path.join(container, "container.json"),
    JSON.stringify({
      id: "c0ffee",
      imageId: made.config.digest,
      manifestDigest: made.manifest.digest,
      layers: made.diffIDs,
    }),
  );
  await rejects("image-in-use", store.remove("app"));
  assert.deepEqual((await store.prune({ all: true })).removals, []);
  assert.equal((await store.remove("app", { force: true })).length, 2);
  assert.deepEqual(blobs(store), []);
  assert.equal(fs.readdirSync(path.join(store.root, "layers/host")).length, 2);
  fs.rmSync(container, { recursive: true });
  assert.ok((await store.gc()) > 0);
  assert.deepEqual(fs.readdirSync(path.join(store.root, "layers/host")), []);
});

test("indexes: the machine's platform, another one on request, absent ones by name", async () => {
  const store = newStore();
  const amd64 = await makeImage([[text("a", "amd64")]]);
  const arm64 = await makeImage([[text("a", "arm64")]], { platform: { architecture: "arm64", os: "linux" } });
  const absent = await makeImage([[text("a", "s390x")]], {
    platform: { architecture: "s390x", os: "linux" },
  });
  const index = makeIndex(
    [
      { image: amd64, platform: { architecture: "amd64", os: "linux" } },
      { image: arm64, platform: { architecture: "arm64", os: "linux" } },
    ],
    ["multi"],
    [{ ...absent.manifest, platform: { architecture: "s390x", os: "linux" } }],
  );
  const put = await store.put(index);
  assert.deepEqual(put.ids, [amd64.config.digest, arm64.config.digest]);
  assert.equal(store.resolve("multi").id, amd64.config.digest);
  assert.equal(store.resolve("multi").root.digest, index.root.digest);
  assert.equal(store.resolve("multi", { architecture: "arm64", os: "linux" }).id, arm64.config.digest);
  assert.equal(store.resolve(arm64.config.digest).id, arm64.config.digest);
  assert.equal(store.resolve(`multi@${arm64.manifest.digest}`).id, arm64.config.digest);
  refuses("platform-not-found", () => store.resolve("multi", { architecture: "s390x", os: "linux" }));
  assert.equal(store.list()[0]!.platforms.length, 2);
  const whole = store.source(store.resolve("multi"), { wholeIndex: true });
  assert.equal(whole.root.digest, index.root.digest);
  assert.deepEqual(
    (await store.remove("multi")).map((removal) => removal.action),
    ["untagged", "deleted", "deleted"],
  );
  assert.deepEqual(blobs(store), []);
});

test("an image of another platform can be looked at; asking for this one fails", async () => {
  const store = newStore();
  const arm = await makeImage([[text("a", "arm")]], {
    names: ["arm"],
    platform: { architecture: "arm64", os: "linux" },
  });
  await store.put(arm.source);
  assert.equal(store.resolve("arm").config.architecture, "arm64");
  refuses("platform-not-found", () => store.resolve("arm", { architecture: "amd64", os: "linux" }));
});

test("a prefix of two images is ambiguous", async () => {
  const store = newStore();
  const seen = new Map<string, number>();
  for (let at = 0; at < 2000; at++) {
    const made = await makeImage([], { names: [`n:${at}`], config: { author: `${at}` } });
    const prefix = made.config.digest.slice(7, 11);
    const before = seen.get(prefix);
    if (before === undefined) {
      seen.set(prefix, at);
      continue;
    }
    const other = await makeImage([], { names: [`n:${before}`], config: { author: `${before}` } });
    await store.put(other.source);
    await store.put(made.source);
    refuses("image-ambiguous", () => store.resolve(prefix));
    return;
  }
  assert.fail("no two IDs with the same first four digits were found");
});

test("a name goes before an ID that is spelled the same", async () => {
  const store = newStore();
  const made = await app();
  const other = await makeImage([[text("a", "other")]], { names: [made.config.digest.slice(7, 13)] });
  await store.put(made.source);
  await store.put(other.source);
  assert.equal(store.resolve(made.config.digest.slice(7, 13)).id, other.config.digest);
});

test("prune keeps what filters do not name", async () => {
  const store = newStore();
  const made = await app();
  await store.put(made.source);
  const none = async (options: Parameters<Store["prune"]>[0]) =>
    assert.deepEqual((await store.prune({ all: true, ...options })).removals, []);
  await none({ labels: [{ key: "team", value: "red" }] });
  await none({ labels: [{ key: "team", negate: true }] });
  await none({ until: Date.parse("2024-01-01") });
  assert.deepEqual((await store.prune()).removals, [], "it has a name");
  const { removals } = await store.prune({
    all: true,
    until: Date.parse("2025-01-01"),
    labels: [{ key: "team", value: "blue" }],
  });
  assert.equal(removals.length, 2);
});

test("many commands at once: every image is there, with every name", async () => {
  const store = newStore();
  const made = await Promise.all(
    Array.from({ length: 8 }, (_, at) =>
      makeImage([[text("shared", "s")], [text("own", `${at}`)]], { names: [`n:${at}`] }),
    ),
  );
  const other = openStore(optionsOf(store));
  await Promise.all(made.map(({ source }, at) => (at % 2 === 0 ? store : other).put(source)));
  await Promise.all(made.map((_, at) => (at % 2 === 0 ? other : store).tag(`n:${at}`, `m:${at}`)));
  assert.equal(store.list().length, 16);
  await Promise.all([
    ...made.slice(0, 4).flatMap((_, at) => [store.remove(`n:${at}`), other.remove(`m:${at}`)]),
    store.gc(),
    ...made
      .slice(0, 2)
      .map((_, at) =>
        makeImage([[text("late", `${at}`)]], { names: [`late:${at}`] }).then(({ source }) =>
          other.put(source),
        ),
      ),
  ]);
  assert.equal(store.list().length, 10);
  for (const { name } of store.list()) assert.ok(store.resolve(name!));
  await store.gc();
  for (const { name } of store.list()) assert.ok(store.resolve(name!));
  assert.deepEqual(leftovers(store), []);
});

test("what a dead process left in ROOT/tmp is swept; what a live one writes is not", async () => {
  const store = newStore();
  await store.put((await app()).source);
  const namespace = /\d+/.exec(fs.readlinkSync("/proc/self/ns/pid"))![0];
  // Pid 1 lives, but did not start at tick 0: this owner is dead and its pid was given away again.
  const dead = path.join(store.root, `tmp/layer.1-0-${namespace}-abc.tmp`);
  fs.mkdirSync(path.join(dead, "fs/locked"), { recursive: true });
  fs.chmodSync(path.join(dead, "fs/locked"), 0);
  await store.gc();
  assert.deepEqual(leftovers(store), []);
});

test("a store of another version is not touched", async () => {
  const store = newStore();
  await store.put((await app()).source);
  fs.writeFileSync(path.join(store.root, "version"), "2\n");
  await rejects("store-version-unsupported", store.tag("app", "b"));
});
