import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { describe, it } from "node:test";
import { openFilesystemStorage } from "./filesystem.ts";
import { IndexView } from "./index-view.ts";
import { storageSuite } from "./suite.ts";

function makeFixture() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-registry-storage-"));
  return {
    directory,
    open: () => openFilesystemStorage(path.join(directory, "root")),
    clean: async () => fs.rmSync(directory, { recursive: true, force: true }),
  };
}

storageSuite("filesystem", makeFixture);

describe("the registry's root", () => {
  it("has one owner at a time", async () => {
    const fixture = makeFixture();
    try {
      {
        await using _held = await fixture.open();
        await assert.rejects(fixture.open(), { code: "registry-root-in-use" });
      }
      await (await fixture.open())[Symbol.asyncDispose]();
    } finally {
      await fixture.clean();
    }
  });
  it("is not made of a directory that holds something else", async () => {
    const fixture = makeFixture();
    try {
      fs.mkdirSync(path.join(fixture.directory, "root"), { mode: 0o700 });
      fs.writeFileSync(path.join(fixture.directory, "root/precious"), "x");
      await assert.rejects(fixture.open(), { code: "registry-root-foreign" });
      assert.deepEqual(fs.readdirSync(path.join(fixture.directory, "root")), ["precious"]);
    } finally {
      await fixture.clean();
    }
  });
  it("is an OCI layout, and what a crash left in tmp is gone at the next start", async () => {
    const fixture = makeFixture();
    try {
      await (await fixture.open())[Symbol.asyncDispose]();
      const root = path.join(fixture.directory, "root");
      fs.writeFileSync(path.join(root, "tmp/left"), "x");
      await (await fixture.open())[Symbol.asyncDispose]();
      assert.deepEqual(fs.readdirSync(path.join(root, "tmp")), []);
      assert.equal(
        JSON.parse(fs.readFileSync(path.join(root, "oci-layout"), "utf8")).imageLayoutVersion,
        "1.0.0",
      );
    } finally {
      await fixture.clean();
    }
  });
});

describe("IndexView", () => {
  it("writes once for many changes, reads only what changed, and starts over after a failure", async () => {
    const written: string[] = [];
    const read: string[] = [];
    let broken = false;
    const view = new IndexView(
      {
        repositories: async () => ["a", "b"],
        descriptors: async (name) => {
          read.push(name);
          return [];
        },
      },
      async (bytes) => {
        if (broken) throw new Error("disk full");
        written.push(Buffer.from(bytes).toString());
      },
    );
    for (let turn = 0; turn < 100; turn++) view.changed("a");
    await view.flush();
    assert.deepEqual([written.length, read], [1, ["a", "b"]]);
    view.changed("b");
    broken = true;
    await assert.rejects(view.flush(), /disk full/);
    broken = false;
    view.changed("b");
    await view.close();
    assert.deepEqual(read, ["a", "b", "b", "a", "b"]);
    assert.equal(written.length, 2);
  });
  it("tells at the end what could not be written when its time came", async () => {
    let full = true;
    let written = 0;
    const source = { repositories: async () => ["a"], descriptors: async () => [] };
    const view = new IndexView(source, async () => {
      if (full) throw new Error("disk full");
      written += 1;
    });
    await view.close();
    assert.equal(written, 0, "nothing was pending");
    // As its timer does it.
    await view.flush().catch(() => undefined);
    await assert.rejects(view.close(), /disk full/);
    // Still under way when the end comes.
    view.flush().catch(() => undefined);
    await assert.rejects(view.close(), /disk full/);
    full = false;
    await view.close();
    await view.close();
    assert.equal(written, 1);
  });
});
