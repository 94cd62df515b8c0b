import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { chunks, makeImage } from "../../test/support/images.ts";
import { blobFile, leftovers, newStore, rejects } from "../../test/support/unit-stores.ts";
import { VitrineError } from "../base/mod.ts";
import type { ImageSource } from "../image/mod.ts";

const content = Uint8Array.from({ length: 300_000 }, (_, at) => (at * 31 + (at >> 8)) & 255);
const image = () =>
  makeImage([[{ path: "data", type: "file", size: content.length, body: chunks(content) }]], {
    names: ["app"],
  });

/** A source that breaks the first blob of a layer after `bytes`, and notes from where it was asked. */
function fragile(made: Awaited<ReturnType<typeof image>>, bytes: number) {
  const asked: number[] = [];
  let whole = true;
  async function* from(start: number, all: Uint8Array): AsyncGenerator<Uint8Array, void> {
    asked.push(start);
    const end = whole ? start + bytes : all.length;
    whole = false;
    for (let at = start; at < Math.min(end, all.length); at += 10_000) {
      yield all.subarray(at, Math.min(at + 10_000, end));
    }
    if (end < all.length) throw new VitrineError("unavailable", "cut", { code: "test-cut" });
  }
  const source: ImageSource = {
    ...made.source,
    openUnverifiedBlobFrom: (blob, start) =>
      blob.size > content.length ? from(start, made.blobs.get(blob.digest)!) : made.source.openBlob(blob),
  };
  return { source, asked };
}

test("a pull that broke off goes on from what it got", async () => {
  const store = newStore();
  const made = await image();
  const layer = [...made.blobs.keys()][0]!;
  const { source, asked } = fragile(made, 200_000);
  await rejects("test-cut", store.pull(source));
  assert.deepEqual(leftovers(store), ["partials"]);
  const states: string[] = [];
  const result = await store.pull(source, { onBlob: (_blob, state) => states.push(state) });
  assert.deepEqual(result.names, ["docker.io/library/app:latest"]);
  assert.equal(asked[0], 0);
  assert.ok(asked[1]! >= 64 * 1024 && asked[1]! <= 200_000, `${asked[1]}`);
  assert.deepEqual(fs.readFileSync(blobFile(store, layer)), Buffer.from(made.blobs.get(layer)!));
  assert.deepEqual(fs.readdirSync(path.join(store.root, "tmp/partials")), []);
  assert.deepEqual(states.sort(), ["done", "fetching", "present"]);
  await store.pull(source, { onBlob: (_blob, state) => states.push(state) });
  assert.deepEqual(states.slice(3), ["present", "present"]);
});

test("a kept part that is damaged never becomes a blob: the whole is fetched in its place", async () => {
  const store = newStore();
  const made = await image();
  const { source, asked } = fragile(made, 200_000);
  await rejects("test-cut", store.pull(source));
  const partials = path.join(store.root, "tmp/partials");
  const file = path.join(partials, fs.readdirSync(partials)[0]!);
  const bytes = fs.readFileSync(file);
  bytes[5]! ^= 1;
  fs.writeFileSync(file, bytes);
  await store.pull(source);
  assert.deepEqual(fs.readdirSync(partials), []);
  assert.equal(store.resolve("app").id, made.config.digest);
  assert.deepEqual([asked[0], asked[1]! > 0, asked[2]], [0, true, 0]);
});

for (const [what, part] of [
  ["a part", 100_000],
  ["all of it, not yet verified", undefined],
] as const) {
  test(`what a killed pull left is gone on from: ${what}`, async () => {
    const store = newStore();
    const made = await image();
    const layer = [...made.blobs.keys()][0]!;
    const all = made.blobs.get(layer)!;
    const left = part ?? all.length;
    const temporary = store.temporaryDirectory();
    const dead = path.join(temporary, `partial-sha256-${layer.slice(7)}.4194304-1-${namespace()}-a.tmp`);
    fs.writeFileSync(dead, all.subarray(0, left));
    const { source, asked } = fragile(made, 1_000_000);
    await store.pull(source);
    assert.deepEqual(asked, [left]);
    assert.deepEqual(fs.readFileSync(blobFile(store, layer)), Buffer.from(all));
    assert.deepEqual(fs.readdirSync(path.join(store.root, "tmp/partials")), []);
  });
}

function namespace(): string {
  return /\d+/.exec(fs.readlinkSync("/proc/self/ns/pid"))![0];
}
