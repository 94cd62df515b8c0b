import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../../base/mod.ts";
import type { SeccompMachine } from "./abi.ts";
import { ret } from "./actions.ts";
import { compileSeccomp } from "./compile.ts";
import { runProgram, verifyProgram } from "./interpreter.ts";
import { type SeccompArgument, type SeccompProfile, type SeccompRule, seccompOperators } from "./profile.ts";
import { syscallNumbers } from "./syscalls.ts";

const X86_64 = 0xc000003e;
const I386 = 0x40000003;
const AARCH64 = 0xc00000b7;
const ARM = 0x40000028;
const EPERM = ret.errno | 1;
const ENOSYS = ret.errno | 38;
const none = [0n, 0n, 0n, 0n, 0n, 0n];

const everyArch = [
  "SCMP_ARCH_X86_64",
  "SCMP_ARCH_X86",
  "SCMP_ARCH_X32",
  "SCMP_ARCH_AARCH64",
  "SCMP_ARCH_ARM",
];

interface Call {
  readonly number: number;
  readonly auditArch: number;
  readonly args: readonly bigint[];
}

function verdict(profile: SeccompProfile, call: Call, machine: SeccompMachine = "x86_64"): number {
  const { program } = compileSeccomp(profile, machine);
  verifyProgram(program);
  return runProgram(program, call).value;
}

function x86(name: string, ...args: bigint[]): Call {
  return {
    number: syscallNumbers("x86_64").get(name)!,
    auditArch: X86_64,
    args: [...args, ...none].slice(0, 6),
  };
}

function code(profile: SeccompProfile): string | undefined {
  try {
    compileSeccomp(profile, "x86_64");
    return undefined;
  } catch (error) {
    assert.ok(error instanceof VitrineError);
    assert.equal(error.kind, "invalid");
    return error.code;
  }
}

const deny: SeccompProfile = { defaultAction: "SCMP_ACT_ERRNO" };

/* --- the meaning of a profile, written without looking at the compiler --- */

const severity = [
  ["SCMP_ACT_KILL_PROCESS", 0x80000000],
  ["SCMP_ACT_KILL", 0x00000000],
  ["SCMP_ACT_KILL_THREAD", 0x00000000],
  ["SCMP_ACT_TRAP", 0x00030000],
  ["SCMP_ACT_ERRNO", 0x00050000],
  ["SCMP_ACT_NOTIFY", 0x7fc00000],
  ["SCMP_ACT_TRACE", 0x7ff00000],
  ["SCMP_ACT_LOG", 0x7ffc0000],
  ["SCMP_ACT_ALLOW", 0x7fff0000],
] as const;

function holds(argument: SeccompArgument, args: readonly bigint[], bits: bigint): boolean {
  const mask = (1n << bits) - 1n;
  const actual = args[argument.index]! & mask;
  const value = BigInt(argument.value) & mask;
  const two = BigInt(argument.valueTwo ?? 0) & mask;
  switch (argument.op) {
    case "SCMP_CMP_NE":
      return actual !== value;
    case "SCMP_CMP_LT":
      return actual < value;
    case "SCMP_CMP_LE":
      return actual <= value;
    case "SCMP_CMP_EQ":
      return actual === value;
    case "SCMP_CMP_GE":
      return actual >= value;
    case "SCMP_CMP_GT":
      return actual > value;
    default:
      return (actual & value) === two;
  }
}

function returnOf(action: string, errno: number | undefined): number {
  const value = severity.find(([name]) => name === action)![1];
  return action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE" ? value | (errno ?? 1) : value;
}

