import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { gather, hasCode, randomBytes, seededRandom, streamed, withDirectory } from "../testing.ts";
import { TarFile } from "./file.ts";
import { readTar } from "./reader.ts";
import { type TarInput, writeTar } from "./writer.ts";

const random = seededRandom(31);
const bodies: Readonly<Record<string, Uint8Array>> = {
  "manifest.json": Buffer.from("[]"),
  "big/layer.tar": randomBytes(random, 300_001),
  empty: new Uint8Array(0),
  "last.bin": randomBytes(random, 70_000),
};

function inputs(): TarInput[] {
  const files = Object.entries(bodies).map(([name, body]): TarInput => ({ path: name, type: "file", body }));
  return [
    { path: "big", type: "directory" },
    ...files,
    { path: "other/layer.tar", type: "symlink", linkTarget: "../big/layer.tar" },
    { path: "hard", type: "hardlink", linkTarget: "other/layer.tar" },
    { path: "loop", type: "symlink", linkTarget: "loop" },
    { path: "./again", type: "file", body: Buffer.from("first") },
    { path: "again", type: "file", body: Buffer.from("second") },
  ];
}

async function withArchive(use: (file: string, bytes: Buffer) => Promise<void>): Promise<void> {
  await withDirectory(async (dir) => {
    const bytes = await gather(writeTar(inputs()));
    const file = path.join(dir, "a.tar");
    fs.writeFileSync(file, bytes);
    await use(file, bytes);
  });
}

test("members are listed and read at random", async () => {
  await withArchive(async (file) => {
    await using archive = await TarFile.open(file);
    assert.deepEqual(
      archive.entries.map((entry) => entry.path),
      inputs().map((input) => (input.type === "directory" ? `${input.path}/` : input.path)),
    );
    for (const [name, body] of Object.entries(bodies).reverse()) {
      assert.ok((await gather(archive.read(archive.find(name)!))).equals(body), name);
    }
    assert.equal(archive.find("missing"), undefined);
    assert.equal((await gather(archive.read(archive.find("/again")!))).toString(), "second");
    assert.equal(archive.find("./big/"), archive.entries[0]);
  });
});

test("links between members are followed, loops are not", async () => {
  await withArchive(async (file) => {
    await using archive = await TarFile.open(file);
    for (const name of ["other/layer.tar", "hard"]) assert.equal(archive.find(name)?.path, "big/layer.tar");
    assert.equal(archive.find("loop"), undefined);
  });
});

test("what is no file cannot be read", async () => {
  await withArchive(async (file) => {
    await using archive = await TarFile.open(file);
    await assert.rejects(gather(archive.read(archive.entries[0]!)), hasCode("tar-not-a-file"));
  });
});

test("an archive cut anywhere inside its members is refused", async () => {
  await withArchive(async (file, bytes) => {
    const ends = [100, 700, 200_000, 303_000, bytes.length - 1024 - 512 - 300];
    for (const end of ends) {
      fs.writeFileSync(file, bytes.subarray(0, end));
      await assert.rejects(TarFile.open(file), hasCode("tar-truncated"), `${end}`);
    }
    // Without the end marker it is whole.
    fs.writeFileSync(file, bytes.subarray(0, -1024));
    await using archive = await TarFile.open(file);
    assert.equal(archive.entries.length, inputs().length);
  });
});

test("a file cut after it was opened is an error, not short data", async () => {
  await withArchive(async (file) => {
    await using archive = await TarFile.open(file);
    fs.truncateSync(file, 100_000);
    await assert.rejects(gather(archive.read(archive.find("last.bin")!)), hasCode("content-truncated"));
  });
});

test("readTar yields members in order, with bodies read, skipped or half read", async () => {
  const bytes = await gather(writeTar(inputs()));
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 10_000) chunks.push(bytes.subarray(at, at + 10_000));
  const names: string[] = [];
  for await (const { entry, body } of readTar(streamed(chunks))) {
    names.push(entry.path);
    if (entry.path === "manifest.json") continue;
    if (entry.path === "big/layer.tar") {
      for await (const chunk of body) {
        assert.ok(chunk.length > 0);
        break;
      }
    } else if (bodies[entry.path] !== undefined) {
      assert.ok((await gather(body)).equals(bodies[entry.path]!));
    }
  }
  assert.equal(names.length, inputs().length);
});

test("readTar reads its source to the end, and closes it when left early", async () => {
  const bytes = await gather(writeTar(inputs()));
  let state = "";
  async function* source(): AsyncGenerator<Uint8Array, void> {
    try {
      yield bytes;
      yield new Uint8Array(512);
      state += "end ";
    } finally {
      state += "closed";
    }
  }
  for await (const { entry } of readTar(source())) assert.ok(entry.path !== "");
  assert.equal(state, "end closed");
  state = "";
  for await (const { entry } of readTar(source())) {
    assert.equal(entry.path, "big/");
    break;
  }
  assert.equal(state, "closed");
  await assert.rejects(
    (async () => {
      for await (const { entry } of readTar(streamed([bytes.subarray(0, 5000)])))
        assert.ok(entry.path !== "");
    })(),
    hasCode("tar-truncated"),
  );
});
