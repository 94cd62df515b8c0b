/**
 * The plan held to the truth: for a matrix of configs, what the process finds in its own /proc is what the ops said.
 * Plans are compiled here and run by the helper itself; no image, no store and no engine stand between.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import {
  compileSeccomp,
  encodePlan,
  type HostFacts,
  type IdMapRange,
  type Plan,
  probeHost,
} from "../../src/kernel/mod.ts";
import type { Linux, Mount, NamespaceType, Process, RuntimeConfig } from "../../src/oci/mod.ts";
import {
  type ContainerPlacement,
  compile,
  gatherCgroup,
  gatherSourceKinds,
  mountPointOf,
  readExitFile,
  readPidFile,
} from "../../src/runtime/mod.ts";
import { checkPlan, type ProbeFacts, probeArguments } from "../support/plan-truth.ts";
import { devMounts, sysMount } from "../support/standard-mounts.ts";
import { cannotRun, helper, isRoot, leftBehind, nothing, removeTree, repository } from "./support.ts";

const host = probeHost();
const probe = path.join(repository, "build/probe");
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-truth-"));
fs.chmodSync(directory, 0o755);
after(() => removeTree(directory));

const capabilities = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_KILL",
  "CAP_SETUID",
  "CAP_SETGID",
  "CAP_NET_BIND_SERVICE",
];
const capabilitySets = { bounding: capabilities, effective: capabilities, permitted: capabilities };
const process_: Process = {
  user: { uid: 0, gid: 0 },
  args: [],
  env: ["PATH=/bin", "LANG=C.UTF-8", "QUOTED=a \"b\" 'c'"],
  cwd: "/",
  capabilities: capabilitySets,
};

const standardMounts: readonly Mount[] = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  ...devMounts("64k"),
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
  sysMount(),
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["nosuid", "noexec", "nodev", "ro"],
  },
];

const allNamespaces: readonly NamespaceType[] = ["pid", "network", "ipc", "uts", "mount", "cgroup"];

/** Ids 0 … of the container: ours and a subordinate range, or ours alone. */
function idMap(kind: "uid" | "gid"): IdMapRange[] {
  const own = { containerID: 0, hostID: kind === "uid" ? host.identity.euid : host.identity.egid, size: 1 };
  const range = (kind === "uid" ? host.subordinateIds.uids : host.subordinateIds.gids)[0];
  return range === undefined || !hasTools(host)
    ? [own]
    : [own, { containerID: 1, hostID: range.start, size: range.count }];
}

function hasTools({ subordinateIds: { newuidmap, newgidmap, uids } }: HostFacts): boolean {
  return newuidmap !== "" && newgidmap !== "" && uids.length > 0;
}

interface Case {
  readonly name: string;
  readonly namespaces?: readonly NamespaceType[];
  readonly process?: Partial<Process>;
  readonly config?: Partial<Omit<RuntimeConfig, "linux" | "process">>;
  readonly linux?: Linux;
  readonly mounts?: (files: string) => readonly Mount[];
  readonly rootOnly?: boolean;
  /** The user lane needs more than one id. */
  readonly needsRange?: boolean;
  readonly userNamespaceForRoot?: boolean;
  /** The user lane maps its own id alone, without the setuid tools. */
  readonly singleId?: boolean;
  /** Changes to where and how it runs; `base` is the case's own directory. */
  readonly placement?: (base: string) => Partial<ContainerPlacement>;
  readonly more?: (seen: ProbeFacts, plan: Plan) => void;
}

