import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../base/mod.ts";
import { mediaTypes } from "./media-types.ts";
import { parseImageConfig } from "./parse-config.ts";
import { parseManifestOrIndex } from "./parse-manifest.ts";
import { fullConfigText } from "./test-config.ts";
import { bytesOf, patched } from "./test-support.ts";
import { parseRuntimeConfig } from "./validate-runtime.ts";

/** What may stand where something else belongs. */
const intruders: readonly unknown[] = [
  null,
  true,
  "",
  "\0\x1b[2J../..",
  -1,
  1e308,
  [],
  [null],
  {},
  { "": null, length: 3 },
];

function pointersOf(value: unknown, pointer = ""): string[] {
  if (typeof value !== "object" || value === null) return [pointer];
  const members = Object.entries(value).flatMap(([name, member]) =>
    pointersOf(member, `${pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`),
  );
  return pointer === "" ? members : [pointer, ...members];
}

/** Puts each intruder at each place. Whatever the reader makes of it: no other exception, no control characters. */
function bombard(document: unknown, read: (bytes: Uint8Array) => unknown): number {
  let refused = 0;
  for (const pointer of pointersOf(document)) {
    for (const intruder of intruders) {
      try {
        read(bytesOf(patched(document, pointer, intruder)));
      } catch (error) {
        assert.ok(error instanceof VitrineError, `${pointer}: ${String(error)}`);
        assert.doesNotMatch(error.message, /[\x00-\x1f]/);
        refused += 1;
      }
    }
  }
  return refused;
}

const descriptor = {
  mediaType: mediaTypes.layerGzip,
  digest: `sha256:${"a".repeat(64)}`,
  size: 1,
  urls: ["https://a/"],
  annotations: { a: "b" },
  platform: { os: "linux", architecture: "arm", variant: "v7", "os.features": ["x"], "os.version": "1" },
  artifactType: "a/b",
};

test("no value anywhere in a manifest breaks the reader", () => {
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: descriptor,
    layers: [descriptor],
  };
  assert.ok(bombard(manifest, (bytes) => parseManifestOrIndex(bytes)) > 100);
});

test("no value anywhere in an index breaks the reader", () => {
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: [descriptor],
    subject: descriptor,
  };
  assert.ok(bombard(index, (bytes) => parseManifestOrIndex(bytes)) > 100);
});

test("no value anywhere in an image config breaks the reader", () => {
  const config = {
    created: "2020-01-01T00:00:00Z",
    architecture: "amd64",
    os: "linux",
    config: {
      User: "a",
      Env: ["A=b"],
      Cmd: ["a"],
      Volumes: { "/a": {} },
      Labels: { a: "b" },
      Healthcheck: { Test: ["NONE"], Interval: 1 },
    },
    rootfs: { type: "layers", diff_ids: [descriptor.digest] },
    history: [{ created: "2020-01-01T00:00:00Z", empty_layer: true }],
  };
  assert.ok(bombard(config, parseImageConfig) > 100);
});

test("no value anywhere in config.json breaks the validator", () => {
  // Without the sample's integers above 2^53, which a patched copy holds rounded.
  const config: unknown = JSON.parse(fullConfigText.replace(/\d{16,}/g, "7000000000"));
  parseRuntimeConfig(bytesOf(config));
  assert.ok(bombard(config, parseRuntimeConfig) > 1000);
});
