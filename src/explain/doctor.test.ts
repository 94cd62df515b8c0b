import assert from "node:assert/strict";
import { test } from "node:test";
import type { CgroupUnified, HostFacts, TrialResult } from "../kernel/mod.ts";
import { type Check, type DoctorProbes, diagnose, renderDiagnosis, renderDiagnosisJson } from "./mod.ts";

const works: TrialResult = { ok: true };
const refused: TrialResult = { ok: false, errno: "EPERM", detail: "clone(CLONE_NEWUSER)" };

const unified: CgroupUnified = {
  mountPoint: "/sys/fs/cgroup",
  ownPath: "/user.slice",
  ownDirectory: "/sys/fs/cgroup/user.slice",
  controllers: ["cpu", "cpuset", "io", "memory", "pids"],
  writable: true,
  delegated: true,
};

/** A machine of an unprivileged user where everything works. */
const host: HostFacts = {
  kernel: { text: "6.12.1", major: 6, minor: 12, patch: 1 },
  arch: "x86_64",
  identity: { uid: 1000, gid: 1000, euid: 1000, egid: 1000, groups: [1000], userName: "alice" },
  capabilities: { effective: 0n, permitted: 0n, bounding: 0n },
  lastCapability: 40,
  userNamespace: {
    initial: true,
    uidMap: [],
    gidMap: [],
    setgroupsDenied: false,
    supported: true,
    maximum: 15000,
    unprivilegedClone: true,
    apparmorRestricted: false,
    unprivilegedAllowed: true,
  },
  subordinateIds: {
    uids: [{ start: 100000, count: 65536 }],
    gids: [{ start: 100000, count: 65536 }],
    newuidmap: "/usr/bin/newuidmap",
    newgidmap: "/usr/bin/newgidmap",
  },
  cgroup: { mode: "v2", hierarchies: [], unified },
  limits: { nofile: { soft: 1024n, hard: 4096n }, nproc: { soft: undefined, hard: undefined } },
  securityModules: {
    enabled: ["capability", "apparmor"],
    apparmor: true,
    apparmorProfiles: [],
    selinux: false,
  },
  seccomp: { available: true, actions: ["allow", "errno"] },
  bpf: true,
  overlay: { registered: true, userxattr: true },
  filesystems: ["overlay"],
  mqueue: true,
  cpus: 2,
  thermalThrottlePaths: [],
  presentPaths: [],
};

const healthy: DoctorProbes = {
  host,
  helper: "/usr/libexec/vitrine/vitrine-helper",
  user: {
    singleId: works,
    range: works,
    freeRangeStart: 231072,
    setuidTools: { newuidmap: true, newgidmap: true },
    runtimeDirectory: "private",
  },
  overlay: { works: true, how: "in a user namespace" },
  tools: new Map([["apparmor_parser", "/sbin/apparmor_parser"]]),
  store: { root: "/home/alice/.local/share/vitrine", writable: true, free: 10n ** 11n },
};

const asRoot: HostFacts = { ...host, identity: { ...host.identity, uid: 0, euid: 0, userName: "root" } };

const withHost = (changes: Partial<HostFacts>, probes: Partial<DoctorProbes> = {}): DoctorProbes => ({
  ...healthy,
  ...probes,
  host: { ...host, ...changes },
});

const withUser = (changes: Partial<DoctorProbes["user"]>): DoctorProbes => ({
  ...healthy,
  user: { ...healthy.user, ...changes },
});

const userNamespace = (changes: Partial<HostFacts["userNamespace"]>): DoctorProbes =>
  withHost(
    { userNamespace: { ...host.userNamespace, ...changes } },
    { user: { ...healthy.user, singleId: refused } },
  );

function problems(probes: DoctorProbes): readonly Check[] {
  return diagnose(probes).checks.filter(({ severity }) => severity !== "ok");
}

test("a machine where all is well", () => {
  for (const probes of [healthy, { ...healthy, host: asRoot }]) {
    assert.deepEqual(problems(probes), []);
    assert.equal(diagnose(probes).worst, "ok");
  }
});

