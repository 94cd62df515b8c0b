/** What compile refuses, adapts and says; whole plans are in golden.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../base/mod.ts";
import { type Op, type OpName, type Plan, seccompFilter } from "../kernel/mod.ts";
import type { Mount, NamespaceType } from "../oci/mod.ts";
import { compile } from "./compile.ts";
import { namespaces, process, rootHost, rootInput, userInput, v2Host, withConfig } from "./fixtures.ts";
import type { CompileInput } from "./types.ts";

function opsOf<Name extends OpName>(plan: Plan, name: Name): Extract<Op, { op: Name }>[] {
  return plan.ops.map(({ op }) => op).filter((op): op is Extract<Op, { op: Name }> => op.op === name);
}

function refusal(input: CompileInput): { code: string; operand: string | undefined } {
  try {
    compile(input);
  } catch (error) {
    assert.ok(error instanceof VitrineError, String(error));
    return { code: error.code, operand: error.operand };
  }
  return assert.fail("it was compiled");
}

function withMount(input: CompileInput, mount: Mount): CompileInput {
  return withConfig(input, { mounts: [...(input.config.mounts ?? []), mount] });
}

const has = (mask: bigint, bit: number) => ((mask >> BigInt(bit)) & 1n) === 1n;
const CAP_MKNOD = 27;
const withMknod = {
  ...process,
  capabilities: { bounding: ["CAP_MKNOD"], effective: ["CAP_MKNOD"], permitted: ["CAP_MKNOD"] },
};

test("a config that contradicts itself names the field", () => {
  const linux = rootInput.config.linux ?? {};
  const cases: readonly (readonly [string, string, CompileInput])[] = [
    ["process-missing", "/process", withConfig(rootInput, { process: undefined })],
    ["cwd-relative", "/process/cwd", withConfig(rootInput, { process: { ...process, cwd: "x" } })],
    [
      "namespace-duplicate",
      "/linux/namespaces/1",
      withConfig(rootInput, { linux: { namespaces: namespaces("mount", "mount") } }),
    ],
    [
      "mappings-without-user-namespace",
      "/linux/uidMappings",
      withConfig(rootInput, { linux: { uidMappings: [{ containerID: 0, hostID: 1, size: 1 }] } }),
    ],
    ["mappings-missing", "/linux/gidMappings", withConfig(userInput, { linux: { gidMappings: [] } })],
    [
      "time-offsets-without-namespace",
      "/linux/timeOffsets",
      withConfig(rootInput, { linux: { timeOffsets: { monotonic: { secs: 1n } } } }),
    ],
    [
      "name-without-uts-namespace",
      "/hostname",
      withConfig(rootInput, { linux: { namespaces: namespaces("mount", "network") } }),
    ],
    [
      "id-not-mapped",
      "/process/user/uid",
      withConfig(userInput, { process: { ...process, user: { uid: 70000, gid: 0 } } }),
    ],
    [
      "id-not-mapped",
      "/process/user/additionalGids/0",
      withConfig(userInput, { process: { ...process, user: { uid: 0, gid: 0, additionalGids: [70000] } } }),
    ],
    [
      "rlimit-duplicate",
      "/process/rlimits/1",
      withConfig(rootInput, {
        process: {
          ...process,
          rlimits: [
            { type: "RLIMIT_CORE", soft: 0n, hard: 0n },
            { type: "RLIMIT_CORE", soft: 1n, hard: 1n },
          ],
        },
      }),
    ],
    [
      "mount-over-root",
      `/mounts/${rootInput.config.mounts?.length}/destination`,
      withMount(rootInput, { destination: "/tmp/..", type: "tmpfs" }),
    ],
    [
      "mount-type-missing",
      `/mounts/${rootInput.config.mounts?.length}/type`,
      withMount(rootInput, { destination: "/x" }),
    ],
    [
      "cgroup-limits-unavailable",
      "/linux/resources/pids",
      {
        ...rootInput,
        container: { ...rootInput.container, cgroup: { mode: "none", reason: "test" } },
      },
    ],
    [
      "cgroup-unified-on-v1",
      "/linux/resources/unified",
      withConfig(rootInput, { linux: { resources: { unified: { "memory.high": "1" } } } }),
    ],
    [
      "cgroup-controller-missing",
      "/linux/resources/rdma/mlx5_1",
      withConfig(rootInput, { linux: { resources: { rdma: { mlx5_1: { hcaHandles: 1 } } } } }),
    ],
    [
      "apparmor-unavailable",
      "/process/apparmorProfile",
      withConfig(rootInput, { process: { ...process, apparmorProfile: "x" } }),
    ],
    [
      "selinux-unavailable",
      "/linux/mountLabel",
      withConfig(rootInput, { linux: { ...linux, mountLabel: "system_u:object_r:x_t:s0" } }),
    ],
    [
      "intel-rdt-unavailable",
      "/linux/intelRdt",
      withConfig(rootInput, { linux: { intelRdt: { closID: "x" } } }),
    ],
    [
      "net-devices-unprivileged",
      "/linux/netDevices",
      withConfig(userInput, { linux: { netDevices: { eth0: {} } } }),
    ],
    [
      "namespace-mount-missing",
      "/linux/namespaces",
      withConfig(rootInput, { linux: { namespaces: namespaces("pid") } }),
    ],
    [
      "shared-propagation-unsupported",
      "/linux/rootfsPropagation",
      withConfig(rootInput, { linux: { rootfsPropagation: "rshared" } }),
    ],
  ];
  for (const [code, operand, input] of cases) {
    assert.deepEqual(refusal(input), { code, operand });
  }
});

test("a sysctl that would change the host is refused", () => {
  const set = (key: string, ...types: NamespaceType[]) =>
    withConfig(rootInput, {
      hostname: undefined,
      linux: { namespaces: namespaces("mount", ...types), sysctl: { [key]: "1" } },
    });
  assert.equal(refusal(set("net.ipv4.ip_forward")).code, "sysctl-of-host");
  assert.equal(refusal(set("kernel.shmmax")).code, "sysctl-of-host");
  assert.equal(refusal(set("kernel.panic", "network", "ipc", "uts")).code, "sysctl-not-namespaced");
  assert.equal(refusal(set("kernel.hostname", "uts")).code, "sysctl-hostname");
  assert.equal(refusal(set("net/../kernel/core_pattern", "network")).code, "sysctl-invalid");
  assert.equal(refusal(set("net..x", "network")).code, "sysctl-invalid");
});

test("a sysctl's name becomes a path, whichever separator it uses", () => {
  const written = (key: string) =>
    opsOf(compile(withConfig(rootInput, { linux: { sysctl: { [key]: "1" } } })), "writeFile")
      .map(({ path }) => path)
      .find(({ base }) => base === "proc")?.path;
  assert.equal(written("net.ipv4.conf.eth0/1.rp_filter"), "sys/net/ipv4/conf/eth0.1/rp_filter");
  assert.equal(written("net/ipv4/conf/eth0.1/rp_filter"), "sys/net/ipv4/conf/eth0.1/rp_filter");
});

test("a bind source that is missing, and one that nobody looked at", () => {
  const bind = withMount(rootInput, { destination: "/x", source: "/srv/x", options: ["bind"] });
  assert.equal(refusal(bind).code, "mount-source-kind-unknown");
  const missing = { ...bind, sourceKinds: new Map([["/srv/x", "missing" as const]]) };
  assert.deepEqual(refusal(missing), { code: "mount-source-missing", operand: "/srv/x" });
});

test("a bind mount takes no option of a filesystem", () => {
  const options = (...words: string[]): CompileInput => ({
    ...withMount(rootInput, { destination: "/x", source: "/srv/x", options: ["bind", ...words] }),
    sourceKinds: new Map([["/srv/x", "directory" as const]]),
  });
  assert.equal(refusal(options("size=1k")).code, "mount-option-invalid");
  assert.equal(refusal(options("idmap")).code, "mount-idmap-without-mappings");
  assert.equal(compile(options("sync")).notes?.length, 1);
});

test("idmap without maps has those of the container's user namespace", () => {
  const mounts = [{ destination: "/d", source: "/srv/data", options: ["bind", "ridmap"] }];
  const input = (host: CompileInput["host"], linux: object) => ({
    ...withConfig(userInput, { mounts, linux }),
    host,
    sourceKinds: new Map([["/srv/data", "directory"]] as const),
  });
  const map = [{ containerID: 0, hostID: 200_000, size: 65_536 }];
  const own = input(rootHost, { uidMappings: map, gidMappings: map });
  const [bound] = opsOf(compile(own), "bindIdMapped");
  assert.deepEqual([bound?.uids, bound?.idMapNamespace, bound?.idMapRecursive], [map, "", true]);
  assert.equal(refusal(input(userInput.host, {})).code, "mount-idmap-unprivileged");
});

test("in a user namespace what it may not mount is bound from the host", () => {
  const plan = compile(
    withConfig(userInput, {
      hostname: undefined,
      linux: { namespaces: namespaces("user", "mount"), sysctl: undefined },
    }),
  );
  const bound = opsOf(plan, "bindMount").map(({ source }) => source.path);
  for (const path of ["/proc", "/sys", "/dev/mqueue", "/dev/null"]) {
    assert.ok(bound.includes(path), path);
  }
  assert.deepEqual(
    opsOf(plan, "mountFilesystem").filter(({ fstype }) => ["proc", "sysfs", "mqueue"].includes(fstype)),
    [],
  );
  assert.equal(opsOf(plan, "makeNode").length, 0);
});

test("a bound sysfs is read-only with all that is mounted in it", () => {
  const plan = compile(
    withConfig(userInput, {
      linux: { namespaces: namespaces("user", "mount", "pid", "uts", "ipc"), sysctl: undefined },
    }),
  );
  const sys = opsOf(plan, "bindMount").find(({ source }) => source.path === "/sys");
  assert.equal(sys?.recursive, true);
  assert.equal(sys?.recursiveAttributes, true);
  assert.equal((sys?.set ?? 0n) & 1n, 1n);
});

test("devpts keeps gid=5 only where the user namespace has it", () => {
  const options = (input: CompileInput) =>
    opsOf(compile(input), "mountFilesystem").find(({ fstype }) => fstype === "devpts")?.options;
  assert.ok(options(userInput)?.includes("gid=5"));
  const single = withConfig(userInput, {
    process: { ...process, user: { uid: 0, gid: 0 } },
    linux: {
      uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    },
  });
  assert.ok(!options(single)?.includes("gid=5"));
});

test("setgroups is given up exactly where nobody else can write the map", () => {
  const single = {
    ...withConfig(userInput, { process: { ...process, user: { uid: 0, gid: 0 } } }),
    container: { ...userInput.container, idMapTools: undefined },
  };
  assert.equal(opsOf(compile(single), "idMap")[0]?.denySetgroups, true);
  assert.equal(opsOf(compile(single), "setUser")[0]?.skipGroups, true);
  assert.equal(opsOf(compile(userInput), "idMap")[0]?.denySetgroups, false);
  const asRoot = { ...single, host: rootHost };
  assert.equal(opsOf(compile(asRoot), "idMap")[0]?.denySetgroups, false);
  const groups = { ...userInput, container: { ...userInput.container, idMapTools: undefined } };
  assert.equal(refusal(groups).code, "groups-unavailable");
});

test("a capability that is unknown or not held is left out with a note", () => {
  const plan = compile(
    withConfig(rootInput, {
      process: {
        ...process,
        capabilities: {
          bounding: ["CAP_SYS_RESOURCE", "CAP_FLY", "CAP_KILL"],
          effective: ["CAP_KILL"],
          permitted: ["CAP_KILL"],
          inheritable: ["CAP_KILL"],
          ambient: ["CAP_KILL", "CAP_CHOWN"],
        },
      },
    }),
  );
  assert.equal(opsOf(plan, "dropBoundingSet")[0]?.keep, 1n << 5n);
  const sets = opsOf(plan, "setCapabilities")[0];
  assert.deepEqual([sets?.effective, sets?.ambient], [1n << 5n, 1n << 5n]);
  assert.deepEqual(
    plan.notes?.map(({ pointer }) => pointer),
    [
      "/process/capabilities/bounding/0",
      "/process/capabilities/bounding/1",
      "/process/capabilities/ambient/1",
    ],
  );
});

test("a user namespace gives capabilities that the user does not hold", () => {
  const plan = compile(userInput);
  assert.ok(has(opsOf(plan, "dropBoundingSet")[0]?.keep ?? 0n, 5));
  assert.deepEqual(
    plan.notes?.filter(({ pointer }) => pointer.startsWith("/process/capabilities")),
    [],
  );
});

test("without a device cgroup no node can be made or opened", () => {
  const bare = {
    ...withConfig(rootInput, { process: withMknod }),
    host: { ...v2Host, bpf: false },
    container: {
      ...rootInput.container,
      cgroup: { mode: "v2", root: "/sys/fs/cgroup", path: "/vitrine/abc" },
    },
  } as const;
  const plan = compile(bare);
  assert.equal(opsOf(plan, "dropBoundingSet")[0]?.keep, 0n);
  assert.equal(opsOf(plan, "mountFilesystem").find(({ fstype }) => fstype === "overlay")?.attributes, 4n);
  const asked = {
    ...bare,
    origins: new Map([["/process/capabilities", { by: "flag", flag: "--cap-add" } as const]]),
  };
  assert.equal(refusal(asked).code, "mknod-without-device-rules");
  const program = compile({ ...bare, host: v2Host });
  assert.ok(has(opsOf(program, "dropBoundingSet")[0]?.keep ?? 0n, CAP_MKNOD));
  assert.equal(opsOf(program, "deviceProgram")[0]?.path.path, "/sys/fs/cgroup/vitrine/abc");
  const v1 = compile(withConfig(rootInput, { process: withMknod }));
  assert.deepEqual(opsOf(v1, "deviceProgram"), []);
  assert.ok(has(opsOf(v1, "dropBoundingSet")[0]?.keep ?? 0n, CAP_MKNOD));
});

test("seccomp comes before capabilities go, unless no_new_privs lets it come last", () => {
  const order = (noNewPrivileges: boolean) =>
    compile(withConfig(rootInput, { process: { ...process, noNewPrivileges } }))
      .ops.map(({ op }) => op.op)
      .filter((name) => name === "seccomp" || name === "setCapabilities" || name === "dropBoundingSet");
  assert.deepEqual(order(false), ["seccomp", "dropBoundingSet", "setCapabilities"]);
  assert.deepEqual(order(true), ["dropBoundingSet", "setCapabilities", "seccomp"]);
});

test("a container does not start without the filter that its config asks for", () => {
  assert.equal(refusal({ ...rootInput, seccompFilter: undefined }).code, "seccomp-filter-missing");
});

test("the agent of a profile is told what the spec says, and nobody where nothing notifies", async () => {
  const profile = (listenerPath: string) =>
    ({
      defaultAction: "SCMP_ACT_ALLOW",
      listenerPath,
      listenerMetadata: "cookie",
      syscalls: [{ names: ["mount"], action: "SCMP_ACT_NOTIFY" }],
    }) as const;
  const input = async (listenerPath: string) => ({
    ...withConfig(rootInput, { linux: { seccomp: profile(listenerPath) } }),
    seccompFilter: await seccompFilter(profile("/run/agent.sock"), "x86_64"),
  });
  const [op] = opsOf(compile(await input("/run/agent.sock")), "seccomp");
  assert.equal(op?.listenerPath, "/run/agent.sock");
  const told = JSON.parse(new TextDecoder().decode(op?.listenerState)) as Record<string, unknown>;
  assert.deepEqual(
    { ...told, state: undefined },
    { ociVersion: "1.3.0", fds: ["seccompFd"], pid: 0, metadata: "cookie", state: undefined },
  );
  assert.equal(refusal(await input("")).code, "seccomp-listener-missing");
  assert.equal(opsOf(compile(rootInput), "seccomp")[0]?.listenerPath, "");
});

test("both stages meet at the same barriers in the same order", () => {
  const plan = compile(
    withConfig(userInput, { hooks: { prestart: [{ path: "/bin/a" }], poststart: [{ path: "/bin/b" }] } }),
  );
  const ids = (stage: string) =>
    plan.ops.flatMap(({ stage: where, op }) => (where === stage && op.op === "barrier" ? [op.id] : []));
  assert.deepEqual(ids("monitor"), ids("init"));
  assert.equal(new Set(ids("init")).size, ids("init").length);
  assert.ok(ids("init").length >= 3);
});

test("nothing of init follows execute and nothing of the monitor follows supervise", () => {
  for (const input of [rootInput, userInput]) {
    const { ops } = compile(withConfig(input, { hooks: { poststart: [{ path: "/bin/b" }] } }));
    assert.equal(ops.findLast(({ stage }) => stage === "init")?.op.op, "execute");
    assert.equal(ops.findLast(({ stage }) => stage === "monitor")?.op.op, "supervise");
  }
});

test("time offsets go before the clone whose time namespace they are for", () => {
  const plan = compile(
    withConfig(rootInput, {
      linux: {
        namespaces: namespaces("mount", "time", "uts", "network"),
        timeOffsets: { boottime: { secs: -5n, nanosecs: 1 } },
      },
    }),
  );
  const names = plan.ops.map(({ op }) => op.op);
  assert.ok(names.indexOf("setTimeOffset") < names.indexOf("clone"));
  assert.deepEqual(opsOf(plan, "setTimeOffset"), [
    { op: "setTimeOffset", clock: 7, seconds: -5n, nanoseconds: 1 },
  ]);
  assert.equal((opsOf(plan, "clone")[0]?.flags ?? 0n) & 0x80n, 0x80n);
});

test("shared propagation hides the root filesystem from the host and shares it within", () => {
  const plan = compile({
    ...withConfig(rootInput, { linux: { rootfsPropagation: "rshared" } }),
    container: { ...rootInput.container, rootParentMount: "/run" },
  });
  assert.deepEqual(
    opsOf(plan, "mountPropagation").map(({ path, propagation, recursive }) => [
      path.base,
      path.path,
      propagation,
      recursive,
    ]),
    [
      ["host", "/run", 1 << 18, false],
      ["root", "/", 1 << 20, true],
    ],
  );
});

test("process attributes have the kernel's numbers", () => {
  const plan = compile(
    withConfig(rootInput, {
      process: {
        ...process,
        rlimits: [{ type: "RLIMIT_NOFILE", soft: 10n, hard: 20n }],
        scheduler: { policy: "SCHED_BATCH", nice: 5, flags: ["SCHED_FLAG_RESET_ON_FORK"] },
        ioPriority: { class: "IOPRIO_CLASS_BE", priority: 7 },
        oomScoreAdj: 100,
      },
      linux: {
        personality: { domain: "LINUX32" },
        memoryPolicy: { mode: "MPOL_BIND", nodes: "0-1,9", flags: ["MPOL_F_STATIC_NODES"] },
      },
    }),
  );
  assert.deepEqual(opsOf(plan, "setRlimit"), [{ op: "setRlimit", resource: 7, soft: 10n, hard: 20n }]);
  const scheduler = opsOf(plan, "setScheduler")[0];
  assert.deepEqual([scheduler?.policy, scheduler?.nice, scheduler?.flags], [3, 5, 1n]);
  assert.equal(opsOf(plan, "setIoPriority")[0]?.priority, (2 << 13) | 7);
  assert.equal(opsOf(plan, "setPersonality")[0]?.persona, 8);
  const policy = opsOf(plan, "memoryPolicy")[0];
  assert.deepEqual([policy?.mode, policy?.flags], [2, 1 << 15]);
  assert.deepEqual([...(policy?.nodes ?? [])], [3, 2, 0, 0, 0, 0, 0, 0]);
});

test("the longest prefix says who asked, whole segments only", () => {
  const plan = compile({
    ...rootInput,
    origins: new Map([
      ["/mounts", { by: "default" }],
      ["/mounts/1", { by: "flag", flag: "--tmpfs" }],
    ]),
  });
  const originAt = (pointer: string) => plan.ops.find(({ why }) => why.pointer === pointer)?.why.origin;
  assert.deepEqual(originAt("/mounts/1/destination"), { by: "flag", flag: "--tmpfs" });
  assert.deepEqual(originAt("/mounts/0"), { by: "default" });
  assert.deepEqual(originAt("/root/path"), { by: "config" });
});
