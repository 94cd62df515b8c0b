import assert from "node:assert/strict";
import { test } from "node:test";
import { type TarInput, TarParser, VitrineError, writeTar } from "../../base/mod.ts";
import type { Op } from "../../kernel/mod.ts";
import { LayerWriter, type WhiteoutStyle } from "./writer.ts";

interface Applied {
  readonly writer: LayerWriter;
  /** One line an op: `dir usr/lib`, `file a 3`, `link b -> a`, `hide c`, `opaque d`. */
  readonly lines: readonly string[];
  readonly ops: readonly Op[];
}

const kinds: Readonly<Record<number, string>> = {
  48: "file",
  49: "link",
  50: "symlink",
  51: "char",
  52: "block",
  53: "dir",
  54: "fifo",
};

async function apply(
  members: readonly TarInput[],
  options: { style?: WhiteoutStyle; mapped?: number; ignoreOwner?: boolean; dropTrusted?: boolean } = {},
): Promise<Applied> {
  const lines: string[] = [];
  const ops: Op[] = [];
  const writer = new LayerWriter(
    {
      op: (op) => {
        ops.push(op);
        if (op.op === "layerEntry") {
          const target = op.linkTarget === "" ? "" : ` -> ${String(op.linkTarget)}`;
          lines.push(`${kinds[op.type]} ${String(op.path)}${target}`);
        } else if (op.op === "layerWhiteout") lines.push(`hide ${String(op.path)} ${op.style}`);
        else if (op.op === "layerOpaque") lines.push(`opaque ${String(op.path)} ${op.style}`);
      },
      data: (offset, chunk) => lines.push(`data ${offset} ${Buffer.from(chunk).toString("latin1")}`),
    },
    {
      style: options.style ?? "trusted",
      maps: (id) => id <= (options.mapped ?? 0xffff_fffe),
      ignoreOwner: options.ignoreOwner ?? false,
      dropTrusted: options.dropTrusted ?? false,
    },
  );
  const parser = new TarParser(writer);
  for await (const chunk of writeTar(members)) parser.push(chunk);
  parser.finish();
  return { writer, lines, ops };
}

const file = (path: string, text = ""): TarInput => ({ path, type: "file", body: Buffer.from(text) });
const dir = (path: string): TarInput => ({ path, type: "directory" });
const symlink = (path: string, linkTarget: string): TarInput => ({ path, type: "symlink", linkTarget });
const hardlink = (path: string, linkTarget: string): TarInput => ({ path, type: "hardlink", linkTarget });

async function refused(code: string, members: readonly TarInput[]): Promise<void> {
  await assert.rejects(apply(members), (error) => error instanceof VitrineError && error.code === code);
}

test("entries of every type, cleaned of ./ and slashes", async () => {
  const { lines, writer } = await apply([
    { path: "./", type: "directory", mode: 0o711, uid: 3, gid: 4 },
    dir("./bin/"),
    file("./bin/sh", "abc"),
    symlink("bin/ash", "sh"),
    hardlink("/bin/bash", "./bin/sh"),
    { path: "dev-null", type: "char", devMajor: 1, devMinor: 3 },
    { path: "pipe", type: "fifo" },
  ]);
  assert.deepEqual(lines, [
    "dir .",
    "dir bin",
    "file bin/sh",
    "data 0 abc",
    "symlink bin/ash -> sh",
    "link bin/bash -> bin/sh",
    "char dev-null",
    "fifo pipe",
  ]);
  assert.deepEqual(writer.counts.rootEntry, { mode: 0o711, uid: 3, gid: 4, mtime: 0 });
  assert.equal(writer.counts.fileBytes, 3);
  assert.equal(writer.counts.entries, 7);
});

test("directories that are only implied come before what is in them, once", async () => {
  const { lines, writer } = await apply([file("a/b/c"), file("a/b/d"), dir("a"), file("x/y")]);
  assert.deepEqual(lines, ["dir a", "dir a/b", "file a/b/c", "file a/b/d", "dir a", "dir x", "file x/y"]);
  assert.deepEqual(writer.impliedDirectories(), ["a/b", "x"]);
});

test("the copy driver leaves implied directories to the tree below", async () => {
  const { lines } = await apply([file("a/b/c")], { style: "remove" });
  assert.deepEqual(lines, ["file a/b/c"]);
});

test("whiteouts and opaque directories in both overlay styles", async () => {
  const members = [dir("d"), file("d/.wh.gone"), dir("e"), file("e/.wh..wh..opq"), file("e/new")];
  const trusted = await apply(members);
  assert.deepEqual(trusted.lines, ["dir d", "hide d/gone 1", "dir e", "opaque e 1", "file e/new"]);
  assert.deepEqual(trusted.writer.opaqueDirectories(), ["e"]);
  assert.equal(trusted.writer.counts.whiteouts, 1);
  const user = await apply(members, { style: "user" });
  assert.deepEqual(user.lines, ["dir d", "hide d/gone 1", "dir e", "opaque e 2", "file e/new"]);
  const remove = await apply(members, { style: "remove" });
  assert.deepEqual(remove.lines, ["dir d", "hide d/gone 0", "dir e", "opaque e 0", "file e/new"]);
});

