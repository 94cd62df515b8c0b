import assert from "node:assert/strict";
import { test } from "node:test";
import { assertFails, bytesOf, patched } from "./test-support.ts";
import { parseSeccompProfile } from "./validate-seccomp.ts";

const profile = {
  defaultAction: "SCMP_ACT_ERRNO",
  defaultErrnoRet: 1,
  architectures: ["SCMP_ARCH_X86_64"],
  listenerPath: "/run/agent.sock",
  syscalls: [
    { names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
    {
      names: ["socket"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: 97,
      args: [{ index: 0, value: 38, op: "SCMP_CMP_EQ" }],
    },
  ],
};

const parse = (value: unknown) => parseSeccompProfile(bytesOf(value));

test("a profile parses, argument values as bigint", () => {
  assert.deepEqual(parse(profile).syscalls?.[1]?.args, [{ index: 0, value: 38n, op: "SCMP_CMP_EQ" }]);
});

test("what libseccomp has no name for is refused", () => {
  for (const [pointer, value, code = "seccomp-profile-invalid"] of [
    ["/defaultAction", undefined],
    ["/defaultAction", "SCMP_ACT_MAYBE"],
    ["/defaultErrnoRet", -1],
    ["/defaultErrnoRet", 4096],
    ["/architectures/0", "x86_64"],
    ["/flags", ["SECCOMP_FILTER_FLAG_X"]],
    ["/syscalls", {}],
    ["/syscalls/0/names", undefined],
    ["/syscalls/0/names", [], "runtime-config-seccomp-invalid"],
    ["/syscalls/0/names/0", ""],
    ["/syscalls/0/action", "allow"],
    // config-linux.md: an errno with an action that has none is an error.
    ["/syscalls/0/errnoRet", 1, "runtime-config-seccomp-invalid"],
    ["/syscalls/1/args/0/index", 6],
    ["/syscalls/1/args/0/value", undefined],
    ["/syscalls/1/args/0/value", -1],
    ["/syscalls/1/args/0/op", "=="],
  ] as const) {
    const error = assertFails(code, () => parse(patched(profile, pointer, value)), pointer);
    assert.ok(error.operand?.startsWith(pointer), `${error.operand} of ${pointer}`);
  }
});

test("notifications need a listener that could be told", () => {
  const notify = (names: string[]) => patched(profile, "/syscalls/0", { names, action: "SCMP_ACT_NOTIFY" });
  parse(notify(["mkdir"]));
  const code = "runtime-config-seccomp-invalid";
  assertFails(code, () => parse(patched(notify(["mkdir"]), "/listenerPath", undefined)));
  assertFails(code, () => parse(notify(["mkdir", "sendmsg"])));
  assertFails(code, () => parse(notify(["write"])));
  assertFails(code, () => parse({ defaultAction: "SCMP_ACT_NOTIFY", listenerPath: "/x" }));
  assertFails(code, () => parse({ defaultAction: "SCMP_ACT_ALLOW", listenerMetadata: "x" }));
});
