import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeImage, makeIndex, text } from "../../test/support/images.ts";
import { VitrineError } from "../base/mod.ts";
import { digestOf, parseManifest } from "../oci/mod.ts";
import { addToLayout } from "./add-to-layout.ts";
import { convertImage } from "./convert.ts";
import { openDirectory, writeDirectory } from "./directory.ts";
import { openArchive } from "./open.ts";
import { choosePlatform, limitedToPlatform, onlyPlatform } from "./select.ts";
import { walkImage } from "./walk.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-places-"));
after(() => fs.rmSync(root, { recursive: true, force: true }));
const amd64 = { architecture: "amd64", os: "linux" };
const arm64 = { architecture: "arm64", os: "linux" };

const image = (platform = amd64, compression: "gzip" | "none" = "gzip") =>
  makeImage([[text("etc/x", platform.architecture)], [text("y", "1")]], { compression, platform });
const hasCode = (code: string) => (error: unknown) => error instanceof VitrineError && error.code === code;

async function everything(source: Parameters<typeof walkImage>[0]): Promise<ReadonlyMap<string, string>> {
  const walk = await walkImage(source);
  const found = new Map<string, string>();
  for (const blob of walk.blobs) {
    const parts: Uint8Array[] = [];
    for await (const chunk of source.openBlob(blob)) parts.push(chunk);
    found.set(blob.digest, Buffer.concat(parts).toString("base64"));
  }
  for (const { descriptor, parsed } of [...walk.manifests, ...walk.indexes]) {
    found.set(descriptor.digest, Buffer.from(parsed.bytes).toString("base64"));
  }
  return found;
}

test("dir: holds an image, and an index with all its images, byte for byte", async () => {
  const one = await image();
  const both = await makeIndex([
    { image: await image(amd64), platform: amd64 },
    { image: await image(arm64), platform: arm64 },
  ]);
  for (const [name, source] of [
    ["one", one.source],
    ["both", both],
  ] as const) {
    const target = path.join(root, name);
    await writeDirectory(source, target);
    const read = openDirectory(target);
    assert.equal(read.root.digest, source.root.digest);
    assert.deepEqual(await everything(read), await everything(source));
    assert.equal(fs.readFileSync(path.join(target, "version"), "utf8"), "Directory Transport Version: 1.1\n");
  }
  await writeDirectory(one.source, path.join(root, "both"));
  assert.equal(openDirectory(path.join(root, "both")).root.digest, one.manifest.digest);
  fs.writeFileSync(path.join(root, "file-in-the-way"), "");
  await assert.rejects(writeDirectory(one.source, root), hasCode("directory-not-empty"));
  assert.throws(() => openDirectory(root), hasCode("directory-image-invalid"));
});

test("a layout takes further images, and a name goes from one to another", async () => {
  const layout = path.join(root, "layout");
  const [one, other] = [await image(amd64), await image(arm64)];
  await addToLayout(one.source, layout, "a");
  await addToLayout(other.source, layout, "b");
  await addToLayout(other.source, layout, "a");
  await addToLayout(one.source, layout, undefined);
  const archive = await openArchive(layout, { temporaryDirectory: root });
  const named = archive.images.map(({ root: { digest }, names }) => [
    digest,
    names.map((name) => name.split(":").at(-1)),
  ]);
  assert.deepEqual(
    new Map(named as [string, string[]][]),
    new Map([
      [other.manifest.digest, ["b", "a"]],
      [one.manifest.digest, []],
    ]),
  );
  await archive.close();
  const plain = path.join(root, "other");
  await writeDirectory(one.source, plain);
  await assert.rejects(addToLayout(one.source, plain, "x"), hasCode("directory-not-empty"));
});

test("a platform is chosen, alone or inside its index", async () => {
  const [first, second] = [await image(amd64), await image(arm64)];
  const both = await makeIndex([
    { image: first, platform: amd64 },
    { image: second, platform: arm64 },
  ]);
  assert.equal((await choosePlatform(both, arm64)).digest, second.manifest.digest);
  assert.equal((await onlyPlatform(both, amd64)).root.digest, first.manifest.digest);
  const limited = await limitedToPlatform(both, arm64);
  const walk = await walkImage(limited);
  assert.equal(limited.root.digest, both.root.digest);
  assert.deepEqual(
    walk.manifests.map(({ descriptor }) => descriptor.digest),
    [second.manifest.digest],
  );
  await assert.rejects(
    choosePlatform(both, { architecture: "s390x", os: "linux" }),
    hasCode("platform-not-found"),
  );
  await assert.rejects(choosePlatform(first.source, arm64, { strict: true }), hasCode("platform-not-found"));
  assert.equal((await choosePlatform(first.source, arm64)).digest, first.manifest.digest);
});

