import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ImageTree, type LayerMember } from "./image-tree.ts";

function file(path: string, bytes: number, content = path, mode = 0o644): LayerMember {
  return { path, type: "file", mode, bytes, content, capabilities: false };
}
function dir(path: string): LayerMember {
  return { path, type: "directory", mode: 0o755, bytes: 0, content: "", capabilities: false };
}

describe("ImageTree", () => {
  it("counts what a layer adds, changes and hides", () => {
    const tree = new ImageTree();
    const base = tree.apply([dir("etc/"), file("etc/a", 10), file("etc/b", 20), file("./usr/bin/c", 30)]);
    assert.deepEqual(base.adds, {
      files: 3,
      bytes: 60,
      largest: [
        { path: "/usr/bin/c", bytes: 30 },
        { path: "/etc/b", bytes: 20 },
        { path: "/etc/a", bytes: 10 },
      ],
    });
    const next = tree.apply([file("etc/a", 12, "new"), file("etc/.wh.b", 0), file("d", 5)]);
    assert.equal(next.adds.files, 1);
    assert.deepEqual(next.changes, { files: 1, bytes: 12, largest: [{ path: "/etc/a", bytes: 12 }] });
    assert.deepEqual(next.hides, { files: 1, bytes: 20, largest: [{ path: "/etc/b", bytes: 20 }] });
    assert.equal(next.whiteouts, 1);
    assert.deepEqual(tree.wasted, [
      { path: "/etc/b", bytes: 20, layer: 0, by: 1 },
      { path: "/etc/a", bytes: 10, layer: 0, by: 1 },
    ]);
    assert.deepEqual(tree.total(), { files: 3, bytes: 47 });
  });

  it("an opaque directory hides what is below it in lower layers only, wherever it stands", () => {
    const tree = new ImageTree();
    tree.apply([file("d/x/one", 1), file("d/two", 2), file("e", 4)]);
    const effect = tree.apply([file("d/three", 8), file("d/.wh..wh..opq", 0)]);
    assert.equal(effect.hides.bytes, 3);
    assert.equal(effect.opaques, 1);
    assert.deepEqual(tree.total(), { files: 2, bytes: 12 });
  });

  it("a file in the place of a directory hides the tree, and the other way round", () => {
    const tree = new ImageTree();
    tree.apply([file("d/x", 1), file("d/y", 2), file("f", 4)]);
    const effect = tree.apply([file("d", 8), dir("f")]);
    assert.equal(effect.hides.bytes, 7);
    assert.deepEqual(tree.total(), { files: 1, bytes: 8 });
  });

  it("names copies that changed nothing of the content", () => {
    const tree = new ImageTree();
    tree.apply([file("a", 100, "same")]);
    assert.equal(tree.apply([file("a", 100, "same", 0o755)]).unchangedBytes, 100);
  });

  it("a path twice in a layer is no waste", () => {
    const tree = new ImageTree();
    tree.apply([file("a", 1), file("a", 2, "b")]);
    assert.deepEqual(tree.wasted, []);
  });

  it("finds equal files that are visible", () => {
    const tree = new ImageTree();
    tree.apply([
      file("a", 5, "h"),
      file("b", 5, "h"),
      file("c", 5, "h"),
      file("e", 0, "empty"),
      file("f", 0, "empty"),
    ]);
    tree.apply([file(".wh.c", 0)]);
    assert.deepEqual(tree.duplicates(), [{ bytes: 5, paths: ["/a", "/b"] }]);
  });

  it("names files that give privileges", () => {
    const tree = new ImageTree();
    tree.apply([
      file("bin/su", 1, "x", 0o4755),
      file("bin/wall", 1, "y", 0o2755),
      file("lock", 1, "z", 0o2644),
      { ...file("bin/ping", 1), capabilities: true },
    ]);
    assert.deepEqual(
      tree
        .privileged()
        .map(({ path }) => path)
        .sort(),
      ["/bin/ping", "/bin/su", "/bin/wall"],
    );
  });

  it("ignores what leaves the root, aufs's bookkeeping and marks of nothing", () => {
    const tree = new ImageTree();
    tree.apply([
      file("../x", 1),
      file("a/../../y", 1),
      file(".wh..wh.plnk/z", 1),
      file(".wh.none", 0),
      file("__proto__/q", 1),
    ]);
    assert.deepEqual(tree.wasted, []);
    assert.equal(tree.total().files, 1);
  });

  it("takes trees thousands of directories deep", () => {
    const tree = new ImageTree();
    tree.apply([file(`${"d/".repeat(2000)}x`, 1)]);
    assert.equal(tree.apply([file(".wh.d", 0)]).hides.files, 1);
  });
});
