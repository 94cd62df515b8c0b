import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../base/mod.ts";
import type { ParsedIndex, ParsedManifest } from "./image-types.ts";
import { mediaTypes } from "./media-types.ts";
import { parseIndex, parseManifest, parseManifestOrIndex, requireImage } from "./parse-manifest.ts";
import { assertFails, bytesOf, patched } from "./test-support.ts";

const hex = (digit: string) => `sha256:${digit.repeat(64)}`;

const manifest = {
  schemaVersion: 2,
  mediaType: mediaTypes.manifest,
  config: { mediaType: mediaTypes.config, digest: hex("c"), size: 7023 },
  layers: [
    { mediaType: mediaTypes.layerGzip, digest: hex("1"), size: 32654 },
    { mediaType: mediaTypes.layerZstd, digest: `sha512:${"2".repeat(128)}`, size: 0 },
  ],
  annotations: { "com.example.key": "value" },
};

const index = {
  schemaVersion: 2,
  mediaType: mediaTypes.index,
  manifests: [
    {
      mediaType: mediaTypes.manifest,
      digest: hex("a"),
      size: 7143,
      platform: { architecture: "arm", os: "linux", variant: "v7", "os.features": ["x"], "os.version": "1" },
    },
    { mediaType: mediaTypes.index, digest: hex("b"), size: 7682, artifactType: "application/x.y+z" },
  ],
};

const docker = {
  ...manifest,
  mediaType: mediaTypes.dockerManifest,
  config: { ...manifest.config, mediaType: mediaTypes.dockerConfig },
  layers: [
    { mediaType: mediaTypes.dockerLayerGzip, digest: hex("1"), size: 1 },
    {
      mediaType: mediaTypes.dockerLayerForeignGzip,
      digest: hex("2"),
      size: 2,
      urls: ["https://example.com/x"],
    },
  ],
};

const asManifest = (value: unknown, expected?: string): ParsedManifest =>
  parseManifest(bytesOf(value), expected);
const asIndex = (value: unknown, expected?: string): ParsedIndex => parseIndex(bytesOf(value), expected);

test("an OCI manifest parses, its bytes kept", () => {
  const bytes = bytesOf(manifest);
  const parsed = parseManifest(bytes, mediaTypes.manifest);
  assert.deepEqual(parsed.manifest, manifest);
  assert.equal(parsed.bytes, bytes);
  assert.equal(parsed.format, "oci");
  requireImage(parsed.manifest);
});

test("a Docker schema 2 manifest parses to the same shape", () => {
  const parsed = asManifest(docker);
  assert.deepEqual(parsed.manifest, docker);
  assert.equal(parsed.format, "docker");
  assert.equal(parsed.mediaType, mediaTypes.dockerManifest);
  requireImage(parsed.manifest);
});

test("an index and a Docker manifest list parse", () => {
  assert.deepEqual(asIndex(index).index, index);
  const list = { ...index, mediaType: mediaTypes.dockerManifestList };
  assert.equal(asIndex(list).format, "docker");
  assert.deepEqual(asIndex({ schemaVersion: 2, manifests: [] }).index.manifests, []);
});

test("without a media type of its own a document is what led to it, or what its shape says", () => {
  const bare = patched(manifest, "/mediaType", undefined);
  assert.equal(asManifest(bare).mediaType, mediaTypes.manifest);
  assert.equal(asManifest(bare, mediaTypes.dockerManifest).format, "docker");
  assert.equal(asManifest(bare, "application/json").mediaType, mediaTypes.manifest);
  assert.equal(parseManifestOrIndex(bytesOf(patched(index, "/mediaType", undefined))).kind, "index");
});

test("null is absent, and unknown fields are ignored", () => {
  const parsed = asManifest({ ...manifest, subject: null, layers: null, future: { a: [1] } });
  assert.deepEqual(parsed.manifest.layers, []);
  assert.equal("subject" in parsed.manifest, false);
});

