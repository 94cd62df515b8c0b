import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Store } from "../../store/mod.ts";
import { completeLine } from "./completion.ts";
import type { Context } from "./context.ts";

const rows = [
  { name: "docker.io/library/alpine:latest", id: `sha256:${"a".repeat(64)}` },
  { name: "quay.io/team/app:1.2", id: `sha256:${"b".repeat(64)}` },
  { name: undefined, id: `sha256:${"c".repeat(64)}` },
];
const store = { list: () => rows } as unknown as Store;
const context = {
  store: async () => store,
  paths: () => ({ root: "/nonexistent", runroot: "/nonexistent" }),
} as unknown as Context;

async function offered(...words: readonly string[]): Promise<readonly string[]> {
  return (await completeLine(words, context)).candidates.map(({ value }) => value);
}
async function also(...words: readonly string[]): Promise<string> {
  return (await completeLine(words, context)).also;
}

describe("completeLine offers", () => {
  it("commands", async () => {
    assert.deepEqual(await offered("im"), ["import", "images", "image"]);
    assert.deepEqual(await offered("image", "l"), ["ls", "load"]);
    assert.deepEqual(await offered("help", "ver"), ["version"]);
    assert.ok(!(await offered("")).some((name) => name.startsWith("_")));
    assert.deepEqual(await offered("--root", "/x", "--debug", "vers"), ["version"]);
  });
  it("flags and their values", async () => {
    assert.deepEqual(await offered("images", "--no"), ["--noheading", "--no-trunc"]);
    assert.deepEqual(await offered("save", "--format", "oci"), ["oci-archive", "oci-dir"]);
    assert.deepEqual(await offered("save", "--format=oci-d"), ["--format=oci-dir"]);
    assert.deepEqual(await offered("--storage-driver", "o"), ["overlay"]);
    assert.deepEqual(await offered("--log"), ["--log-level"]);
    assert.equal(await also("load", "-i", "x"), "files");
    assert.equal(await also("--root", ""), "directories");
    assert.equal(await also("save", "--output=./", ""), "none");
  });
  it("images, by short names until something else was typed", async () => {
    assert.deepEqual(await offered("inspect", ""), [
      "alpine:latest",
      "cccccccccccc",
      "hello",
      "quay.io/team/app:1.2",
    ]);
    assert.deepEqual(await offered("rmi", "alpine", "q"), ["quay.io/team/app:1.2"]);
    assert.deepEqual(await offered("inspect", "docker.io/"), ["docker.io/library/alpine:latest"]);
    assert.deepEqual(await offered("inspect", "cccc"), ["cccccccccccc"]);
  });
  it("nothing of vitrine's behind the image of run", async () => {
    assert.deepEqual(await offered("tag", "alpine", ""), []);
    assert.deepEqual(await offered("images", "alpine", "again", ""), []);
    assert.deepEqual(await offered("nonsense", ""), []);
  });
  it("flags no more after --", async () => {
    assert.deepEqual(await offered("inspect", "--", "--f"), []);
  });
});
