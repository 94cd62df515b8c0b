import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../base/mod.ts";
import { type Op, type OpName, type OpPath, type Origin, opTable, type Plan } from "../kernel/mod.ts";
import { errnoText } from "./errno.ts";
import { blankOp } from "./fixtures.ts";
import { explainFailure } from "./mod.ts";

const EPERM = 1;
const ENOENT = 2;
const ENOEXEC = 8;
const ECHILD = 10;
const ENOMEM = 12;
const EACCES = 13;
const EBUSY = 16;
const EXDEV = 18;
const ENODEV = 19;
const ENOTDIR = 20;
const EINVAL = 22;
const ENOSPC = 28;
const EROFS = 30;
const ENOSYS = 38;

const root = (path: string): OpPath => ({ base: "root", path });
const host = (path: string): OpPath => ({ base: "host", path });
const proc = (path: string): OpPath => ({ base: "proc", path });

function failed(op: Op, errno: number, detail = "", pointer = "/x", origin: Origin = { by: "default" }) {
  const plan: Plan = {
    ops: [{ stage: "init", tolerate: [], op, why: { pointer, section: "config.md#x", origin } }],
  };
  const { error, exitCode } = explainFailure(plan, { index: 0, errno, detail });
  assert.ok(error instanceof VitrineError);
  assert.ok(error.hint !== undefined && error.hint.length > 0);
  return { code: error.code, kind: error.kind, exitCode, text: error.message, hint: error.hint };
}

const execute = (argv: readonly string[], env: readonly string[] = ["PATH=/bin"]): Op => ({
  op: "execute",
  argv,
  env,
});

const overlay: Op = {
  op: "mountFilesystem",
  fstype: "overlay",
  source: "overlay",
  target: host("/run/root"),
  attributes: 0n,
  options: ["lowerdir+=/a", "lowerdir+=/b"],
};

function mount(fstype: string): Op {
  return { op: "mountFilesystem", fstype, source: "", target: root("/m"), attributes: 0n, options: [] };
}

const bind: Op = {
  op: "bindMount",
  source: host("/srv"),
  target: root("/data"),
  recursive: true,
  set: 0n,
  clear: 0n,
  recursiveAttributes: false,
  propagation: 0,
};

const idMap = (tool: string): Op => ({
  op: "idMap",
  uids: [],
  gids: [],
  denySetgroups: false,
  newuidmap: tool,
  newgidmap: tool,
});

const writeTo = (path: OpPath): Op => ({
  op: "writeFile",
  path,
  data: new Uint8Array(),
  create: false,
  mode: 0,
});

const runHook: Op = {
  op: "runProgram",
  path: "/hook",
  argv: [],
  env: [],
  stdin: new Uint8Array(),
  timeoutSeconds: 1,
  stateOnStdin: true,
  outputFile: "",
  errorFile: "",
};

test("a program that does not start has the exit statuses of shells", () => {
  const cases: readonly (readonly [Op, number, string, string, number])[] = [
    [execute(["nope"]), ENOENT, "nope in PATH", "command-not-found", 127],
    [execute(["/nope"]), ENOENT, "execve /nope", "command-not-found", 127],
    [execute([""]), ENOENT, "an empty program name", "command-not-found", 127],
    [execute(["/a"]), ENOENT, "execve /a: its loader is missing", "command-not-found", 127],
    [execute(["/etc/passwd"]), EACCES, "execve /etc/passwd", "command-not-executable", 126],
    [execute(["/bin/x"]), ENOEXEC, "execve /bin/x", "command-not-executable", 126],
    [execute(["/etc/passwd/x"]), ENOTDIR, "execve", "command-not-executable", 126],
    [execute(["/bin/x"]), ENOMEM, "execve", "command-not-executable", 126],
  ];
  for (const [op, errno, detail, code, exitCode] of cases) {
    const found = failed(op, errno, detail, "/process/args", { by: "image", field: "Cmd" });
    assert.equal(found.code, code);
    assert.equal(found.exitCode, exitCode);
  }
});

