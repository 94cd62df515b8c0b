import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { collect, compress, readFileStream, streamOf, type TarInput, writeTar } from "../../base/mod.ts";
import { packDirectory, tarDigestKey, unpackDirectory, unpackKey } from "./artifact-directory.ts";

let world = "";
beforeEach(() => {
  world = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-artifact-"));
});
afterEach(() => fs.rmSync(world, { recursive: true, force: true }));
const at = (...parts: readonly string[]): string => path.join(world, ...parts);

const unpack = async (members: readonly TarInput[], tarDigest?: string): Promise<void> => {
  await unpackDirectory(compress(writeTar(members), "gzip"), "site", at("out"), tarDigest);
};

describe("a directory as a layer", () => {
  it("comes back as it was, and is the same for the same tree", async () => {
    fs.mkdirSync(at("in/deep/er"), { recursive: true });
    fs.writeFileSync(at("in/index.html"), "<p>");
    fs.chmodSync(at("in/index.html"), 0o640);
    fs.writeFileSync(Buffer.concat([Buffer.from(at("in/deep/")), Buffer.from([0xff, 0x61])]), "bytes");
    fs.symlinkSync("../index.html", at("in/deep/link"));
    fs.chmodSync(at("in/deep/er"), 0o555);
    fs.utimesSync(at("in/deep"), 1000, 1000);
    const one = await packDirectory(at("in"), "site", world);
    const other = await packDirectory(at("in"), "site", world);
    assert.equal(one.descriptor.digest, other.descriptor.digest);
    assert.equal(one.descriptor.annotations![unpackKey], "true");
    const tarDigest = one.descriptor.annotations![tarDigestKey]!;
    await unpackDirectory(readFileStream(one.file), "site", at("out"), tarDigest);
    assert.equal(other.file, one.file);
    fs.rmSync(one.file);
    assert.equal(fs.readFileSync(at("out/index.html"), "utf8"), "<p>");
    assert.equal(fs.statSync(at("out/index.html")).mode & 0o777, 0o640);
    assert.equal(fs.readlinkSync(at("out/deep/link")), "../index.html");
    assert.equal(fs.statSync(at("out/deep/er")).mode & 0o777, 0o555);
    assert.equal(fs.statSync(at("out/deep")).mtimeMs, 1_000_000);
    const names = fs.readdirSync(at("out/deep"), { encoding: "buffer" }).map((name) => name.toString("hex"));
    assert.ok(names.includes("ff61"));
    assert.deepEqual(fs.readdirSync(world).sort(), ["in", "out"]);
  });

  it("leads nowhere else, and leaves nothing when it tries", async () => {
    const file = (name: string): TarInput => ({ path: name, type: "file", body: Buffer.from("x") });
    const link = (name: string, linkTarget: string): TarInput => ({
      path: name,
      type: "symlink",
      linkTarget,
    });
    const cases: readonly (readonly TarInput[])[] = [
      [file("other/x")],
      [file("/site/x")],
      [file("site/../x")],
      [file("site")],
      [link("site/a", "/etc"), file("site/a/x")],
      [link("site/a", "..")],
      [link("site/a", "b/../../x")],
      // Each alone leads to a place inside; together they would lead out.
      [{ path: "site/d", type: "directory" }, link("site/d/up", ".."), link("site/out", "d/up/../x")],
      [link("site/a", "b"), file("site/a/x")],
      [link("site/a", "b"), file("site/a")],
      [file("site/a"), file("site/a")],
      [file("site/a"), { path: "site/a", type: "directory" }],
      [{ path: "site/h", type: "hardlink", linkTarget: "site/../../secret" }],
      [{ path: "site/h", type: "hardlink", linkTarget: "site/nothing" }],
      [link("site/a", "b"), { path: "site/h", type: "hardlink", linkTarget: "site/a" }],
    ];
    for (const members of cases) {
      await assert.rejects(unpack(members), { code: "artifact-entry-unsafe" }, JSON.stringify(members));
      assert.deepEqual(fs.readdirSync(world), []);
    }
    await assert.rejects(unpack([{ path: "site/f", type: "fifo" }]), { code: "artifact-entry-unsupported" });
    await assert.rejects(unpack([file("site/a")], `sha256:${"0".repeat(64)}`), {
      code: "content-digest-mismatch",
    });
    const whole = await collect(compress(writeTar([file("site/a")]), "gzip"), 4096);
    await assert.rejects(
      unpackDirectory(streamOf(whole.subarray(0, whole.length - 4)), "site", at("out"), undefined),
      { code: "compressed-data-corrupt" },
    );
    assert.deepEqual(fs.readdirSync(world), []);
  });

  it("has no setuid programs, and no more than the umask lets through", async () => {
    await unpack([
      { path: "site/", type: "directory", mode: 0o777 },
      { path: "site/x", type: "file", mode: 0o6777, body: Buffer.from("x") },
      { path: "site/y", type: "hardlink", linkTarget: "site/x" },
    ]);
    const plain = fs.openSync(at("plain"), "wx", 0o777);
    fs.closeSync(plain);
    const allowed = fs.statSync(at("plain")).mode & 0o7777;
    assert.equal(fs.statSync(at("out/x")).mode & 0o7777, allowed);
    assert.equal(fs.statSync(at("out")).mode & 0o7777, allowed);
    assert.equal(fs.statSync(at("out/y")).ino, fs.statSync(at("out/x")).ino);
  });
});