/** Evaluates the profile for a call of one ABI whose table is `table`; knows socketcall and ipc not. */
function evaluate(
  profile: SeccompProfile,
  table: "x86_64" | "x86" | "x32" | "aarch64" | "arm",
  number: number,
  args: readonly bigint[],
): number {
  const numbers = syscallNumbers(table);
  const bits = table === "x86" || table === "arm" ? 32n : 64n;
  const asked: number[] = [];
  let last = -1;
  let mentioned = false;
  for (const rule of profile.syscalls ?? []) {
    for (const name of rule.names) {
      const known = numbers.get(name);
      if (known === undefined) continue;
      if (known < 0xf0000) last = Math.max(last, known);
      if (known !== number) continue;
      mentioned = true;
      const rows = rule.args ?? [];
      const twice = new Set(rows.map((row) => row.index)).size !== rows.length;
      const held = twice
        ? rows.some((row) => holds(row, args, bits))
        : rows.every((row) => holds(row, args, bits));
      if (held) asked.push(returnOf(rule.action, rule.errnoRet));
    }
  }
  const fallback = returnOf(profile.defaultAction, profile.defaultErrnoRet);
  if (asked.length === 0) {
    const denies = !["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].includes(profile.defaultAction);
    return number > last && last >= 0 && denies && !mentioned ? ENOSYS : fallback;
  }
  const rank = (value: number): number =>
    severity.findIndex(([, each]) => each === (value & 0xffff0000) >>> 0);
  return asked.reduce((worst, value) => (rank(value) < rank(worst) ? value : worst));
}

/* --- random profiles --- */

/** mulberry32: the same sequence on every machine. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const interesting = [
  0n,
  1n,
  2n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_fffen,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x1_0000_0001n,
  0x7fff_ffff_ffff_ffffn,
  0x8000_0000_0000_0000n,
  0xffff_ffff_0000_0000n,
  0xffff_ffff_ffff_ffffn,
];

const names = [...syscallNumbers("x86_64").keys(), "socketpair32", "chown32", "cacheflush", "fcntl64"].filter(
  // What hides behind socketcall and ipc has a test of its own.
  (name) =>
    !/^(socket|bind|connect|listen|accept|get(sock|peer)|send|recv|shutdown|setsock|sem|msg|shm)/.test(name),
);

function randomProfile(next: (below: number) => number): SeccompProfile {
  const pick = <T>(list: readonly T[]): T => list[next(list.length)]!;
  const value = (): bigint => {
    const base = pick(interesting);
    return next(3) === 0 ? BigInt.asUintN(64, base + BigInt(next(5)) - 2n) : base;
  };
  const argument = (): SeccompArgument => ({
    index: next(6),
    value: value(),
    valueTwo: next(2) === 0 ? value() : 0,
    op: pick(seccompOperators),
  });
  const rule = (): SeccompRule => {
    // NOTIFY is refused for some names, and has a test of its own.
    const action = pick(severity.filter(([name]) => name !== "SCMP_ACT_NOTIFY"))[0];
    const errno = next(3) === 0 && /ERRNO|TRACE/.test(action) ? next(4096) : undefined;
    return {
      names: Array.from({ length: 1 + next(next(8) === 0 ? 120 : 4) }, () => pick(names)),
      action,
      errnoRet: errno,
      args: next(2) === 0 ? undefined : Array.from({ length: next(4) }, argument),
    };
  };
  const defaultAction = pick(severity.filter(([name]) => name !== "SCMP_ACT_NOTIFY"))[0];
  return {
    defaultAction,
    architectures: everyArch.filter(() => next(3) !== 0),
    syscalls: Array.from({ length: next(next(4) === 0 ? 60 : 12) }, rule),
  };
}

function sameAsMeaning(machine: SeccompMachine, seed: number, profiles: number): number {
  const next = random(seed);
  let compared = 0;
  const abis =
    machine === "x86_64"
      ? ([
          ["SCMP_ARCH_X86_64", "x86_64", X86_64, 0],
          ["SCMP_ARCH_X86", "x86", I386, 0],
          ["SCMP_ARCH_X32", "x32", X86_64, 0x40000000],
        ] as const)
      : ([
          ["SCMP_ARCH_AARCH64", "aarch64", AARCH64, 0],
          ["SCMP_ARCH_ARM", "arm", ARM, 0],
        ] as const);
  for (let count = 0; count < profiles; count++) {
    const profile = randomProfile(next);
    const { program } = compileSeccomp(profile, machine);
    verifyProgram(program);
    for (const [name, table, auditArch, offset] of abis) {
      const included = name === abis[0][0] || profile.architectures!.includes(name);
      const numbers = [...syscallNumbers(table)];
      const mentioned = (profile.syscalls ?? []).flatMap((rule) => rule.names);
      for (let trial = 0; trial < 60; trial++) {
        const named = mentioned.length > 0 && next(4) !== 0 ? mentioned[next(mentioned.length)]! : undefined;
        const number =
          (named === undefined ? undefined : syscallNumbers(table).get(named)) ??
          [next(600), numbers[next(numbers.length)]![1], 0x3fffffff, 0xeffff][next(4)]!;
        const args = Array.from({ length: 6 }, () => {
          const base = interesting[next(interesting.length)]!;
          const wide = next(3) === 0 ? BigInt.asUintN(64, base + BigInt(next(5)) - 2n) : base;
          return table === "x86" || table === "arm" ? wide & 0xffff_ffffn : wide;
        });
        const actual = runProgram(program, { number: number + offset, auditArch, args }).value;
        const expected = included ? evaluate(profile, table, number, args) : ret.killProcess;
        if (actual !== expected) {
          assert.fail(
            `${table} call ${number} (${args.join(", ")}): ${actual.toString(16)}, not ${expected.toString(16)}, in ${JSON.stringify(profile, (_, each) => (typeof each === "bigint" ? String(each) : each))}`,
          );
        }
        compared++;
      }
    }
  }
  return compared;
}

test("a compiled filter means what the profile means (random profiles, x86_64)", () => {
  assert.ok(sameAsMeaning("x86_64", 20240131, 400) > 70_000);
});

test("a compiled filter means what the profile means (random profiles, aarch64)", () => {
  assert.ok(sameAsMeaning("aarch64", 65537, 300) > 30_000);
});

/* --- single cases --- */

test("every comparison at its boundaries, in both halves", () => {
  for (const op of seccompOperators) {
    for (const value of interesting) {
      for (const valueTwo of op === "SCMP_CMP_MASKED_EQ" ? interesting : [0n]) {
        const profile: SeccompProfile = {
          ...deny,
          syscalls: [
            { names: ["read"], action: "SCMP_ACT_ALLOW", args: [{ index: 3, value, valueTwo, op }] },
          ],
        };
        const { program } = compileSeccomp(profile, "x86_64");
        for (const base of interesting) {
          for (const step of [-1n, 0n, 1n]) {
            const args = [0n, 0n, 0n, BigInt.asUintN(64, base + step), 0n, 0n];
            assert.equal(
              runProgram(program, { number: 0, auditArch: X86_64, args }).value,
              evaluate(profile, "x86_64", 0, args),
              `${args[3]} ${op} ${value} ${valueTwo}`,
            );
          }
        }
      }
    }
  }
});

test("conditions on different arguments must all hold, on one argument any", () => {
  const both: SeccompProfile = {
    ...deny,
    syscalls: [
      {
        names: ["read"],
        action: "SCMP_ACT_ALLOW",
        args: [
          { index: 0, value: 5, op: "SCMP_CMP_EQ" },
          { index: 2, value: 9, op: "SCMP_CMP_GT" },
        ],
      },
    ],
  };
  assert.equal(verdict(both, x86("read", 5n, 0n, 10n)), ret.allow);
  assert.equal(verdict(both, x86("read", 5n, 0n, 9n)), EPERM);
  const either: SeccompProfile = {
    ...deny,
    syscalls: [
      {
        names: ["read"],
        action: "SCMP_ACT_ALLOW",
        args: [
          { index: 0, value: 5, op: "SCMP_CMP_EQ" },
          { index: 0, value: 7, op: "SCMP_CMP_EQ" },
        ],
      },
    ],
  };
  assert.equal(verdict(either, x86("read", 7n)), ret.allow);
  assert.equal(verdict(either, x86("read", 6n)), EPERM);
});

test("the strictest rule that holds wins, in whichever order the rules stand", () => {
  const allow: SeccompRule = { names: ["clone"], action: "SCMP_ACT_ALLOW" };
  const kill: SeccompRule = {
    names: ["clone"],
    action: "SCMP_ACT_KILL_PROCESS",
    args: [{ index: 0, value: 0x10000000, valueTwo: 0x10000000, op: "SCMP_CMP_MASKED_EQ" }],
  };
  for (const syscalls of [
    [allow, kill],
    [kill, allow],
  ]) {
    assert.equal(verdict({ ...deny, syscalls }, x86("clone", 0x10000011n)), ret.killProcess);
    assert.equal(verdict({ ...deny, syscalls }, x86("clone", 0x11n)), ret.allow);
  }
});

test("a rule that asks for the default action still stands against one that allows", () => {
  const profile: SeccompProfile = {
    ...deny,
    syscalls: [
      { names: ["personality"], action: "SCMP_ACT_ALLOW" },
      {
        names: ["personality"],
        action: "SCMP_ACT_ERRNO",
        args: [{ index: 0, value: 8, op: "SCMP_CMP_EQ" }],
      },
    ],
  };
  assert.equal(verdict(profile, x86("personality", 8n)), EPERM);
  assert.equal(verdict(profile, x86("personality", 0n)), ret.allow);
});

test("all actions and their data", () => {
  const rules: readonly (readonly [string, number | undefined, number])[] = [
    ["SCMP_ACT_KILL", undefined, 0],
    ["SCMP_ACT_KILL_THREAD", undefined, 0],
    ["SCMP_ACT_KILL_PROCESS", undefined, 0x80000000],
    ["SCMP_ACT_TRAP", undefined, 0x30000],
    ["SCMP_ACT_ERRNO", undefined, 0x50001],
    ["SCMP_ACT_ERRNO", 0, 0x50000],
    ["SCMP_ACT_ERRNO", 4095, 0x50fff],
    ["SCMP_ACT_TRACE", 0xffff, 0x7ff0ffff],
    ["SCMP_ACT_LOG", undefined, 0x7ffc0000],
    ["SCMP_ACT_NOTIFY", undefined, 0x7fc00000],
  ];
  for (const [action, errnoRet, expected] of rules) {
    const profile: SeccompProfile = {
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["mkdir"], action, errnoRet }],
    };
    assert.equal(verdict(profile, x86("mkdir")), expected);
    assert.equal(verdict(profile, x86("rmdir")), ret.allow);
  }
});

