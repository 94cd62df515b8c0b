/** Layers become trees: against the spec, against the archive itself, and against umoci. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { decompress, readFileStream, type TarInput, VitrineError } from "../../src/base/mod.ts";
import { importRootfs } from "../../src/image/mod.ts";
import type { SnapshotMount } from "../../src/store/mod.ts";
import { makeImage, text } from "../support/images.ts";
import { inside, insideSingle, makeStore, singleIds, type TestStore } from "../support/stores.ts";
import { differences, type Tree, treeOfDirectory, treeOfOverlay, treeOfTar } from "../support/trees.ts";
import { cannotRun, findProgram, fixtures, isRoot } from "./support.ts";

const dir = (name: string, more: Partial<TarInput> = {}): TarInput => ({
  path: name,
  type: "directory",
  ...more,
});
const file = (name: string, body: string, more: Partial<TarInput> = {}): TarInput => ({
  ...text(name, body),
  ...more,
});

let views = 0;
/** The root filesystem that a container of the image would see. */
async function viewOf(world: TestStore, name: string, wrap: readonly string[] = inside): Promise<Tree> {
  const image = world.store.resolve(name);
  await world.store.unpack(image);
  const [mount]: readonly [SnapshotMount] = world.store.snapshot(
    image,
    world.container(`view-${views++}`),
  ).mounts;
  return mount.type === "bind"
    ? treeOfDirectory(mount.path, wrap)
    : treeOfOverlay(mount, path.join(world.directory, "merged"), wrap);
}

/** The time of `/` has passed through node's utimes, which keeps microseconds; other tools make up times of some. */
function withoutTimes(tree: Tree, ...names: readonly string[]): Tree {
  return new Map(
    [...tree].map(([name, line]) => [
      name,
      ["", ...names].includes(name) ? line.replace(/ -?\d+\.\d+$/, "") : line,
    ]),
  );
}

const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");

const everything: readonly TarInput[] = [
  dir("./", { mode: 0o755, mtimeSeconds: 1_500_000_000, mtimeNanoseconds: 123_456_789 }),
  dir("dir", { mode: 0o1777, uid: 0, gid: 42, mtimeSeconds: 1_400_000_000 }),
  file("dir/setuid", "x", { mode: 0o4755, mtimeSeconds: 1, mtimeNanoseconds: 1 }),
  file("dir/owned", "y", { mode: 0o640, uid: 1000, gid: 65_000 }),
  file("dir/before-epoch", "z", { mtimeSeconds: -2, mtimeNanoseconds: 500_000_000 }),
  file("caps", "c", { mode: 0o755, xattrs: new Map([["security.capability", capability]]) }),
  file("attributes", "a", { xattrs: new Map([["user.note", Buffer.from("hello\0world")]]) }),
  { path: "one", type: "hardlink", linkTarget: "dir/owned" },
  { path: "dir/two", type: "hardlink", linkTarget: "one" },
  { path: "symlink", type: "symlink", linkTarget: "../../../anywhere/at all", mtimeSeconds: 77 },
  { path: "to-symlink", type: "hardlink", linkTarget: "symlink" },
  { path: "fifo", type: "fifo", mode: 0o600, uid: 7 },
  file("empty", ""),
  file(`deep/${"long-name-".repeat(15)}/${"f".repeat(200)}`, "deep"),
  file("caf\udce9", "latin1 name"),
  file("ünïcode", "utf-8 name"),
  dir("closed", { mode: 0 }),
  file("closed/inside", "in a directory that nobody may enter", { mode: 0 }),
];
const devices: readonly TarInput[] = [
  { path: "null", type: "char", devMajor: 1, devMinor: 3, mode: 0o666 },
  { path: "disk", type: "block", devMajor: 250, devMinor: 70_000, mode: 0o600 },
];

test("every kind of entry arrives as the archive says", async () => {
  using world = makeStore();
  const members = isRoot
    ? [...everything, ...devices, file("big-ids", "", { uid: 70_000, gid: 4_000_000 })]
    : everything;
  const made = await makeImage([members], { names: ["all"] });
  await world.store.put(made.source);
  const expected = new Map(await treeOfTar([made.blobs.get(made.diffIDs[0]!)!]));
  // Directories that the archive does not name.
  const view = new Map(await viewOf(world, "all"));
  for (const name of ["deep", `deep/${"long-name-".repeat(15)}`]) {
    assert.match(view.get(name)!, /^directory 755 0:0 /);
    view.delete(name);
  }
  assert.deepEqual(differences(withoutTimes(view), withoutTimes(expected)), []);
  assert.match(view.get("")!, / 1500000000\.12345/);
  const row = world.store.layerRow(world.store.resolve("all"), 0);
  assert.equal(row?.entries, members.length);
});

