/** The store and its archives as other tools see them: skopeo and umoci read what we write, and we what they write. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { VitrineError } from "../../src/base/mod.ts";
import {
  encodeArchive,
  openArchive,
  renamed,
  writeArchiveFile,
  writeLayoutDirectory,
} from "../../src/image/mod.ts";
import { makeImage, makeIndex, text } from "../support/images.ts";
import { makeStore, type TestStore } from "../support/stores.ts";
import { cannotRun, findProgram } from "./support.ts";

function run(program: string, ...args: readonly string[]): string {
  const done = spawnSync(program, args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  assert.equal(done.status, 0, `${program} ${args.join(" ")}: ${done.stderr}`);
  return done.stdout;
}

const name = "docker.io/library/app:1.0";

function image() {
  return makeImage(
    [
      [text("etc/os-release", "ID=app\n"), text("bin/sh", "#!")],
      [text("etc/.wh.os-release", ""), text("new", "1")],
    ],
    {
      names: [name],
      compression: "gzip",
      config: {
        created: "2024-05-06T07:08:09Z",
        config: { Env: ["A=1"], Cmd: ["/bin/sh"], Labels: { team: "blue" }, WorkingDir: "/srv" },
        history: [{ created_by: "one" }, { created_by: "two" }],
      },
    },
  );
}

async function load(world: TestStore, input: string | AsyncIterable<Uint8Array>): Promise<readonly string[]> {
  const archive = await openArchive(input, { temporaryDirectory: world.store.temporaryDirectory() });
  try {
    const ids: string[] = [];
    for (const source of archive.images) ids.push(...(await world.store.put(source)).ids);
    return ids;
  } finally {
    await archive.close();
  }
}

test("skopeo inspects and copies images out of the store", async (t) => {
  if (findProgram("skopeo") === undefined) return cannotRun(t, "skopeo is not installed");
  using world = makeStore();
  const made = await image();
  await world.store.put(made.source);
  const layout = path.join(world.store.root, "oci");
  const inspected = JSON.parse(run("skopeo", "inspect", `oci:${layout}:${name}`));
  assert.equal(inspected.Digest, made.manifest.digest);
  assert.deepEqual(inspected.Labels, { team: "blue" });
  assert.equal(inspected.Layers.length, 2);
  const config = JSON.parse(run("skopeo", "inspect", "--config", `oci:${layout}:${name}`));
  assert.deepEqual(config.rootfs.diff_ids, made.diffIDs);
  const copied = path.join(world.directory, "copied");
  run("skopeo", "copy", "--quiet", `oci:${layout}:${name}`, `oci:${copied}:1.0`);
  assert.deepEqual(await load(world, copied), [made.config.digest]);
  assert.ok(world.store.resolve("localhost/copied:1.0"));
});

test("skopeo puts an image into the store, and the store serves it", async (t) => {
  if (findProgram("skopeo") === undefined) return cannotRun(t, "skopeo is not installed");
  using world = makeStore();
  const made = await image();
  await world.store.put(made.source);
  const layout = path.join(world.store.root, "oci");
  run("skopeo", "copy", "--quiet", `oci:${layout}:${name}`, `oci:${layout}:other:2`);
  assert.equal(world.store.resolve("other:2").id, made.config.digest);
  await world.store.tag("other:2", "third");
  assert.equal(world.store.list().length, 3);
});

for (const [transport, format] of [
  ["docker-archive", "docker-archive"],
  ["oci-archive", "oci-archive"],
] as const) {
  test(`skopeo reads our ${format}, we read skopeo's`, async (t) => {
    if (findProgram("skopeo") === undefined) return cannotRun(t, "skopeo is not installed");
    using world = makeStore();
    const made = await image();
    await world.store.put(made.source);
    const options = { temporaryDirectory: world.store.temporaryDirectory() };
    const ours = path.join(world.directory, "ours.tar");
    const source = world.store.source(world.store.resolve(name));
    await writeArchiveFile(encodeArchive([source], format, options), ours);
    const inspected = JSON.parse(run("skopeo", "inspect", "--config", `${transport}:${ours}`));
    assert.deepEqual(inspected.rootfs.diff_ids, made.diffIDs);
    assert.deepEqual(inspected.config.Cmd, ["/bin/sh"]);
    const theirs = path.join(world.directory, "theirs.tar");
    run("skopeo", "copy", "--quiet", `${transport}:${ours}`, `${transport}:${theirs}:again:1`);
    using other = makeStore();
    await load(other, theirs);
    const again = other.store.resolve("again:1");
    assert.deepEqual(
      again.layers.map(({ diffID }) => diffID),
      made.diffIDs,
    );
    assert.deepEqual(fs.readdirSync(path.join(world.store.root, "tmp")), []);
  });
}

test("podman loads what we save, and we load what it saves", async (t) => {
  if (findProgram("podman") === undefined) return cannotRun(t, "podman is not installed");
  using world = makeStore();
  const made = await image();
  await world.store.put(made.source);
  const storage = [
    "--root",
    path.join(world.directory, "podman"),
    "--runroot",
    path.join(world.directory, "podrun"),
    "--tmpdir",
    path.join(world.directory, "podtmp"),
  ];
  const podman = (...args: string[]) =>
    spawnSync("podman", [...storage, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", ...args], {
      encoding: "utf8",
    });
  const probe = podman("info");
  if (probe.status !== 0) return cannotRun(t, `podman does not work: ${probe.stderr.trim().split("\n")[0]}`);
  for (const format of ["docker-archive", "oci-archive"] as const) {
    const file = path.join(world.directory, `${format}.tar`);
    const source = world.store.source(world.store.resolve(name));
    const options = { temporaryDirectory: world.store.temporaryDirectory() };
    await writeArchiveFile(encodeArchive([source], format, options), file);
    const loaded = podman("load", "--input", file);
    assert.equal(loaded.status, 0, loaded.stderr);
    assert.match(loaded.stdout, /app:1\.0/);
    const saved = path.join(world.directory, `saved-${format}.tar`);
    const save = podman("save", "--format", format, "--output", saved, name);
    assert.equal(save.status, 0, save.stderr);
    const [id] = await load(world, saved);
    assert.deepEqual(
      world.store.resolve(id!).layers.map(({ diffID }) => diffID),
      made.diffIDs,
    );
    podman("rmi", "--force", name);
  }
});

test("umoci lists and stats the store", async (t) => {
  if (findProgram("umoci") === undefined) return cannotRun(t, "umoci is not installed");
  using world = makeStore();
  const made = await image();
  await world.store.put(made.source);
  const layout = path.join(world.store.root, "oci");
  assert.equal(run("umoci", "list", "--layout", layout).trim(), name);
  const stat = JSON.parse(run("umoci", "stat", "--json", "--image", `${layout}:${name}`));
  assert.deepEqual(
    stat.history.map((row: { layer: { digest: string } | null }) => row.layer?.digest),
    world.store.resolve(name).manifest.layers.map(({ digest }) => digest),
  );
});

test("an archive of several platforms stays whole, and skopeo finds each", async (t) => {
  if (findProgram("skopeo") === undefined) return cannotRun(t, "skopeo is not installed");
  using world = makeStore();
  const platforms = ["amd64", "arm64"].map((architecture) => ({ architecture, os: "linux" }));
  const parts = await Promise.all(
    platforms.map(async (platform) => ({
      platform,
      image: await makeImage([[text("arch", platform.architecture)]], { platform }),
    })),
  );
  const index = makeIndex(parts, ["docker.io/library/multi:1"]);
  await world.store.put(index);
  const target = path.join(world.directory, "layout");
  await writeLayoutDirectory(
    [world.store.source(world.store.resolve("multi:1"), { wholeIndex: true })],
    target,
  );
  for (const { platform, image } of parts) {
    const inspected = JSON.parse(
      run(
        "skopeo",
        "--override-arch",
        platform.architecture,
        "inspect",
        `oci:${target}:docker.io/library/multi:1`,
      ),
    );
    assert.equal(inspected.Architecture, platform.architecture);
    assert.deepEqual(inspected.Layers.length, image.diffIDs.length);
  }
});

test("archives compressed by the usual tools load from a file and from a stream", async (t) => {
  using world = makeStore();
  const made = await image();
  const options = { temporaryDirectory: world.store.temporaryDirectory() };
  const plain = path.join(world.directory, "image.tar");
  await writeArchiveFile(encodeArchive([renamed(made.source, ["app"])], "docker-archive", options), plain);
  for (const program of ["gzip", "xz", "zstd"]) {
    if (findProgram(program) === undefined) {
      cannotRun(t, `${program} is not installed`);
      continue;
    }
    const packed = path.join(world.directory, `image.${program}`);
    fs.writeFileSync(packed, spawnSync(program, ["-c", plain], { maxBuffer: 2 ** 30 }).stdout);
    assert.deepEqual(await load(world, packed), [made.config.digest], program);
    assert.deepEqual(await load(world, fs.createReadStream(packed)), [made.config.digest], program);
    const cut = path.join(world.directory, `cut.${program}`);
    fs.writeFileSync(cut, fs.readFileSync(packed).subarray(0, -10));
    await assert.rejects(load(world, cut), VitrineError, program);
    assert.deepEqual(fs.readdirSync(path.join(world.store.root, "tmp")), []);
  }
});
