import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { digestOf, makeImage, text } from "../../test/support/images.ts";
import {
  app,
  blobFile,
  fakeUnpack,
  leftovers,
  newStore,
  refuses,
  rejects,
} from "../../test/support/unit-stores.ts";
import { memoryContent, sourceOf } from "../image/mod.ts";

test("a snapshot is an overlay, topmost layer first, and needs every layer", async () => {
  const store = newStore();
  const made = await app();
  await store.put(made.source);
  const image = store.resolve("app");
  const container = path.join(store.root, "containers/1");
  fs.mkdirSync(container, { recursive: true });
  assert.equal(store.isUnpacked(image), false);
  refuses("image-not-unpacked", () => store.snapshot(image, container));
  const trees = fakeUnpack(store, made.diffIDs, { rootEntry: { mode: 0o711, uid: 0, gid: 0, mtime: 5.5 } });
  assert.equal(store.isUnpacked(image), true);
  const snapshot = store.snapshot(image, container);
  assert.deepEqual(snapshot, {
    mounts: [
      {
        type: "overlay",
        lowers: [...trees].reverse(),
        upper: path.join(container, "upper"),
        work: path.join(container, "work"),
        userxattr: false,
      },
    ],
  });
  assert.deepEqual(store.previewSnapshot(image, container), snapshot);
  assert.equal(
    fs.statSync(path.join(container, "upper")).mode & 0o7777,
    0o711,
    "the attributes of / in the image",
  );
});

test("files of the image are read as the container would see them, and nothing else is", async () => {
  const store = newStore();
  const made = await app();
  await store.put(made.source);
  const image = store.resolve("app");
  assert.equal(store.readImageFile(image, "/etc/passwd"), undefined);
  const [low, high] = fakeUnpack(store, made.diffIDs, { opaques: 1 }) as [string, string];
  const write = (file: string, body: string): void => {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, body);
  };
  write(path.join(low, "etc/passwd"), "low");
  write(path.join(low, "etc/group"), "group");
  write(path.join(low, "opaque/hidden"), "hidden");
  write(path.join(low, "file/below"), "below");
  write(path.join(high, "etc/passwd"), "high");
  write(path.join(high, "opaque/seen"), "seen");
  write(path.join(high, "file"), "a file hides a directory");
  fs.writeFileSync(path.join(high, "../opaque.json"), JSON.stringify(["opaque"]));
  fs.symlinkSync("/etc/passwd", path.join(high, "absolute"));
  fs.symlinkSync("../../../../etc/group", path.join(high, "etc/relative"));
  fs.symlinkSync("/etc", path.join(low, "conf"));
  fs.symlinkSync("loop", path.join(low, "loop"));
  fs.symlinkSync("/proc/self/root/etc/hostname", path.join(low, "outside"));
  const read = (file: string): string | undefined => {
    const bytes = store.readImageFile(image, file);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString();
  };
  assert.equal(read("/etc/passwd"), "high");
  assert.equal(read("etc//./group"), "group");
  assert.equal(read("/absolute"), "high");
  assert.equal(read("/etc/relative"), "group");
  assert.equal(read("/conf/passwd"), "high");
  assert.equal(read("/conf/../conf/group"), "group");
  assert.equal(read("../../etc/passwd"), "high");
  assert.equal(read("/opaque/seen"), "seen");
  assert.equal(read("/opaque/hidden"), undefined);
  assert.equal(read("/file/below"), undefined);
  assert.equal(read("/loop"), undefined);
  assert.equal(read("/outside"), undefined);
  assert.equal(read("/etc"), undefined);
  write(path.join(low, "big"), "x".repeat(1024 * 1024 + 1));
  refuses("image-file-too-large", () => store.readImageFile(image, "/big"));
});

