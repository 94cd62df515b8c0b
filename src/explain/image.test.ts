import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type MadeImage, makeImage, text } from "../../test/support/images.ts";
import type { TarInput } from "../base/mod.ts";
import { readConfig, walkImage } from "../image/mod.ts";
import type { StoredImage } from "../store/mod.ts";
import { explainImage } from "./image.ts";
import { renderImage } from "./render-image.ts";

const layers: readonly (readonly TarInput[])[] = [
  [
    { path: "etc/", type: "directory" },
    text("etc/old", "x".repeat(1000)),
    text("etc/kept", "kept"),
    text("bin/a", "same!"),
  ],
  [
    text("etc/old", "new"),
    text("bin/b", "same!"),
    { path: "bin/su", type: "file", mode: 0o4755, body: Buffer.from("s") },
  ],
  [{ path: "bin/.wh.su", type: "file", body: Buffer.alloc(0) }],
];
const config = {
  created: "2026-01-02T03:04:05Z",
  config: {
    Cmd: ["sh", "-c", "echo 'hi there'"],
    Env: ["PATH=/bin"],
    User: "1000",
    Labels: { evil: "\x1b[2J" },
  },
  history: [
    { created_by: "ADD rootfs /" },
    { created_by: "RUN change", comment: "two" },
    { created_by: "ENV PATH=/bin", empty_layer: true },
    { created_by: "RUN rm /bin/su" },
  ],
};

/** What the store would say of it. */
async function stored({ source, manifest }: MadeImage): Promise<StoredImage> {
  const { manifests } = await walkImage(source);
  const parsed = manifests[0]!.parsed;
  const { bytes, config: parsedConfig } = await readConfig(source, parsed);
  const descriptors = parsed.manifest.layers;
  return {
    id: parsed.manifest.config.digest,
    manifestDescriptor: manifest,
    manifest: parsed.manifest,
    config: parsedConfig,
    configBytes: bytes,
    root: manifest,
    layers: descriptors.map((descriptor, index) => ({
      descriptor,
      diffID: parsedConfig.rootfs.diff_ids[index]!,
    })),
    names: ["docker.io/library/test:latest"],
    size: descriptors.reduce((sum, { size }) => sum + size, 0),
  };
}

async function explain(compression: "none" | "gzip" | "zstd" = "none") {
  const made = await makeImage(layers, { compression, config });
  return explainImage(await stored(made), made.source);
}

describe("explainImage", () => {
  it("puts history and layers side by side", async () => {
    const { steps } = await explain();
    assert.deepEqual(
      steps.map(({ createdBy, layer }) => [createdBy, layer?.index]),
      [
        ["ADD rootfs /", 0],
        ["RUN change", 1],
        ["ENV PATH=/bin", undefined],
        ["RUN rm /bin/su", 2],
      ],
    );
  });

  it("shows layers without a history that does not fit them", async () => {
    const made = await makeImage(layers, { config: { history: [{ created_by: "one" }] } });
    const { steps } = await explainImage(await stored(made), made.source);
    assert.deepEqual(
      steps.map(({ createdBy, layer }) => [createdBy, layer?.index]),
      [
        ["", 0],
        ["", 1],
        ["", 2],
      ],
    );
  });

  for (const compression of ["none", "gzip", "zstd"] as const) {
    it(`counts bytes and waste (${compression})`, async () => {
      const { totals, waste, duplicates, steps, privileged } = await explain(compression);
      assert.equal(totals.layerBytes, 1000 + 4 + 5 + 3 + 5 + 1);
      assert.deepEqual([totals.visibleFiles, totals.visibleBytes], [4, 3 + 4 + 5 + 5]);
      assert.equal(waste.bytes, 1001);
      assert.deepEqual(waste.largest[0], { path: "/etc/old", bytes: 1000, layer: 0, by: 1 });
      assert.equal(steps[0]!.layer!.wastedBytes, 1000);
      assert.deepEqual(duplicates.largest, [{ bytes: 5, paths: ["/bin/a", "/bin/b"] }]);
      assert.equal(duplicates.bytes, 5);
      assert.deepEqual(privileged, []);
    });
  }

  it("does not take a blob that is not what its digest says", async () => {
    const made = await makeImage(layers, { config });
    const image = await stored(made);
    const [first, ...rest] = image.layers;
    const wrong = { ...first!, descriptor: { ...first!.descriptor, size: first!.descriptor.size - 512 } };
    await assert.rejects(
      explainImage({ ...image, layers: [wrong, ...rest] }, made.source),
      (error: { kind?: string }) => error.kind === "corrupt",
    );
  });

  it("renders without a control character, within the width", async () => {
    const rendered = renderImage(await explain(), { width: 80, color: false });
    assert.match(rendered, /^[^\x00-\x09\x0b-\x1f\x7f]*$/);
    assert.ok(rendered.split("\n").every((line) => line.length <= 80));
    for (const expected of [
      /RUN change {2}# two/,
      /"echo 'hi there'"/,
      /wasted +1000 B/,
      /\/etc\/old/,
      /2 times: \/bin\/a, \/bin\/b/,
    ]) {
      assert.match(rendered, expected);
    }
  });
});
