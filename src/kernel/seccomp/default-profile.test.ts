import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeText, VitrineError } from "../../base/mod.ts";
import { capabilityNames } from "../capabilities.ts";
import type { SeccompMachine } from "./abi.ts";
import { ret } from "./actions.ts";
import { compileSeccomp } from "./compile.ts";
import { seccompFilter } from "./default-filter.ts";
import { compiledFilters } from "./default-filters.gen.ts";
import { compiledCapabilities, defaultProfile, neverAllowed } from "./default-profile.ts";
import { parseProfile, resolveProfile } from "./docker-format.ts";
import { runProgram, verifyProgram } from "./interpreter.ts";
import type { ResolvedProfile } from "./profile.ts";
import { profileDigest } from "./profile-digest.ts";
import { type SyscallTable, syscallNumbers } from "./syscalls.ts";

const EPERM = ret.errno | 1;
const ENOSYS = ret.errno | 38;
const kernel = { major: 6, minor: 18 };
const machines: readonly SeccompMachine[] = ["x86_64", "aarch64"];
const auditArch = { x86_64: 0xc000003e, x86: 0x40000003, aarch64: 0xc00000b7, arm: 0x40000028 };
const podmanDefaults = ["CAP_CHOWN", "CAP_SETUID", "CAP_SYS_CHROOT"];

function standard(caps: readonly string[], machine: SeccompMachine = "x86_64"): ResolvedProfile {
  return resolveProfile(defaultProfile(), { caps, machine, kernel });
}

/** What the default profile does with a call of x86_64, or another ABI's. */
function decide(
  caps: readonly string[],
  name: string,
  args: readonly bigint[] = [],
  abi: keyof typeof auditArch = "x86_64",
): number {
  const machine = abi === "x86_64" || abi === "x86" ? "x86_64" : "aarch64";
  const { program } = compileSeccomp(standard(caps, machine), machine);
  return runProgram(program, {
    number: syscallNumbers(abi).get(name)!,
    auditArch: auditArch[abi],
    args: [...args, 0n, 0n, 0n, 0n, 0n, 0n].slice(0, 6),
  }).value;
}

test("every system call of every ABI is either in a group or never allowed, and nothing else is", () => {
  const tables: readonly SyscallTable[] = ["x86_64", "x86", "x32", "aarch64", "arm"];
  const known = new Set(tables.flatMap((table) => [...syscallNumbers(table).keys()]));
  const never = Object.values(neverAllowed).flatMap((names) => names.split(" "));
  const grouped = defaultProfile().syscalls.flatMap(({ rule }) => rule.names);
  const mentioned = new Set([...grouped, ...never]);
  assert.deepEqual(
    [...known].filter((name) => !mentioned.has(name)),
    [],
  );
  assert.deepEqual(
    [...mentioned].filter((name) => !known.has(name)),
    [],
  );
  assert.deepEqual(
    never.filter((name) => grouped.includes(name)),
    [],
  );
});

test("the compiled filters are the bytes that compiling gives", async () => {
  for (const machine of machines) {
    for (const caps of compiledCapabilities) {
      const profile = standard([...caps, "CAP_CHOWN"], machine);
      const compiled = compileSeccomp(profile, machine);
      assert.deepEqual(compiled.warnings, []);
      assert.deepEqual(await seccompFilter(profile, machine), compiled);
      const known = compiledFilters[machine].map((one): string => one.profile);
      assert.ok(known.includes(profileDigest(profile) ?? ""), "it is known: make generate");
      verifyProgram(compiled.program);
    }
  }
});

