import assert from "node:assert/strict";
import { test } from "node:test";
import { askedByAnnotation } from "./annotations.ts";

const asked = (annotations?: Readonly<Record<string, string>>) =>
  askedByAnnotation({
    ociVersion: "1.3.0",
    root: { path: "rootfs" },
    ...(annotations === undefined ? {} : { annotations }),
  });

test("no annotation, and unknown ones, ask for nothing", () => {
  const nothing = {
    keepGroups: false,
    hookOutput: "",
    hookErrors: "",
    knownCallsOnly: false,
    labelOption: "context",
  };
  assert.deepEqual(asked(), nothing);
  assert.deepEqual(asked({ "org.example": "1", "run.oci.other": "1" }), nothing);
});

test("a switch is off when it is 0 or empty", () => {
  for (const [value, on] of [
    ["1", true],
    ["true", true],
    ["0", false],
    ["", false],
  ] as const) {
    assert.equal(asked({ "run.oci.keep_original_groups": value }).keepGroups, on);
    assert.equal(asked({ "run.oci.seccomp_fail_unknown_syscall": value }).knownCallsOnly, on);
  }
});

test("streams of hooks are absolute paths, a label has four options", () => {
  const { hookOutput, hookErrors } = asked({ "run.oci.hooks.stdout": "/o", "run.oci.hooks.stderr": "e" });
  assert.deepEqual([hookOutput, hookErrors], ["/o", ""]);
  assert.equal(asked({ "run.oci.mount_context_type": "rootcontext" }).labelOption, "rootcontext");
  assert.equal(asked({ "run.oci.mount_context_type": "x,y" }).labelOption, "context");
});