test("CVE-2021-41190: a document is either a manifest or an index", () => {
  for (const [document, expected] of [
    [{ ...manifest, manifests: index.manifests }, undefined],
    [{ ...index, layers: manifest.layers }, undefined],
    [{ ...index, config: manifest.config }, undefined],
    [{ schemaVersion: 2, config: manifest.config, layers: manifest.layers, manifests: [] }, undefined],
    [{ schemaVersion: 2, config: manifest.config, layers: [], manifests: [] }, mediaTypes.manifest],
    // Go's reader takes these names for `manifests` and `layers`.
    [{ ...manifest, Manifests: index.manifests }, undefined],
    [{ ...index, LAYERS: manifest.layers }, undefined],
    [{ ...manifest, fsLayers: [] }, undefined],
  ] as const) {
    assertFails("manifest-ambiguous", () => parseManifestOrIndex(bytesOf(document), expected));
  }
});

test("CVE-2021-41190: the document must be what led to it", () => {
  for (const [document, expected] of [
    [manifest, mediaTypes.index],
    [index, mediaTypes.manifest],
    [manifest, mediaTypes.dockerManifest],
    [docker, mediaTypes.manifest],
  ] as const) {
    assertFails("manifest-media-type-mismatch", () => parseManifestOrIndex(bytesOf(document), expected));
  }
  assertFails("manifest-media-type-mismatch", () => asIndex(manifest));
  assertFails("manifest-media-type-mismatch", () => asManifest(index));
});

test("Docker schema 1 is named", () => {
  const schema1 = { schemaVersion: 1, name: "library/alpine", tag: "latest", fsLayers: [], history: [] };
  for (const [document, expected] of [
    [schema1, undefined],
    [manifest, mediaTypes.dockerManifestV1Signed],
    [{ mediaType: mediaTypes.dockerManifestV1 }, undefined],
  ] as const) {
    const error = assertFails("manifest-schema1", () => parseManifestOrIndex(bytesOf(document), expected));
    assert.equal(error.kind, "unsupported");
  }
});

test("a media type that is no document of ours is unsupported", () => {
  const other = { ...manifest, mediaType: "application/vnd.oci.artifact.manifest.v1+json" };
  assert.equal(assertFails("manifest-media-type-unsupported", () => asManifest(other)).kind, "unsupported");
});

test("each MUST of a manifest is held, and the error names the field", () => {
  for (const [pointer, value, code = "manifest-invalid"] of [
    ["/schemaVersion", undefined],
    ["/schemaVersion", "2"],
    ["/schemaVersion", 3],
    ["/mediaType", 7],
    ["/config", undefined],
    ["/config", []],
    ["/config/mediaType", undefined],
    ["/config/mediaType", "invalid"],
    ["/config/mediaType", "foo/.bar"],
    ["/config/mediaType", `foo/${"x".repeat(128)}`],
    ["/config/mediaType", "a/b\u001b[0m"],
    ["/config/digest", undefined],
    ["/config/digest", 1],
    ["/config/size", undefined],
    ["/config/size", "1"],
    ["/config/size", -1],
    ["/config/size", 1.5],
    ["/config/size", 2 ** 53],
    ["/layers", {}],
    ["/layers/0", "x"],
    ["/layers/0/urls", ["value"]],
    ["/layers/0/urls", ["http://a b"]],
    ["/layers/0/urls", Array(65).fill("http://a")],
    ["/layers/0/annotations", { a: 1 }],
    ["/layers/0/annotations", { "": "x" }],
    ["/layers/0/data", "e30"],
    ["/layers/0/platform", { os: "linux" }],
    ["/layers/0/artifactType", "foo"],
    ["/annotations", ["a"]],
    ["/artifactType", "x"],
    ["/subject", "nope"],
  ] as const) {
    const error = assertFails(
      code,
      () => asManifest(patched(manifest, pointer, value)),
      `${pointer} ${JSON.stringify(value)}`,
    );
    assert.ok(error.operand?.startsWith(pointer), `${error.operand} of ${pointer}`);
  }
  assertFails("digest-invalid", () => asManifest(patched(manifest, "/layers/0/digest", "sha256:x")));
  assertFails("digest-algorithm-unsupported", () =>
    asManifest(patched(manifest, "/layers/0/digest", `sha384:${"a".repeat(96)}`)),
  );
  for (const document of [null, [], "x", 1]) {
    assertFails("manifest-invalid", () => asManifest(JSON.stringify(document)));
  }
});

