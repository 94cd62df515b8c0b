/** What goes wrong with disks, processes and hostile images: a clear error, and nothing left behind. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { compress, type TarInput, VitrineError, writeTar } from "../../src/base/mod.ts";
import { memoryContent, sourceOf } from "../../src/image/mod.ts";
import { encodeImageConfig, encodeManifest, mediaTypes } from "../../src/oci/mod.ts";
import { openStore } from "../../src/store/mod.ts";
import { digestOf, join, makeImage, text } from "../support/images.ts";
import { makeStore, type TestStore } from "../support/stores.ts";
import { cannotRun, isRoot, repository } from "./support.ts";

async function rejects(code: string, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof VitrineError && error.code === code);
}

function leftovers(world: TestStore): readonly string[] {
  return fs.readdirSync(path.join(world.store.root, "tmp"));
}

const random = (size: number): Uint8Array => {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
};

test("a full disk: loading and unpacking say so, and give the space back", async (t) => {
  if (!isRoot) return cannotRun(t, "only root mounts a small filesystem");
  using world = makeStore({ driver: "overlay" });
  fs.mkdirSync(world.options.root, { recursive: true });
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "vt-small", world.options.root]);
  if (mounted.status !== 0) return cannotRun(t, "a tmpfs cannot be mounted");
  try {
    const big = await makeImage([[{ path: "big", type: "file", body: random(12 * 1024 * 1024) }]], {
      names: ["big"],
    });
    await rejects("disk-full", world.store.put(big.source));
    assert.deepEqual(leftovers(world), []);
    assert.deepEqual(fs.readdirSync(path.join(world.store.root, "oci/blobs/sha256")), []);
    // Zeros: the blob fits, what it unpacks to does not.
    const zeros = await makeImage(
      [[{ path: "zeros", type: "file", body: new Uint8Array(12 * 1024 * 1024) }]],
      {
        names: ["zeros"],
        compression: "gzip",
      },
    );
    await world.store.put(zeros.source);
    await rejects("disk-full", world.store.unpack(world.store.resolve("zeros")));
    assert.deepEqual(leftovers(world), []);
    assert.deepEqual(fs.readdirSync(path.join(world.store.root, "layers/host")), []);
  } finally {
    spawnSync("umount", [world.options.root]);
  }
});

test("a read-only store still serves what it has", async (t) => {
  if (!isRoot) return cannotRun(t, "only root mounts");
  using world = makeStore({ driver: "overlay" });
  const made = await makeImage([[text("etc/passwd", "root:x:0:0::/:/bin/sh\n")]], { names: ["app"] });
  await world.store.put(made.source);
  await world.store.unpack(world.store.resolve("app"));
  const { root } = world.store;
  assert.equal(spawnSync("mount", ["--bind", root, root]).status, 0);
  try {
    assert.equal(spawnSync("mount", ["-o", "remount,bind,ro", root]).status, 0);
    const image = world.store.resolve("app");
    assert.ok(world.store.isUnpacked(image));
    assert.ok(world.store.readImageFile(image, "/etc/passwd"));
    await rejects("store-read-only", world.store.tag("app", "other"));
    await rejects("store-read-only", world.store.remove("app"));
    await rejects("store-read-only", world.store.put(made.source));
  } finally {
    spawnSync("umount", [root]);
  }
});

test("a store of another user is refused, not half read", async (t) => {
  if (isRoot) return cannotRun(t, "root may read everything");
  using world = makeStore();
  const made = await makeImage([[text("a", "a")]], { names: ["app"] });
  await world.store.put(made.source);
  fs.chmodSync(path.join(world.store.root, "oci/index.json"), 0);
  assert.throws(
    () => world.store.resolve("app"),
    (error) => error instanceof VitrineError && error.code === "store-denied",
  );
  fs.chmodSync(path.join(world.store.root, "oci/index.json"), 0o600);
});

test("a command killed while it unpacks leaves what the next one sweeps", async () => {
  using world = makeStore();
  const members = Array.from(
    { length: 400 },
    (_, at): TarInput => ({
      path: `d${at % 7}/f${at}`,
      type: "file",
      body: random(100_000),
    }),
  );
  const made = await makeImage([members], { names: ["slow"], compression: "gzip" });
  await world.store.put(made.source);
  const script = `
    const { openStore } = await import(${JSON.stringify(path.join(repository, "src/store/mod.ts"))});
    const store = openStore({ ...${JSON.stringify({ ...world.options, now: undefined })}, now: Date.now });
    await store.unpack(store.resolve("slow"));`;
  const layers = () => {
    const all = path.join(world.store.root, "layers");
    return fs.existsSync(all)
      ? fs.readdirSync(all).flatMap((map) => fs.readdirSync(path.join(all, map)))
      : [];
  };
  let caught = 0;
  for (let attempt = 0; attempt < 10 && caught < 3; attempt++) {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: "ignore" });
    const ended = new Promise((resolve) => child.on("exit", resolve));
    const deadline = performance.now() + 120_000;
    while (performance.now() < deadline && child.exitCode === null) {
      if (leftovers(world).some((name) => name.startsWith("layer."))) break;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    child.kill("SIGKILL");
    await ended;
    if (leftovers(world).some((name) => name.startsWith("layer."))) caught += 1;
    if (layers().length === 0) continue;
    if (caught > 0) break;
    // It was done before it was seen.
    await world.store.remove("slow", { force: true });
    await world.store.put(made.source);
  }
  assert.ok(caught > 0, "no attempt was killed in the middle");
  await world.store.gc();
  // The helper of a killed command may need a moment to notice.
  const patience = performance.now() + 60_000;
  while (leftovers(world).length > 0 && performance.now() < patience) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    await world.store.gc();
  }
  assert.deepEqual(leftovers(world), []);
  const image = world.store.resolve("slow");
  await world.store.unpack(image);
  assert.ok(world.store.isUnpacked(image));
});

for (const compression of ["gzip", "zstd"] as const)
  test(`a bomb: a ${compression} layer that unpacks to far more than it is`, async () => {
    using world = makeStore({ expansionFreeBytes: 64 * 1024 * 1024 });
    const mebibyte = new Uint8Array(1024 * 1024);
    async function* zeros(): AsyncGenerator<Uint8Array, void> {
      for (let at = 0; at < 256; at++) yield mebibyte;
    }
    const tar = await join(
      writeTar([{ path: "big", type: "file", size: 256 * mebibyte.length, body: zeros() }]),
    );
    const blob = await join(compress(oneChunk(tar), compression));
    await world.store.put(imageOf(blob, tar, "bomb", compression));
    await rejects("bomb", world.store.unpack(world.store.resolve("bomb")));
    // Who asks for it gets it; and 256 MiB are nothing by the standing bound.
    const patient = openStore({ ...world.options, expansionFreeBytes: undefined });
    await patient.unpack(patient.resolve("bomb"));
    await patient.remove("bomb", { force: true });
    assert.deepEqual(leftovers(world), []);
  });

/** An image of one layer with these compressed bytes, whose digests are right whatever the bytes are. */
function imageOf(blob: Uint8Array, tar: Uint8Array, name: string, compression: "gzip" | "zstd" = "gzip") {
  const config = encodeImageConfig({
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [digestOf(tar)] },
  });
  const describe = (bytes: Uint8Array, mediaType: string) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: describe(config, mediaTypes.config),
    layers: [describe(blob, compression === "gzip" ? mediaTypes.layerGzip : mediaTypes.layerZstd)],
  });
  const blobs = new Map([blob, config, manifest].map((bytes) => [digestOf(bytes), bytes]));
  return sourceOf(memoryContent(blobs), describe(manifest, mediaTypes.manifest), [name]);
}

