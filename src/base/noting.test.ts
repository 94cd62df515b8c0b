import assert from "node:assert/strict";
import { test } from "node:test";
import { linesWith, pickLines } from "./noting.ts";

test("lines with one of the words, the last without a newline too", () => {
  assert.equal(pickLines("Cap: 1\nName: x\nSeccomp: 2", ["Cap", "Seccomp"]), "Cap: 1\nSeccomp: 2");
  assert.equal(pickLines("", ["a"]), "");
  assert.equal(
    linesWith([" - cgroup"], () => "1 / - ext4\n2 / - cgroup2\n"),
    "2 / - cgroup2\n",
  );
});
