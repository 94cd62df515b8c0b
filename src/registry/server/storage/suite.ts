/** The tests that every storage engine passes. Files named `*.test.ts` call it with what opens theirs. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, it } from "node:test";
import { type Digest, digestOf } from "../../../oci/mod.ts";
import type { RegistryStorage } from "./types.ts";

export interface StorageFixture {
  /** Opens an empty storage; its second call for the same fixture opens what the first one left. */
  open(): Promise<RegistryStorage>;
  clean(): Promise<void>;
}

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function storageSuite(name: string, makeFixture: () => StorageFixture): void {
  const withStorage = async (body: (storage: RegistryStorage) => Promise<void>): Promise<void> => {
    const fixture = makeFixture();
    try {
      await using storage = await fixture.open();
      await body(storage);
    } finally {
      await fixture.clean();
    }
  };
  const content = Buffer.from("some content");
  const digest = digestOf(content);
  const absent = digestOf(Buffer.from("absent"));

  describe(`${name}: blobs`, () => {
    it("gives back what it was given, whole and in ranges", () =>
      withStorage(async ({ blobs }) => {
        await blobs.put(digest, content);
        const reader = await blobs.open(digest);
        assert.ok(reader);
        assert.equal(reader.size, content.length);
        assert.deepEqual(await bytesOf(reader.stream(0, content.length)), content);
        assert.deepEqual(await bytesOf(reader.stream(5, 3)), content.subarray(5, 8));
        if (reader.read !== undefined) {
          const buffer = Buffer.alloc(4);
          assert.equal(await reader.read(buffer, content.length - 2), 2);
          assert.equal(buffer.toString("utf8", 0, 2), "nt");
        }
        await reader.close();
        assert.equal((await blobs.stat(digest))?.size, content.length);
      }));
    it("knows what it does not have", () =>
      withStorage(async ({ blobs }) => {
        assert.equal(await blobs.stat(absent), undefined);
        assert.equal(await blobs.open(absent), undefined);
        assert.equal(await blobs.touch(absent), false);
        assert.equal(await blobs.delete(absent), false);
      }));
    it("adopts a file of the upload area, again and again, of any size", () =>
      withStorage(async ({ blobs, uploadDirectory }) => {
        for (const size of [0, 1, 7 * 1024 * 1024 + 3]) {
          const bytes = Buffer.alloc(size, "x");
          const its = digestOf(bytes, "sha512");
          for (let turn = 0; turn < 2; turn++) {
            const file = path.join(uploadDirectory, `file-${size}`);
            fs.writeFileSync(file, bytes);
            await blobs.adopt(its, file);
            assert.equal(fs.existsSync(file), false);
          }
          const reader = await blobs.open(its);
          assert.ok(reader);
          assert.equal(digestOf(await bytesOf(reader.stream(0, size)), "sha512"), its);
          await reader.close();
        }
      }));
    it("lists and deletes", () =>
      withStorage(async ({ blobs }) => {
        const other = Buffer.from("other");
        const wide = digestOf(other, "sha512");
        await blobs.put(digest, content);
        await blobs.put(wide, other);
        const listed: Digest[] = [];
        for await (const blob of blobs.list()) {
          listed.push(blob.digest);
          assert.equal(blob.size, blob.digest === wide ? other.length : content.length);
          assert.ok(Math.abs(blob.modified - Date.now()) < 60_000);
        }
        assert.deepEqual(listed.sort(), [digest, wide].sort());
        assert.equal(await blobs.delete(digest), true);
        assert.equal(await blobs.stat(digest), undefined);
      }));
    it("renews the time of what is touched or stored again", () =>
      withStorage(async ({ blobs }) => {
        await blobs.put(digest, content);
        const first = (await blobs.stat(digest))!.modified;
        await new Promise((resolve) => setTimeout(resolve, 1100));
        assert.equal(await blobs.touch(digest), true);
        const second = (await blobs.stat(digest))!.modified;
        assert.ok(second > first);
        const reader = (await blobs.open(digest))!;
        assert.deepEqual(await bytesOf(reader.stream(0, content.length)), content);
        await reader.close();
      }));
    it("lets a reader finish what was deleted meanwhile, or fails clearly", () =>
      withStorage(async ({ blobs }) => {
        await blobs.put(digest, content);
        const reader = (await blobs.open(digest))!;
        await blobs.delete(digest);
        const read = await bytesOf(reader.stream(0, content.length)).catch((error: unknown) => error);
        if (read instanceof Error) assert.match(read.name, /VitrineError/);
        else assert.deepEqual(read, content);
        await reader.close();
      }));
  });

  describe(`${name}: documents`, () => {
    it("stores, replaces, deletes", () =>
      withStorage(async ({ documents }) => {
        const key = "repositories/a/_tags/latest";
        assert.equal(await documents.get(key), undefined);
        await documents.put(key, Buffer.from("1"));
        await documents.put(key, Buffer.from("2"));
        assert.equal(Buffer.from((await documents.get(key))!).toString(), "2");
        assert.equal(await documents.delete(key), true);
        assert.equal(await documents.delete(key), false);
        assert.equal(await documents.get(key), undefined);
        assert.deepEqual(await documents.list("repositories/a/"), []);
      }));
    it("lists one level in byte order, and tells what has more below", () =>
      withStorage(async ({ documents }) => {
        for (const key of ["r/b", "r/B", "r/a/x", "r/a/y", "r/a.b", "r/_c/d/e"]) {
          await documents.put(key, Buffer.from(key));
        }
        assert.deepEqual(await documents.list("r/"), ["B", "_c/", "a.b", "a/", "b"]);
        assert.deepEqual(await documents.list("r/a/"), ["x", "y"]);
        assert.deepEqual(await documents.list("none/"), []);
      }));
    it("refuses keys that lead elsewhere", () =>
      withStorage(async ({ documents }) => {
        for (const key of ["../x", "a/../../x", "a//b", "/a", "a/.", "a/.hidden", "a\0b"]) {
          await assert.rejects(
            async () => documents.put(key, content),
            { code: "document-key-invalid" },
            key,
          );
        }
      }));
    it("survives many writers at once", () =>
      withStorage(async ({ documents }) => {
        const keys = Array.from({ length: 60 }, (_, index) => `r/${index % 7}/k${index}`);
        await Promise.all(keys.map((key) => documents.put(key, Buffer.from(key))));
        for (const key of keys) assert.equal(Buffer.from((await documents.get(key))!).toString(), key);
        await Promise.all(keys.map((key) => documents.delete(key)));
        assert.deepEqual(await documents.list("r/"), []);
      }));
    it("keeps everything for the next one who opens it", async () => {
      const fixture = makeFixture();
      try {
        {
          await using storage = await fixture.open();
          await storage.documents.put("r/a", Buffer.from("kept"));
          await storage.blobs.put(digest, content);
        }
        await using storage = await fixture.open();
        assert.equal(Buffer.from((await storage.documents.get("r/a"))!).toString(), "kept");
        assert.equal((await storage.blobs.stat(digest))?.size, content.length);
      } finally {
        await fixture.clean();
      }
    });
  });
}
