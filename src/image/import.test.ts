import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { chunks, digestOf, join, text } from "../../test/support/images.ts";
import { compress, VitrineError, writeTar } from "../base/mod.ts";
import { type ExecutionConfig, mediaTypes } from "../oci/mod.ts";
import { applyChange } from "./changes.ts";
import { type ImportOptions, importRootfs } from "./import.ts";
import { readConfig, walkImage } from "./walk.ts";

const temporaryDirectory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-import-"));
after(() => fs.rmSync(temporaryDirectory, { recursive: true, force: true }));

const options: ImportOptions = {
  changes: [],
  platform: { architecture: "arm64", os: "linux", variant: "v8" },
  created: 1_700_000_000_000,
  names: ["root:1"],
  temporaryDirectory,
};

async function imported(tarball: AsyncIterable<Uint8Array>, more: Partial<ImportOptions> = {}) {
  const archive = await importRootfs(tarball, { ...options, ...more });
  const [image] = archive.images;
  const walk = await walkImage(image!);
  const { parsed, descriptor } = walk.manifests[0]!;
  const { config } = await readConfig(image!, parsed);
  const layer = parsed.manifest.layers[0]!;
  const bytes = await join(image!.openBlob(layer));
  await archive.close();
  assert.deepEqual(fs.readdirSync(temporaryDirectory), []);
  return { image: image!, manifest: descriptor, config, layer, bytes };
}

async function rejects(code: string, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof VitrineError && error.code === code);
  assert.deepEqual(fs.readdirSync(temporaryDirectory), []);
}

test("a tarball becomes an image of one layer; gzip and zstd ones keep their bytes", async () => {
  const tar = await join(writeTar([text("etc/os-release", "ID=x")]));
  for (const [compression, mediaType] of [
    ["none", mediaTypes.layer],
    ["gzip", mediaTypes.layerGzip],
    ["zstd", mediaTypes.layerZstd],
  ] as const) {
    const packed = await join(compress(chunks(tar), compression));
    const made = await imported(chunks(packed), { message: "from a test" });
    assert.deepEqual(made.layer, { mediaType, digest: digestOf(packed), size: packed.length });
    assert.deepEqual(made.config.rootfs.diff_ids, [digestOf(tar)]);
    assert.equal(made.config.created, "2023-11-14T22:13:20Z");
    assert.equal(made.config.variant, "v8");
    assert.equal(made.config.history?.[0]?.comment, "from a test");
    assert.deepEqual(made.image.names, ["root:1"]);
    const again = await imported(chunks(packed), { message: "from a test" });
    assert.equal(again.manifest.digest, made.manifest.digest, "the same input gives the same image");
  }
});

test("what is no tarball is refused", async () => {
  await rejects("import-empty", importRootfs(chunks(Buffer.alloc(10_240)), options));
  await assert.rejects(
    importRootfs(chunks(Buffer.from("not a tar at all".repeat(100))), options),
    VitrineError,
  );
  const tar = await join(writeTar([text("a", "x".repeat(5000))]));
  await rejects("tar-truncated", importRootfs(chunks(tar.subarray(0, 1024)), options));
  const packed = await join(compress(chunks(tar), "gzip"));
  await assert.rejects(importRootfs(chunks(packed.subarray(0, -4)), options), VitrineError);
  assert.deepEqual(fs.readdirSync(temporaryDirectory), []);
});

test("a bomb is stopped", async () => {
  const packed = await join(compress(manyZeros(), "zstd"));
  assert.ok(packed.length < 100_000);
  await rejects("bomb", importRootfs(chunks(packed), { ...options, expansionFreeBytes: 64 * 1024 * 1024 }));
});

/** A tar of one file of 256 MiB of zeros: zstd packs it ten thousand to one. */
async function* manyZeros(): AsyncGenerator<Uint8Array, void> {
  const mebibyte = new Uint8Array(1024 * 1024);
  async function* body(): AsyncGenerator<Uint8Array, void> {
    for (let at = 0; at < 256; at++) yield mebibyte;
  }
  yield* writeTar([{ path: "big", type: "file", size: 256 * mebibyte.length, body: body() }]);
}

function changed(...changes: readonly string[]): ExecutionConfig {
  return changes.reduce(applyChange, {} as ExecutionConfig);
}

test("--change: every instruction that edits a config", () => {
  assert.deepEqual(
    changed(
      'SHELL ["/bin/bash", "-c"]',
      "CMD echo $HOME",
      'entrypoint ["/init", "--x"]',
      "ENV A=1 B='two words' C=three\\ words",
      "ENV OLD the rest of it",
      "ENV A=2",
      "EXPOSE 80 53/udp 8000-8002/TCP",
      'LABEL a=1 "b c"="d e"',
      "USER 1000:www",
      'VOLUME ["/data", "/x y"]',
      "VOLUME /a /b",
      "WORKDIR /srv",
      "WORKDIR app/../lib",
      "STOPSIGNAL SIGINT",
      "HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://localhost/",
      "ONBUILD RUN make",
    ),
    {
      Shell: ["/bin/bash", "-c"],
      Cmd: ["/bin/bash", "-c", "echo $HOME"],
      Entrypoint: ["/init", "--x"],
      Env: ["A=2", "B=two words", "C=three words", "OLD=the rest of it"],
      ExposedPorts: ["53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"],
      Labels: { a: "1", "b c": "d e" },
      User: "1000:www",
      Volumes: ["/a", "/b", "/data", "/x y"],
      WorkingDir: "/srv/lib",
      StopSignal: "SIGINT",
      Healthcheck: { Test: ["CMD-SHELL", "curl -f http://localhost/"], Interval: 90e9, Retries: 3 },
      OnBuild: ["RUN make"],
    },
  );
  assert.deepEqual(changed('CMD=["sh"]').Cmd, ["sh"]);
  assert.deepEqual(changed('HEALTHCHECK CMD ["true"]').Healthcheck, { Test: ["CMD", "true"] });
  assert.deepEqual(changed("HEALTHCHECK NONE").Healthcheck, { Test: ["NONE"] });
});

test("--change: what cannot be meant is refused", () => {
  const refuses = (code: string, change: string): void => {
    assert.throws(
      () => changed(change),
      (error) => error instanceof VitrineError && error.code === code,
      change,
    );
  };
  for (const change of ["RUN make", "FROM x", "", "CMD", "constructor x"]) {
    refuses("change-unknown-instruction", change);
  }
  for (const change of [
    "ENV A",
    "ENV =1",
    "ENV A='1",
    "EXPOSE 0",
    "EXPOSE 70000",
    "EXPOSE 90-80",
    "EXPOSE http",
    "USER a b",
    "SHELL /bin/sh",
    "HEALTHCHECK --interval=5 CMD x",
    "HEALTHCHECK --nonsense=1 CMD x",
    "HEALTHCHECK curl",
    'VOLUME [""]',
  ]) {
    refuses("change-invalid", change);
  }
});
