/**
 * What a plan says about the process it makes, as comparisons with what the probe saw inside (`native/probe.c`).
 * The expectations come from the ops alone, never from the config: an op that lies fails here.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import {
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  type Op,
  type Plan,
  type PlannedOp,
  rlimitNames,
  S_IFCHR,
} from "../../src/kernel/mod.ts";

export interface PathFacts {
  readonly error?: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly major: number;
  readonly minor: number;
  readonly readonly: boolean;
  readonly openError: number;
  readonly readBytes: number;
  readonly entries: number;
  readonly target: string;
}

/** The probe's `--json`. */
export interface ProbeFacts {
  readonly pid: number;
  readonly ppid: number;
  readonly sid: number;
  readonly umask: number;
  readonly hostname: string;
  readonly domainname: string;
  readonly machine: string;
  readonly cwd: string;
  readonly uid: readonly number[];
  readonly gid: readonly number[];
  readonly groups: readonly number[];
  readonly CapInh: string;
  readonly CapPrm: string;
  readonly CapEff: string;
  readonly CapBnd: string;
  readonly CapAmb: string;
  readonly NoNewPrivs: string;
  readonly Seccomp: string;
  readonly namespaces: Readonly<Record<string, string>>;
  readonly rlimits: Readonly<Record<string, readonly [string, string]>>;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly mountinfo: readonly string[];
  readonly uid_map: readonly string[];
  readonly gid_map: readonly string[];
  readonly cgroup: readonly string[];
  readonly setgroups: readonly string[];
  readonly oom_score_adj: readonly string[];
  readonly personality: readonly string[];
  readonly netdev: readonly string[];
  readonly descriptors: Readonly<Record<string, string>>;
  readonly paths: Readonly<Record<string, PathFacts>>;
  readonly files: Readonly<Record<string, string>>;
}

const cloneBits: Readonly<Record<string, number>> = {
  time: 0x80,
  mnt: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  pid: 0x20000000,
  net: 0x40000000,
};

/** Paths and files that the probe must look at so that `checkPlan` has what it compares: the probe's arguments. */
export function probeArguments(plan: Plan): string[] {
  const words = new Set<string>(["/dev/fd", "/dev/ptmx"]);
  for (const { stage, op } of plan.ops) {
    if (stage !== "init") continue;
    if (op.op === "maskPath" || op.op === "readonlyPath" || op.op === "makeNode") words.add(op.path.path);
    if (op.op === "bindMount" && op.target.base === "root") words.add(op.target.path);
    if (op.op === "writeFile" && op.path.base === "proc") words.add(`@/proc/${op.path.path}`);
    if (op.op === "makeSymlink" && op.path.base === "root") words.add(op.path.path);
  }
  for (const { op } of plan.ops) {
    if (op.op === "setTimeOffset") words.add("@/proc/self/timens_offsets");
    const control = op.op === "writeFile" ? controlFileInside(op.path.path) : undefined;
    if (control !== undefined) words.add(`@${control.replace("devices.allow", "devices.list")}`);
  }
  return [...words];
}

/** `/sys/fs/cgroup/pids/vitrine/ID/pids.max` is `/sys/fs/cgroup/pids/pids.max` to the container (v2: `/sys/fs/cgroup/pids.max`). */
function controlFileInside(host: string): string | undefined {
  const match = /^(\/sys\/fs\/cgroup(?:\/[^/]+)?)\/vitrine\/[^/]+\/([^/]+)$/.exec(host);
  return match === null ? undefined : `${match[1]}/${match[2]}`;
}

/** Control files that read back as they were written: neither lists that grow nor those the kernel rounds. */
const readable = new Set([
  "pids.max",
  "memory.limit_in_bytes",
  "memory.max",
  "cpu.shares",
  "cpu.cfs_quota_us",
]);

/** Fails with the first op whose effect is not there. */
export function checkPlan(plan: Plan, seen: ProbeFacts): void {
  checkNamespaces(plan, seen);
  checkMounts(plan, seen);
  const credentials = checkers(plan, seen);
  for (const planned of plan.ops) {
    const check = credentials[planned.op.op];
    if (check !== undefined && planned.stage !== "cleanup") {
      check(planned.op as never, planned);
    }
  }
  assert.deepEqual(Object.keys(seen.descriptors).sort(), ["0", "1", "2"], "descriptors that were inherited");
}