const layered: readonly (readonly TarInput[])[] = [
  [
    dir("etc", { mode: 0o750, uid: 3, gid: 4, mtimeSeconds: 1111, mtimeNanoseconds: 22 }),
    file("etc/kept", "kept"),
    file("etc/replaced", "old"),
    file("etc/removed", "gone"),
    dir("opaque", { mtimeSeconds: 5 }),
    file("opaque/hidden", "gone"),
    dir("opaque/sub"),
    file("opaque/sub/hidden", "gone"),
    dir("tree"),
    file("tree/a/b/c", "gone"),
    dir("again"),
    file("again/old", "gone"),
    dir("late"),
    file("late/old", "gone"),
    file("becomes-directory", "x"),
    dir("becomes-file"),
    file("becomes-file/below", "gone"),
    file("etc/twice", "x"),
  ],
  [
    file("etc/replaced", "new", { mode: 0o600 }),
    file("etc/.wh.removed", ""),
    dir("opaque", { mtimeSeconds: 6 }),
    file("opaque/new", "new"),
    file("opaque/.wh..wh..opq", ""),
    file(".wh.tree", ""),
    dir("again"),
    file("again/mine", "mine"),
    file(".wh.again", ""),
    file("late/mine", "mine"),
    file("late/.wh..wh..opq", ""),
    dir("becomes-directory"),
    file("becomes-directory/in", "it"),
    file("becomes-file", "now a file"),
    file("etc/.wh.twice", ""),
  ],
  [file("etc/twice", "back"), file("tree/new", "new tree")],
];

const visible = [
  "",
  "again",
  "again/mine",
  "becomes-directory",
  "becomes-directory/in",
  "becomes-file",
  "etc",
  "etc/kept",
  "etc/replaced",
  "etc/twice",
  "late",
  "late/mine",
  "opaque",
  "opaque/new",
  "tree",
  "tree/new",
];

for (const driver of ["overlay", "copy"] as const) {
  test(`whiteouts, opaque directories and what replaces what (${driver})`, async () => {
    using world = makeStore({ driver });
    const made = await makeImage(layered, { names: ["layers"], compression: "zstd" });
    await world.store.put(made.source);
    const view = await viewOf(world, "layers");
    assert.deepEqual([...view.keys()].sort(), visible);
    // A directory that is only implied stays as it was (where entries are made in the very tree, its time moves).
    assert.match(
      view.get("etc")!,
      driver === "overlay" ? /^directory 750 3:4 1111\.22$/ : /^directory 750 3:4 /,
    );
    assert.match(view.get("etc/replaced")!, /^file 600 /);
    const image = world.store.resolve("layers");
    const read = (name: string) => world.store.readImageFile(image, name);
    // /etc is 0750 and of another id than the user's own.
    if (isRoot) assert.equal(Buffer.from(read("/etc/replaced")!).toString(), "new");
    else
      assert.throws(
        () => read("/etc/replaced"),
        (error) => error instanceof VitrineError && error.code === "image-file-denied",
      );
    assert.equal(Buffer.from(read("/late/mine")!).toString(), "mine");
    for (const gone of [
      ...(isRoot ? ["/etc/removed"] : []),
      "/opaque/hidden",
      "/opaque/sub/hidden",
      "/tree/a/b/c",
      "/again/old",
      "/late/old",
    ]) {
      assert.equal(read(gone), undefined, gone);
    }
    // The same layers in the other order are another image, which shares what it can.
    const reversed = await makeImage([...layered].reverse(), { names: ["reversed"] });
    await world.store.put(reversed.source);
    assert.ok((await viewOf(world, "reversed")).has("etc/removed"));
    assert.equal((await viewOf(world, "layers")).size, visible.length);
  });
}