test("calls newer than the profile are ENOSYS where the default denies, and only there", () => {
  const syscalls: readonly SeccompRule[] = [{ names: ["read", "openat2"], action: "SCMP_ACT_ALLOW" }];
  const of = (defaultAction: string, number: number, defaultErrnoRet?: number): number =>
    verdict({ defaultAction, defaultErrnoRet, syscalls }, { number, auditArch: X86_64, args: none });
  assert.equal(of("SCMP_ACT_ERRNO", 437), ret.allow);
  assert.equal(of("SCMP_ACT_ERRNO", 436), EPERM);
  assert.equal(of("SCMP_ACT_ERRNO", 438), ENOSYS);
  assert.equal(of("SCMP_ACT_ERRNO", 0x3fffffff), ENOSYS);
  assert.equal(of("SCMP_ACT_KILL_PROCESS", 438), ENOSYS);
  assert.equal(of("SCMP_ACT_LOG", 438), ret.log);
  assert.equal(of("SCMP_ACT_TRACE", 438, 7), ret.trace | 7);
});

test("foreign ABIs and x32 are killed unless named; a tracer's -1 is not", () => {
  const profile: SeccompProfile = { defaultAction: "SCMP_ACT_ALLOW" };
  const i386 = { number: 11, auditArch: I386, args: none };
  const x32 = { number: 0x40000000 + 520, auditArch: X86_64, args: none };
  const skipped = { number: 0xffffffff, auditArch: X86_64, args: none };
  assert.equal(verdict(profile, i386), ret.killProcess);
  assert.equal(verdict(profile, x32), ret.killProcess);
  assert.equal(verdict(profile, skipped), ret.allow);
  assert.equal(verdict(profile, { ...i386, auditArch: AARCH64 }), ret.killProcess);
  const all: SeccompProfile = { ...profile, architectures: everyArch };
  assert.equal(verdict(all, i386), ret.allow);
  assert.equal(verdict(all, x32), ret.allow);
});