const cases: readonly Case[] = [
  {
    name: "defaults",
    linux: {
      maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/proc/absent"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
      sysctl: { "net.ipv4.ping_group_range": "0 0" },
      seccomp: { defaultAction: "SCMP_ACT_ALLOW" },
    },
    process: { noNewPrivileges: true },
    config: { hostname: "vitrine-host" },
    more: (seen) => assert.equal(seen.pid, 1),
  },
  {
    name: "nothing but a mount namespace",
    namespaces: ["mount"],
    more: (seen) => assert.notEqual(seen.pid, 1),
  },
  {
    name: "seccomp without no_new_privs",
    linux: {
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["ptrace"], action: "SCMP_ACT_ERRNO" }],
      },
    },
  },
  {
    name: "a user with groups and ambient capabilities",
    needsRange: true,
    process: {
      user: { uid: 1000, gid: 100, additionalGids: [29, 50], umask: 0o027 },
      capabilities: { ...capabilitySets, inheritable: ["CAP_KILL"], ambient: ["CAP_KILL"] },
      cwd: "/home/new/deep",
    },
  },
  {
    name: "no capabilities at all",
    process: { capabilities: undefined },
  },
  {
    name: "read-only root",
    config: { root: { path: "", readonly: true } },
    more: (seen) => {
      const line = seen.mountinfo.find((one) => one.split(" ")[4] === "/");
      assert.match(line?.split(" ")[5] ?? "", /^ro\b/);
    },
  },
  {
    name: "limits of the process",
    process: {
      rlimits: [
        { type: "RLIMIT_NOFILE", soft: 100n, hard: 200n },
        { type: "RLIMIT_CORE", soft: 0n, hard: 0n },
        { type: "RLIMIT_STACK", soft: 1048576n, hard: 8388608n },
      ],
      oomScoreAdj: 500,
      ioPriority: { class: "IOPRIO_CLASS_BE", priority: 6 },
      scheduler: { policy: "SCHED_BATCH", nice: 3 },
    },
    linux: { personality: { domain: "LINUX32" } },
    more: (seen) => assert.equal(seen.machine, "i686"),
  },
  {
    name: "binds of every kind",
    mounts: (files) => [
      { destination: "/etc/one", source: `${files}/one`, options: ["bind", "ro", "nosuid"] },
      { destination: "/data", source: `${files}/tree`, options: ["rbind", "rro", "rprivate"] },
      {
        destination: "/both",
        source: `${files}/tree`,
        options: ["rbind", "ro", "rnosuid", "noexec", "rslave"],
      },
      { destination: "/plain", source: `${files}/tree`, options: ["bind"] },
      {
        destination: "/lib/copied",
        type: "tmpfs",
        source: "tmpfs",
        options: ["tmpcopyup", "nodev", "size=1m"],
      },
      { destination: "/data/sub", type: "tmpfs", options: ["mode=700"] },
    ],
    more: (seen) => {
      assert.equal(seen.paths["/etc/one"]?.readonly, true);
      assert.equal(seen.paths["/plain"]?.readonly, false);
    },
  },
  {
    name: "names of a time namespace with offsets",
    namespaces: [...allNamespaces, "time"],
    config: { hostname: "h", domainname: "d.example" },
    linux: { timeOffsets: { monotonic: { secs: 1000n }, boottime: { secs: 86400n, nanosecs: 5 } } },
  },
  {
    name: "limits of the cgroup",
    rootOnly: true,
    linux: {
      resources: {
        pids: { limit: 123n },
        memory: { limit: 67108864n },
        cpu: { shares: 512n, quota: 50000n, period: 100000n, cpus: "0" },
        devices: [{ allow: false, access: "rwm" }],
      },
    },
  },
  {
    name: "a user namespace of root's",
    rootOnly: true,
    userNamespaceForRoot: true,
    linux: {
      uidMappings: [{ containerID: 0, hostID: 200000, size: 65536 }],
      gidMappings: [{ containerID: 0, hostID: 200000, size: 65536 }],
    },
  },
  {
    name: "one id",
    singleId: true,
    linux: isRoot ? {} : { uidMappings: idMap("uid").slice(0, 1), gidMappings: idMap("gid").slice(0, 1) },
  },
  {
    name: "a terminal",
    process: { terminal: true },
    placement: () => ({ terminal: { rows: 33, columns: 99 }, stdin: "inherit" }),
    more: (seen) => {
      assert.equal(seen.descriptors["0"], "/dev/pts/0");
      assert.equal(seen.descriptors["1"], "/dev/pts/0");
      assert.equal(seen.sid, seen.pid);
    },
  },
  {
    name: "a reaper as pid 1",
    placement: () => ({ init: true }),
    more: (seen) => assert.deepEqual([seen.pid > 1, seen.ppid], [true, 1]),
  },
  {
    name: "a directory as root",
    placement: (base) => {
      fs.mkdirSync(`${base}/lower/proc`, { recursive: true });
      return { root: { type: "directory", path: `${base}/lower` } };
    },
  },
  {
    name: "a root filesystem that is shared",
    linux: { rootfsPropagation: "rshared" },
    more: (seen) => {
      const line = seen.mountinfo.find((one) => one.split(" ")[4] === "/");
      assert.match(line ?? "", / shared:\d+ /);
    },
  },
  {
    name: "no cgroup",
    rootOnly: true,
    process: { capabilities: { bounding: allNames(), effective: allNames(), permitted: allNames() } },
    placement: () => ({ cgroup: { mode: "none", reason: "test" } }),
    more: (seen) => {
      assert.equal((BigInt(`0x${seen.CapBnd}`) >> 27n) & 1n, 0n, "CAP_MKNOD");
      assert.deepEqual(
        seen.cgroup.filter((line) => line.includes("vitrine")),
        [],
      );
    },
  },
  {
    name: "privileged",
    process: { capabilities: { bounding: allNames(), effective: allNames(), permitted: allNames() } },
    linux: { resources: isRoot ? { devices: [{ allow: true, access: "rwm" }] } : undefined },
  },
  {
    name: "devices of the config",
    rootOnly: true,
    linux: {
      devices: [
        { type: "c", path: "/dev/fuse", major: 10, minor: 229, fileMode: 0o640, uid: 3, gid: 4 },
        { type: "p", path: "/run/pipe", fileMode: 0o600 },
        { type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o600 },
      ],
      resources: { devices: [{ allow: true, access: "rwm" }] },
    },
  },
];

