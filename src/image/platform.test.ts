import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../base/mod.ts";
import { type Digest, type Index, mediaTypes, type Platform } from "../oci/mod.ts";
import {
  formatPlatform,
  hostPlatform,
  normalizePlatform,
  parsePlatform,
  platformRank,
  rankManifests,
  runnablePlatforms,
  selectManifest,
} from "./platform.ts";

const amd64: Platform = { os: "linux", architecture: "amd64" };
const read = (text: string) => formatPlatform(parsePlatform(text, amd64));

test("one spelling for each platform", () => {
  for (const [text, expected] of [
    ["linux/amd64", "linux/amd64"],
    ["linux/x86_64", "linux/amd64"],
    ["Linux/AMD64/v1", "linux/amd64"],
    ["linux/amd64/v2", "linux/amd64/v2"],
    ["x86-64", "linux/amd64"],
    ["amd64", "linux/amd64"],
    ["i386", "linux/386"],
    ["i686", "linux/386"],
    ["aarch64", "linux/arm64"],
    ["linux/arm64/v8", "linux/arm64"],
    ["linux/arm64/8", "linux/arm64"],
    ["linux/arm64/v8.2", "linux/arm64/v8.2"],
    ["linux/arm64/9.0", "linux/arm64/v9"],
    ["arm", "linux/arm/v7"],
    ["armhf", "linux/arm/v7"],
    ["armel", "linux/arm/v6"],
    ["armv7l", "linux/arm/v7"],
    ["armv6l", "linux/arm/v6"],
    ["linux/arm/6", "linux/arm/v6"],
    ["linux/arm/v5", "linux/arm/v5"],
    ["ppc64le", "linux/ppc64le"],
    ["linux", "linux/amd64"],
    ["windows", "windows/amd64"],
    ["macos/arm64", "darwin/arm64"],
    ["plan10/vax", "plan10/vax"],
  ] as const) {
    assert.equal(read(text), expected, text);
  }
});

test("what is no platform is refused", () => {
  for (const text of [
    "",
    "/",
    "linux/",
    "linux/amd64/v1/x",
    "vax",
    "linux/*",
    "linux/a b",
    "linux/\x1b[0m",
    "constructor",
  ]) {
    assert.throws(
      () => parsePlatform(text, amd64),
      (error: unknown) => {
        assert.ok(error instanceof VitrineError);
        assert.equal(error.code, "platform-invalid", text);
        assert.doesNotMatch(error.message, /[\x00-\x1f]/);
        return true;
      },
    );
  }
});

test("the host's platform by Node's names", () => {
  for (const [arch, expected] of [
    ["x64", "linux/amd64"],
    ["ia32", "linux/386"],
    ["arm64", "linux/arm64"],
    ["arm", "linux/arm/v7"],
    ["ppc64", "linux/ppc64le"],
    ["riscv64", "linux/riscv64"],
    ["s390x", "linux/s390x"],
  ] as const) {
    assert.equal(formatPlatform(hostPlatform(arch)), expected);
  }
});

test("what a machine runs, in containerd's order of preference", () => {
  const order = (text: string) => runnablePlatforms(parsePlatform(text, amd64)).map(formatPlatform).join(" ");
  assert.equal(order("linux/amd64"), "linux/amd64 linux/386");
  assert.equal(order("linux/amd64/v3"), "linux/amd64/v3 linux/amd64/v2 linux/amd64 linux/386");
  assert.equal(order("linux/arm/v7"), "linux/arm/v7 linux/arm/v6 linux/arm/v5");
  assert.equal(order("linux/arm/v5"), "linux/arm/v5");
  assert.equal(order("linux/arm64"), "linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5");
  assert.equal(
    order("linux/arm64/v8.2"),
    "linux/arm64/v8.2 linux/arm64/v8.1 linux/arm64 linux/arm/v8 linux/arm/v7 linux/arm/v6 linux/arm/v5",
  );
  assert.match(
    order("linux/arm64/v9.1"),
    /^linux\/arm64\/v9.1 linux\/arm64\/v9 linux\/arm64\/v8.6 .* linux\/arm64 linux\/arm\/v8/,
  );
  assert.match(order("linux/arm64/v9.7"), /v9 linux\/arm64\/v8.9 /);
  assert.equal(order("linux/riscv64"), "linux/riscv64");
});