test("each problem has its code and severity, and says what it breaks and how it is mended", () => {
  const cases: readonly (readonly [DoctorProbes, string, Check["severity"]])[] = [
    [withHost({ kernel: { text: "5.4.0", major: 5, minor: 4, patch: 0 } }), "kernel-too-old", "error"],
    [withHost({ kernel: { text: "5.10.0", major: 5, minor: 10, patch: 0 } }), "kernel-old", "warning"],
    [userNamespace({ supported: false }), "userns-unsupported", "error"],
    [userNamespace({ maximum: 0 }), "userns-limit", "error"],
    [userNamespace({ unprivilegedClone: false }), "userns-clone", "error"],
    [userNamespace({ apparmorRestricted: true }), "userns-apparmor", "error"],
    [
      withHost(
        { subordinateIds: { ...host.subordinateIds, uids: [] } },
        { user: { ...healthy.user, range: undefined } },
      ),
      "subids-missing",
      "warning",
    ],
    [
      withHost({ subordinateIds: { ...host.subordinateIds, gids: [{ start: 1, count: 10 }] } }),
      "subids-few",
      "warning",
    ],
    [
      withHost(
        { subordinateIds: { ...host.subordinateIds, newgidmap: "" } },
        { user: { ...healthy.user, range: undefined } },
      ),
      "idmap-tools-missing",
      "warning",
    ],
    [
      withUser({ range: refused, setuidTools: { newuidmap: false, newgidmap: true } }),
      "idmap-tools-unprivileged",
      "warning",
    ],
    [withUser({ range: refused }), "idmap-refused", "warning"],
    [{ ...healthy, overlay: { works: false, errno: "ENODEV", detail: "" } }, "overlay-module", "warning"],
    [{ ...healthy, overlay: { works: false, errno: "EINVAL", detail: "" } }, "overlay-refused", "warning"],
    [
      withHost({ cgroup: { mode: "none", hierarchies: [], unified: undefined } }),
      "cgroups-missing",
      "warning",
    ],
    [withHost({ cgroup: { mode: "hybrid", hierarchies: [], unified } }), "cgroups-v1", "warning"],
    [
      withHost({ cgroup: { mode: "v2", hierarchies: [], unified: { ...unified, delegated: false } } }),
      "cgroups-not-delegated",
      "warning",
    ],
    [
      withHost({
        cgroup: { mode: "v2", hierarchies: [], unified: { ...unified, controllers: ["memory", "pids"] } },
      }),
      "cgroups-controllers",
      "note",
    ],
    [withHost({ seccomp: { available: false, actions: [] } }), "seccomp-missing", "warning"],
    [withUser({ runtimeDirectory: "unset" }), "runtime-directory-unset", "warning"],
    [withUser({ runtimeDirectory: "unsafe" }), "runtime-directory-unsafe", "warning"],
    [{ ...healthy, store: { ...healthy.store, writable: false } }, "store-not-writable", "error"],
    [{ ...healthy, store: { ...healthy.store, free: 1000n } }, "space-low", "warning"],
    [{ ...healthy, tools: new Map() }, "apparmor-parser-missing", "note"],
  ];
  for (const [probes, code, severity] of cases) {
    const check = problems(probes).find((each) => each.code === code);
    assert.ok(check !== undefined, `${code} in ${problems(probes).map((each) => each.code)}`);
    assert.equal(check.severity, severity, code);
    assert.notEqual(check.effect, "", code);
    if (code !== "seccomp-missing") assert.notEqual(check.command, "", code);
    const others = problems(probes).filter((each) => each.code !== code && each.severity !== "note");
    assert.deepEqual(others, [], code);
  }
});

test("root has no need of user namespaces, subordinate ids or delegation", () => {
  const probes: DoctorProbes = {
    ...userNamespace({ maximum: 0 }),
    host: {
      ...asRoot,
      userNamespace: { ...host.userNamespace, maximum: 0 },
      subordinateIds: { uids: [], gids: [], newuidmap: "", newgidmap: "" },
      cgroup: { mode: "v2", hierarchies: [], unified: { ...unified, delegated: false } },
    },
  };
  assert.deepEqual(problems(probes), []);
});

test("one cause is told once: nothing that needs it is tried or complained of", () => {
  const without: DoctorProbes = {
    ...healthy,
    helper: undefined,
    user: { ...healthy.user, singleId: refused, range: refused },
    overlay: { works: false, errno: "", detail: "vitrine-helper is missing" },
  };
  assert.deepEqual(
    problems(without).map((check) => [check.code, check.severity]),
    [
      ["helper-missing", "error"],
      ["overlay-untried", "note"],
    ],
  );
  const denied = { ...userNamespace({ maximum: 0 }), overlay: without.overlay };
  assert.deepEqual(
    problems(denied).map((check) => check.code),
    ["userns-limit", "overlay-untried"],
  );
});

test("the range proposed meets no other user's", () => {
  const probes = withHost(
    { subordinateIds: { ...host.subordinateIds, uids: [] } },
    { user: { ...healthy.user, range: undefined } },
  );
  const check = problems(probes).find((each) => each.code === "subids-missing")!;
  assert.equal(check.command, "sudo usermod --add-subuids 231072-296607 --add-subgids 231072-296607 alice");
});

test("file capabilities do as well as setuid: the trial decides", () => {
  assert.deepEqual(problems(withUser({ setuidTools: { newuidmap: false, newgidmap: false } })), []);
});

test("the table: a row a check, commands in one piece, a summary", () => {
  const diagnosis = diagnose({ ...healthy, store: { ...healthy.store, writable: false } });
  const text = renderDiagnosis(diagnosis, { width: 60, color: false });
  const lines = text.split("\n");
  assert.match(lines[0]!, /^ok +kernel +Linux 6\.12\.1, x86_64$/);
  const at = lines.findIndex((line) => line.startsWith("error"));
  assert.match(lines[at]!, /store/);
  assert.ok(lines.some((line) => /^ +\$ sudo chown -R "\$\(id -u\):\$\(id -g\)"/.test(line)));
  assert.match(text, /\n\n1 error\n$/);
  assert.match(
    renderDiagnosis(diagnose(healthy), { width: 100, color: false }),
    /all \d+ checks are well\n$/,
  );
  assert.match(renderDiagnosis(diagnosis, { width: 60, color: true }), /\x1b\[31merror/);
});

test("names of the machine cannot reach the terminal", () => {
  const probes = withHost({ kernel: { text: "6.1\x1b[2J", major: 6, minor: 12, patch: 0 } });
  assert.doesNotMatch(renderDiagnosis(diagnose(probes), { width: 80, color: false }), /\x1b/);
});

test("JSON is the value", () => {
  assert.deepEqual(JSON.parse(renderDiagnosisJson(diagnose(healthy))), diagnose(healthy));
});
