import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { chunks, digestOf, join, makeImage, makeIndex, text } from "../../test/support/images.ts";
import { type ByteStream, compress, hashHex, type TarInput, VitrineError, writeTar } from "../base/mod.ts";
import { encodeImageConfig, formatDigest, mediaTypes } from "../oci/mod.ts";
import { type OpenOptions, openArchive as openUnowned } from "./open.ts";
import { encodeArchive, writeLayoutDirectory } from "./save.ts";
import type { ImageArchive, ImageSource } from "./source.ts";
import { readConfig, walkImage } from "./walk.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-archives-"));
const temporaryDirectory = path.join(directory, "tmp");
fs.mkdirSync(temporaryDirectory);
after(async () => {
  for (const archive of opened) await archive.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

const opened: ImageArchive[] = [];
async function openArchive(input: string | ByteStream, options: OpenOptions): Promise<ImageArchive> {
  const archive = await openUnowned(input, options);
  opened.push(archive);
  return archive;
}

let files = 0;
async function toFile(stream: ByteStream, name = `file-${files++}`): Promise<string> {
  const file = path.join(directory, name);
  fs.writeFileSync(file, await join(stream));
  return file;
}

/** Reads everything an image leads to, which verifies all of it; returns layers as text of their tar. */
async function readAll(image: ImageSource): Promise<{ diffIDs: readonly string[]; layers: number }> {
  const walk = await walkImage(image);
  for (const blob of walk.blobs) await join(image.openBlob(blob));
  const diffIDs: string[] = [];
  for (const manifest of walk.manifests) {
    diffIDs.push(...(await readConfig(image, manifest.parsed)).config.rootfs.diff_ids);
  }
  return { diffIDs, layers: walk.blobs.length };
}

function leftovers(): readonly string[] {
  return fs.readdirSync(temporaryDirectory);
}

async function rejects(code: string, fn: () => Promise<unknown>): Promise<void> {
  await assert.rejects(fn, (error) => error instanceof VitrineError && error.code === code);
  assert.deepEqual(leftovers(), []);
}

const twoLayers: readonly (readonly TarInput[])[] = [
  [text("etc/os-release", "ID=test\n"), text("bin/sh", "#!")],
  [text("new", "hello")],
];

const formats = ["docker-archive", "oci-archive"] as const;
for (const format of formats) {
  for (const compression of ["none", "gzip", "zstd"] as const) {
    test(`${format} with ${compression} layers: saved, opened again, the same bytes every time`, async () => {
      const made = await makeImage(twoLayers, { names: ["docker.io/library/app:1"], compression });
      const options = { temporaryDirectory };
      const bytes = await join(encodeArchive([made.source], format, options));
      assert.deepEqual(await join(encodeArchive([made.source], format, options)), bytes);
      const archive = await openArchive(await toFile(chunks(bytes)), { temporaryDirectory });
      assert.equal(archive.format, format);
      assert.equal(archive.images.length, 1);
      const [image] = archive.images;
      assert.deepEqual(image!.names, ["docker.io/library/app:1"]);
      assert.deepEqual((await readAll(image!)).diffIDs, made.diffIDs);
      if (format === "oci-archive") assert.equal(image!.root.digest, made.manifest.digest);
      const walk = await walkImage(image!);
      assert.equal(
        walk.manifests[0]!.parsed.manifest.config.digest,
        made.config.digest,
        "the image ID stays",
      );
      await archive.close();
      assert.deepEqual(leftovers(), []);
    });
  }
}

test("a layout directory, with several images and names, and an untagged one", async () => {
  const one = await makeImage([[text("a", "1")]], {
    names: ["docker.io/library/one:1", "docker.io/library/one:2"],
  });
  const two = await makeImage([[text("a", "1")], [text("b", "2")]]);
  const target = path.join(directory, "layout");
  await writeLayoutDirectory([one.source, two.source], target);
  const archive = await openArchive(target, { temporaryDirectory });
  assert.equal(archive.format, "oci-dir");
  assert.deepEqual(
    archive.images.map(({ names }) => names),
    [["docker.io/library/one:1", "docker.io/library/one:2"], []],
  );
  assert.deepEqual((await readAll(archive.images[1]!)).diffIDs, two.diffIDs);
  await rejects("directory-not-empty", () => writeLayoutDirectory([one.source], target));
});

test("an index keeps its platforms; those that are not there are left out", async () => {
  const amd64 = await makeImage([[text("a", "amd64")]]);
  const arm64 = await makeImage([[text("a", "arm64")]], { platform: { architecture: "arm64", os: "linux" } });
  const elsewhere = await makeImage([[text("a", "s390x")]]);
  const source = makeIndex(
    [
      { image: amd64, platform: { architecture: "amd64", os: "linux" } },
      { image: arm64, platform: { architecture: "arm64", os: "linux" } },
    ],
    ["docker.io/library/multi:latest"],
    [{ ...elsewhere.manifest, platform: { architecture: "s390x", os: "linux" } }],
  );
  const file = await toFile(encodeArchive([source], "oci-archive", { temporaryDirectory }));
  const archive = await openArchive(file, { temporaryDirectory });
  const [image] = archive.images;
  assert.equal(image!.root.digest, source.root.digest);
  const walk = await walkImage(image!);
  assert.equal(walk.manifests.length, 2);
  assert.deepEqual(
    walk.missing.map(({ digest }) => digest),
    [elsewhere.manifest.digest],
  );
  await archive.close();
  await rejects("archive-needs-one-platform", () =>
    join(encodeArchive([source], "docker-archive", { temporaryDirectory })),
  );
});

test("compressed archives, and archives from a stream, are spooled and swept", async () => {
  const made = await makeImage(twoLayers, { names: ["docker.io/library/app:1"] });
  for (const compression of ["gzip", "zstd"] as const) {
    const tar = encodeArchive([made.source], "docker-archive", { temporaryDirectory });
    const file = await toFile(compress(tar, compression));
    for (const input of [file, chunks(fs.readFileSync(file))]) {
      const archive = await openArchive(input, { temporaryDirectory });
      assert.deepEqual((await readAll(archive.images[0]!)).diffIDs, made.diffIDs);
      assert.equal(leftovers().length, 1);
      await archive.close();
      assert.deepEqual(leftovers(), []);
    }
  }
});

async function dockerArchive(members: readonly TarInput[]): Promise<ImageArchive> {
  return openArchive(await toFile(writeTar(members)), { temporaryDirectory });
}

async function legacyParts(): Promise<{ tar: Uint8Array; config: Uint8Array; configName: string }> {
  const tar = await join(writeTar([text("etc/motd", "hi")]));
  const config = encodeImageConfig({
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [digestOf(tar), digestOf(tar)] },
  });
  return { tar, config, configName: `${hashHex("sha256", config)}.json` };
}

test("the old docker save: ID/layer.tar, equal layers as symbolic links", async () => {
  const { tar, config, configName } = await legacyParts();
  const archive = await dockerArchive([
    { path: "aaa/", type: "directory" },
    text("aaa/VERSION", "1.0"),
    text("aaa/json", "{}"),
    { path: "aaa/layer.tar", type: "file", body: tar },
    { path: "bbb/layer.tar", type: "symlink", linkTarget: "../aaa/layer.tar" },
    { path: configName, type: "file", body: config },
    text(
      "manifest.json",
      JSON.stringify([
        { Config: configName, RepoTags: ["app:1", "app:2"], Layers: ["aaa/layer.tar", "bbb/layer.tar"] },
      ]),
    ),
    text("repositories", "{}"),
  ]);
  assert.equal(archive.format, "docker-archive");
  const [image] = archive.images;
  assert.deepEqual(image!.names, ["app:1", "app:2"]);
  assert.deepEqual((await readAll(image!)).diffIDs, [digestOf(tar), digestOf(tar)]);
  const walk = await walkImage(image!);
  assert.equal(walk.manifests[0]!.parsed.manifest.config.digest, digestOf(config));
  assert.equal(walk.manifests[0]!.parsed.manifest.layers[0]!.mediaType, mediaTypes.layer);
});

test("links between members cannot lead out of the archive or round in it", async () => {
  const { config, configName } = await legacyParts();
  for (const linkTarget of ["../../../etc/passwd", "/etc/passwd", "layer.tar"]) {
    await rejects("docker-archive-missing-member", () =>
      dockerArchive([
        { path: "aaa/layer.tar", type: "symlink", linkTarget },
        { path: configName, type: "file", body: config },
        text(
          "manifest.json",
          JSON.stringify([{ Config: configName, Layers: ["aaa/layer.tar", "aaa/layer.tar"] }]),
        ),
      ]),
    );
  }
});

test("today's docker save: an OCI layout with manifest.json beside it; Docker's names count", async () => {
  const made = await makeImage(twoLayers);
  const members = [...made.blobs].map(
    ([digest, body]): TarInput => ({
      path: `blobs/sha256/${digest.slice(7)}`,
      type: "file",
      body,
    }),
  );
  const index = (annotations: Record<string, string>) =>
    text("index.json", JSON.stringify({ schemaVersion: 2, manifests: [{ ...made.manifest, annotations }] }));
  const layout = text("oci-layout", '{"imageLayoutVersion":"1.0.0"}');
  const manifestJson = text(
    "manifest.json",
    JSON.stringify([
      { Config: `blobs/sha256/${made.config.digest.slice(7)}`, RepoTags: ["app:1"], Layers: [] },
    ]),
  );
  const annotated = await dockerArchive([
    ...members,
    index({
      "io.containerd.image.name": "docker.io/library/app:9",
      "org.opencontainers.image.ref.name": "9",
    }),
    layout,
    manifestJson,
  ]);
  assert.equal(annotated.format, "oci-archive");
  assert.equal(annotated.images[0]!.root.digest, made.manifest.digest);
  assert.deepEqual(annotated.images[0]!.names, ["docker.io/library/app:9"]);
  const bare = await dockerArchive([...members, index({}), layout, manifestJson]);
  assert.deepEqual(bare.images[0]!.names, ["app:1"]);
});

test("a tag alone, as skopeo and umoci write it, is completed with the archive's name", async () => {
  const made = await makeImage(twoLayers);
  const target = path.join(directory, "My Alpine");
  await writeLayoutDirectory([{ ...made.source, names: ["docker.io/library/x:1"] }], target);
  const index = path.join(target, "index.json");
  fs.writeFileSync(index, fs.readFileSync(index, "utf8").replace("docker.io/library/x:1", "3.20"));
  const archive = await openArchive(target, { temporaryDirectory });
  assert.deepEqual(archive.images[0]!.names, ["localhost/my-alpine:3.20"]);
});

test("gzip layers inside a docker-archive keep their bytes", async () => {
  const tar = await join(writeTar([text("a", "x")]));
  const zipped = await join(compress(chunks(tar), "gzip"));
  const config = encodeImageConfig({
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
  });
  const archive = await dockerArchive([
    { path: "layer.tar.gz", type: "file", body: zipped },
    { path: "config.json", type: "file", body: config },
    text(
      "manifest.json",
      JSON.stringify([{ Config: "config.json", RepoTags: null, Layers: ["layer.tar.gz"] }]),
    ),
  ]);
  const walk = await walkImage(archive.images[0]!);
  const [layer] = walk.manifests[0]!.parsed.manifest.layers;
  assert.deepEqual(layer, { mediaType: mediaTypes.layerGzip, digest: digestOf(zipped), size: zipped.length });
  assert.deepEqual(await join(archive.images[0]!.openBlob(layer!)), Buffer.from(zipped));
});

test("what is damaged is refused, and nothing stays behind", async () => {
  const made = await makeImage(twoLayers, { names: ["docker.io/library/app:1"], compression: "gzip" });
  const options = { temporaryDirectory };
  const bytes = await join(encodeArchive([made.source], "oci-archive", options));
  await rejects("tar-truncated", () => openArchive(chunks(bytes.subarray(0, bytes.length >> 1)), options));
  await rejects("archive-empty", () => openArchive(chunks(new Uint8Array(0)), options));
  await rejects("archive-not-found", () => openArchive(path.join(directory, "missing"), options));
  await rejects("archive-unknown-format", async () =>
    openArchive(await toFile(writeTar([text("etc/passwd", "root")])), options),
  );
  await rejects("archive-unknown-format", () => openArchive(temporaryDirectory, options));
  const layer = (await walkImage(made.source)).blobs.at(-1)!;
  const flipped = Buffer.from(made.blobs.get(layer.digest)!);
  flipped[flipped.length - 5]! ^= 0xff;
  const damaged = Buffer.from(bytes);
  const at = damaged.indexOf(made.blobs.get(layer.digest)!);
  damaged.set(flipped, at);
  const archive = await openArchive(await toFile(chunks(damaged)), options);
  await rejects("content-digest-mismatch", () => readAll(archive.images[0]!));
});

test("a digest in an archive is never taken on trust", async () => {
  const made = await makeImage([[text("a", "x")]]);
  const wrong = formatDigest("sha256", "0".repeat(64));
  const source: ImageSource = { ...made.source, root: { ...made.manifest, digest: wrong } };
  await rejects("blob-missing", () => walkImage(source));
});
