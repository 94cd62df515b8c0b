import assert from "node:assert/strict";
import { test } from "node:test";
import {
  compileSeccomp,
  type Op,
  type OpName,
  type Origin,
  opTable,
  type Plan,
  type PlannedOp,
  type Stage,
} from "../kernel/mod.ts";
import { callsOf } from "./calls.ts";
import { blankOp } from "./fixtures.ts";
import {
  explainPlan,
  type PlanExplanation,
  type PlanRenderOptions,
  renderPlan,
  renderPlanJson,
} from "./mod.ts";

const byDefault: Origin = { by: "default" };

function planned(op: Op, changes: Partial<PlannedOp["why"]> & { stage?: Stage } = {}): PlannedOp {
  const { stage = "init", ...why } = changes;
  return { stage, tolerate: [], op, why: { pointer: "", section: "", origin: byDefault, ...why } };
}

const wide: PlanRenderOptions = {
  width: 200,
  color: false,
  view: "groups",
  defaultsOnly: false,
};

test("every op of the table can be told as calls", () => {
  for (const name of Object.keys(opTable) as OpName[]) {
    const calls = callsOf(blankOp(name));
    assert.ok(Array.isArray(calls), name);
    for (const call of calls) assert.doesNotMatch(call, /undefined|\[object/, name);
  }
});

test("flags, modes, limits and capabilities are told by name", () => {
  const root = { base: "root", path: "/proc" } as const;
  const cases: readonly (readonly [Op, readonly string[]])[] = [
    [
      { op: "clone", flags: 0x6c020000n, dieWithMonitor: true },
      [
        "clone3(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)",
        "prctl(PR_SET_PDEATHSIG, SIGKILL)",
      ],
    ],
    [
      {
        op: "mountFilesystem",
        fstype: "proc",
        source: "proc",
        target: root,
        attributes: 0xen,
        options: ["hidepid=2"],
      },
      [
        'fsopen("proc")',
        "fsconfig(hidepid=2)",
        "fsmount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)",
        "move_mount(root:/proc)",
      ],
    ],
    [
      { op: "mountAttributes", path: root, set: 0x11n, clear: 0x70n, recursive: true },
      [
        "mount_setattr(root:/proc, AT_RECURSIVE, set MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME, clear MOUNT_ATTR__ATIME)",
      ],
    ],
    [
      { op: "setRlimit", resource: 7, soft: 1024n, hard: 0xffffffffffffffffn },
      ["prlimit64(RLIMIT_NOFILE, soft 1024, hard RLIM_INFINITY)"],
    ],
    [
      { op: "makeNode", path: root, mode: 0o20666, major: 1, minor: 3, uid: 0, gid: 5 },
      ["mknodat(root:/proc, S_IFCHR | 0666, 1:3)", "fchownat(0, 5)"],
    ],
    [
      { op: "setCapabilities", effective: 0x21n, permitted: 0x21n, inheritable: 0n, ambient: 0x20n },
      [
        "capset(effective and permitted: CAP_CHOWN, CAP_KILL; inheritable: none)",
        "prctl(PR_CAP_AMBIENT, CAP_KILL)",
      ],
    ],
    [{ op: "cpuAffinity", mask: new Uint8Array([0b10001111, 1]) }, ["sched_setaffinity(CPUs 0-3,7-8)"]],
    [
      {
        op: "idMap",
        uids: [
          { containerID: 0, hostID: 1000, size: 1 },
          { containerID: 1, hostID: 100000, size: 65536 },
        ],
        gids: [{ containerID: 0, hostID: 1000, size: 1 }],
        denySetgroups: false,
        newuidmap: "/usr/bin/newuidmap",
        newgidmap: "/usr/bin/newgidmap",
      },
      ["execve(/usr/bin/newuidmap PID 0 1000 1 1 100000 65536)", "execve(/usr/bin/newgidmap PID 0 1000 1)"],
    ],
    [{ op: "unmount", path: root, flags: 2 }, ["umount2(root:/proc, MNT_DETACH)"]],
  ];
  for (const [op, calls] of cases) assert.deepEqual(callsOf(op), calls);
});

test("bits without a name are not lost", () => {
  assert.deepEqual(callsOf({ op: "unshareNamespaces", flags: 0x40000001n }), ["unshare(CLONE_NEWNET | 0x1)"]);
});

test("a seccomp program is summarised", () => {
  const { program, flags } = compileSeccomp(
    {
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [{ names: ["read", "write"], action: "SCMP_ACT_ALLOW" }],
    },
    "x86_64",
  );
  const calls = callsOf({
    op: "seccomp",
    program,
    flags,
    listenerPath: "",
    listenerState: new Uint8Array(),
  });
  assert.match(calls[0]!, /SECCOMP_FILTER_FLAG_SPEC_ALLOW, \d+ instructions/);
  assert.match(calls[1]!, /ERRNO\(ENOSYS\) \d+, ALLOW 2/);
});

test("the two sides of a barrier differ", () => {
  const [monitor, init] = (["monitor", "init"] as const).map((stage) => callsOf(blankOp("barrier"), stage));
  assert.match(monitor![0]!, /^wait for init/);
  assert.match(init![0]!, /^init waits for the monitor/);
});

test("ops belong to the part that their field names", () => {
  const path = { base: "host", path: "/x" } as const;
  const write: Op = { op: "writeFile", path, data: new Uint8Array(), create: false, mode: 0 };
  const of = (op: Op, pointer: string, stage: Stage = "init"): string =>
    explainPlan({ ops: [planned(op, { pointer, stage })] }).ops[0]!.group;
  assert.equal(of(write, "/linux/resources/pids/limit"), "cgroup");
  assert.equal(of(write, "/linux/sysctl/net.core"), "process");
  assert.equal(of(write, "/linux/sysctl/net.core", "cleanup"), "clean-up");
  assert.equal(of(blankOp("mountFilesystem"), "/root/path"), "root filesystem");
  assert.equal(of(blankOp("mountFilesystem"), "/mounts/3"), "mounts");
  assert.equal(of(blankOp("bindMount"), "/linux/devices"), "devices");
  assert.equal(of(blankOp("barrier"), "/linux/cgroupsPath"), "namespaces");
  assert.equal(of(blankOp("seccomp"), "/linux/seccomp"), "seccomp");
  assert.equal(of(blankOp("apparmorProfile"), "/process/apparmorProfile"), "LSM");
  assert.equal(of(blankOp("execute"), "/process/args"), "process");
});

const plan: Plan = {
  ops: [
    planned(
      { op: "clone", flags: 0x20000000n, dieWithMonitor: false },
      { stage: "monitor", pointer: "/linux/namespaces", section: "config-linux.md#namespaces" },
    ),
    planned(
      { op: "setHostname", name: "web" },
      { pointer: "/hostname", section: "config.md#hostname", origin: { by: "flag", flag: "--hostname" } },
    ),
    planned(
      { op: "execute", argv: ["sh", "-c", "\x1b[2J\u202eevil"], env: ["A=b"] },
      { pointer: "/process/args", section: "config.md#process", origin: { by: "image", field: "Cmd" } },
    ),
    planned(
      { op: "setUmask", mask: 0o22 },
      { pointer: "/process/user/umask", origin: { by: "host", note: "of the caller" } },
    ),
  ],
  notes: [{ pointer: "/linux/resources", text: "no cgroup" }],
};

test("groups: parts in their order, each line with call, origin, field and section", () => {
  const lines = renderPlan(explainPlan(plan), wide).split("\n");
  assert.deepEqual(
    lines.filter((line) => /^\S/.test(line)),
    ["namespaces", "process", "notes"],
  );
  const row = lines.findIndex((line) => line.includes('sethostname("web")'));
  assert.match(lines[row]!, /--hostname +\/hostname$/);
  assert.match(lines[row + 1]!, /config\.md#hostname$/);
  assert.match(lines.find((line) => line.includes("execve"))!, /image Cmd/);
  assert.match(lines.find((line) => line.includes("umask(0022)"))!, /host: of the caller/);
  assert.match(lines.at(-2)!, /\/linux\/resources: no cgroup/);
});

test("what an image holds cannot reach the terminal", () => {
  for (const view of ["groups", "syscalls"] as const) {
    const text = renderPlan(explainPlan(plan), { ...wide, view });
    assert.doesNotMatch(text, /[\x1b\u202e]/);
    assert.match(text, /\\e\[2J/);
  }
});

test("no line is wider than the terminal", () => {
  const explanation = explainPlan(plan);
  for (const width of [200, 100, 80, 60, 40, 30]) {
    for (const view of ["groups", "syscalls"] as const) {
      for (const line of renderPlan(explanation, { ...wide, width, view }).split("\n")) {
        assert.ok(line.length <= width, `${width}: ${line}`);
      }
    }
  }
});

test("--syscalls: one line a call with the op's index and stage, in order", () => {
  const lines = renderPlan(explainPlan(plan), { ...wide, view: "syscalls" })
    .trimEnd()
    .split("\n");
  assert.match(lines[0]!, /^0 +monitor +clone3\(CLONE_NEWPID\)$/);
  assert.match(lines[1]!, /^1 +init +sethostname/);
  assert.deepEqual(
    lines.map((line) => Number.parseInt(line, 10)),
    [0, 1, 2, 2, 3],
  );
});

test("--defaults: only what nobody asked for", () => {
  const parsed = JSON.parse(renderPlanJson(explainPlan(plan), { defaultsOnly: true })) as PlanExplanation;
  assert.deepEqual(
    parsed.ops.map((op) => op.index),
    [0, 3],
  );
  const text = renderPlan(explainPlan(plan), { ...wide, defaultsOnly: true });
  assert.doesNotMatch(text, /sethostname|execve/);
});

test("--format json holds every op, as it is", () => {
  const parsed = JSON.parse(renderPlanJson(explainPlan(plan), { defaultsOnly: false })) as PlanExplanation;
  assert.deepEqual(parsed, JSON.parse(JSON.stringify(explainPlan(plan))));
  assert.deepEqual(parsed.ops[1], {
    index: 1,
    stage: "init",
    group: "namespaces",
    op: "setHostname",
    calls: ['sethostname("web")'],
    tolerated: [],
    pointer: "/hostname",
    section: "config.md#hostname",
    origin: { by: "flag", text: "--hostname" },
  });
});

test("colours only where asked for", () => {
  assert.doesNotMatch(renderPlan(explainPlan(plan), wide), /\x1b/);
  assert.match(renderPlan(explainPlan(plan), { ...wide, color: true }), /\x1b\[36m--hostname\x1b\[39m/);
});

test("an empty plan is no text", () => {
  assert.equal(renderPlan(explainPlan({ ops: [] }), wide), "");
});
