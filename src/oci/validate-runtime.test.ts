import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeRuntimeConfig } from "./canonical.ts";
import { fullConfigText } from "./test-config.ts";
import { assertFails, bytesOf, patched } from "./test-support.ts";
import { parseRuntimeConfig, validateRuntimeConfig } from "./validate-runtime.ts";

const full: unknown = JSON.parse(fullConfigText);
const minimal = { ociVersion: "1.0.0", root: { path: "rootfs" } };

test("a config with every field of the spec is typed whole, without warnings", () => {
  const { config, warnings } = parseRuntimeConfig(bytesOf(fullConfigText));
  assert.deepEqual(warnings, []);
  assert.equal(config.process?.rlimits?.[1]?.hard, 2n ** 64n - 1n);
  assert.equal(config.process?.scheduler?.period, 9007199254740993n);
  assert.equal(config.linux?.seccomp?.syscalls?.[2]?.args?.[0]?.value, 2n ** 64n - 1n);
  assert.equal(config.linux?.timeOffsets?.monotonic?.secs, -172800n);
  // Nothing was lost: what we write is the text we read, white space and key order aside.
  const sorted = (value: unknown): unknown =>
    typeof value !== "object" || value === null || Array.isArray(value)
      ? Array.isArray(value)
        ? value.map(sorted)
        : value
      : Object.fromEntries(
          Object.entries(value)
            .sort()
            .map(([name, member]) => [name, sorted(member)]),
        );
  const written = JSON.parse(new TextDecoder().decode(encodeRuntimeConfig(config)));
  assert.deepEqual(sorted(written), sorted(full));
});

test("validation of what we write gives the same bytes", () => {
  const first = encodeRuntimeConfig(parseRuntimeConfig(bytesOf(fullConfigText)).config);
  assert.deepEqual(encodeRuntimeConfig(parseRuntimeConfig(first).config), first);
});

test("the smallest configs pass, unknown fields are ignored, null is absent", () => {
  assert.deepEqual(validateRuntimeConfig(minimal).config, minimal);
  const { config } = validateRuntimeConfig({
    ...minimal,
    future: {},
    linux: { new: 1, seccomp: null },
    mounts: null,
  });
  assert.deepEqual(config, { ...minimal, linux: {} });
  const process = { cwd: "/", args: ["sh"], user: { uid: 0, gid: 0 } };
  assert.deepEqual(validateRuntimeConfig({ ...minimal, process }).config.process, process);
});

test("an integer that a double cannot hold is not taken rounded", () => {
  const rounded = JSON.parse(
    '{"ociVersion":"1.0.0","root":{"path":"r"},"process":{"cwd":"/","args":["x"],"user":{"uid":0,"gid":0},"rlimits":[{"type":"RLIMIT_CORE","soft":0,"hard":18446744073709551615}]}}',
  );
  assertFails("runtime-config-invalid", () => validateRuntimeConfig(rounded));
});

test("versions: semver, major 1; a newer minor warns", () => {
  for (const version of ["1.0.0", "1.0.0-rc5", "1.2.1+dev", "1.3.0"]) {
    assert.deepEqual(validateRuntimeConfig({ ...minimal, ociVersion: version }).warnings, [], version);
  }
  const newer = validateRuntimeConfig({ ...minimal, ociVersion: "1.4.0" }).warnings;
  assert.deepEqual(
    newer.map(({ code, pointer }) => [code, pointer]),
    [["version-newer", "/ociVersion"]],
  );
  for (const version of [undefined, 1, "", "1", "1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0 "]) {
    assertFails("runtime-config-invalid", () => validateRuntimeConfig({ ...minimal, ociVersion: version }));
  }
  for (const version of ["0.5.0-dev", "2.0.0"]) {
    assertFails("runtime-config-version-unsupported", () =>
      validateRuntimeConfig({ ...minimal, ociVersion: version }),
    );
  }
});