/** A layer may link to what only a layer below has. */
const linked: readonly (readonly TarInput[])[] = [
  [
    dir("d", { mode: 0o755, mtimeSeconds: 5 }),
    file("d/one", "content of one", {
      mode: 0o4755,
      mtimeSeconds: 7,
      xattrs: new Map([["user.note", Buffer.from("n")]]),
    }),
    file("d/two", "two"),
    file("replaced", "old"),
  ],
  [
    { path: "link-to-one", type: "hardlink", linkTarget: "d/one" },
    { path: "e/again", type: "hardlink", linkTarget: "./d/one" },
    { path: "link-to-old", type: "hardlink", linkTarget: "replaced" },
    file("replaced", "new"),
  ],
];

for (const driver of ["overlay", "copy"] as const) {
  test(`hard links to files of the layers below (${driver})`, async () => {
    using world = makeStore({ driver });
    const made = await makeImage(linked, { names: ["linked"] });
    await world.store.put(made.source);
    const view = await viewOf(world, "linked");
    assert.equal(view.get("link-to-one"), view.get("d/one"), "two names of one file");
    assert.equal(view.get("e/again"), view.get("d/one"));
    assert.match(view.get("d/one")!, /^file 4755 /);
    const read = (name: string) =>
      Buffer.from(world.store.readImageFile(world.store.resolve("linked"), name)!).toString();
    assert.deepEqual(["/d/one", "/e/again", "/link-to-old", "/replaced"].map(read), [
      "content of one",
      "content of one",
      "old",
      "new",
    ]);
    if (isRoot && findProgram("umoci") !== undefined) {
      const theirs = await byUmoci(world, "linked");
      assert.deepEqual(differences(withoutTimes(view, "e"), withoutTimes(theirs, "e")), []);
    }
    // Over another layer below, the same layer is another tree.
    const other = await makeImage([[dir("d"), file("d/one", "another"), file("replaced", "x")], linked[1]!], {
      names: ["other"],
    });
    await world.store.put(other.source);
    await world.store.unpack(world.store.resolve("other"));
    const image = world.store.resolve("other");
    assert.equal(Buffer.from(world.store.readImageFile(image, "/link-to-one")!).toString(), "another");
    const broken = await makeImage([[dir("d")], linked[1]!], { names: ["broken"] });
    await world.store.put(broken.source);
    await assert.rejects(
      world.store.unpack(world.store.resolve("broken")),
      (error) => error instanceof VitrineError && ["layer-link-missing", "apply-failed"].includes(error.code),
    );
  });
}

test("umoci unpacks the same image to the same tree", async (t) => {
  if (!isRoot) return cannotRun(t, "umoci keeps owners only as root");
  if (findProgram("umoci") === undefined) return cannotRun(t, "umoci is not installed");
  using world = makeStore();
  const made = await makeImage([[...everything, ...devices], ...layered], {
    names: ["all"],
    compression: "gzip",
  });
  await world.store.put(made.source);
  const view = await viewOf(world, "all");
  // Directories that no layer names, and one that umoci touches when it applies a whiteout, have the time of unpacking.
  const untimed = ["deep", `deep/${"long-name-".repeat(15)}`, "tree", "again"];
  const theirs = await byUmoci(world, "all");
  assert.deepEqual(differences(withoutTimes(view, ...untimed), withoutTimes(theirs, ...untimed)), []);
});

