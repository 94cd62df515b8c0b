import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatDigest } from "../../oci/mod.ts";
import type { ImageRow, Store } from "../../store/mod.ts";
import { untilTime } from "../format/human.ts";
import { imageFilter } from "./filters.ts";
import { matchesReference, nameParts, newName, shortId } from "./names.ts";

describe("names", () => {
  it("splits names for the columns", () => {
    assert.deepEqual(nameParts("docker.io/library/alpine:3"), {
      repository: "docker.io/library/alpine",
      tag: "3",
    });
    assert.deepEqual(nameParts(undefined), { repository: "<none>", tag: "<none>" });
    assert.deepEqual(nameParts("not a name"), { repository: "<none>", tag: "<none>" });
    assert.equal(nameParts(`quay.io/a/b@sha256:${"0".repeat(64)}`).tag, "<none>");
    assert.equal(shortId(`sha256:${"abcdef".repeat(11)}`), "abcdefabcdef");
  });
  it("makes whole names of what is typed", () => {
    assert.equal(newName("alpine"), "docker.io/library/alpine:latest");
    assert.equal(newName("host:5000/a:b"), "host:5000/a:b");
    const code = (expected: string) => (error: { code?: string }) => error.code === expected;
    assert.throws(() => newName(`a@sha256:${"0".repeat(64)}`), code("tag-has-digest"));
    assert.throws(() => newName("UPPER"), code("reference-uppercase"));
  });
  const name = "docker.io/library/alpine:3.20";
  for (const pattern of [
    "alpine",
    "alpine:3.20",
    "docker.io/library/alpine",
    name,
    "alp*",
    "alpine:3.*",
    "a?pine",
    "[a-c]lpine",
    "[^x]lpine",
    "docker.io/*/alpine",
    "*",
  ]) {
    it(`${pattern} matches`, () => assert.ok(matchesReference(pattern, name)));
  }
  for (const pattern of [
    "alp",
    "alpine:3",
    "library/alpine",
    "docker.io/*",
    "[^a]lpine",
    "debian",
    "a.pine",
    "(",
  ]) {
    it(`${pattern} does not match`, () => assert.equal(matchesReference(pattern, name), false));
  }
});

describe("filters of images", () => {
  const now = Date.UTC(2026, 0, 31);
  const row = (fields: Partial<ImageRow>): ImageRow => ({
    name: "docker.io/library/alpine:latest",
    id: formatDigest("sha256", "a".repeat(64)),
    digest: formatDigest("sha256", "d".repeat(64)),
    platform: undefined,
    created: now - 1000,
    size: 1,
    labels: {},
    platforms: [],
    dangling: false,
    ...fields,
  });
  const middle = row({ id: formatDigest("sha256", "b".repeat(64)), created: now - 5000 });
  // Only what filters use.
  const store = { resolve: () => middle, list: () => [middle] } as unknown as Store;
  const holds = (filters: readonly string[], fields: Partial<ImageRow> = {}): boolean =>
    imageFilter(filters, store, now)(row(fields));

  it("dangling", () => {
    assert.equal(holds(["dangling=true"]), false);
    assert.equal(holds(["dangling=true"], { name: undefined, dangling: true }), true);
    assert.equal(holds(["dangling=false"]), true);
  });
  it("reference: any of several", () => {
    assert.equal(holds(["reference=debian", "reference=alpine"]), true);
    assert.equal(holds(["reference=debian"]), false);
    assert.equal(holds(["reference=*"], { name: undefined }), false);
  });
  it("label: all of several", () => {
    const labels = { a: "1", b: "2" };
    assert.equal(holds(["label=a", "label=b=2"], { labels }), true);
    assert.equal(holds(["label=a", "label=b=3"], { labels }), false);
    assert.equal(holds(["label!=a"], { labels }), false);
    assert.equal(holds(["label!=c"], { labels }), true);
    assert.equal(holds(["label=toString"]), false);
  });
  it("before and since another image", () => {
    assert.equal(holds(["since=alpine"]), true);
    assert.equal(holds(["before=alpine"]), false);
    assert.equal(holds(["before=alpine"], { created: now - 9000 }), true);
  });
  it("until, id and digest", () => {
    assert.equal(holds(["until=1h"]), false);
    assert.equal(holds(["until=1h"], { created: now - 7_200_000 }), true);
    assert.equal(holds(["id=aaaa"]), true);
    assert.equal(holds(["id=bbbb"]), false);
    assert.equal(holds(["digest=sha256:dddd"]), true);
  });
  for (const filter of ["dangling", "dangling=perhaps", "until=soon", "danglin=true", "=x", ""]) {
    it(`refuses '${filter}'`, () => {
      assert.throws(
        () => imageFilter([filter], store, now),
        (error: { code?: string }) => error.code === "filter-invalid",
      );
    });
  }
  it("reads times", () => {
    assert.equal(untilTime("2026-01-31T00:00:00Z", 0), now);
    assert.equal(untilTime("2026-01-31", 0), now);
    assert.equal(untilTime("10", 0), 10_000);
    assert.equal(untilTime("10m", now), now - 600_000);
    assert.equal(untilTime("yesterday", now), undefined);
  });
});