test("configs for other platforms are unsupported", () => {
  for (const platform of ["windows", "solaris", "freebsd", "zos", "vm"]) {
    const error = assertFails("runtime-config-platform-unsupported", () =>
      validateRuntimeConfig({ ...minimal, [platform]: {} }),
    );
    assert.equal(error.kind, "unsupported");
  }
});

/** Each row: a field, a value it must not have, and the code where it is not the general one. */
const refused: readonly (readonly [pointer: string, value: unknown, code?: string, operand?: string])[] = [
  ["", []],
  ["/root", undefined],
  ["/root/path", ""],
  ["/root/path", "a\0b"],
  ["/root/readonly", "true"],
  ["/hostname", "x".repeat(65)],
  ["/hostname", "é".repeat(33)],
  ["/domainname", "x".repeat(65)],
  ["/annotations", { "": "x" }],
  ["/annotations/a", 1],

  ["/process/cwd", undefined],
  ["/process/cwd", "relative"],
  ["/process/cwd", ""],
  ["/process/args", undefined],
  ["/process/args", []],
  ["/process/args/0", "a\0"],
  ["/process/env", ["A=\0"]],
  ["/process/env", [`A=${"x".repeat(2 * 1024 * 1024)}`]],
  ["/process/user/uid", "root"],
  ["/process/user/uid", -1],
  // setresuid(2) takes 2^32-1 for "leave it": the process would stay root.
  ["/process/user/uid", 4294967295],
  ["/process/user/gid", 4294967295],
  ["/process/user/umask", 0o1000],
  ["/process/user/additionalGids", [4294967295]],
  ["/process/consoleSize/height", 65536],
  ["/process/capabilities", ["CAP_KILL"]],
  ["/process/rlimits/0/type", "RLIMIT_COFFEE"],
  ["/process/rlimits/1/type", "RLIMIT_NOFILE", "runtime-config-duplicate"],
  ["/process/rlimits/0/soft", 1025],
  ["/process/rlimits/0/hard", -1],
  ["/process/rlimits/0/hard", undefined],
  ["/process/oomScoreAdj", 1001],
  ["/process/scheduler/policy", "SCHED_FAIR"],
  ["/process/scheduler/policy", "SCHED_ISO", "runtime-config-unsupported"],
  ["/process/scheduler/nice", 20],
  ["/process/scheduler/priority", 1],
  ["/process/scheduler/flags", ["SCHED_FLAG_X"]],
  ["/process/scheduler", { policy: "SCHED_OTHER", runtime: 1 }, undefined, "/process/scheduler/runtime"],
  ["/process/scheduler", { policy: "SCHED_DEADLINE", deadline: 2000, period: 2000 }],
  ["/process/scheduler", { policy: "SCHED_DEADLINE", runtime: 2000, period: 2000 }],
  ["/process/scheduler", { policy: "SCHED_DEADLINE", runtime: 0, deadline: 2000 }],
  ["/process/scheduler", { policy: "SCHED_DEADLINE", runtime: 3000, deadline: 2000 }],
  ["/process/scheduler", { policy: "SCHED_DEADLINE", runtime: 2000, deadline: 3000, period: 2000 }],
  ["/process/scheduler", { policy: "SCHED_DEADLINE", runtime: 1023, deadline: 2000 }],
  ["/process/ioPriority/class", "IOPRIO_CLASS_NONE"],
  ["/process/ioPriority/priority", 8],
  ["/process/execCPUAffinity/final", "3-0"],
  ["/process/execCPUAffinity/initial", "a"],

  ["/mounts/0/destination", undefined],
  ["/mounts/0/destination", ""],
  ["/mounts/0/type", undefined],
  ["/mounts/1/source", undefined],
  ["/mounts/0/options", "ro"],
  ["/mounts/0/options", [""]],
  ["/mounts/1/uidMappings", undefined],
  ["/mounts/1/gidMappings", []],
  ["/mounts/1/gidMappings/0/size", 0],
  ["/hooks/prestart/0/path", "relative"],
  ["/hooks/poststop/0/path", undefined],
  ["/hooks/prestart/0/timeout", 0],
  ["/hooks/prestart/0/timeout", -1],
  ["/hooks/createRuntime", {}],

  ["/linux", []],
  ["/linux/namespaces/0/type", "network", "runtime-config-duplicate", "/linux/namespaces/1/type"],
  ["/linux/namespaces/0/type", "mnt"],
  ["/linux/namespaces/0/path", "ns/pid"],
  ["/linux/uidMappings/0/size", 0],
  ["/linux/uidMappings/0/size", 4294966296, "runtime-config-mapping-invalid", "/linux/uidMappings/0"],
  ["/linux/uidMappings/0/hostID", 4294967290, "runtime-config-mapping-invalid", "/linux/uidMappings/0"],
  ["/linux/gidMappings/1/containerID", 4, "runtime-config-mapping-invalid", "/linux/gidMappings"],
  ["/linux/gidMappings/1/hostID", 1004, "runtime-config-mapping-invalid", "/linux/gidMappings"],
  ["/process/user/uid", 32000, "runtime-config-mapping-missing"],
  ["/process/user/gid", 10, "runtime-config-mapping-missing"],
  ["/process/user/additionalGids/1", 10, "runtime-config-mapping-missing"],
  ["/linux/timeOffsets/realtime", { secs: 1 }],
  ["/linux/timeOffsets/boottime/nanosecs", 1_000_000_000],
  ["/linux/devices/0/type", "x"],
  ["/linux/devices/0/path", "dev/fuse"],
  ["/linux/devices/0/major", undefined],
  ["/linux/devices/0/major", 4096],
  ["/linux/devices/0/minor", 1048576],
  ["/linux/netDevices/eth0/name", 23],
  ["/linux/netDevices/eth0/name", "a/b"],
  ["/linux/netDevices/eth0/name", "way-too-long-for-a-name"],
  ["/linux/netDevices/eth0/name", "a%s"],
  ["/linux/netDevices/eth0/name", "a\0b"],
  ["/linux/netDevices/eth0/name", "\u00e4".repeat(8)],
  ["/linux/netDevices/eth0/name", ".."],
  ["/linux/netDevices/eth1/name", "%d%d"],
  ["/linux/netDevices/a~1b", {}],
  [
    "/linux/netDevices",
    { eth0: { name: "x" }, eth1: { name: "x" } },
    "runtime-config-duplicate",
    "/linux/netDevices/eth1/name",
  ],
  ["/linux/cgroupsPath", "/a/../../b", "runtime-config-cgroups-path-invalid"],
  ["/linux/rootfsPropagation", "public"],
  ["/linux/maskedPaths/0", "proc/kcore"],
  ["/linux/readonlyPaths/0", "proc/sys"],
  ["/linux/intelRdt/closID", "../x"],
  ["/linux/intelRdt/closID", ".."],
  ["/linux/intelRdt/memBwSchema", "L3:0"],
  ["/linux/intelRdt/schemata/0", "L3:0\nMB:0"],
  ["/linux/intelRdt/l3CacheSchema", "L3:0\nMB:0"],
  ["/linux/memoryPolicy/mode", "MPOL_X"],
  ["/linux/memoryPolicy/mode", "MPOL_LOCAL", undefined, "/linux/memoryPolicy/nodes"],
  ["/linux/memoryPolicy/nodes", undefined],
  ["/linux/memoryPolicy/flags/1", "MPOL_F_RELATIVE_NODES", undefined, "/linux/memoryPolicy/flags"],
  ["/linux/personality/domain", "LINUX64"],
  ["/linux/personality/flags", ["x"], "runtime-config-unsupported"],

  ["/linux/resources/devices/0/allow", undefined],
  ["/linux/resources/devices/0/type", "p"],
  ["/linux/resources/devices/0/access", "rx"],
  ["/linux/resources/devices/0/access", "rr"],
  ["/linux/resources/devices/0/major", -2],
  ["/linux/resources/memory/limit", -2],
  ["/linux/resources/memory/swap", 1],
  ["/linux/resources/memory/swappiness", 101],
  ["/linux/resources/memory/limit", "1g"],
  ["/linux/resources/cpu/burst", 1000001],
  ["/linux/resources/cpu/shares", -1],
  ["/linux/resources/cpu/cpus", "0-"],
  ["/linux/resources/cpu/mems", "0\n"],
  ["/linux/resources/cpu/idle", 2],
  ["/linux/resources/pids/limit", -2],
  ["/linux/resources/blockIO/weight", 65536],
  ["/linux/resources/blockIO/weightDevice/0", { major: 8, minor: 0 }],
  ["/linux/resources/blockIO/throttleReadBpsDevice/0/rate", undefined],
  ["/linux/resources/hugepageLimits/0/pageSize", "64kB"],
  ["/linux/resources/hugepageLimits/0/pageSize", "../2MB"],
  ["/linux/resources/network/priorities/0/name", ""],
  ["/linux/resources/rdma/mlx5_1", {}],
  ["/linux/resources/rdma/mlx5_1/hcaHandles", "not a uint32"],
  ["/linux/resources/unified/..~1..~1cgroup.procs", "1", "runtime-config-unified-invalid"],
  ["/linux/resources/unified/memory", "1", "runtime-config-unified-invalid"],
];