function allNames(): string[] {
  return [
    "CAP_CHOWN",
    "CAP_SYS_ADMIN",
    "CAP_NET_ADMIN",
    "CAP_SYS_PTRACE",
    "CAP_MKNOD",
    "CAP_CHECKPOINT_RESTORE",
  ];
}

/** A root filesystem of one program, and files to bind. */
function prepare(name: string): { readonly lower: string; readonly files: string; readonly base: string } {
  const base = fs.mkdtempSync(path.join(directory, `${name.replace(/\W+/g, "-")}-`));
  fs.chmodSync(base, 0o755);
  const lower = path.join(base, "lower");
  const files = path.join(base, "files");
  for (const one of [
    "lower/bin",
    "lower/etc",
    "lower/lib/copied/inner",
    "upper",
    "work",
    "root",
    "files/tree/sub",
  ]) {
    fs.mkdirSync(path.join(base, one), { recursive: true });
  }
  fs.copyFileSync(probe, path.join(lower, "bin/probe"));
  fs.chmodSync(path.join(lower, "bin/probe"), 0o755);
  fs.writeFileSync(path.join(lower, "lib/copied/inner/file"), "copied\n");
  fs.writeFileSync(path.join(files, "one"), "1\n");
  return { lower, files, base };
}

function compileCase(one: Case): { readonly plan: Plan; readonly base: string } {
  const { lower, files, base } = prepare(one.name);
  const id = path.basename(base);
  const inUser = !isRoot || one.userNamespaceForRoot === true;
  const types = one.namespaces ?? allNamespaces;
  const config: RuntimeConfig = {
    ociVersion: "1.3.0",
    root: { path: "" },
    mounts: [...standardMounts, ...(one.mounts?.(files) ?? [])],
    ...one.config,
    process: { ...process_, ...one.process, args: ["/bin/probe", "--json"] },
    linux: {
      namespaces: (inUser ? (["user", ...types] as const) : types).map((type) => ({ type })),
      ...(inUser ? { uidMappings: idMap("uid"), gidMappings: idMap("gid") } : {}),
      ...one.linux,
    },
  };
  if (one.userNamespaceForRoot === true) {
    for (const name of ["upper", "work"]) fs.chownSync(path.join(base, name), 200000, 200000);
  }
  const target = path.join(base, "root");
  const placement: ContainerPlacement = {
    id,
    bundle: base,
    stateDirectory: base,
    root: {
      type: "overlay",
      target,
      lowers: [lower],
      upper: path.join(base, "upper"),
      work: path.join(base, "work"),
      userxattr: inUser,
    },
    rootParentMount: mountPointOf(target),
    cgroup: gatherCgroup(config, host, id),
    stdin: "null",
    init: false,
    dieWithMonitor: true,
    forwardSignals: true,
    pidFile: path.join(base, "pid"),
    exitFile: path.join(base, "exit"),
    reportFailure: [],
    removeTrees: [],
    ...one.placement?.(base),
    ...(!isRoot && one.singleId !== true && hasTools(host)
      ? { idMapTools: { newuidmap: host.subordinateIds.newuidmap, newgidmap: host.subordinateIds.newgidmap } }
      : {}),
  };
  const sourceKinds = gatherSourceKinds(config, base);
  const input = {
    config,
    origins: new Map([["", { by: "default" as const }]]),
    host,
    container: placement,
    sourceKinds,
    ...(config.linux?.seccomp === undefined
      ? {}
      : {
          seccompFilter: compileSeccomp(config.linux.seccomp, host.arch === "aarch64" ? "aarch64" : "x86_64"),
        }),
  };
  // The probe is told what to look at, which the plan says: it is compiled twice.
  const looks = probeArguments(compile(input));
  const process = { ...config.process!, args: ["/bin/probe", "--json", ...looks] };
  return { plan: compile({ ...input, config: { ...config, process } }), base };
}

