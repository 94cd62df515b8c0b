import assert from "node:assert/strict";
import { test } from "node:test";
import { compileSeccomp } from "./compile.ts";
import { defaultProfile } from "./default-profile.ts";
import { resolveProfile } from "./docker-format.ts";
import { summarizeFilter } from "./summary.ts";

test("a summary counts calls by outcome and names those that depend on arguments", () => {
  for (const machine of ["x86_64", "aarch64"] as const) {
    const { program } = compileSeccomp(
      {
        defaultAction: "SCMP_ACT_ERRNO",
        syscalls: [
          { names: ["read", "write", "openat2"], action: "SCMP_ACT_ALLOW" },
          { names: ["kexec_load"], action: "SCMP_ACT_KILL_PROCESS" },
          {
            names: ["personality"],
            action: "SCMP_ACT_LOG",
            args: [{ index: 0, value: 0, op: "SCMP_CMP_EQ" }],
          },
        ],
      },
      machine,
    );
    const summary = summarizeFilter(program)!;
    assert.equal(summary.machine, machine);
    assert.equal(summary.instructions, program.length / 8);
    assert.deepEqual(summary.conditional, ["personality"]);
    assert.equal(summary.unknown, "ERRNO(ENOSYS)");
    const outcomes = new Map(summary.outcomes);
    assert.equal(outcomes.get("ALLOW"), 3);
    assert.equal(outcomes.get("KILL_PROCESS"), 1);
    assert.equal([...outcomes.keys()][0], "ERRNO(EPERM)");
  }
});

test("the default profile's summary", () => {
  const profile = resolveProfile(defaultProfile(), {
    caps: ["CAP_SYS_CHROOT"],
    machine: "x86_64",
    kernel: { major: 6, minor: 1 },
  });
  const summary = summarizeFilter(compileSeccomp(profile, "x86_64").program)!;
  assert.deepEqual([...summary.conditional].sort(), ["clone", "personality", "socket", "unshare"]);
  assert.equal(summary.outcomes[0]![0], "ALLOW");
});

test("what is no program has no summary", () => {
  assert.equal(summarizeFilter(new Uint8Array()), undefined);
  assert.equal(summarizeFilter(new Uint8Array(12)), undefined);
});