test("a profile that differs from the default in anything is compiled", async () => {
  const profile = standard(podmanDefaults);
  const rules = profile.syscalls!;
  const changed: readonly ResolvedProfile[] = [
    { ...profile, defaultErrnoRet: 2 },
    { ...profile, flags: [] },
    { ...profile, architectures: ["SCMP_ARCH_X86_64"] },
    { ...profile, syscalls: rules.with(0, { ...rules[0]!, names: rules[0]!.names.slice(1) }) },
    { ...profile, syscalls: rules.with(0, { ...rules[0]!, action: "SCMP_ACT_LOG" }) },
    standard(["CAP_SYS_ADMIN"]),
  ];
  for (const each of changed) {
    assert.deepEqual(await seccompFilter(each, "x86_64"), compileSeccomp(each, "x86_64"));
  }
  // As it comes back from config.json: other objects, the same meaning.
  const again = structuredClone(profile);
  const filters = [await seccompFilter(again, "x86_64"), await seccompFilter(profile, "x86_64")];
  assert.deepEqual(filters[0]?.program, filters[1]?.program);
});

test("what a container may do", () => {
  for (const name of [
    "read",
    "openat2",
    "execve",
    "ptrace",
    "chroot",
    "futex_waitv",
    "seccomp",
    "uretprobe",
  ]) {
    assert.equal(decide(podmanDefaults, name), ret.allow, name);
  }
});

test("what it may not", () => {
  for (const name of [
    "mount fsopen move_mount open_tree open_tree_attr umount2 pivot_root setns bpf perf_event_open syslog reboot",
    "init_module finit_module delete_module kexec_load kexec_file_load swapon acct settimeofday clock_settime",
    "keyctl add_key request_key io_uring_setup io_uring_enter io_uring_register userfaultfd vmsplice listns",
    "open_by_handle_at iopl ioperm quotactl sethostname kcmp pidfd_getfd move_pages mbind fanotify_init ustat",
  ].flatMap((line) => line.split(" "))) {
    assert.equal(decide(podmanDefaults, name), EPERM, name);
  }
});

test("namespaces: clone without their bits, clone3 sends libc back to clone, unshare of files alone", () => {
  assert.equal(decide(podmanDefaults, "clone", [0x11n]), ret.allow);
  for (const bit of [0x20000n, 0x2000000n, 0x4000000n, 0x8000000n, 0x10000000n, 0x20000000n, 0x40000000n]) {
    assert.equal(decide(podmanDefaults, "clone", [bit | 0x11n]), EPERM);
    assert.equal(decide(podmanDefaults, "unshare", [bit]), EPERM);
    assert.equal(decide(podmanDefaults, "clone", [bit], "aarch64"), EPERM);
    assert.equal(decide(podmanDefaults, "clone", [bit], "x86"), EPERM);
    assert.equal(decide(["CAP_SYS_ADMIN"], "clone", [bit]), ret.allow);
    assert.equal(decide(["CAP_SYS_ADMIN"], "unshare", [bit]), ret.allow);
  }
  assert.equal(decide(podmanDefaults, "clone3"), ENOSYS);
  assert.equal(decide(["CAP_SYS_ADMIN"], "clone3"), ret.allow);
  assert.equal(decide(podmanDefaults, "unshare", [0x600n]), ret.allow);
  assert.equal(decide(podmanDefaults, "unshare", [0x80n]), EPERM);
});

test("sockets: families by whole values, so that upper bits smuggle nothing past", () => {
  const family = (number: bigint, caps = podmanDefaults): number => decide(caps, "socket", [number]);
  for (const number of [1n, 2n, 10n, 16n, 17n]) assert.equal(family(number), ret.allow);
  for (const number of [
    0n,
    9n,
    29n,
    30n,
    31n,
    38n,
    40n,
    46n,
    0x1_0000_0026n,
    0x1_0000_0028n,
    0x1_0000_0002n,
  ]) {
    assert.equal(family(number), EPERM, String(number));
  }
  assert.equal(family(29n, ["CAP_NET_RAW"]), ret.allow);
  assert.equal(family(30n, ["CAP_NET_ADMIN"]), ret.allow);
  for (const number of [38n, 40n]) {
    assert.equal(
      family(number, [...capabilityNames]),
      EPERM,
      "AF_ALG and AF_VSOCK need a profile of one's own",
    );
  }
});