test("each cause has its code", () => {
  const cases: readonly (readonly [Op, number, string, string])[] = [
    [overlay, EINVAL, "/root/path", "overlay-refused"],
    [overlay, EPERM, "/root/path", "overlay-denied"],
    [overlay, ENODEV, "/root/path", "overlay-missing"],
    [overlay, ENOENT, "/root/path", "layer-missing"],
    [mount("proc"), EPERM, "/mounts/0", "proc-masked"],
    [mount("sysfs"), EPERM, "/mounts/0", "sysfs-denied"],
    [mount("ext4"), EPERM, "/mounts/0", "mount-denied"],
    [mount("nosuch"), ENODEV, "/mounts/0", "filesystem-unknown"],
    [mount("tmpfs"), EINVAL, "/mounts/0", "mount-option-refused"],
    [bind, ENOENT, "/mounts/0", "bind-source-missing"],
    [bind, EPERM, "/mounts/0", "bind-denied"],
    [bind, ENOTDIR, "/mounts/0", "mount-point-type"],
    [{ op: "clone", flags: 0x10000000n, dieWithMonitor: false }, EPERM, "", "userns-denied"],
    [{ op: "clone", flags: 0x10000000n, dieWithMonitor: false }, ENOSPC, "", "namespace-limit"],
    [{ op: "clone", flags: 0x20000000n, dieWithMonitor: false }, EPERM, "", "namespace-denied"],
    [{ op: "clone", flags: 0x80n, dieWithMonitor: false }, EINVAL, "", "namespace-unsupported"],
    [idMap("/usr/bin/newuidmap"), EPERM, "", "id-map-refused"],
    [idMap("/usr/bin/newuidmap"), ENOENT, "", "id-map-tool-missing"],
    [idMap(""), EPERM, "", "id-map-denied"],
    [{ op: "cgroupAttach", path: host("/sys/fs/cgroup/x") }, EACCES, "", "cgroup-denied"],
    [{ op: "cgroupAttach", path: host("/sys/fs/cgroup/x") }, EBUSY, "", "cgroup-busy"],
    [writeTo(host("/sys/fs/cgroup/x/memory.max")), EROFS, "/linux/resources/memory", "cgroup-read-only"],
    [writeTo(host("/sys/fs/cgroup/x/cpuset.cpus")), ENOSPC, "/linux/resources/cpu", "cgroup-value-refused"],
    [writeTo(proc("sys/kernel/hostname")), EACCES, "/linux/sysctl/kernel.hostname", "sysctl-denied"],
    [writeTo(proc("sys/net/nope")), ENOENT, "/linux/sysctl/net.nope", "sysctl-unknown"],
    [writeTo(proc("self/oom_score_adj")), EACCES, "/process/oomScoreAdj", "oom-score-denied"],
    [{ op: "setUser", uid: 33, gid: 33, groups: [], skipGroups: false }, EINVAL, "", "user-not-mapped"],
    [{ op: "setRlimit", resource: 7, soft: 1n, hard: 2n }, EPERM, "", "rlimit-refused"],
    [{ op: "changeDirectory", path: "/w", create: false }, EXDEV, "", "workdir-escapes"],
    [{ op: "pivotRoot", noPivot: false }, EINVAL, "", "pivot-root-failed"],
    [{ op: "apparmorProfile", profile: "nope" }, ENOENT, "", "apparmor-refused"],
    [runHook, ECHILD, "", "hook-failed"],
    [{ op: "makeDirectory", path: host("/x"), mode: 0, parents: true }, ENOSPC, "", "out-of-space"],
    [overlay, ENOMEM, "", "out-of-memory"],
  ];
  for (const [op, errno, pointer, code] of cases) {
    const found = failed(op, errno, "", pointer);
    assert.equal(found.code, code, `${op.op} ${errnoText(errno).name}`);
    assert.equal(found.exitCode, 125);
  }
});

test("a working directory has Docker's statuses", () => {
  const directory: Op = { op: "changeDirectory", path: "/w", create: false };
  assert.equal(failed(directory, ENOENT).exitCode, 127);
  assert.equal(failed(directory, EACCES).exitCode, 126);
  assert.equal(failed(directory, ENOTDIR).exitCode, 126);
});

test("a working directory that cannot be made is one that cannot be used", () => {
  const make: Op = { op: "makeDirectory", path: root("/etc/passwd"), mode: 0o755, parents: true };
  const found = failed(make, ENOTDIR, "/etc/passwd", "/process/cwd");
  assert.equal(found.code, "workdir-not-a-directory");
  assert.equal(found.exitCode, 126);
});

test("a mount over the wrong type of file", () => {
  for (const op of [mount("tmpfs"), bind]) {
    assert.equal(failed(op, EINVAL, "move_mount(/etc/passwd)", "/mounts/3").code, "mount-point-type");
  }
});

test("the message names the op, the call, the field, its section and who asked", () => {
  const { text } = failed(overlay, EINVAL, "overlay: fsconfig(create): overlay: no upper", "/root/path", {
    by: "flag",
    flag: "--root",
  });
  for (const part of [
    "cannot mount overlay on the root filesystem",
    "no upper",
    "step 0 (mountFilesystem, init)",
    "fsconfig(create)",
    "EINVAL",
    "--root",
    "/root/path",
    "config.md#x",
  ]) {
    assert.ok(text.includes(part), part);
  }
});

test("whatever fails however, there is an error with a code, a hint and status 125, or one of execve's", () => {
  for (const name of Object.keys(opTable) as OpName[]) {
    const op = blankOp(name);
    for (const errno of [EPERM, ENOENT, EACCES, EINVAL, ENOSYS, ENOSPC, EROFS, 4095]) {
      const found = failed(op, errno);
      assert.match(found.code, /^[a-z0-9-]+$/);
      assert.doesNotMatch(found.text, /undefined/);
    }
  }
});

test("names from images are quoted and escaped", () => {
  const { text } = failed(execute(["\x1b]0;evil\x07"], ["PATH=\x1b[31m"]), ENOENT, "in PATH");
  assert.doesNotMatch(text.split("\n")[0]!, /[\x1b\x07]/);
});

test("a failure outside the plan is the helper's", () => {
  const { error, exitCode } = explainFailure({ ops: [] }, { index: 7, errno: EPERM, detail: "protocol" });
  assert.equal(error.code, "helper-failed");
  assert.equal(exitCode, 125);
});

test("a container that ended while something entered it is no container whose directory is gone", () => {
  const ended = failed({ op: "setRoot", path: host("/proc/000042/root") }, ENOENT);
  assert.deepEqual([ended.code, ended.kind], ["container-not-running", "invalid"]);
  const gone = failed({ op: "setRoot", path: host("/var/lib/vitrine/c/root") }, ENOENT);
  assert.deepEqual([gone.code, gone.kind], ["root-missing", "not-found"]);
});