type Checkers = { readonly [Name in Op["op"]]?: (op: Extract<Op, { op: Name }>, planned: PlannedOp) => void };

const mask = (hex: string) => BigInt(`0x${hex}`);

function checkers(plan: Plan, seen: ProbeFacts): Checkers {
  const path = (name: string): PathFacts =>
    seen.paths[name] ?? assert.fail(`the probe did not look at ${name}`);
  return {
    setHostname: ({ name }) => assert.equal(seen.hostname, name),
    setDomainname: ({ name }) => assert.equal(seen.domainname, name),
    setUmask: (op) => assert.equal(seen.umask, op.mask),
    changeDirectory: (op) => assert.equal(seen.cwd, op.path),
    setUser: ({ uid, gid, groups, skipGroups }) => {
      assert.deepEqual(seen.uid, [uid, uid, uid, uid]);
      assert.deepEqual(seen.gid, [gid, gid, gid, gid]);
      if (!skipGroups) assert.deepEqual([...seen.groups].sort(), [...groups].sort());
    },
    dropBoundingSet: ({ keep }) => assert.equal(mask(seen.CapBnd), keep, "bounding set"),
    setCapabilities: ({ effective, permitted, inheritable, ambient }, planned) => {
      assert.equal(mask(seen.CapInh), inheritable, planned.why.pointer);
      assert.equal(mask(seen.CapAmb), ambient, planned.why.pointer);
      // execve computes these anew: root gets its permitted set by the bounding set, others keep what is ambient.
      const root = seen.uid[0] === 0;
      assert.equal(mask(seen.CapPrm), root ? mask(seen.CapBnd) | inheritable : ambient, planned.why.pointer);
      assert.equal(mask(seen.CapEff), root ? mask(seen.CapPrm) : ambient, planned.why.pointer);
      if (root)
        assert.equal(
          mask(seen.CapEff),
          effective | permitted,
          "what execve gives root is what the plan said",
        );
    },
    noNewPrivileges: () => assert.equal(seen.NoNewPrivs, "1"),
    seccomp: () => assert.equal(seen.Seccomp, "2"),
    setRlimit: ({ resource, soft, hard }) =>
      assert.deepEqual(seen.rlimits[rlimitNames[resource] ?? ""], [String(soft), String(hard)]),
    setPersonality: ({ persona }) => assert.equal(Number.parseInt(seen.personality[0] ?? "", 16), persona),
    execute: ({ argv, env }) => {
      assert.deepEqual(seen.args, argv);
      assert.deepEqual(seen.env, env);
    },
    newSession: () => {
      // Under a reaper the session is that of pid 1.
      const leader = plan.ops.some(({ op }) => op.op === "initReaper") ? seen.ppid : seen.pid;
      assert.ok(seen.sid === leader || seen.sid === seen.pid, `session ${seen.sid}, process ${seen.pid}`);
    },
    standardInput: ({ mode }) => {
      if (mode === 1) assert.equal(seen.descriptors["0"], "/dev/null");
    },
    loopbackUp: () => {
      const names = seen.netdev.slice(2).map((line) => line.slice(0, line.indexOf(":")).trim());
      assert.ok(names.includes("lo"), names.join(" "));
    },
    maskPath: (op) => {
      const found = path(op.path.path);
      if (found.error !== undefined) return;
      if (found.entries >= 0) assert.equal(found.entries, 0, `${op.path.path} shows what is in it`);
      else assert.equal(found.mode & 0o170000, S_IFCHR, `${op.path.path} is not masked by a device`);
      if (found.entries < 0) assert.deepEqual([found.major, found.minor], [1, 3], op.path.path);
    },
    readonlyPath: (op) => {
      const found = path(op.path.path);
      if (found.error === undefined) assert.equal(found.readonly, true, `${op.path.path} is writable`);
    },
    makeNode: (op) => {
      const found = path(op.path.path);
      const wanted = [op.mode, op.major, op.minor, op.uid, op.gid];
      assert.deepEqual([found.mode, found.major, found.minor, found.uid, found.gid], wanted, op.path.path);
      assert.ok(
        found.openError === 0 || op.path.path === "/dev/tty",
        `${op.path.path}: errno ${found.openError}`,
      );
    },
    makeSymlink: (op) => {
      if (op.path.base === "root") assert.equal(path(op.path.path).target, op.target, op.path.path);
    },
    writeFile: (op, planned) => {
      const control = controlFileInside(op.path.path);
      const name = control?.slice(control.lastIndexOf("/") + 1) ?? "";
      if (control !== undefined && readable.has(name)) {
        assert.equal(seen.files[control]?.trim(), Buffer.from(op.data).toString("latin1"), control);
      }
      if (name === "devices.allow") {
        const list = (seen.files[control?.replace(".allow", ".list") ?? ""] ?? "").split("\n");
        assert.ok(list.includes(Buffer.from(op.data).toString("latin1")), `${op.data} is not in ${list}`);
      }
      if (op.path.base !== "proc") return;
      const text = seen.files[`/proc/${op.path.path}`];
      if (text === "" && planned.tolerate.includes("ENOENT")) return;
      // Several numbers come back separated by tabs.
      assert.equal(text?.trim().replace(/\s+/g, " "), Buffer.from(op.data).toString("latin1"), op.path.path);
    },
    idMap: ({ uids, gids, denySetgroups }) => {
      const shown = (map: typeof uids) =>
        map.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}`);
      const squeezed = (lines: readonly string[]) => lines.map((line) => line.trim().replace(/\s+/g, " "));
      assert.deepEqual(squeezed(seen.uid_map), shown(uids));
      assert.deepEqual(squeezed(seen.gid_map), shown(gids));
      assert.equal(seen.setgroups[0], denySetgroups ? "deny" : "allow");
    },
    setTimeOffset: ({ clock, seconds, nanoseconds }) => {
      const name = clock === 1 ? "monotonic" : "boottime";
      const line = seen.files["/proc/self/timens_offsets"]?.split("\n").find((one) => one.startsWith(name));
      assert.deepEqual(line?.trim().split(/\s+/), [name, String(seconds), String(nanoseconds)]);
    },
    cgroupAttach: (op) => {
      // `/sys/fs/cgroup/pids/vitrine/x`: the hierarchy's line of /proc/self/cgroup.
      const hierarchy = seen.cgroup.find((line) => {
        const names = line.split(":")[1] ?? "";
        return names !== "" && op.path.path.includes(`/${names}/`);
      });
      const shown = hierarchy?.slice(hierarchy.indexOf(":", 3) + 1);
      const own = shown === "/" || op.path.path.endsWith(shown ?? "?");
      assert.ok(own, `${op.path.path} but ${shown}`);
    },
  };
}

/** New ones differ from ours, joined ones are the file's, the others are ours. */
function checkNamespaces(plan: Plan, seen: ProbeFacts): void {
  let made = 0n;
  const joined = new Map<number, string>();
  for (const { op } of plan.ops) {
    if (op.op === "clone" || op.op === "unshareNamespaces") made |= op.flags;
    if (op.op === "joinNamespace") joined.set(op.type, fs.readlinkSync(op.path.path));
  }
  for (const [name, bit] of Object.entries(cloneBits)) {
    const ours = fs.readlinkSync(`/proc/self/ns/${name}`);
    const path = joined.get(bit);
    if (path !== undefined) assert.equal(seen.namespaces[name], path, `${name} namespace was to be joined`);
    else if ((made & BigInt(bit)) !== 0n)
      assert.notEqual(seen.namespaces[name], ours, `${name} namespace is the host's`);
    else assert.equal(seen.namespaces[name], ours, `${name} namespace is not the host's`);
  }
}