test("x32 has its own numbers, and its arguments are compared whole", () => {
  const profile: SeccompProfile = {
    ...deny,
    architectures: ["SCMP_ARCH_X32"],
    syscalls: [
      { names: ["execve"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: 1, op: "SCMP_CMP_EQ" }] },
    ],
  };
  const call = (number: number, first: bigint): Call => ({
    number,
    auditArch: X86_64,
    args: [first, 0n, 0n, 0n, 0n, 0n],
  });
  assert.equal(verdict(profile, call(0x40000000 + 520, 1n)), ret.allow);
  assert.equal(verdict(profile, call(0x40000000 + 520, 0x1_0000_0001n)), EPERM);
  assert.equal(verdict(profile, call(0x40000000 + 59, 1n)), EPERM);
});

test("on 32-bit ABIs -1 written in 64 bits is -1", () => {
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ["SCMP_ARCH_X86"],
    syscalls: [
      {
        names: ["personality"],
        action: "SCMP_ACT_ERRNO",
        args: [{ index: 0, value: 0xffff_ffff_ffff_ffffn, op: "SCMP_CMP_EQ" }],
      },
    ],
  };
  assert.equal(
    verdict(profile, { number: 136, auditArch: I386, args: [0xffffffffn, 0n, 0n, 0n, 0n, 0n] }),
    EPERM,
  );
});

