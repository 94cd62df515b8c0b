import assert from "node:assert/strict";
import { test } from "node:test";
import {
  capabilityBit,
  type Op,
  type Plan,
  type PlannedOp,
  type ProcessTruth,
  type Reading,
} from "../kernel/mod.ts";
import { compareTruth, renderTruth, type TruthRow, truthWishes } from "./mod.ts";

function planned(op: Op, pointer = "", stage: PlannedOp["stage"] = "init"): PlannedOp {
  return { stage, tolerate: [], op, why: { pointer, section: "", origin: { by: "default" } } };
}

const kill = capabilityBit("CAP_KILL")!;
const host = (path: string) => ({ base: "host", path }) as const;
const root = (path: string) => ({ base: "root", path }) as const;
const plan: Plan = {
  ops: [
    planned({ op: "clone", flags: 0x20000n, dieWithMonitor: true }, "/linux/namespaces", "monitor"),
    planned(
      {
        op: "writeFile",
        path: host("/sys/fs/cgroup/memory/x/memory.limit_in_bytes"),
        data: new TextEncoder().encode("10000"),
        create: false,
        mode: 0,
      },
      "/linux/resources/memory/limit",
      "monitor",
    ),
    planned({ op: "setRoot", path: host("/r") }),
    planned(
      {
        op: "mountFilesystem",
        fstype: "tmpfs",
        source: "tmpfs",
        target: root("/t"),
        attributes: 2n,
        options: [],
      },
      "/mounts/0",
    ),
    planned({ op: "maskPath", path: root("/proc/absent") }, "/linux/maskedPaths/0"),
    planned({ op: "makeNode", path: root("/dev/null"), mode: 0o20666, major: 1, minor: 3, uid: 0, gid: 0 }),
    planned({ op: "setHostname", name: "box" }),
    planned({ op: "dropBoundingSet", keep: kill }),
    planned({ op: "setUser", uid: 5, gid: 6, groups: [7, 6], skipGroups: false }),
    planned({ op: "setCapabilities", effective: 0n, permitted: 0n, inheritable: 0n, ambient: 0n }),
    planned({ op: "setRlimit", resource: 7, soft: 10n, hard: 20n }),
    planned({ op: "execute", argv: ["sleep", "9"], env: ["B=2", "A=1"] }),
    planned({ op: "removeTree", path: host("/r") }, "", "cleanup"),
  ],
};
const text = (value: string): Reading => ({ text: value });
const status =
  "Uid:\t1005 1005 1005 1005\nGid:\t1006 1006 1006 1006\nGroups:\t1006 1007\nCapInh:\t0\nCapPrm:\t0\nCapEff:\t0\nCapBnd:\t20\nCapAmb:\t0\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t1\n";
const mountinfo = "1 0 0:1 / / rw - overlay overlay rw\n2 1 0:2 / /t rw,nosuid - tmpfs tmpfs rw\n";
const truth: ProcessTruth = {
  pid: 42,
  namespaces: { mnt: text("mnt:[2]"), net: text("net:[1]") },
  ownNamespaces: { mnt: text("mnt:[1]"), net: text("net:[1]") },
  ownStatus: text("NoNewPrivs:\t0\nSeccomp_filters:\t1\n"),
  files: {
    status: text(status),
    mountinfo: text(mountinfo),
    uid_map: text("0 1000 65536\n"),
    gid_map: text("0 1000 65536\n"),
    limits: text(
      "Limit  Soft Limit  Hard Limit  Units\nMax open files            10                   20                   files     \n",
    ),
    cmdline: text("sleep\u00009\u0000"),
    environ: text("A=1\u0000B=2\u0000"),
  },
  nodes: {
    "/proc/absent": { error: "ENOENT" },
    "/dev/null": { mode: 0o20666, uid: 0, gid: 0, major: 1, minor: 3 },
  },
  sysctls: { "kernel/hostname": text("box\n") },
  controls: { "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": text("8192\n") },
  links: {},
};

const odd = (rows: readonly TruthRow[]) =>
  rows.flatMap(({ what, state, now }) => (state === "same" ? [] : [`${state} ${what}: ${now}`]));
const changed = (change: Partial<ProcessTruth>): readonly string[] =>
  odd(compareTruth(plan, { ...truth, ...change }).rows);
const files = (change: ProcessTruth["files"]): readonly string[] =>
  changed({ files: { ...truth.files, ...change } });

test("what is as planned is the same: rounded limits, ids by the map, what is not there to be masked", () => {
  const { rows, differs, unreadable } = compareTruth(plan, truth);
  assert.deepEqual(odd(rows), []);
  assert.deepEqual([differs, unreadable], [0, 0]);
  assert.ok(rows.length > 15);
  assert.deepEqual(rows.find(({ what }) => what === "user")?.state, "same");
});