test("each value that the spec or the kernel cannot take is refused, and the error names the field", () => {
  for (const [pointer, value, code = "runtime-config-invalid", operand = pointer] of refused) {
    const document = pointer === "" ? value : patched(full, pointer, value);
    // Doubles above 2^53 in the sample would fail first.
    const exact = parseRuntimeConfigLike(document);
    const error = assertFails(code, exact, `${pointer} = ${JSON.stringify(value)?.slice(0, 60)}`);
    assert.ok(error.operand?.startsWith(operand), `operand ${error.operand} of ${pointer}`);
    assert.ok(error.message.includes(error.operand ?? ""));
  }
});

/** Goes through text, with the 64-bit integers of the sample put back. */
function parseRuntimeConfigLike(document: unknown): () => unknown {
  const text = JSON.stringify(document)
    .replaceAll("18446744073709552000", "18446744073709551615")
    .replaceAll("9007199254740992", "9007199254740993");
  return () => parseRuntimeConfig(bytesOf(text));
}

test("a setting that would reach the host without its namespace is refused", () => {
  const without = (type: string) => {
    const copy = structuredClone(full) as { linux: { namespaces: { type: string }[] } };
    copy.linux.namespaces = copy.linux.namespaces.filter((entry) => entry.type !== type);
    return copy;
  };
  for (const [type, pointer] of [
    ["uts", "/hostname"],
    ["time", "/linux/timeOffsets"],
    ["network", "/linux/netDevices"],
    ["ipc", "/linux/sysctl/kernel.shmmax"],
    ["mount", "/linux/maskedPaths"],
    ["user", "/linux/uidMappings"],
  ] as const) {
    const error = assertFails(
      "runtime-config-namespace-missing",
      parseRuntimeConfigLike(without(type)),
      type,
    );
    assert.equal(error.operand, pointer);
  }
  const joined = patched(full, "/linux/namespaces/7/path", "/proc/1/ns/time");
  assertFails("runtime-config-namespace-missing", parseRuntimeConfigLike(joined));
});