test("a platform suits another or does not", () => {
  assert.equal(platformRank(amd64, { os: "linux", architecture: "x86_64", variant: "v1" }), 0);
  assert.equal(platformRank(amd64, { os: "linux", architecture: "386" }), 1);
  assert.equal(platformRank(amd64, { os: "windows", architecture: "amd64" }), undefined);
  assert.equal(platformRank(amd64, { os: "linux", architecture: "amd64", variant: "v2" }), undefined);
  assert.equal(
    platformRank(
      { os: "linux", architecture: "arm64" },
      { os: "linux", architecture: "arm64", variant: "v8" },
    ),
    0,
  );
  assert.equal(platformRank(amd64, { os: "unknown", architecture: "unknown" }), undefined);
  assert.equal(platformRank(amd64, { ...amd64, "os.features": ["sse4"] }), undefined);
  assert.equal(platformRank({ ...amd64, "os.features": ["sse4"] }, { ...amd64, "os.features": ["sse4"] }), 0);
  assert.deepEqual(
    normalizePlatform({ os: "linux", architecture: "amd64", variant: "", "os.features": [] }),
    amd64,
  );
});

const entry = (digit: string, platform: string | undefined, more: object = {}) => ({
  mediaType: mediaTypes.manifest,
  digest: `sha256:${digit.repeat(64)}` as Digest,
  size: 1,
  ...(platform === undefined ? {} : { platform: split(platform) }),
  ...more,
});
const split = (text: string): Platform => {
  const [os = "", architecture = "", variant] = text.split("/");
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
};
const index = (...manifests: Index["manifests"]): Index => ({ schemaVersion: 2, manifests });
const digit = (text: string) => text[7];

test("the best entry of an index is chosen, of equals the first", () => {
  const many = index(
    entry("1", "linux/386"),
    entry("2", "linux/arm/v6"),
    entry("3", "linux/arm/v7"),
    entry("4", "linux/amd64"),
    entry("5", "linux/amd64"),
    entry("6", "linux/amd64/v2"),
    entry("7", "linux/arm64/v8"),
    entry("8", "unknown/unknown"),
  );
  const choose = (text: string) => digit(selectManifest(many, parsePlatform(text, amd64)).digest);
  assert.equal(choose("linux/amd64"), "4");
  assert.equal(choose("linux/amd64/v3"), "6");
  assert.equal(choose("linux/386"), "1");
  assert.equal(choose("linux/arm/v7"), "3");
  assert.equal(choose("linux/arm/v8"), "3");
  assert.equal(choose("linux/arm64"), "7");
  assert.equal(digit(selectManifest(index(entry("1", "linux/386")), amd64).digest), "1");
  assert.equal(digit(selectManifest(index(entry("2", "linux/arm/v6")), split("linux/arm64")).digest), "2");
});

test("entries that name no platform come last, artifacts never", () => {
  const mixed = index(
    entry("1", undefined),
    entry("2", undefined, { artifactType: "application/spdx+json" }),
    entry("3", "linux/amd64"),
  );
  assert.deepEqual(
    rankManifests(mixed, amd64).map((found) => digit(found.digest)),
    ["3", "1"],
  );
  assert.equal(digit(selectManifest(mixed, split("linux/s390x")).digest), "1");
});

test("an index without the platform says what it has", () => {
  const windows = index(
    entry("1", "windows/amd64"),
    entry("2", "unknown/unknown"),
    entry("3", "linux/\x1b[2J"),
  );
  assert.throws(
    () => selectManifest(windows, amd64),
    (error: unknown) => {
      assert.ok(error instanceof VitrineError);
      assert.equal(error.code, "platform-not-found");
      assert.equal(error.kind, "not-found");
      assert.equal(error.hint, "it has windows/amd64, linux/\\e[2J");
      return true;
    },
  );
  assert.throws(() => selectManifest(index(), amd64), { code: "platform-not-found" });
});
