/** `why`: for each kind of restriction a container that fails for exactly that reason. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { type LiveWorld, makeLiveWorld, until } from "../support/live.ts";
import { cannotRun, isRoot } from "./support.ts";

interface Why {
  readonly failed: boolean;
  readonly again: { readonly exitCode: number; readonly timedOut: boolean; readonly output: string };
  readonly recorded: { readonly exitCode: number; readonly oomKilled: boolean } | null;
  readonly causes: readonly {
    readonly sure: string;
    readonly restrictions: readonly {
      readonly kind: string;
      readonly item: string;
      readonly flag: string;
      readonly cost: string;
    }[];
  }[];
  readonly probes: number;
}

let world: LiveWorld;
before(() => {
  world = makeLiveWorld("why");
});
after(() => world.end());

let made = 0;
/** Of a container that is made with these flags and never started. */
function why(flags: readonly string[], script: string, more: readonly string[] = []): Why {
  const name = `why${made++}`;
  world.vitrine("create", "--name", name, ...flags, "probe", "sh", "-c", script);
  const done = world.run(["why", "--format", "json", ...more, name]);
  assert.ok(done.stdout.startsWith("{"), done.stderr);
  const found = JSON.parse(done.stdout) as Why;
  assert.equal(done.status, found.causes.length > 0 ? 0 : 1, done.stderr);
  return found;
}

const told = ({ causes }: Why): readonly string[] =>
  causes.map(
    ({ restrictions, sure }) =>
      `${sure} ${restrictions.map(({ kind, item }) => `${kind} ${item}`).join(" and ")}`,
  );

const cases: readonly {
  readonly name: string;
  readonly flags?: readonly string[];
  readonly script: string;
  readonly cause: string;
  readonly flag: RegExp;
  readonly rootOnly?: true;
}[] = [
  {
    name: "a capability",
    script: "hostname other",
    cause: "alone capability CAP_SYS_ADMIN",
    flag: /^--cap-add SYS_ADMIN$/,
  },
  {
    name: "a capability that was dropped",
    flags: ["--cap-drop", "CHOWN"],
    script: "touch /f && chown 1:1 /f",
    cause: "alone capability CAP_CHOWN",
    flag: /^--cap-add CHOWN$/,
  },
  {
    name: "a read-only root filesystem",
    flags: ["--read-only"],
    script: "echo x >/etc/made",
    cause: "alone read-only /",
    flag: /--read-only/,
  },
  {
    name: "a read-only path of the kernel",
    script: "echo 30 >/proc/sys/kernel/msgmni",
    cause: "alone read-only /proc/sys",
    flag: /^--security-opt unmask=\/proc\/sys$/,
  },
  {
    name: "noexec",
    flags: ["--tmpfs", "/scratch"],
    script: "cp /bin/busybox /scratch/busybox && /scratch/busybox true",
    cause: "alone mount-option noexec of /scratch",
    flag: /\/scratch:exec/,
  },
  {
    name: "a limit of files",
    flags: ["--ulimit", "fsize=0:0"],
    script: "echo x >/tmp/made",
    cause: "alone limit RLIMIT_FSIZE",
    flag: /--ulimit fsize=/,
  },
  {
    name: "the size of a tmpfs",
    flags: ["--tmpfs", "/scratch:size=64k"],
    script: "head -c 1000000 /dev/zero >/scratch/made",
    cause: "alone limit size of /scratch",
    flag: /size=/,
  },
  {
    name: "the user",
    flags: ["--user", "user"],
    script: "cat /root/. ; ls /root",
    cause: "alone user user 1000",
    flag: /^--user root$/,
  },
  {
    name: "memory",
    flags: ["-m", "8m", "--memory-swap", "8m"],
    script: "head -c 20000000 /dev/zero | tail -c 18000000 | wc -c | grep -q 18000000",
    cause: "alone limit memory",
    flag: /^-m/,
    rootOnly: true,
  },
  {
    name: "processes",
    flags: ["--pids-limit", "3"],
    script: "for i in 1 2 3 4 5; do sleep 2 & done; wait; true",
    cause: "alone limit pids",
    flag: /--pids-limit/,
    rootOnly: true,
  },
];

for (const { name, flags = [], script, cause, flag, rootOnly } of cases) {
  test(`what stood in the way is found: ${name}`, (t) => {
    if (rootOnly === true && !isRoot) return cannotRun(t, "needs a cgroup");
    const found = why(flags, script, ["--timeout", "30"]);
    assert.equal(found.failed, true, JSON.stringify(found.again));
    assert.ok(told(found).includes(cause), `${told(found).join("\n")}\n${found.again.output}`);
    const restriction = found.causes
      .flatMap(({ restrictions }) => restrictions)
      .find(({ kind, item }) => cause.endsWith(`${kind} ${item}`));
    assert.match(restriction?.flag ?? "", flag);
    assert.ok((restriction?.cost.length ?? 0) > 10);
  });
}

test("a system call that the filter denies", () => {
  const profile = path.join(world.directory, "profile.json");
  const denied = { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 1 };
  fs.writeFileSync(profile, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [denied] }));
  const found = why(["--security-opt", `seccomp=${profile}`], "mkdir /made");
  assert.equal(found.causes.length, 1, told(found).join("\n"));
  assert.match(told(found)[0] ?? "", /^alone seccomp mkdir(?:at)?$/);
  assert.match(found.causes[0]?.restrictions[0]?.flag ?? "", /seccomp=/);
});