test("a joined user namespace brings its own maps", () => {
  const namespaces = [{ type: "user", path: "/proc/1/ns/user" }];
  validateRuntimeConfig({ ...minimal, linux: { namespaces } });
  const process = { cwd: "/", args: ["sh"], user: { uid: 99, gid: 99 } };
  validateRuntimeConfig({ ...minimal, process, linux: { namespaces } });
});

test("idmap without mappings needs a user namespace", () => {
  const mounts = [{ destination: "/d", source: "/s", options: ["bind", "idmap"] }];
  assertFails("runtime-config-mapping-invalid", () => validateRuntimeConfig({ ...minimal, mounts }));
  const mapping = [{ containerID: 0, hostID: 1000, size: 1 }];
  const linux = { namespaces: [{ type: "user" }], uidMappings: mapping, gidMappings: mapping };
  validateRuntimeConfig({ ...minimal, mounts, linux });
});

test("what cannot be granted or is deprecated is told, not refused", () => {
  const process = {
    cwd: "/",
    user: { uid: 0, gid: 0 },
    args: ["sh"],
    env: ["A=b", "odd"],
    capabilities: {
      permitted: ["CAP_KILL", "CAP_FLY", "chown"],
      effective: ["CAP_CHOWN"],
      ambient: ["CAP_KILL"],
    },
  };
  const mounts = [
    { destination: "proc", type: "proc" },
    {
      destination: "/d",
      source: "/s",
      options: ["bind"],
      uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
    },
  ];
  const devices = [
    { type: "c", path: "/dev/a", major: 1, minor: 3 },
    { type: "u", path: "/dev/b", major: 1, minor: 3 },
  ];
  const knowsCapability = (name: string) => name === "CAP_KILL" || name === "CAP_CHOWN";
  const { config, warnings } = validateRuntimeConfig(
    { ...minimal, process, mounts, linux: { devices, intelRdt: { l3CacheSchema: "L2:0=1" } } },
    { knowsCapability },
  );
  assert.deepEqual(
    warnings.map(({ code, pointer }) => `${code} ${pointer}`),
    [
      "capability-not-grantable /process/capabilities/effective",
      "capability-unknown /process/capabilities/permitted",
      "environment-entry-odd /process/env/1",
      "mount-destination-relative /mounts/0/destination",
      "mount-mapping-without-option /mounts/1",
      "device-duplicate /linux/devices/1",
      "intel-rdt-schema-odd /linux/intelRdt/l3CacheSchema",
    ],
  );
  assert.deepEqual(config.process?.capabilities?.permitted, ["CAP_KILL", "CAP_FLY", "chown"]);
});