/** Runs a plan and returns what the probe saw. */
function look(plan: Plan, base: string): ProbeFacts {
  const file = path.join(base, "plan");
  fs.writeFileSync(file, encodePlan(plan));
  const done = spawnSync(helper, ["run", file], { encoding: "utf8", timeout: 120_000 });
  assert.equal(done.status, 0, `${done.stderr}${describeFailure(plan, done.stderr)}`);
  return JSON.parse(done.stdout) as ProbeFacts;
}

function whyNot(one: Case): string | undefined {
  if (!fs.existsSync(helper) || !fs.existsSync(probe))
    assert.fail("build the helper and the probe first: make build");
  if (one.rootOnly === true && !isRoot) return "needs root";
  if (one.needsRange === true && !isRoot && idMap("uid").length === 1) return "needs subordinate ids";
  return !isRoot && !host.userNamespace.unprivilegedAllowed ? "user namespaces are off" : undefined;
}

/** A process in namespaces of its own, to be joined. */
test("what is inside is what the plan said: namespaces of another process", async (t) => {
  if (!isRoot) return cannotRun(t, "needs root");
  const holder = spawn("unshare", ["-n", "-i", "-u", "--pid", "--fork", "--kill-child", "sleep", "1000"]);
  try {
    const child = await firstChild(holder.pid ?? 0);
    const { plan, base } = compileCase({
      name: "joined",
      namespaces: ["mount"],
      linux: {
        namespaces: [
          { type: "network", path: `/proc/${child}/ns/net` },
          { type: "ipc", path: `/proc/${child}/ns/ipc` },
          { type: "mount" },
          { type: "pid", path: `/proc/${child}/ns/pid` },
        ],
      },
    });
    checkPlan(plan, look(plan, base));
  } finally {
    holder.kill("SIGKILL");
  }
});

