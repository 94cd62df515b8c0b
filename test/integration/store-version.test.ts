/** Stores of other formats: an older one is upgraded on use, a newer one refused. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { collect, type TarInput, writeTar } from "../../src/base/mod.ts";
import { openStore, prepareStore } from "../../src/store/mod.ts";
import { makeImage, text } from "../support/images.ts";
import { makeStore } from "../support/stores.ts";
import { makeRunWorld } from "./run-support.ts";

const world = makeRunWorld("version");
after(() => world[Symbol.asyncDispose]());

test("format 0: layers that did not say which of their directories are opaque", async () => {
  using made = makeStore();
  const dir = (name: string): TarInput => ({ path: name, type: "directory" });
  const layers = [
    [dir("etc"), text("etc/passwd", "lower"), dir("kept"), text("kept/file", "kept")],
    [dir("etc"), text("etc/.wh..wh..opq", ""), text("etc/group", "upper")],
  ];
  await made.store.put((await makeImage(layers, { names: ["old"] })).source);
  await made.store.unpack(made.store.resolve("old"));
  const read = (file: string) => {
    const store = openStore(made.options);
    const bytes = store.readImageFile(store.resolve("old"), file);
    return bytes === undefined ? undefined : Buffer.from(bytes).toString();
  };
  const { root } = made.options;
  // As it was written before.
  const map = path.join(root, "layers", fs.readdirSync(path.join(root, "layers"))[0]!);
  for (const name of fs.readdirSync(map)) {
    fs.rmSync(path.join(map, name, "opaque.json"), { force: true });
    const row = JSON.parse(fs.readFileSync(path.join(map, name, "layer.json"), "utf8")) as Record<
      string,
      unknown
    >;
    delete row["opaques"];
    fs.writeFileSync(path.join(map, name, "layer.json"), JSON.stringify(row));
  }
  fs.writeFileSync(path.join(root, "version"), "0\n");
  assert.equal(read("/etc/passwd"), "lower", "what a container would not see");
  // Two at once: one does it.
  await Promise.all([prepareStore(made.options), prepareStore(made.options)]);
  assert.equal(fs.readFileSync(path.join(root, "version"), "utf8"), "1\n");
  assert.equal(read("/etc/passwd"), undefined);
  assert.equal(read("/etc/group"), "upper");
  assert.equal(read("/kept/file"), "kept");
});

test("a store of format 0 is upgraded by whatever command comes first, and runs", async () => {
  assert.equal(world.sh([], "echo before"), "before");
  const version = path.join(world.root, "version");
  fs.writeFileSync(version, "0\n");
  assert.equal(world.sh([], "echo after"), "after");
  assert.equal(fs.readFileSync(version, "utf8"), "1\n");
  fs.writeFileSync(version, "0\n");
  assert.equal(world.run(["images"]).status, 0);
  assert.equal(fs.readFileSync(version, "utf8"), "1\n");
});

test("a store of a newer format is refused by every command, and nothing of it is changed", async () => {
  const version = path.join(world.root, "version");
  fs.writeFileSync(version, "2\n");
  const archive = Buffer.from(await collect(writeTar([text("file", "x")]), 1 << 20));
  try {
    for (const command of [
      ["run", "--rm", "probe", "true"],
      ["images"],
      ["ps", "-a"],
      ["rm", "--all"],
      ["rmi", "probe"],
      ["import", "-", "x"],
      ["system", "prune", "-f"],
      ["system", "check"],
      ["create", "probe", "true"],
      ["cp", "x:/y", "z"],
    ]) {
      const done = world.run(command, { input: archive });
      assert.notEqual(done.status, 0, command.join(" "));
      assert.match(done.stderr, /has format 2/, command.join(" "));
      assert.match(done.stderr, /a newer vitrine wrote it/);
    }
    assert.equal(fs.readFileSync(version, "utf8"), "2\n");
  } finally {
    fs.writeFileSync(version, "1\n");
  }
  assert.equal(world.sh([], "echo still"), "still");
});