async function byUmoci(world: TestStore, name: string): Promise<Tree> {
  const bundle = path.join(world.directory, `bundle-${name}`);
  const reference = `${world.store.root}/oci:docker.io/library/${name}:latest`;
  const done = spawnSync("umoci", ["unpack", "--image", reference, bundle], { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  return treeOfDirectory(path.join(bundle, "rootfs"));
}

for (const name of ["alpine.tar.gz", "debian.tar"] as const) {
  test(`a whole distribution: ${name}`, async (t) => {
    const archive = path.join(fixtures, name);
    if (!fs.existsSync(archive)) return cannotRun(t, `there is no fixture ${name}`);
    using world = makeStore();
    const imported = await importRootfs(readFileStream(archive), {
      changes: ['CMD ["/bin/sh"]'],
      platform: { architecture: "amd64", os: "linux" },
      created: 0,
      names: ["distribution"],
      temporaryDirectory: world.store.temporaryDirectory(),
    });
    await world.store.put(imported.images[0]!);
    await imported.close();
    const view = await viewOf(world, "distribution");
    let expected = await treeOfTar((await decompress(readFileStream(archive))).stream);
    // A user cannot make devices: they are left out and counted.
    if (!isRoot) {
      const made = [...expected].filter(([, line]) => !/^(char|block) /.test(line));
      const row = world.store.layerRow(world.store.resolve("distribution"), 0);
      assert.equal(row?.skippedDevices, expected.size - made.length);
      expected = new Map(made);
    }
    assert.deepEqual(differences(withoutTimes(view), withoutTimes(expected)), []);
    if (isRoot && findProgram("umoci") !== undefined) {
      const theirs = await byUmoci(world, "distribution");
      assert.deepEqual(differences(withoutTimes(view), withoutTimes(theirs)), []);
    }
    await world.store.remove("distribution");
    assert.deepEqual(fs.readdirSync(path.join(world.store.root, "tmp")), []);
    const left = fs.readdirSync(path.join(world.store.root, "layers"), { recursive: true });
    assert.equal(left.length, 1, "only the directory of the map");
  });
}

test("with the single-id map everything belongs to the user, and that is said", async (t) => {
  if (isRoot) return cannotRun(t, "it is for users without subordinate ids");
  using world = makeStore({ ids: singleIds() });
  const made = await makeImage([everything], { names: ["all"] });
  await world.store.put(made.source);
  const image = world.store.resolve("all");
  const { warnings } = await world.store.unpack(image);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /^3 files/);
  const view = await viewOf(world, "all", insideSingle);
  assert.match(view.get("dir/owned")!, /^file 640 0:0 /);
  assert.match(view.get("dir/setuid")!, /^file 4755 0:0 /);
});

test("an id outside of the map is refused with the range that would do", async (t) => {
  if (isRoot) return cannotRun(t, "root maps every id");
  using world = makeStore();
  const made = await makeImage([[file("f", "", { uid: 70_000 })]], { names: ["ids"] });
  await world.store.put(made.source);
  await rejects("layer-id-unmapped", world.store.unpack(world.store.resolve("ids")));
  nothingLeft(world);
});

async function rejects(code: string, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof VitrineError && error.code === code);
}

function nothingLeft(world: TestStore): void {
  assert.deepEqual(fs.readdirSync(path.join(world.store.root, "tmp")), []);
  const layers = path.join(world.store.root, "layers");
  for (const map of fs.existsSync(layers) ? fs.readdirSync(layers) : []) {
    assert.deepEqual(fs.readdirSync(path.join(layers, map)), []);
  }
}

test("a layer that is not what manifest and config say reaches no root filesystem", async () => {
  using world = makeStore();
  const made = await makeImage([[file("a", "a")]], { names: ["good"], compression: "gzip" });
  const other = await makeImage([[file("a", "b")]], { compression: "gzip" });
  await world.store.put(made.source);
  const image = world.store.resolve("good");
  await rejects(
    "layer-diffid-mismatch",
    world.store.unpack({ ...image, layers: [{ ...image.layers[0]!, diffID: other.diffIDs[0]! }] }),
  );
  nothingLeft(world);
  const blob = path.join(world.store.root, "oci/blobs/sha256", image.layers[0]!.descriptor.digest.slice(7));
  const bytes = fs.readFileSync(blob);
  bytes[bytes.length - 20]! ^= 1;
  fs.chmodSync(blob, 0o644);
  fs.writeFileSync(blob, bytes);
  await assert.rejects(world.store.unpack(image), VitrineError);
  nothingLeft(world);
  fs.rmSync(blob);
  await rejects("blob-missing", world.store.unpack(image));
  nothingLeft(world);
});