test("32-bit x86: a rule without conditions holds for socketcall and ipc too", () => {
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ["SCMP_ARCH_X86"],
    syscalls: [{ names: ["socket", "shmget"], action: "SCMP_ACT_ERRNO" }],
  };
  const call = (number: number, first: bigint): Call => ({
    number,
    auditArch: I386,
    args: [first, 0n, 0n, 0n, 0n, 0n],
  });
  assert.equal(verdict(profile, call(359, 0n)), EPERM);
  assert.equal(verdict(profile, call(102, 1n)), EPERM);
  assert.equal(verdict(profile, call(102, 2n)), ret.allow);
  assert.equal(verdict(profile, call(117, 23n)), EPERM);
  assert.equal(verdict(profile, call(117, 21n)), ret.allow);
});

test("arm's private calls lie beyond the newest call", () => {
  const profile: SeccompProfile = {
    ...deny,
    architectures: ["SCMP_ARCH_ARM"],
    syscalls: [{ names: ["read", "set_tls"], action: "SCMP_ACT_ALLOW" }],
  };
  const call = (number: number): number =>
    verdict(profile, { number, auditArch: ARM, args: none }, "aarch64");
  assert.equal(call(0xf0005), ret.allow);
  assert.equal(call(3), ret.allow);
  assert.equal(call(2), EPERM);
  assert.equal(call(400), ENOSYS);
});

test("long programs jump by trampolines, and too long ones are refused", () => {
  const names = [...syscallNumbers("x86_64").keys()];
  const rule = (name: string, index: number): SeccompRule => ({
    names: [name],
    action: "SCMP_ACT_ERRNO",
    errnoRet: index + 1,
    args: [{ index: index % 6, value: BigInt(index) * 0x1_0000_0001n, op: "SCMP_CMP_GT" }],
  });
  const profile: SeccompProfile = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: names.map(rule),
  };
  const { program } = compileSeccomp(profile, "x86_64");
  verifyProgram(program);
  assert.ok(program.length / 8 > 1000);
  names.forEach((name, index) => {
    const number = syscallNumbers("x86_64").get(name)!;
    const large = Array.from({ length: 6 }, () => 0xffff_ffff_ffff_ffffn);
    assert.equal(
      runProgram(program, { number, auditArch: X86_64, args: large }).value,
      ret.errno | (index + 1),
    );
    assert.equal(runProgram(program, { number, auditArch: X86_64, args: none }).value, ret.allow);
  });
  assert.equal(
    code({
      ...profile,
      syscalls: names.flatMap((name, index) => [0, 1, 2].map((step) => rule(name, index + 400 * step))),
    }),
    "seccomp-program-too-long",
  );
});