test("a masked path, no_new_privs, and a network of its own", () => {
  const masked = why(["--security-opt", "mask=/etc"], "cat /etc/passwd");
  assert.deepEqual(told(masked), ["alone masked-path /etc"]);
  const privileges = why(
    ["--security-opt", "no-new-privileges"],
    "grep -q 'NoNewPrivs:.0' /proc/self/status",
  );
  assert.deepEqual(told(privileges), ["alone no-new-privileges no_new_privs"]);
  const ours = fs.readlinkSync("/proc/self/ns/net");
  const network = why([], `test "$(readlink /proc/self/ns/net)" = "${ours}"`);
  assert.deepEqual(told(network), ["alone network a network of its own"]);
  assert.equal(network.causes[0]?.restrictions[0]?.flag, "--network host");
});

test("a device", (t) => {
  const device = ["/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/rtc0", "/dev/hpet"].find((file) =>
    fs.existsSync(file),
  );
  if (device === undefined) return cannotRun(t, "the machine has none of the devices");
  const found = why([], `test -c ${device}`);
  assert.deepEqual(told(found), [`alone device ${device}`]);
  assert.equal(found.causes[0]?.restrictions[0]?.flag, `--device ${device}`);
});

test("two that must be lifted together", () => {
  const found = why(["--read-only", "--cap-drop", "CHOWN"], "echo x >/etc/made && chown 1:1 /etc/made");
  assert.deepEqual(told(found), ["together read-only / and capability CAP_CHOWN"]);
});

test("no restriction is blamed for a failure of the program's own", () => {
  const found = why([], "exit 7");
  assert.deepEqual([found.failed, found.again.exitCode, found.causes], [true, 7, []]);
  const none = why([], "true");
  assert.deepEqual([none.failed, none.causes, none.probes], [false, [], 1]);
});

test("a command of the caller's, beside a container that runs and is not touched", async () => {
  const id = world.detached(["--name", "runs"], "sleep 1000");
  const text = world.vitrine("why", "runs", "--", "hostname", "other");
  assert.match(text, /command: hostname other/);
  assert.match(text, /capability: CAP_SYS_ADMIN\n {2}lifted by {2}--cap-add SYS_ADMIN\n {2}at a cost/);
  assert.equal(world.inspect("runs", ".State.Running"), "true");
  assert.equal(world.vitrine("ps", "-aq", "--no-trunc", "--filter", "name=runs"), id);
  world.vitrine("rm", "-f", "runs");
});

test("volumes are left as they are unless writes are allowed", () => {
  const data = path.join(world.directory, "data");
  fs.mkdirSync(data);
  fs.writeFileSync(path.join(data, "kept"), "kept\n");
  const flags = ["-v", `${data}:/data`];
  const found = why(flags, "rm /data/kept; exit 3");
  assert.equal(fs.existsSync(path.join(data, "kept")), true);
  assert.deepEqual(found.causes, []);
  why(flags, "rm /data/kept; exit 3", ["--allow-writes"]);
  assert.equal(fs.existsSync(path.join(data, "kept")), false);
});

test("volumes of the container serve its probes, and none is made or taken away", () => {
  const found = why(
    ["-v", "kept:/kept", "-v", "/unnamed", "--read-only"],
    "ls /kept /unnamed && echo x >/etc/made",
  );
  assert.deepEqual(told(found), ["alone read-only /"]);
  assert.equal(world.vitrine("volume", "ls", "-q").split("\n").length, 2);
});

test("images that it has mounted serve its probes, writable ones with layers of their own", () => {
  const flags = [
    "--mount",
    "type=image,src=probe,dst=/rw,rw=true",
    "--mount",
    "type=image,src=probe,dst=/ro",
  ];
  const found = why(flags, "ls /ro/bin && echo x > /rw/mine && hostname other");
  assert.deepEqual(told(found), ["alone capability CAP_SYS_ADMIN"]);
  const readOnly = why(flags, "echo x > /ro/mine");
  assert.notEqual(readOnly.again.exitCode, 125, readOnly.again.output);
});

test("one that runs on has not failed, and is ended", () => {
  const found = why([], "sleep 1000", ["--timeout", "1"]);
  assert.deepEqual([found.failed, found.again.timedOut, found.causes], [false, true, []]);
});

test("killed at any time it leaves no container", async () => {
  world.vitrine("create", "--name", "victim", "probe", "sh", "-c", "sleep 0.1; exit 3");
  const before = world.vitrine("ps", "-aq").split("\n").length;
  for (const delay of [150, 300, 450, 700]) {
    const child = world.start(["why", "victim"]);
    await new Promise((resolve) => setTimeout(resolve, delay));
    child.kill("SIGKILL");
  }
  await until(
    () => (world.vitrine("ps", "-aq").split("\n").length === before ? true : undefined),
    "the probes to go",
  );
});

test("nothing of the probes is left, and how the container ended is told", async () => {
  world.vitrine(
    "run",
    "-d",
    "-q",
    "--name",
    "ended",
    "--read-only",
    "probe",
    "sh",
    "-c",
    "echo x >/etc/made",
  );
  await until(() => (world.inspect("ended", ".State.Status") === "exited" ? true : undefined), "the end");
  const before = world.vitrine("ps", "-aq").split("\n").length;
  const found = JSON.parse(world.vitrine("why", "--format", "json", "ended")) as Why;
  assert.deepEqual([found.recorded?.exitCode, found.recorded?.oomKilled], [1, false]);
  assert.equal(world.vitrine("ps", "-aq").split("\n").length, before);
  assert.equal(world.inspect("ended", ".State.Status"), "exited");
  assert.equal(world.vitrine("why", "--format", "{{len .causes}}", "ended"), "1");
});
