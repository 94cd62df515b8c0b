import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDetachKeys, parseLog } from "./streams.ts";

test("detach keys are the bytes that a terminal sends", () => {
  assert.deepEqual([...parseDetachKeys("ctrl-p,ctrl-q")], [0x10, 0x11]);
  assert.deepEqual([...parseDetachKeys("ctrl-P,a,ctrl-[")], [0x10, 0x61, 0x1b]);
  assert.deepEqual([...parseDetachKeys("")], []);
  for (const text of ["ctrl-", "ctrl-pq", "ab", "ctrl-p,", "é"]) {
    assert.throws(() => parseDetachKeys(text), { code: "invalid-flag-value" }, text);
  }
});

test("logs: docker's and podman's words", () => {
  assert.equal(parseLog(undefined, []), undefined);
  assert.deepEqual(parseLog("none", []), { driver: "none", maxBytes: 0, files: 1 });
  assert.deepEqual(parseLog(undefined, ["max-size=10m", "max-file=3"]), {
    driver: "file",
    maxBytes: 10 * 1024 * 1024,
    files: 3,
  });
  assert.equal(parseLog("json-file", ["max-size=-1"])?.maxBytes, 0);
  for (const option of ["max-file=0", "max-size", "tag=x", "max-size=x"]) {
    assert.throws(() => parseLog("k8s-file", [option]), { code: "invalid-flag-value" }, option);
  }
  assert.throws(() => parseLog("syslog", []), { code: "flag-unsupported" });
});