test("a call is decided in few steps", () => {
  const profile: SeccompProfile = {
    ...deny,
    architectures: everyArch,
    syscalls: [{ names: names.filter((_, index) => index % 2 === 0), action: "SCMP_ACT_ALLOW" }],
  };
  const { program } = compileSeccomp(profile, "x86_64");
  for (const number of syscallNumbers("x86_64").values()) {
    assert.ok(runProgram(program, { number, auditArch: X86_64, args: none }).steps <= 16);
  }
});

test("flags", () => {
  const flags = (profile: Partial<SeccompProfile>): number =>
    compileSeccomp({ ...deny, ...profile }, "x86_64").flags;
  const notify: readonly SeccompRule[] = [{ names: ["mknod"], action: "SCMP_ACT_NOTIFY" }];
  assert.equal(flags({}), 4);
  assert.equal(flags({ flags: [] }), 0);
  assert.equal(flags({ flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"] }), 2);
  assert.equal(flags({ flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"] }), 0);
  assert.equal(flags({ flags: ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"], syscalls: notify }), 40);
});

test("what is unknown is left out with a warning, or refused", () => {
  const { warnings } = compileSeccomp(
    {
      ...deny,
      syscalls: [{ names: ["raed", "read", "chown32", "riscv_hwprobe"], action: "SCMP_ACT_ALLOW" }],
    },
    "x86_64",
  );
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /: raed$/);
  const rule = (changes: Partial<SeccompRule>): SeccompProfile => ({
    ...deny,
    syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW", ...changes }],
  });
  const argument = (changes: Partial<SeccompArgument>): SeccompProfile =>
    rule({ args: [{ index: 0, value: 1, op: "SCMP_CMP_EQ", ...changes }] });
  assert.equal(code({ defaultAction: "ALLOW" }), "seccomp-action-unknown");
  assert.equal(code({ defaultAction: "SCMP_ACT_ALLOW", defaultErrnoRet: 1 }), "seccomp-errno-unsupported");
  assert.equal(code({ defaultAction: "SCMP_ACT_NOTIFY" }), "seccomp-notify-forbidden");
  assert.equal(code(rule({ names: ["write"], action: "SCMP_ACT_NOTIFY" })), "seccomp-notify-forbidden");
  assert.equal(code(rule({ action: "SCMP_ACT_ERRNO", errnoRet: 4096 })), "seccomp-errno-invalid");
  assert.equal(code(rule({ action: "SCMP_ACT_TRACE", errnoRet: 65536 })), "seccomp-errno-invalid");
  assert.equal(code(argument({ op: "==" })), "seccomp-operator-unknown");
  assert.equal(code(argument({ index: 6 })), "seccomp-argument-index");
  assert.equal(code(argument({ value: -1 })), "seccomp-argument-value");
  assert.equal(code(argument({ value: 2 ** 64 })), undefined);
  assert.equal(code(argument({ value: (1n << 64n) + 1n })), "seccomp-argument-value");
  assert.equal(code({ ...deny, architectures: ["x86"] }), "seccomp-architecture-unknown");
  assert.equal(code({ ...deny, architectures: ["SCMP_ARCH_S390X"] }), undefined);
  assert.equal(code({ ...deny, flags: ["TSYNC"] }), "seccomp-flag-unknown");
});

test("names that every object has are names of calls that there are not", () => {
  const names = ["constructor", "__proto__", "toString", "read"];
  const syscalls = [{ names, action: "SCMP_ACT_ALLOW" }] as const;
  const architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"] as const;
  const { warnings } = compileSeccomp({ defaultAction: "SCMP_ACT_ERRNO", architectures, syscalls }, "x86_64");
  assert.equal(warnings.length, 1);
});