test("a conversion changes compression and types, and nothing of the files", async () => {
  const made = await image();
  const read = async (source: Parameters<typeof walkImage>[0]) =>
    parseManifest(await source.readDocument(source.root), source.root.mediaType).manifest;
  {
    await using zstd = await convertImage(made.source, { compression: "zstd" }, root);
    const manifest = await read(zstd.source);
    assert.ok(manifest.layers.every(({ mediaType }) => mediaType.endsWith("+zstd")));
    assert.equal(manifest.config.digest, made.config.digest);
    await everything(zstd.source);
    await using back = await convertImage(zstd.source, { compression: "none" }, root);
    assert.deepEqual(
      (await read(back.source)).layers.map(({ digest }) => digest),
      made.diffIDs,
    );
    await everything(back.source);
  }
  await using docker = await convertImage(made.source, { format: "docker" }, root);
  const manifest = await read(docker.source);
  assert.equal(manifest.mediaType, "application/vnd.docker.distribution.manifest.v2+json");
  assert.ok(manifest.layers.every(({ mediaType }) => mediaType.startsWith("application/vnd.docker.")));
  await using again = await convertImage(docker.source, { format: "oci" }, root);
  assert.equal(again.source.root.digest, made.manifest.digest);
  await assert.rejects(
    convertImage(made.source, { format: "docker", compression: "zstd" }, root),
    hasCode("conversion-format"),
  );
  assert.deepEqual(
    fs.readdirSync(root).filter((name) => name.startsWith("layer")),
    [],
  );
});

test("a level compresses anew what has the format already, and plain layers alone become gzip where that is asked", async () => {
  const made = await image();
  const layersOf = async (source: Parameters<typeof walkImage>[0]) =>
    parseManifest(await source.readDocument(source.root), source.root.mediaType).manifest.layers;
  await using none = await convertImage(made.source, { compression: "none" }, root);
  await using packed = await convertImage(none.source, { compression: "gzip-plain" }, root);
  const gzip = await layersOf(packed.source);
  assert.ok(gzip.every(({ mediaType }) => mediaType.endsWith("+gzip")));
  await everything(packed.source);
  await using untouched = await convertImage(packed.source, { compression: "gzip-plain" }, root);
  assert.equal(untouched.source.root.digest, packed.source.root.digest);
  // Also where it is not sha256.
  const document = await packed.source.readDocument(packed.source.root);
  const other = { ...packed.source.root, digest: digestOf(document, "sha512") };
  const renamed = { ...packed.source, root: other, readDocument: async () => document };
  await using kept = await convertImage(renamed, { compression: "gzip-plain" }, root);
  assert.equal(kept.source.root.digest, other.digest);
  for (const conversion of [{ level: 1 }, { compression: "gzip", level: 1 }] as const) {
    await using fast = await convertImage(packed.source, conversion, root);
    const layers = await layersOf(fast.source);
    assert.ok(layers.every(({ mediaType }, at) => mediaType === gzip[at]!.mediaType));
    assert.ok(layers.some(({ digest }, at) => digest !== gzip[at]!.digest));
    await everything(fast.source);
  }
  await assert.rejects(
    convertImage(packed.source, { level: 10 }, root),
    hasCode("compression-level-invalid"),
  );
  await assert.rejects(
    convertImage(packed.source, { compression: "zstd", level: 23 }, root),
    hasCode("compression-level-invalid"),
  );
});

test("an index of which nothing changes keeps its bytes", async () => {
  const both = await makeIndex([
    { image: await image(amd64), platform: amd64 },
    { image: await image(arm64), platform: arm64 },
  ]);
  await using converted = await convertImage(both, { compression: "gzip-plain" }, root);
  await using again = await convertImage(converted.source, { compression: "gzip-plain" }, root);
  assert.equal(again.source.root.digest, converted.source.root.digest);
});

test("a converted index names the converted images", async () => {
  const both = await makeIndex([
    { image: await image(amd64), platform: amd64 },
    { image: await image(arm64), platform: arm64 },
  ]);
  await using converted = await convertImage(both, { compression: "zstd" }, root);
  const walk = await walkImage(converted.source);
  assert.equal(walk.manifests.length, 2);
  assert.ok(walk.blobs.some(({ mediaType }) => mediaType.endsWith("+zstd")));
  await everything(converted.source);
});