interface ExpectedMount {
  fstype: string | undefined;
  set: bigint;
  clear: bigint;
}

const flagWords: readonly (readonly [bigint, string])[] = [
  [MOUNT_ATTR_NOSUID, "nosuid"],
  [MOUNT_ATTR_NODEV, "nodev"],
  [MOUNT_ATTR_NOEXEC, "noexec"],
  [MOUNT_ATTR_NODIRATIME, "nodiratime"],
];

function checkMounts(plan: Plan, seen: ProbeFacts): void {
  const found = new Map<string, { readonly flags: readonly string[]; readonly fstype: string }>();
  for (const line of seen.mountinfo) {
    const [head = "", tail = ""] = line.split(" - ");
    const fields = head.split(" ");
    found.set(fields[4] ?? "", { flags: (fields[5] ?? "").split(","), fstype: tail.split(" ")[0] ?? "" });
  }
  const expected = expectedMounts(plan);
  for (const [point, { fstype, set, clear }] of expected) {
    const mount = found.get(point);
    assert.ok(mount !== undefined, `nothing is mounted at ${point}`);
    if (fstype !== undefined) assert.equal(mount.fstype, fstype, point);
    checkFlags(point, mount.flags, set, clear);
  }
  // Nothing is there that the plan did not mount: what is in a bound tree apart.
  const bound = plan.ops.flatMap(({ op }) => (op.op === "bindMount" && op.recursive ? [op.target.path] : []));
  for (const point of found.keys()) {
    const known = expected.has(point) || bound.some((tree) => point.startsWith(`${tree}/`));
    assert.ok(known, `${point} is mounted, and no op says so`);
  }
}

