import assert from "node:assert/strict";
import { test } from "node:test";
import { capabilityBit, type Op, type Origin, type Plan, type PlannedOp } from "../kernel/mod.ts";
import { comparePlans, type PlanSide, renderComparison } from "./mod.ts";

const byDefault: Origin = { by: "default" };
const flag = (name: string): Origin => ({ by: "flag", flag: name });

function planned(
  op: Op,
  origin: Origin = byDefault,
  pointer = "",
  stage: PlannedOp["stage"] = "init",
): PlannedOp {
  return { stage, tolerate: [], op, why: { pointer, section: "", origin } };
}

function side(label: string, ops: readonly PlannedOp[], own: PlanSide["own"] = []): PlanSide {
  return { label, plan: { ops } satisfies Plan, own };
}

const bit = (...names: readonly string[]) => names.reduce((mask, name) => mask | capabilityBit(name)!, 0n);
const tmpfs = (path: string, options: readonly string[], attributes = 0n): Op => ({
  op: "mountFilesystem",
  fstype: "tmpfs",
  source: "tmpfs",
  target: { base: "root", path },
  attributes,
  options,
});

test("ids and directories of their own are no difference", () => {
  const of = (id: string) => [
    planned({ op: "setHostname", name: id }),
    planned({ op: "setRoot", path: { base: "host", path: `/store/${id}/merged` } }),
    planned({
      op: "recordEvents",
      path: "/e",
      prefix: "",
      tail: new Uint8Array([1]),
      maxBytes: 1n,
      destroys: id === "aa",
    }),
    planned({ op: "removeTree", path: { base: "host", path: `/run/${id}` } }, byDefault, "", "cleanup"),
  ];
  const compared = comparePlans(side("a", of("aa"), [["aa", "ID"]]), side("b", of("bb"), [["bb", "ID"]]));
  assert.deepEqual(compared, { a: "a", b: "b", equal: true, differences: [] });
  assert.equal(renderComparison(compared, { width: 80, color: false }), "");
  assert.equal(comparePlans(side("a", of("aa")), side("b", of("bb"))).equal, false);
});

test("ops are paired by kind and target, wherever they stand", () => {
  const a = side("a", [
    planned(tmpfs("/one", ["size=1m"])),
    planned(tmpfs("/two", [])),
    planned(
      { op: "dropBoundingSet", keep: bit("CAP_KILL", "CAP_CHOWN") },
      byDefault,
      "/process/capabilities/bounding",
    ),
  ]);
  const b = side("b", [
    planned(
      { op: "dropBoundingSet", keep: bit("CAP_KILL", "CAP_NET_ADMIN") },
      flag("--cap-add"),
      "/process/capabilities/bounding",
    ),
    planned(tmpfs("/three", []), flag("--tmpfs"), "/mounts/7"),
    planned(tmpfs("/one", ["size=2m"]), flag("--tmpfs")),
  ]);
  const { equal, differences } = comparePlans(a, b);
  assert.equal(equal, false);
  assert.deepEqual(
    differences.map(({ kind, op, target, group }) => [kind, op, target, group]),
    [
      ["changed", "mountFilesystem", "root:/one", "mounts"],
      ["only-a", "mountFilesystem", "root:/two", "mounts"],
      ["changed", "dropBoundingSet", "", "capabilities"],
      ["only-b", "mountFilesystem", "root:/three", "mounts"],
    ],
  );
  assert.deepEqual(differences[0]?.changed, [
    { name: "options", a: '"size=1m"', b: '"size=2m"', onlyA: ["size=1m"], onlyB: ["size=2m"] },
  ]);
  assert.deepEqual(
    [differences[2]?.changed[0]?.onlyA, differences[2]?.changed[0]?.onlyB],
    [["CAP_CHOWN"], ["CAP_NET_ADMIN"]],
  );
  assert.deepEqual(
    [differences[2]?.a?.origin, differences[2]?.b?.origin],
    [
      { by: "default", text: "" },
      { by: "flag", text: "--cap-add" },
    ],
  );
});

test("as text each difference has its mark, its change and who asked on both sides", () => {
  const keep = (names: readonly string[], origin: Origin) =>
    planned({ op: "dropBoundingSet", keep: bit(...names) }, origin, "/process/capabilities/bounding");
  const compared = comparePlans(
    side("web", [keep(["CAP_KILL"], byDefault), planned(tmpfs("/gone", []))]),
    side("image:web", [keep(["CAP_KILL", "CAP_SYS_TIME"], flag("--cap-add"))]),
  );
  assert.equal(
    renderComparison(compared, { width: 200, color: false }),
    `--- web
+++ image:web

mounts
  - fsopen("tmpfs"), fsmount(0), move_mount(root:/gone)  [default]

capabilities
  ~ dropBoundingSet
   + keep CAP_SYS_TIME
     default /process/capabilities/bounding  →  --cap-add /process/capabilities/bounding
`,
  );
  const narrow = renderComparison(compared, { width: 40, color: true });
  assert.match(narrow, /\u001b\[/);
  const colours = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g");
  for (const line of narrow.replace(colours, "").split("\n")) assert.ok(line.length <= 42, line);
});

test("several ops of one kind at one target are paired in their order", () => {
  const limit = (soft: bigint): PlannedOp => planned({ op: "setRlimit", resource: 7, soft, hard: 100n });
  const { differences } = comparePlans(side("a", [limit(1n), limit(2n)]), side("b", [limit(1n), limit(3n)]));
  assert.deepEqual(
    differences.map(({ target, changed }) => [target, changed.map(({ name, a, b }) => [name, a, b])]),
    [["RLIMIT_NOFILE", [["soft", '"2"', '"3"']]]],
  );
});

test("a change of a seccomp program is seen though nothing can be told of it", () => {
  const filter = (byte: number): PlannedOp =>
    planned({
      op: "seccomp",
      program: new Uint8Array([byte]),
      flags: 0,
      listenerPath: "",
      listenerState: new Uint8Array(),
    });
  assert.equal(comparePlans(side("a", [filter(1)]), side("b", [filter(1)])).equal, true);
  assert.equal(comparePlans(side("a", [filter(1)]), side("b", [filter(2)])).equal, false);
});