test("a gzip layer that is damaged, cut off or followed by something: said so, and nothing stays", async () => {
  using world = makeStore();
  const body = random(3_000_000);
  const tar = await join(writeTar([{ path: "file", type: "file", size: body.length, body: oneChunk(body) }]));
  const whole = await join(compress(oneChunk(tar), "gzip"));
  const crc = Uint8Array.from(whole);
  crc[crc.length - 6]! ^= 1;
  const inside = Uint8Array.from(whole);
  inside.fill(0, 1_000_000, 1_000_200);
  const cases: Readonly<Record<string, Uint8Array>> = {
    crc,
    inside,
    cut: whole.subarray(0, whole.length - 9),
    followed: Buffer.concat([whole, Buffer.from("something else")]),
  };
  for (const [name, blob] of Object.entries(cases)) {
    await world.store.put(imageOf(blob, tar, name));
    await rejects("compressed-data-corrupt", world.store.unpack(world.store.resolve(name)));
  }
  // Two members, and a tape's padding behind them, are one stream.
  const half = tar.length / 2;
  const parts = [tar.subarray(0, half), tar.subarray(half)].map((part) =>
    join(compress(oneChunk(part), "gzip")),
  );
  const several = Buffer.concat([...(await Promise.all(parts)), new Uint8Array(3000)]);
  await world.store.put(imageOf(several, tar, "several"));
  await world.store.unpack(world.store.resolve("several"));
  // What calls itself gzip and is none is taken for what it is.
  await world.store.put(imageOf(tar, tar, "plain"));
  await world.store.remove("several", { force: true });
  await world.store.unpack(world.store.resolve("plain"));
  assert.ok(world.store.isUnpacked(world.store.resolve("plain")));
  assert.deepEqual(leftovers(world), []);
});

