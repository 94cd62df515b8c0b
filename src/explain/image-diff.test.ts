import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ImageTree, type LayerMember } from "./image-tree.ts";

const member = (path: string, more: Partial<LayerMember> = {}): LayerMember => ({
  path,
  type: "file",
  mode: 0o644,
  bytes: 1,
  content: "a",
  capabilities: false,
  owner: "0:0",
  ...more,
});

describe("the files of a tree", () => {
  const seen = (...layers: readonly (readonly LayerMember[])[]): ReadonlyMap<string, string> => {
    const tree = new ImageTree();
    for (const layer of layers) tree.apply(layer);
    return tree.files();
  };

  it("are those that are visible, whiteouts and opaque directories followed", () => {
    const files = seen(
      [member("etc/a"), member("etc/b"), member("opt/x/y")],
      [member("etc/.wh.a"), member("opt/x/.wh..wh..opq"), member("opt/x/z")],
    );
    assert.deepEqual([...files.keys()].sort(), ["/etc", "/etc/b", "/opt", "/opt/x", "/opt/x/z"]);
  });

  it("differ by content, kind, mode, owner and capabilities, and by nothing else", () => {
    const of = (more: Partial<LayerMember>): string => seen([member("f", more)]).get("/f")!;
    assert.equal(of({}), seen([member("f")], [member("f")]).get("/f"));
    for (const more of [
      { content: "b" },
      { mode: 0o600 },
      { owner: "0:5" },
      { capabilities: true },
      { type: "symlink", bytes: 0, content: "symlink:a" } as const,
    ]) {
      assert.notEqual(of(more), of({}), JSON.stringify(more));
    }
  });
});