test("each thing that is not as planned is seen", () => {
  assert.deepEqual(changed({ namespaces: { ...truth.namespaces, mnt: text("mnt:[1]") } }), [
    "differs mnt: mnt:[1]",
  ]);
  assert.deepEqual(changed({ namespaces: { ...truth.namespaces, net: text("net:[9]") } }), [
    "unplanned net: another than the host's, net:[9]",
  ]);
  assert.deepEqual(files({ mountinfo: text(mountinfo.replace("rw,nosuid", "ro,nosuid")) }), [
    "differs /t: tmpfs ro,nosuid",
  ]);
  assert.deepEqual(files({ mountinfo: text(mountinfo.replace("/t rw,nosuid", "/t rw")) }), [
    "differs /t: tmpfs rw",
  ]);
  assert.deepEqual(files({ mountinfo: text(mountinfo.split("\n")[0]!) }), ["gone /t: not mounted"]);
  assert.deepEqual(files({ mountinfo: text(`${mountinfo}3 1 0:3 / /a\\040b rw - ext4 x rw\n`) }), [
    "unplanned /a b: ext4 rw",
  ]);
  assert.deepEqual(files({ status: text(status.replace("CapBnd:\t20", "CapBnd:\t21")) }), [
    "differs bounding: CAP_CHOWN, CAP_KILL",
  ]);
  assert.deepEqual(files({ status: text(status.replace("1005 1005", "1005 1000")) }), [
    "differs user: 5 0 5 5",
  ]);
  assert.deepEqual(files({ status: text(status.replace("filters:\t1", "filters:\t2")) }), [
    "unplanned filters: 2",
  ]);
  assert.deepEqual(files({ status: text(status.replace("NoNewPrivs:\t0", "NoNewPrivs:\t1")) }), [
    "unplanned no_new_privs: 1",
  ]);
  assert.deepEqual(files({ cmdline: text("other\u0000") }), ["differs command: other"]);
  assert.deepEqual(changed({ sysctls: { "kernel/hostname": text("new\n") } }), ["differs host name: new"]);
  assert.deepEqual(changed({ nodes: { ...truth.nodes, "/dev/null": { error: "ENOENT" } } }), [
    "gone /dev/null: not there",
  ]);
  assert.deepEqual(
    changed({
      nodes: { ...truth.nodes, "/proc/absent": { mode: 0o100644, uid: 0, gid: 0, major: 0, minor: 0 } },
    }),
    ["gone /proc/absent: not mounted"],
  );
  const controls = { ...truth.controls, "/sys/fs/cgroup/pids/x/pids.max": text("50\n") };
  assert.deepEqual(changed({ controls }), ["unplanned pids.max: 50"]);
  assert.deepEqual(
    changed({ controls: { "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": text("4096\n") } }),
    ["differs memory.limit_in_bytes: 4096"],
  );
});

test("what cannot be read says so and is no difference", () => {
  const { rows, differs, unreadable } = compareTruth(plan, {
    ...truth,
    files: { ...truth.files, status: { error: "EACCES" }, mountinfo: { error: "EACCES" } },
  });
  assert.equal(differs, 0);
  assert.ok(unreadable >= 8, String(unreadable));
  assert.match(
    renderTruth({ pid: 1, rows, differs, unreadable }, { width: 100, color: false }),
    /\? {2}bounding +CAP_KILL +cannot be read: EACCES/,
  );
});

test("what is to be read follows from the plan", () => {
  const { nodes, controls, sysctls } = truthWishes(plan, ["/sys/fs/cgroup/pids/x"]);
  assert.deepEqual(nodes, ["/proc/absent", "/dev/null"]);
  assert.ok(controls.includes("/sys/fs/cgroup/memory/x/memory.limit_in_bytes"));
  assert.ok(controls.includes("/sys/fs/cgroup/pids/x/pids.max"));
  assert.ok(sysctls.includes("kernel/hostname"));
});

test("as text no line is wider than the terminal", () => {
  const explanation = compareTruth(plan, truth);
  for (const line of renderTruth(explanation, { width: 80, color: false }).split("\n"))
    assert.ok(line.length <= 80, line);
  assert.match(
    renderTruth(explanation, { width: 80, color: false }),
    /process 42: \d+ compared, all as planned\n$/,
  );
});

test("what makes cgroup v2 pass controllers on is no limit of the container", () => {
  const path = host("/sys/fs/cgroup/vitrine/cgroup.subtree_control");
  const data = new TextEncoder().encode("+memory");
  const enable = planned(
    { op: "writeFile", path, data, create: false, mode: 0 },
    "/linux/resources/memory",
    "monitor",
  );
  const { controls } = truthWishes({ ops: [enable] }, []);
  assert.deepEqual(controls, []);
});
