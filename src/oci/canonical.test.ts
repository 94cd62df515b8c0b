import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encodeContainerProcessState,
  encodeImageConfig,
  encodeIndex,
  encodeLayoutHeader,
  encodeManifest,
  encodeRuntimeConfig,
  encodeState,
  toJson,
} from "./canonical.ts";
import { digestOf } from "./digest.ts";
import type { Descriptor, ImageConfig } from "./image-types.ts";
import { mediaTypes } from "./media-types.ts";
import { parseImageConfig } from "./parse-config.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const empty = digestOf(new TextEncoder().encode("{}"));

/** Members in the wrong order on purpose. */
const descriptor: Descriptor = {
  platform: { variant: "v7", os: "linux", architecture: "arm" },
  annotations: { b: "2", a: "1", "10": "x", "\u{1f600}": "y", "\uff00": "z" },
  size: 2,
  digest: empty,
  mediaType: mediaTypes.config,
  urls: [],
};
const written =
  `{"mediaType":"${mediaTypes.config}","digest":"${empty}","size":2,` +
  `"annotations":{"10":"x","a":"1","b":"2","\uff00":"z","\u{1f600}":"y"},` +
  `"platform":{"architecture":"arm","os":"linux","variant":"v7"}}`;

test("a manifest has the key order of the Go struct and sorted maps", () => {
  const manifest = encodeManifest({
    layers: [descriptor],
    config: descriptor,
    annotations: {},
    mediaType: mediaTypes.manifest,
    schemaVersion: 2,
  });
  assert.equal(
    text(manifest),
    `{"schemaVersion":2,"mediaType":"${mediaTypes.manifest}","config":${written},"layers":[${written}]}`,
  );
});

test("an index keeps an empty list", () => {
  assert.equal(text(encodeIndex({ manifests: [], schemaVersion: 2 })), '{"schemaVersion":2,"manifests":[]}');
  assert.equal(text(encodeLayoutHeader({ imageLayoutVersion: "1.0.0" })), '{"imageLayoutVersion":"1.0.0"}');
});

test("a config leaves out what is empty, as Go does", () => {
  const config: ImageConfig = {
    rootfs: { diff_ids: [empty], type: "layers" },
    os: "linux",
    architecture: "amd64",
    author: "",
    config: {
      Shell: ["/bin/sh"],
      Cmd: ["sh"],
      Entrypoint: [],
      ArgsEscaped: false,
      Volumes: ["/b", "/a"],
      ExposedPorts: [],
      Env: ["A=<&>"],
      User: "",
    },
    history: [{ empty_layer: false, comment: "", created_by: "x", created: "2020-01-01T00:00:00Z" }],
  };
  assert.equal(
    text(encodeImageConfig(config)),
    `{"architecture":"amd64","os":"linux","config":{"Env":["A=\\u003c\\u0026\\u003e"],"Cmd":["sh"],"Volumes":{"/a":{},"/b":{}},` +
      `"Shell":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["${empty}"]},` +
      `"history":[{"created":"2020-01-01T00:00:00Z","created_by":"x"}]}`,
  );
});

test("config.json holds 64-bit integers exactly and is indented", () => {
  const config = encodeRuntimeConfig({
    ociVersion: "1.3.0",
    root: { path: "rootfs" },
    process: {
      user: { uid: 0, gid: 0 },
      args: [],
      cwd: "/",
      rlimits: [{ type: "RLIMIT_CORE", soft: 0n, hard: 2n ** 64n - 1n }],
    },
  });
  assert.match(text(config), /^\{\n {2}"ociVersion": "1.3.0",\n/);
  assert.match(text(config), /"hard": 18446744073709551615\n/);
  assert.match(text(config), /"args": \[\],\n/);
  assert.ok(text(config).endsWith("}\n"));
});

test("the state that hooks and seccomp agents read", () => {
  const state = { id: "c1", ociVersion: "1.3.0", bundle: "/b", status: "created", pid: 7 } as const;
  const expected = '{"ociVersion":"1.3.0","id":"c1","status":"created","pid":7,"bundle":"/b"}';
  assert.equal(text(encodeState(state)), expected);
  assert.equal(
    text(encodeContainerProcessState({ state, pid: 7, fds: ["seccompFd"], ociVersion: "1.3.0" })),
    `{"ociVersion":"1.3.0","fds":["seccompFd"],"pid":7,"state":${expected}}`,
  );
});

test("toJson agrees with JSON.stringify where that is defined", () => {
  const value = { a: [1, "x\u0001", null, true, { b: {} }], c: undefined, d: -1.5 };
  assert.equal(toJson(value), JSON.stringify(value));
  assert.equal(toJson(value, 2).replace("{}", "{}"), JSON.stringify(value, undefined, 2));
});

test("what Go's writer wrote comes back byte for byte", () => {
  const go =
    '{"created":"2026-11-20T22:46:18.964265103Z","architecture":"amd64","os":"linux","config":{"ExposedPorts":' +
    '{"80/tcp":{}},"Env":["A=b\\u0026\\u003cc\\u003e"],"Cmd":["sh"],"Volumes":{"/v":{}},"Labels":{"10":"x","a":"2",' +
    '"z":"1"}},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created":"2026-11-20T22:46:18.970487083Z",' +
    '"created_by":"umoci config","empty_layer":true}]}';
  const { config } = parseImageConfig(new TextEncoder().encode(go));
  assert.deepEqual(config.config?.Env, ["A=b&<c>"]);
  assert.equal(text(encodeImageConfig(config)), go);
});