test("a whiteout speaks of the layers below, wherever it stands", async () => {
  // layer.md#whiteouts: whiteouts apply to lower layers only, so foo/ of this layer stays, and hides the lower foo/.
  const after = await apply([dir("foo"), file("foo/mine"), file(".wh.foo")]);
  assert.deepEqual(after.lines, ["dir foo", "file foo/mine", "opaque foo 1"]);
  const before = await apply([file(".wh.foo"), dir("foo"), file("foo/mine")]);
  assert.deepEqual(before.lines, ["hide foo 1", "dir foo", "opaque foo 1", "file foo/mine"]);
  const implied = await apply([file(".wh.foo"), file("foo/mine")]);
  assert.deepEqual(implied.lines, ["hide foo 1", "dir foo", "opaque foo 1", "file foo/mine"]);
  assert.deepEqual(implied.writer.impliedDirectories(), [], "nothing of the lower foo/ is seen");
  const plain = await apply([file("foo", "x"), file(".wh.foo")]);
  assert.deepEqual(plain.lines, ["file foo", "data 0 x"]);
  const opaqueLate = await apply([dir("d"), file("d/new"), file("d/.wh..wh..opq")]);
  assert.deepEqual(opaqueLate.lines, ["dir d", "file d/new", "opaque d 1"]);
});

test("a file that replaced a directory and became one again hides the lower directory", async () => {
  const { lines } = await apply([file(".wh.a"), file("a"), dir("a")]);
  assert.deepEqual(lines, ["hide a 1", "file a", "dir a", "opaque a 1"]);
});

test("whiteouts below an opaque directory say nothing new", async () => {
  const { lines } = await apply([
    dir("d"),
    file("d/.wh..wh..opq"),
    file("d/.wh.x"),
    dir("d/s"),
    file("d/s/.wh.y"),
  ]);
  assert.deepEqual(lines, ["dir d", "opaque d 1", "dir d/s"]);
});

test("aufs metadata is skipped", async () => {
  const { lines } = await apply([
    dir(".wh..wh.plnk"),
    file(".wh..wh.plnk/120.4", "x"),
    file(".wh..wh.aufs"),
    file("kept"),
  ]);
  assert.deepEqual(lines, ["file kept"]);
});

test("whiteouts of nothing, of . and of .. are refused", async () => {
  await refused("layer-whiteout-invalid", [file("d/.wh.")]);
  await refused("layer-whiteout-invalid", [file("d/.wh..")]);
  await refused("layer-whiteout-invalid", [file("d/.wh...")]);
  await refused("layer-whiteout-invalid", [file("d/.wh.x/below")]);
});

test("paths cannot leave the root", async () => {
  await refused("layer-path-escape", [file("../etc/passwd")]);
  await refused("layer-path-escape", [file("a/../../etc/passwd")]);
  await refused("layer-path-escape", [dir("a"), hardlink("a/x", "../../etc/shadow")]);
  const { lines } = await apply([file("/abs//olute/./x"), file("a/../b")]);
  assert.deepEqual(lines, ["dir abs", "dir abs/olute", "file abs/olute/x", "file b"]);
});

test("links of the layer are followed as in a chroot", async () => {
  const { lines } = await apply([
    dir("usr/lib"),
    symlink("lib", "usr/lib"),
    file("lib/a"),
    symlink("up", "../../../../tmp"),
    file("up/b"),
    symlink("abs", "/usr/lib"),
    file("abs/c"),
    hardlink("d", "lib/a"),
  ]);
  assert.deepEqual(lines, [
    "dir usr",
    "dir usr/lib",
    "symlink lib -> usr/lib",
    "file usr/lib/a",
    "symlink up -> ../../../../tmp",
    "dir tmp",
    "file tmp/b",
    "symlink abs -> /usr/lib",
    "file usr/lib/c",
    "link d -> usr/lib/a",
  ]);
});

test("a replaced link leads elsewhere from then on", async () => {
  const { lines } = await apply([
    symlink("l", "one"),
    file("l/a"),
    symlink("l", "two"),
    file("l/b"),
    dir("l"),
    file("l/c"),
  ]);
  assert.deepEqual(
    lines.filter((line) => line.startsWith("file")),
    ["file one/a", "file two/b", "file l/c"],
  );
});

test("a hard link to a symbolic link is one", async () => {
  const { lines } = await apply([symlink("s", "/target"), hardlink("h", "s"), file("h/x")]);
  assert.deepEqual(lines.at(-1), "file target/x");
});