async function firstChild(pid: number): Promise<number> {
  for (let tries = 0; tries < 6000; tries++) {
    const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    if (text !== "") return Number(text.split(" ")[0]);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return assert.fail("unshare made no child");
}

test("a startContainer hook is a program of the container", (t) => {
  const reason = whyNot(cases[0]!);
  if (reason !== undefined) return cannotRun(t, reason);
  const run = (program: string) => {
    const hooks = { startContainer: [{ path: program }] };
    const { plan, base } = compileCase({ ...cases[0]!, config: { hooks } });
    const file = path.join(base, "plan");
    fs.writeFileSync(file, encodePlan(plan));
    return spawnSync(helper, ["run", file], { encoding: "utf8", timeout: 120_000 });
  };
  // Each is on one side alone.
  assert.ok(!fs.existsSync("/bin/probe") && fs.existsSync("/bin/sh"));
  assert.equal(run("/bin/probe").status, 0);
  const refused = run("/bin/sh");
  assert.deepEqual([refused.status, refused.stdout], [125, ""]);
});

test("hooks run where and when the spec says", (t) => {
  const reason = whyNot(cases[0]!);
  if (reason !== undefined) return cannotRun(t, reason);
  const log = path.join(fs.mkdtempSync(path.join(directory, "hooks-")), "log");
  const hook = (name: string) => ({
    path: "/bin/sh",
    args: ["sh", "-c", `echo ${name} $(readlink /proc/self/ns/mnt) $(cat) >>${log}`],
    env: ["PATH=/bin:/usr/bin"],
  });
  const { plan, base } = compileCase({
    ...cases[0]!,
    config: {
      annotations: { note: 'say "hi"' },
      hooks: {
        prestart: [hook("prestart")],
        createRuntime: [hook("createRuntime"), hook("createRuntime2")],
        createContainer: [hook("createContainer")],
        startContainer: [{ path: "/bin/probe" }],
        poststart: [hook("poststart")],
        poststop: [hook("poststop")],
      },
    },
  });
  const file = path.join(base, "plan");
  fs.writeFileSync(file, encodePlan(plan));
  const done = spawnSync(helper, ["run", file], { encoding: "utf8", timeout: 120_000 });
  assert.equal(done.status, 0, `${done.stderr}${describeFailure(plan, done.stderr)}`);
  const seen = JSON.parse(done.stdout) as ProbeFacts;
  const lines = fs.readFileSync(log, "utf8").trim().split("\n");
  const names = lines.map((line) => line.split(" ")[0]);
  const expected = [
    "prestart",
    "createRuntime",
    "createRuntime2",
    "createContainer",
    "poststart",
    "poststop",
  ];
  assert.deepEqual(names, expected);
  const ours = fs.readlinkSync("/proc/self/ns/mnt");
  for (const line of lines) {
    const [name = "", namespace, ...state] = line.split(" ");
    const inside = name === "createContainer";
    assert.equal(namespace, inside ? seen.namespaces["mnt"] : ours, name);
    const parsed = JSON.parse(state.join(" ")) as {
      id: string;
      pid: number;
      bundle: string;
      annotations: object;
    };
    assert.deepEqual([parsed.id, parsed.bundle], [path.basename(base), base]);
    assert.ok(parsed.pid > 1 || inside, `${name}: ${line}`);
    assert.deepEqual(parsed.annotations, { note: 'say "hi"' });
  }
});

for (const one of cases) {
  test(`what is inside is what the plan said: ${one.name}`, async (t) => {
    const reason = whyNot(one);
    if (reason !== undefined) return cannotRun(t, reason);
    const { plan, base } = compileCase(one);
    const seen = look(plan, base);
    checkPlan(plan, seen);
    one.more?.(seen, plan);
    assert.deepEqual({ ...readExitFile(path.join(base, "exit")), time: 0 }, { code: 0, signal: 0, time: 0 });
    assert.ok((readPidFile(path.join(base, "pid"))?.pid ?? 0) > 0);
    assert.deepEqual(await leftBehind(directory), nothing);
  });
}

/** The op that the helper names by its number. */
function describeFailure(plan: Plan, stderr: string): string {
  const index = /op (\d+)/.exec(stderr)?.[1];
  const planned = index === undefined ? undefined : plan.ops[Number(index)];
  const text = (_: string, value: unknown) => (typeof value === "bigint" ? value.toString(16) : value);
  return planned === undefined ? "" : JSON.stringify({ stage: planned.stage, ...planned.op }, text);
}

/** The comparison itself: a plan of which one op was not carried out must not pass. */
const omissions: readonly Plan["ops"][number]["op"]["op"][] = [
  "setHostname",
  "setUmask",
  "noNewPrivileges",
  "dropBoundingSet",
  "seccomp",
  "maskPath",
  "readonlyPath",
  "mountAttributes",
  "newSession",
  "makeSymlink",
];
for (const omitted of omissions) {
  test(`an op that is not carried out is seen: ${omitted}`, (t) => {
    const whole = cases[0]!;
    const reason = whyNot(whole);
    if (reason !== undefined) return cannotRun(t, reason);
    const { plan, base } = compileCase({
      ...whole,
      config: { ...whole.config, root: { path: "", readonly: true } },
      process: { ...whole.process, user: { uid: 0, gid: 0, umask: 0o077 } },
      // Without no_new_privs a late filter is refused, which would be seen before anything else.
      linux: { ...whole.linux, ...(omitted === "noNewPrivileges" ? { seccomp: undefined } : {}) },
    });
    const crippled = { ops: plan.ops.filter(({ op }) => op.op !== omitted) };
    assert.notEqual(crippled.ops.length, plan.ops.length);
    const seen = look(crippled, base);
    assert.throws(() => checkPlan(plan, seen), assert.AssertionError);
  });
}