test("hostile layers: no escape, no forged marks, nothing left", async () => {
  using world = makeStore();
  const outside = path.join(world.directory, "outside");
  fs.mkdirSync(outside);
  const hostile: Readonly<Record<string, readonly TarInput[]>> = {
    dotdot: [file("../../../outside/x", "x")],
    loop: [{ path: "a", type: "symlink", linkTarget: "a" }, file("a/x", "x")],
    hardlink: [{ path: "shadow", type: "hardlink", linkTarget: "../../../../etc/shadow" }],
    notdir: [file("a", ""), file("a/b", "")],
  };
  for (const [name, members] of Object.entries(hostile)) {
    const made = await makeImage([members], { names: [name] });
    await world.store.put(made.source);
    await assert.rejects(world.store.unpack(world.store.resolve(name)), VitrineError, name);
    nothingLeft(world);
  }
  const links = await makeImage(
    [
      [
        { path: "absolute", type: "symlink", linkTarget: outside },
        file("absolute/x", "x"),
        { path: "up", type: "symlink", linkTarget: `../../../../../../..${outside}` },
        file("up/y", "y"),
        { path: "etc", type: "symlink", linkTarget: "/etc" },
        { path: "stolen", type: "symlink", linkTarget: "/etc/passwd" },
        { path: "linked", type: "hardlink", linkTarget: "stolen" },
      ],
    ],
    { names: ["links"] },
  );
  await world.store.put(links.source);
  const view = await viewOf(world, "links");
  assert.deepEqual(fs.readdirSync(outside), []);
  assert.ok(view.has(`${outside.slice(1)}/x`) && view.has(`${outside.slice(1)}/y`));
  assert.equal(world.store.readImageFile(world.store.resolve("links"), "/stolen"), undefined);

  const forged = await makeImage(
    [
      [dir("d"), file("d/below", "seen"), file("f", "seen"), dir("secret"), file("secret/x", "secret")],
      [
        dir("d", {
          xattrs: new Map([
            ["trusted.overlay.opaque", Buffer.from("y")],
            ["user.overlay.opaque", Buffer.from("y")],
          ]),
        }),
        { path: "f", type: "char", devMajor: 0, devMinor: 0 },
        dir("moved", {
          xattrs: new Map([
            ["trusted.overlay.redirect", Buffer.from("/secret")],
            ["user.overlay.redirect", Buffer.from("/secret")],
          ]),
        }),
      ],
    ],
    { names: ["forged"] },
  );
  await world.store.put(forged.source);
  const { warnings } = await world.store.unpack(world.store.resolve("forged"));
  assert.match(warnings.join(), /^5 entries/);
  const seen = await viewOf(world, "forged");
  assert.deepEqual([...seen.keys()].sort(), ["", "d", "d/below", "f", "moved", "secret", "secret/x"]);
});

test("more layers than one page of mount options holds", async () => {
  using world = makeStore();
  const layers = Array.from({ length: 150 }, (_, at) => [file(`f${at}`, `${at}`), file("last", `${at}`)]);
  const made = await makeImage(layers, { names: ["deep"] });
  await world.store.put(made.source);
  const image = world.store.resolve("deep");
  assert.equal((await world.store.unpack(image)).unpacked, 150);
  const [mount] = world.store.snapshot(image, world.container("deep")).mounts;
  assert.ok(mount.type === "overlay");
  assert.equal(mount.lowers.length, 150);
  assert.equal(Buffer.from(world.store.readImageFile(image, "last")!).toString(), "149");
  assert.equal((await world.store.unpack(image)).unpacked, 0);
});

test("two commands that unpack the same image at once both succeed", async () => {
  using world = makeStore();
  const layers = Array.from({ length: 6 }, (_, at) =>
    Array.from({ length: 50 }, (_, name) => file(`${at}/${name}`, `${at}`)),
  );
  const made = await makeImage(layers, { names: ["many"] });
  await world.store.put(made.source);
  const image = world.store.resolve("many");
  await Promise.all([world.store.unpack(image), world.store.unpack(image), world.store.unpack(image)]);
  assert.ok(world.store.isUnpacked(image));
  assert.deepEqual(fs.readdirSync(path.join(world.store.root, "tmp")), []);
});

test("auto finds out that an overlay can be mounted here, once", async () => {
  using world = makeStore({ driver: "auto" });
  const made = await makeImage([[file("a", "a")]], { names: ["a"] });
  await world.store.put(made.source);
  const image = world.store.resolve("a");
  assert.equal(world.store.isUnpacked(image), false);
  await world.store.unpack(image);
  const [choice] = fs.readdirSync(world.store.runroot);
  assert.match(choice!, /^driver-/);
  const text = fs.readFileSync(path.join(world.store.runroot, choice!), "utf8");
  assert.deepEqual(JSON.parse(text), { driver: "overlay" });
  assert.equal(world.store.snapshot(image, world.container("a")).mounts[0].type, "overlay");
});

test("a container's tree of mapped ids is removed, whatever its modes are", async () => {
  using world = makeStore({ driver: "copy" });
  const made = await makeImage([everything], { names: ["all"] });
  await world.store.put(made.source);
  const image = world.store.resolve("all");
  await world.store.unpack(image);
  const container = world.container("c1");
  world.store.snapshot(image, container);
  assert.ok(fs.existsSync(path.join(container, "rootfs/dir")));
  world.store.removeTree(container);
  assert.equal(fs.existsSync(container), false);
});