function checkFlags(point: string, flags: readonly string[], set: bigint, clear: bigint): void {
  if ((set & MOUNT_ATTR_RDONLY) !== 0n) assert.ok(flags.includes("ro"), `${point} is writable`);
  if ((clear & MOUNT_ATTR_RDONLY) !== 0n) assert.ok(flags.includes("rw"), `${point} is read-only`);
  for (const [bit, word] of flagWords) {
    if ((set & bit) !== 0n) assert.ok(flags.includes(word), `${point} has not ${word}: ${flags}`);
    if ((clear & bit) !== 0n) assert.ok(!flags.includes(word), `${point} has ${word}: ${flags}`);
  }
  if ((set & MOUNT_ATTR__ATIME) === MOUNT_ATTR_NOATIME) assert.ok(flags.includes("noatime"), point);
}

/** The mounts of base root in the order of the ops: the last at a point wins. */
function expectedMounts(plan: Plan): Map<string, ExpectedMount> {
  const expected = new Map<string, ExpectedMount>();
  const all = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  for (const { stage, op } of plan.ops) {
    if (stage !== "init") continue;
    switch (op.op) {
      case "setRoot":
        expected.set("/", { fstype: undefined, set: 0n, clear: 0n });
        break;
      case "mountFilesystem":
        if (op.target.base === "root") {
          expected.set(op.target.path, {
            fstype: op.fstype,
            set: op.attributes,
            clear: all & ~op.attributes,
          });
        }
        break;
      case "tmpCopyUp":
        expected.set(op.target.path, { fstype: "tmpfs", set: op.attributes, clear: all & ~op.attributes });
        break;
      case "bindMount":
        if (op.target.base === "root") {
          expected.set(op.target.path, { fstype: undefined, set: op.set, clear: op.clear });
        }
        break;
      case "mountAttributes": {
        const mount = expected.get(op.path.path);
        assert.ok(mount !== undefined, `${op.path.path} is changed before it is mounted`);
        mount.set = (mount.set & ~op.clear) | op.set;
        mount.clear = (mount.clear & ~op.set) | op.clear;
        break;
      }
      case "readonlyPath":
      case "maskPath":
        // What does not exist is not mounted on; the checks of these ops tell.
        if (existsForProbe(op.path.path))
          expected.set(op.path.path, { fstype: undefined, set: 0n, clear: 0n });
        break;
      case "openTerminal":
        if (op.bindConsole) expected.set("/dev/console", { fstype: undefined, set: 0n, clear: 0n });
        break;
      default:
    }
  }
  return expected;
}

/** The paths that are protected lie in /proc and /sys, where the host has the same names. */
function existsForProbe(path: string): boolean {
  return fs.existsSync(path);
}
