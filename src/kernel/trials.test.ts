import assert from "node:assert/strict";
import { test } from "node:test";
import { probeHost } from "./host.ts";
import { tryUser } from "./trials.ts";

const machine = { release: "6.1.0", machine: "x86_64", gid: 1000, egid: 1000, groups: [] };
const nothing = {
  read: () => undefined,
  exists: () => false,
  writable: () => false,
  executable: () => true,
  list: () => [],
};
const files: Readonly<Record<string, string>> = {
  "/etc/subuid": "alice:100000:65536\nbob:165536:65536\n",
  "/etc/subgid": "alice:100000:65536\nbroken\ncarol:500000:10\n",
};
const reader = { read: (path: string) => files[path] };
const alice = probeHost(nothing, { ...machine, uid: 1000, euid: 1000 });
const root = probeHost(nothing, { ...machine, uid: 0, euid: 0 });

test("a missing helper is an answer, not an exception", () => {
  const trials = tryUser({ host: alice, helperPath: undefined, environment: {} }, reader);
  assert.deepEqual(trials.singleId, { ok: false, errno: "", detail: "vitrine-helper is missing" });
});

test("a helper that cannot be run, or answers nonsense, is an answer too", () => {
  for (const helperPath of ["/nonexistent/helper", "/bin/true"]) {
    const { singleId } = tryUser({ host: alice, helperPath, environment: {} }, reader);
    assert.equal(singleId?.ok, false);
  }
});

test("root tries nothing", () => {
  const { singleId, range } = tryUser({ host: root, helperPath: "/bin/false", environment: {} }, reader);
  assert.equal(singleId, undefined);
  assert.equal(range, undefined);
});

test("a free range lies past all users' ranges", () => {
  const of = (text: string | undefined): number =>
    tryUser({ host: root, helperPath: undefined, environment: {} }, { read: () => text }).freeRangeStart;
  assert.equal(of(undefined), 100000);
  assert.equal(of("alice:1:5\n"), 100000);
  assert.equal(
    tryUser({ host: root, helperPath: undefined, environment: {} }, reader).freeRangeStart,
    500010,
  );
});

test("the runtime directory", () => {
  const of = (path: string | undefined): string =>
    tryUser({ host: root, helperPath: undefined, environment: { XDG_RUNTIME_DIR: path } }, reader)
      .runtimeDirectory;
  assert.equal(of(undefined), "unset");
  assert.equal(of(""), "unset");
  assert.equal(of("/nonexistent/directory"), "missing");
  assert.equal(of("/tmp"), "unsafe");
});