test("when the process that inflates is killed, unpacking fails, and works the next time", async (t) => {
  if (process.arch !== "x64" && process.arch !== "arm64") return cannotRun(t, "there is no seal for it here");
  using world = makeStore({ driver: isRoot ? "overlay" : "auto" });
  const body = random(60_000_000);
  const tar = await join(writeTar([{ path: "file", type: "file", size: body.length, body: oneChunk(body) }]));
  await world.store.put(imageOf(await join(compress(oneChunk(tar), "gzip", { level: 1 })), tar, "large"));
  const image = world.store.resolve("large");
  let killed = 0;
  for (let attempt = 0; attempt < 20 && killed === 0; attempt++) {
    const before = new Set(sealedProcesses());
    const unpacking = world.store.unpack(image).then(
      () => undefined,
      (error: unknown) => error,
    );
    let victim: number | undefined;
    let over = false;
    unpacking.then(() => {
      over = true;
    });
    while (!over && victim === undefined) {
      victim = sealedProcesses().find((pid) => !before.has(pid));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (victim !== undefined && !over) kill(victim);
    const error = await unpacking;
    if (error !== undefined) {
      assert.equal((error as VitrineError).code, "apply-failed");
      killed += 1;
    } else {
      if (!world.store.isUnpacked(image)) return cannotRun(t, "layers are not unpacked by this driver");
      await world.store.remove("large", { force: true });
      await world.store.put(imageOf(await join(compress(oneChunk(tar), "gzip", { level: 1 })), tar, "large"));
    }
  }
  assert.equal(killed, 1, "no process that inflates was caught");
  await world.store.unpack(image);
  assert.ok(world.store.isUnpacked(image));
  assert.deepEqual(leftovers(world), []);
});

/** It may have ended since it was seen. */
function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Grandchildren of this test under a seccomp filter: what helpers started to inflate and hash. */
function sealedProcesses(): readonly number[] {
  return descendants(process.pid).filter((pid) => {
    try {
      return /^Seccomp:\s+2$/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  });
}

function descendants(pid: number): readonly number[] {
  let children: readonly number[] = [];
  try {
    children = fs
      .readdirSync(`/proc/${pid}/task`)
      .flatMap((task) => fs.readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" "))
      .filter((word) => word !== "")
      .map(Number);
  } catch {
    // It ended.
  }
  return children.flatMap((child) => [child, ...descendants(child)]);
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

test("removing an image while it is unpacked and used: each command ends well or says why", async () => {
  using world = makeStore();
  const layers = Array.from({ length: 5 }, (_, at) => [text(`f${at}`, `${at}`)]);
  const made = await makeImage(layers, { names: ["busy"] });
  const allowed = new Set(["image-not-found", "blob-missing", "image-not-unpacked"]);
  const tolerate = async (job: () => Promise<unknown>): Promise<void> => {
    try {
      await job();
    } catch (error) {
      if (!(error instanceof VitrineError) || !allowed.has(error.code)) throw error;
    }
  };
  for (let round = 0; round < 15; round++) {
    await Promise.all([
      tolerate(() => world.store.put(made.source)),
      tolerate(async () => world.store.unpack(world.store.resolve("busy"))),
      tolerate(() => world.store.remove("busy", { force: true })),
      tolerate(() => world.store.gc()),
      tolerate(async () => {
        const image = world.store.resolve("busy");
        const container = world.container(`c${round}`);
        fs.writeFileSync(
          path.join(container, "container.json"),
          JSON.stringify({
            imageId: image.id,
            manifestDigest: image.manifestDescriptor.digest,
            layers: made.diffIDs,
          }),
        );
        try {
          await world.store.unpack(image);
          const [mount] = world.store.snapshot(image, container).mounts;
          assert.ok(mount.type === "overlay");
          await world.store.remove("busy", { force: true }).catch(() => undefined);
          await world.store.gc();
          for (const lower of mount.lowers)
            assert.ok(fs.existsSync(lower), "a container's layer was removed");
        } finally {
          world.store.removeTree(container);
        }
      }),
    ]);
  }
  await world.store.gc();
  assert.deepEqual(leftovers(world), []);
});