test("personality: five values", () => {
  const values = [0n, 8n, 0x20000n, 0x20008n, 0xffffffffn];
  for (const value of values) assert.equal(decide(podmanDefaults, "personality", [value]), ret.allow);
  for (const value of [0x40000n, 1n, 0x1_0000_0000n, 0x20001n]) {
    assert.equal(decide(podmanDefaults, "personality", [value]), EPERM);
  }
});

test("capabilities open their calls and no others", () => {
  const opened: readonly (readonly [string, string])[] = [
    ["CAP_SYS_ADMIN", "mount"],
    ["CAP_SYS_ADMIN", "bpf"],
    ["CAP_BPF", "bpf"],
    ["CAP_PERFMON", "perf_event_open"],
    ["CAP_SYSLOG", "syslog"],
    ["CAP_SYS_BOOT", "reboot"],
    ["CAP_SYS_CHROOT", "chroot"],
    ["CAP_SYS_MODULE", "init_module"],
    ["CAP_SYS_PACCT", "acct"],
    ["CAP_SYS_PTRACE", "pidfd_getfd"],
    ["CAP_SYS_RAWIO", "iopl"],
    ["CAP_SYS_TIME", "settimeofday"],
    ["CAP_SYS_TTY_CONFIG", "vhangup"],
    ["CAP_SYS_NICE", "mbind"],
    ["CAP_DAC_READ_SEARCH", "open_by_handle_at"],
  ];
  for (const [cap, name] of opened) {
    assert.equal(decide([cap], name), ret.allow, `${cap} ${name}`);
    assert.equal(decide(["CAP_CHOWN"], name), EPERM, name);
  }
  for (const name of ["keyctl", "io_uring_setup", "userfaultfd", "kexec_load", "swapon", "vmsplice"]) {
    assert.equal(decide([...capabilityNames], name), EPERM, name);
  }
});

test("a call newer than all that the profile knows is ENOSYS", () => {
  const { program } = compileSeccomp(standard(podmanDefaults), "x86_64");
  const newer = { number: 600, auditArch: auditArch.x86_64, args: [0n, 0n, 0n, 0n, 0n, 0n] };
  assert.equal(runProgram(program, newer).value, ENOSYS);
});

test("the filter stays small and shallow", () => {
  for (const machine of machines) {
    const { program } = compileSeccomp(standard(podmanDefaults, machine), machine);
    assert.ok(program.length / 8 < 450, String(program.length / 8));
  }
});

/* --- the format of Docker and podman --- */

function parse(profile: unknown): ReturnType<typeof parseProfile> {
  return parseProfile(encodeText(typeof profile === "string" ? profile : JSON.stringify(profile)), "p.json");
}

function code(profile: unknown): string | undefined {
  try {
    parse(profile);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof VitrineError);
    return error.code;
  }
}