test("too many layers for the kernel is said before it fails", async () => {
  const store = newStore();
  const made = await makeImage(
    Array.from({ length: 501 }, (_, at) => [text("f", `${at}`)]),
    { names: ["deep"] },
  );
  await store.put(made.source);
  fakeUnpack(store, made.diffIDs);
  const container = path.join(store.root, "containers/1");
  fs.mkdirSync(container, { recursive: true });
  refuses("too-many-layers", () => store.snapshot(store.resolve("deep"), container));
});

test("disk usage tells shared bytes from an image's own", async () => {
  const store = newStore();
  const shared = [text("base", "x")];
  const one = await makeImage([shared, [text("a", "1")]], { names: ["one", "one:again"] });
  const two = await makeImage([shared], { names: ["two"] });
  await store.put(one.source);
  await store.put(two.source);
  fakeUnpack(store, one.diffIDs);
  const usage = store.diskUsage();
  assert.equal(usage.images.length, 2);
  const [ofOne, ofTwo] = ["one", "two"].map(
    (name) => usage.images.find(({ row }) => row.digest === store.resolve(name).root.digest)!,
  );
  assert.deepEqual([ofOne!.sharedBytes, ofOne!.uniqueBytes], [1000, 1000]);
  assert.deepEqual([ofTwo!.sharedBytes, ofTwo!.uniqueBytes], [1000, 0]);
  assert.equal(usage.layerBytes, 2000);
  assert.equal(usage.reclaimableBytes, usage.blobBytes + 2000);
});

test("an image without a helper cannot be unpacked; nothing stays", async () => {
  const store = newStore();
  await store.put((await app()).source);
  await rejects("helper-missing", store.unpack(store.resolve("app")));
  assert.deepEqual(leftovers(store), []);
});

test("an image without layers has an empty root filesystem", async () => {
  const store = newStore();
  const made = await makeImage([], { names: ["scratch-like"] });
  await store.put(made.source);
  const image = store.resolve("scratch-like");
  const container = path.join(store.root, "containers/1");
  fs.mkdirSync(container, { recursive: true });
  assert.ok(store.isUnpacked(image));
  const [mount] = store.snapshot(image, container).mounts;
  assert.ok(mount.type === "overlay");
  assert.deepEqual(
    mount.lowers.map((lower) => fs.readdirSync(lower)),
    [[]],
  );
});

test("what is no image that could be unpacked is not taken in", async () => {
  const store = newStore();
  const made = await makeImage([[text("a", "a")]], { names: ["odd"] });
  const manifest = Buffer.from(made.blobs.get(made.manifest.digest)!).toString();
  const puts = (changed: string): Promise<unknown> => {
    const bytes = Buffer.from(changed);
    const root = { ...made.manifest, digest: digestOf(bytes), size: bytes.length };
    const blobs = new Map([...made.blobs, [root.digest, bytes] as const]);
    return store.put(sourceOf(memoryContent(blobs), root, ["odd"]));
  };
  await rejects(
    "layer-media-type-unsupported",
    puts(manifest.replace("application/vnd.oci.image.layer.v1.tar", "application/vnd.example.squashfs")),
  );
  await rejects(
    "not-an-image",
    puts(
      manifest.replace(
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.cncf.helm.config.v1+json",
      ),
    ),
  );
  await rejects("layer-count-mismatch", puts(manifest.replace(/"layers":\[.*?\]/, '"layers":[]')));
  assert.deepEqual(store.list(), []);
  assert.deepEqual(leftovers(store), []);
});

test("the layout says what it is", async () => {
  const store = newStore();
  const made = await app();
  await store.put(made.source);
  assert.equal(
    fs.readFileSync(path.join(store.root, "oci/oci-layout"), "utf8").trim(),
    '{"imageLayoutVersion":"1.0.0"}',
  );
  const index = JSON.parse(fs.readFileSync(path.join(store.root, "oci/index.json"), "utf8"));
  assert.equal(
    index.manifests[0].annotations["org.opencontainers.image.ref.name"],
    "docker.io/library/app:latest",
  );
  assert.equal(digestOf(fs.readFileSync(blobFile(store, made.manifest.digest))), made.manifest.digest);
});