test("embedded data is held against size and digest", () => {
  const empty = {
    mediaType: mediaTypes.empty,
    digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    size: 2,
    data: "e30=",
  };
  const artifact = {
    ...manifest,
    artifactType: "application/vnd.example+type",
    config: empty,
    layers: [empty],
  };
  assert.equal(asManifest(artifact).manifest.config.data, "e30=");
  assertFails("descriptor-data-mismatch", () => asManifest(patched(artifact, "/config/data", "fX0=")));
  assertFails("descriptor-data-mismatch", () => asManifest(patched(artifact, "/config/size", 3)));
  assertFails("manifest-invalid", () => asManifest(patched(artifact, "/artifactType", undefined)));
});

test("an artifact parses but is no image, and unknown layers are told when it is to run", () => {
  const artifact = asManifest(
    patched(manifest, "/config/mediaType", "application/vnd.cncf.helm.config.v1+json"),
  );
  assert.equal(assertFails("not-an-image", () => requireImage(artifact.manifest)).kind, "unsupported");
  const odd = asManifest(patched(manifest, "/layers/0/mediaType", `${mediaTypes.layerGzip}+encrypted`));
  const error = assertFails("layer-media-type-unsupported", () => requireImage(odd.manifest));
  assert.match(error.hint ?? "", /encrypted/);
});

test("an index entry that cannot be verified is set aside, others stay", () => {
  const mixed = patched(index, "/manifests/0/digest", `blake3:${"a".repeat(64)}`);
  const parsed = asIndex(mixed);
  assert.equal(parsed.index.manifests.length, 1);
  assert.deepEqual(parsed.unverifiable, [`blake3:${"a".repeat(64)}`]);
  assertFails("digest-invalid", () => asIndex(patched(index, "/manifests/0/digest", "sha256:x")));
});

test("each MUST of an index is held", () => {
  for (const [pointer, value] of [
    ["/manifests", undefined],
    ["/manifests", {}],
    ["/manifests/0/platform/os", undefined],
    ["/manifests/0/platform/architecture", 386],
    ["/manifests/0/platform/variant", 7],
    ["/manifests/0/platform/os.features", "x"],
    ["/manifests/0/size", "7"],
    ["/subject", "nope"],
    ["/artifactType", "x"],
  ] as const) {
    const error = assertFails("index-invalid", () => asIndex(patched(index, pointer, value)), pointer);
    assert.ok(error.operand?.startsWith(pointer), `${error.operand} of ${pointer}`);
  }
});

test("counts, sizes and depths are bounded", () => {
  const many = Array(limits.layersPerImage + 1).fill(manifest.layers[0]);
  assertFails("manifest-too-many-layers", () => asManifest({ ...manifest, layers: many }));
  asManifest({ ...manifest, layers: many.slice(1) });
  const entries = Array(limits.manifestsPerIndex + 1).fill(index.manifests[0]);
  assertFails("index-too-many-manifests", () => asIndex({ ...index, manifests: entries }));
  const wide = { maxBytes: limits.layoutIndexBytes, maxManifests: 100_000 };
  const parsed = parseIndex(bytesOf({ ...index, manifests: entries }), undefined, wide);
  assert.equal(parsed.index.manifests.length, entries.length);
  assertFails("json-too-large", () => parseManifest(new Uint8Array(limits.manifestBytes + 1)));
  assertFails("json-too-deep", () => asManifest("[".repeat(100) + "]".repeat(100)));
  assertFails("json-syntax", () => asManifest("{]"));
});

test("a hostile key cannot write to the terminal", () => {
  const error = assertFails("manifest-invalid", () =>
    asManifest(patched(manifest, "/annotations", { "\u001b[2J/~": 1 })),
  );
  assert.doesNotMatch(error.message + error.operand, /[\x00-\x1f]/);
  assert.match(error.operand ?? "", /~1~0$/);
});
