import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../base/mod.ts";
import { encodeImageConfig } from "./canonical.ts";
import type { ImageConfig, Manifest } from "./image-types.ts";
import { parseImageConfig, parseLayoutHeader, requireSameLayers } from "./parse-config.ts";
import { assertFails, bytesOf, patched } from "./test-support.ts";

const hex = (digit: string) => `sha256:${digit.repeat(64)}`;

const full = {
  created: "2015-10-31T22:22:56.015925234Z",
  author: "Alyssa P. Hacker <alyspdev@example.com>",
  architecture: "arm64",
  os: "linux",
  variant: "v8",
  config: {
    User: "alice",
    ExposedPorts: { "8080/tcp": {}, "53/udp": {} },
    Env: ["PATH=/bin", "EMPTY="],
    Entrypoint: ["/bin/app"],
    Cmd: ["--foreground"],
    Volumes: { "/var/b": {}, "/var/a": {} },
    WorkingDir: "/home/alice",
    Labels: { "com.example": "x", nothing: null },
    StopSignal: "SIGRTMIN+3",
    ArgsEscaped: true,
    Healthcheck: {
      Test: ["CMD", "true"],
      Interval: 30_000_000_000,
      Retries: 3,
      StartInterval: 5_000_000_000,
    },
    OnBuild: ["RUN true"],
    Shell: ["/bin/bash", "-c"],
    Hostname: "ignored",
    Memory: 0,
  },
  rootfs: { type: "layers", diff_ids: [hex("1"), `sha512:${"2".repeat(128)}`] },
  history: [
    { created: "2015-10-31T22:22:54+02:00", created_by: "ADD", comment: "\u001b[31m" },
    { empty_layer: true, author: "x" },
  ],
  container_config: { Cmd: null },
  docker_version: "1.0",
};

const minimal = { architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [hex("1")] } };

const parse = (value: unknown): ImageConfig => parseImageConfig(bytesOf(value)).config;

test("a config with Docker's additions parses", () => {
  const config = parse(full);
  assert.deepEqual(config.config?.ExposedPorts, ["53/udp", "8080/tcp"]);
  assert.deepEqual(config.config?.Volumes, ["/var/a", "/var/b"]);
  assert.deepEqual(config.config?.Labels, { "com.example": "x", nothing: "" });
  assert.deepEqual(config.config?.Healthcheck, full.config.Healthcheck);
  assert.deepEqual(config.config?.Shell, ["/bin/bash", "-c"]);
  assert.equal(config.config?.StopSignal, "SIGRTMIN+3");
  assert.deepEqual(config.rootfs, full.rootfs);
  assert.equal(config.history?.length, 2);
  assert.equal("container_config" in config, false);
  assert.equal("Hostname" in (config.config ?? {}), false);
});

test("what is optional may be null, as Docker writes it", () => {
  assert.deepEqual(parse(minimal), minimal);
  const nulls = {
    created: null,
    history: null,
    config: { Cmd: null, Volumes: null, Healthcheck: null, Env: null },
  };
  assert.deepEqual(parse({ ...minimal, ...nulls }), { ...minimal, config: {} });
  assert.deepEqual(parse(patched(minimal, "/rootfs/diff_ids", null)).rootfs.diff_ids, []);
});

test("each MUST of a config is held, and the error names the field", () => {
  for (const [pointer, value] of [
    ["/architecture", undefined],
    ["/os", 123],
    ["/os", undefined],
    ["/variant", 123],
    ["/os.features", "x"],
    ["/created", "yesterday"],
    ["/created", "2015-13-31T22:22:56Z"],
    ["/rootfs", undefined],
    ["/rootfs/diff_ids", "x"],
    ["/history", "should be an array"],
    ["/history/0/created", 7],
    ["/history/0/empty_layer", "true"],
    ["/config", []],
    ["/config/User", 1234],
    ["/config/User", "a\u0000b"],
    ["/config/Env", [7353]],
    ["/config/Env", ["foo"]],
    ["/config/Env", ["=x"]],
    ["/config/Env", ["A=b\u0000"]],
    ["/config/Cmd", "sh -c"],
    ["/config/Cmd", [null]],
    ["/config/Volumes", ["/var"]],
    ["/config/Volumes", { "/a\u0000": {} }],
    ["/config/ExposedPorts", ["80"]],
    ["/config/Labels", { a: 1 }],
    ["/config/Healthcheck/Interval", -1],
    ["/config/Healthcheck/Retries", 1.5],
  ] as const) {
    const error = assertFails("image-config-invalid", () => parse(patched(full, pointer, value)), pointer);
    assert.ok(error.operand?.startsWith(pointer), `${error.operand} of ${pointer}`);
  }
});

test("an unknown rootfs type is unsupported", () => {
  const error = assertFails("rootfs-type-unsupported", () =>
    parse(patched(minimal, "/rootfs/type", "overlay")),
  );
  assert.equal(error.kind, "unsupported");
  assertFails("digest-invalid", () => parse(patched(minimal, "/rootfs/diff_ids", ["sha256:no"])));
});

test("the number of layers is bounded", () => {
  const ids = Array(limits.layersPerImage + 1).fill(hex("1"));
  assertFails("manifest-too-many-layers", () => parse(patched(minimal, "/rootfs/diff_ids", ids)));
});

test("a label named like a property of objects stays a label", () => {
  const labels = parse(patched(minimal, "/config/Labels", { constructor: "x", toString: "y" })).config
    ?.Labels;
  assert.deepEqual(Object.entries(labels ?? {}), [
    ["constructor", "x"],
    ["toString", "y"],
  ]);
});

test("manifest and config must have the same number of layers", () => {
  const manifest = { config: { digest: hex("c") }, layers: [{}] } as unknown as Manifest;
  requireSameLayers(manifest, parse(minimal));
  const error = assertFails("layer-count-mismatch", () => requireSameLayers(manifest, parse(full)));
  assert.equal(error.kind, "corrupt");
});

test("a config that we write reads as the same value", () => {
  const config = parse(full);
  assert.deepEqual(parseImageConfig(encodeImageConfig(config)).config, config);
});

test("the layout header has a version that we know", () => {
  assert.deepEqual(parseLayoutHeader(bytesOf({ imageLayoutVersion: "1.0.0", more: 1 })), {
    imageLayoutVersion: "1.0.0",
  });
  assertFails("layout-invalid", () => parseLayoutHeader(bytesOf({})));
  assertFails("layout-invalid", () => parseLayoutHeader(bytesOf([])));
  assertFails("layout-version-unsupported", () =>
    parseLayoutHeader(bytesOf({ imageLayoutVersion: "2.0.0" })),
  );
});