test("conditions of rules: capabilities, architectures, kernels", () => {
  const profile = parse({
    defaultAction: "SCMP_ACT_ERRNO",
    archMap: [{ architecture: "SCMP_ARCH_X86_64", subArchitectures: ["SCMP_ARCH_X86"] }],
    syscalls: [
      { names: ["read"], action: "SCMP_ACT_ALLOW" },
      { names: ["bpf"], action: "SCMP_ACT_ALLOW", includes: { caps: ["CAP_BPF", "CAP_SYS_ADMIN"] } },
      { names: ["setns"], action: "SCMP_ACT_ALLOW", excludes: { caps: ["CAP_SYS_ADMIN", "CAP_KILL"] } },
      { names: ["arch_prctl"], action: "SCMP_ACT_ALLOW", includes: { arches: ["amd64", "x32"] } },
      { names: ["clone"], action: "SCMP_ACT_ALLOW", excludes: { arches: ["arm64"] } },
      { names: ["ptrace"], action: "SCMP_ACT_ALLOW", includes: { minKernel: "4.8" } },
      { names: ["statx"], action: "SCMP_ACT_ALLOW", excludes: { minKernel: "4.11" } },
    ],
  });
  const names = (caps: readonly string[], machine: SeccompMachine, major: number, minor: number): string[] =>
    resolveProfile(profile, { caps, machine, kernel: { major, minor } }).syscalls!.flatMap(
      (rule) => rule.names,
    );
  assert.deepEqual(names(["CAP_SYS_ADMIN"], "x86_64", 6, 1), ["read", "arch_prctl", "clone", "ptrace"]);
  assert.deepEqual(names(["CAP_SYS_ADMIN", "CAP_BPF"], "x86_64", 4, 10), [
    "read",
    "bpf",
    "arch_prctl",
    "clone",
    "ptrace",
    "statx",
  ]);
  assert.deepEqual(names([], "aarch64", 4, 7), ["read", "setns", "statx"]);
  const x86 = resolveProfile(profile, { caps: [], machine: "x86_64", kernel });
  assert.deepEqual(x86.architectures, ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
  assert.equal(resolveProfile(profile, { caps: [], machine: "aarch64", kernel }).architectures, undefined);
});

test("old forms: one name, podman's names of errnos, 64-bit values to the bit", () => {
  const profile = parse(
    `{"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"ENOSYS","architectures":["SCMP_ARCH_X86_64"],"syscalls":[
      {"name":"personality","action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]},
      {"names":["mount"],"action":"SCMP_ACT_ERRNO","errno":"EINVAL","errnoRet":22,"args":null,"comment":"","includes":{}}]}`,
  );
  const resolved = resolveProfile(profile, { caps: [], machine: "x86_64", kernel });
  assert.equal(resolved.defaultErrnoRet, 38);
  assert.deepEqual(resolved.syscalls, [
    {
      names: ["personality"],
      action: "SCMP_ACT_ALLOW",
      args: [{ index: 0, value: 0xffff_ffff_ffff_ffffn, op: "SCMP_CMP_EQ" }],
    },
    { names: ["mount"], action: "SCMP_ACT_ERRNO", errnoRet: 22 },
  ]);
});

test("a malformed profile is refused", () => {
  const rule = (changes: object): object => ({
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW", ...changes }],
  });
  assert.equal(code(rule({})), undefined);
  for (const bad of [
    {},
    [],
    { syscalls: [] },
    { defaultAction: "ALLOW", syscalls: [] },
    { defaultAction: "SCMP_ACT_ERRNO", architectures: ["x86"] },
    {
      defaultAction: "SCMP_ACT_ERRNO",
      architectures: ["SCMP_ARCH_ARM"],
      archMap: [{ architecture: "SCMP_ARCH_ARM" }],
    },
    { defaultAction: "SCMP_ACT_ERRNO", syscalls: {} },
    { defaultAction: "SCMP_ACT_ERRNO", flags: ["TSYNC"] },
    rule({ names: [] }),
    rule({ name: "write" }),
    rule({ names: [7] }),
    rule({ action: "allow" }),
    rule({ errnoRet: -1 }),
    rule({ errno: "EWHATEVER" }),
    rule({ args: [{ index: 0, value: "1", op: "SCMP_CMP_EQ" }] }),
    rule({ args: [{ index: 0, value: 1.5, op: "SCMP_CMP_EQ" }] }),
    rule({ args: [{ index: 0, value: 1, op: "=" }] }),
    rule({ includes: { minKernel: "four" } }),
    rule({ includes: { caps: "CAP_KILL" } }),
  ]) {
    assert.equal(code(bad), "seccomp-profile-invalid", JSON.stringify(bad));
  }
  assert.equal(code("{"), "json-syntax");
});