test("hard links to files of the layers below: the file is copied up once, unless the layer has another of its name", async () => {
  const { writer, lines, ops } = await apply([
    hardlink("a", "below/x"),
    hardlink("b", "below/x"),
    hardlink("c", "replaced"),
    file("replaced", "mine"),
    hardlink("gone", "below/x"),
    file("gone", "after all"),
  ]);
  const links = writer.linksBelow();
  assert.deepEqual(links, [
    { path: "a", target: "below/x" },
    { path: "b", target: "below/x" },
    { path: "c", target: "replaced" },
  ]);
  assert.ok(!lines.some((line) => line.startsWith("link")));
  const before = ops.length;
  for (const link of links) writer.linkBelow(link, `/layer/${link.target}`);
  assert.deepEqual(
    ops
      .slice(before)
      .map((op) => (op.op === "layerCopy" ? `copy ${op.from.path} ${String(op.path)}` : op.op)),
    ["copy /layer/below/x below/x", "layerEntry", "layerEntry", "copy /layer/replaced c"],
  );
  assert.deepEqual(lines.slice(-2), ["link a -> below/x", "link b -> below/x"]);
});

test("loops, files as directories, and links to nothing are refused", async () => {
  await refused("layer-link-loop", [symlink("a", "b"), symlink("b", "a"), file("a/x")]);
  await refused("layer-path-not-directory", [file("a"), file("a/b")]);
  await refused("layer-link-missing", [file(".wh.gone"), hardlink("a", "gone")]);
  await refused("layer-link-invalid", [dir("d"), hardlink("a", "d")]);
  await refused("layer-link-invalid", [hardlink("a", "/")]);
  await refused("layer-path-invalid", [symlink("./", "/etc")]);
});

test("the overlay's own marks cannot be forged", async () => {
  const xattrs = new Map([
    ["trusted.overlay.opaque", Buffer.from("y")],
    ["trusted.overlay.redirect", Buffer.from("/etc")],
    ["trusted.overlay.overlay.opaque", Buffer.from("y")],
    ["user.overlay.opaque", Buffer.from("y")],
    ["user.mine", Buffer.from("kept")],
    ["security.capability", Buffer.from("cap")],
    ["security.selinux", Buffer.from("label")],
  ]);
  const { ops, writer } = await apply([
    { ...dir("d"), xattrs },
    { path: "wh", type: "char", devMajor: 0, devMinor: 0 },
  ]);
  assert.equal(ops.length, 1, "the 0:0 device is not made");
  const [op] = ops;
  assert.ok(op?.op === "layerEntry");
  assert.deepEqual(op.xattrNames, ["security.capability", "user.mine"]);
  const values = Buffer.from(op.xattrValues);
  assert.equal(values.readUInt32LE(0), 3);
  assert.equal(values.toString("latin1", 4, 7), "cap");
  assert.equal(values.readUInt32LE(7), 4);
  assert.equal(values.toString("latin1", 11), "kept");
  assert.equal(writer.counts.forgeries, 5);
});

test("trusted attributes are left out where nobody may set them", async () => {
  const xattrs = new Map([["trusted.x", Buffer.from("1")]]);
  const { ops } = await apply([{ ...file("f"), xattrs }], { dropTrusted: true });
  assert.ok(ops[0]?.op === "layerEntry");
  assert.deepEqual(ops[0].xattrNames, []);
});

test("ids above 65535 pass; those that are not mapped are refused or counted", async () => {
  const member = { ...file("f"), uid: 70_000, gid: 4_000_000 };
  const { ops } = await apply([member]);
  assert.ok(ops[0]?.op === "layerEntry");
  assert.equal(ops[0].uid, 70_000);
  assert.equal(ops[0].gid, 4_000_000);
  await assert.rejects(
    apply([member], { mapped: 65_535 }),
    (error) => error instanceof VitrineError && error.code === "layer-id-unmapped",
  );
  const { writer } = await apply([member, file("g")], { mapped: 65_535, ignoreOwner: true });
  assert.equal(writer.counts.unmappedOwners, 1);
});

test("names that are not UTF-8 reach the helper byte for byte", async () => {
  const { ops } = await apply([file("caf\udce9/x")]);
  const entry = ops.at(-1);
  assert.ok(entry?.op === "layerEntry");
  assert.deepEqual(entry.path, Uint8Array.from([0x63, 0x61, 0x66, 0xe9, 0x2f, 0x78]));
});

test("duplicates: the last one wins, a directory keeps what is in it", async () => {
  const { lines } = await apply([file("a", "1"), file("a", "2"), dir("d"), file("d/x"), dir("d")]);
  assert.deepEqual(lines, ["file a", "data 0 1", "file a", "data 0 2", "dir d", "file d/x", "dir d"]);
});