test("the console size says nothing without a terminal", () => {
  const process = { cwd: "/", args: ["sh"], user: { uid: 0, gid: 0 }, consoleSize: { height: "x" } };
  assert.equal(validateRuntimeConfig({ ...minimal, process }).config.process?.consoleSize, undefined);
});

test("scheduler parameters go with their policies", () => {
  const process = { cwd: "/", args: ["sh"], user: { uid: 0, gid: 0 } };
  const valid = (scheduler: object) =>
    validateRuntimeConfig({ ...minimal, process: { ...process, scheduler } });
  valid({ policy: "SCHED_OTHER", nice: -20 });
  valid({ policy: "SCHED_BATCH", nice: 19, priority: 0 });
  valid({ policy: "SCHED_RR", priority: 99 });
  valid({ policy: "SCHED_IDLE" });
  assertFails("runtime-config-invalid", () => valid({ policy: "SCHED_FIFO", nice: 1 }));
});

test("hostile documents: deep, large, prototype keys", () => {
  assertFails("json-too-deep", () => parseRuntimeConfig(bytesOf(`${'{"a":'.repeat(70)}1${"}".repeat(70)}`)));
  assertFails("json-too-large", () => parseRuntimeConfig(new Uint8Array(5 * 1024 * 1024)));
  assertFails("json-forbidden-key", () => parseRuntimeConfig(bytesOf('{"annotations":{"__proto__":"x"}}')));
  const args = Array(65_537).fill("x");
  const process = { cwd: "/", user: { uid: 0, gid: 0 }, args };
  assertFails("runtime-config-invalid", () => validateRuntimeConfig({ ...minimal, process }));
  const annotations = { constructor: "x", hasOwnProperty: "y" };
  assert.deepEqual(validateRuntimeConfig({ ...minimal, annotations }).config.annotations, annotations);
});
