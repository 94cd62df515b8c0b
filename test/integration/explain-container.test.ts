/** `explain CONTAINER`: the kernel's word beside the plan, held to changes that are made behind the plan's back. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { after, before, test } from "node:test";
import { type LiveWorld, makeLiveWorld, until } from "../support/live.ts";
import { cannotRun, findProgram, isRoot } from "./support.ts";

interface Row {
  readonly group: string;
  readonly what: string;
  readonly planned: {
    readonly text: string;
    readonly pointer: string;
    readonly origin: { readonly by: string; readonly text: string };
  } | null;
  readonly now: string;
  readonly state: string;
}
interface Explained {
  readonly id: string;
  readonly pid: number;
  readonly rows: readonly Row[];
  readonly differs: number;
  readonly unreadable: number;
}

let world: LiveWorld;
before(() => {
  world = makeLiveWorld("explain-container");
});
after(() => world.end());

function explain(name: string): Explained {
  return JSON.parse(world.vitrine("explain", "--format", "json", name)) as Explained;
}

const different = ({ rows }: Explained): readonly string[] =>
  rows.flatMap(({ state, group, what, now, planned }) =>
    state === "same" ? [] : [`${state} ${group}: ${what}: ${planned?.text} / ${now}`],
  );

/** `run -d` of `sleep` itself, once it is that. */
async function sleeper(name: string, ...flags: readonly string[]): Promise<number> {
  world.vitrine("run", "-d", "-q", "--name", name, ...flags, "probe", "sleep", "1000");
  const pid = Number(world.inspect(name, ".State.Pid"));
  // Under a reaper its child is the program.
  const children = (): string => fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
  const program = (): string => (flags.includes("--init") ? children() : String(pid));
  const isSleep = (of: string): boolean =>
    of !== "" && fs.readFileSync(`/proc/${of}/cmdline`, "latin1").startsWith("sleep\0");
  await until(() => (isSleep(program()) ? true : undefined), "the program");
  return pid;
}

const cases: readonly (readonly [name: string, flags: readonly string[]])[] = [
  ["plain", []],
  [
    "flags",
    [
      "--read-only",
      "--cap-drop",
      "all",
      "--cap-add",
      "CHOWN",
      "--security-opt",
      "no-new-privileges",
      "--hostname",
      "shown",
      "--ulimit",
      "nofile=100:200",
      "--umask",
      "027",
      "--user",
      "user",
      "-w",
      "/tmp",
      "--tmpfs",
      "/scratch:size=1m,noexec",
    ],
  ],
  [
    "unconfined",
    ["--security-opt", "seccomp=unconfined", "--pid", "host", "--uts", "host", "--oom-score-adj", "500"],
  ],
  ["reaper", ["--init", "--sysctl", "net.ipv4.ip_default_ttl=77"]],
  ["privileged", ["--privileged"]],
];
for (const [name, flags] of cases) {
  test(`nothing differs in a container that was left alone: ${name}`, async () => {
    const pid = await sleeper(name, ...flags);
    const explained = explain(name);
    // The environment of a process that changed its user is not for others to read.
    const hidden = !isRoot && flags.includes("--user") ? ["environment"] : [];
    const unreadable = explained.rows.filter(({ state }) => state === "unreadable");
    assert.deepEqual(
      unreadable.map(({ what }) => what),
      hidden,
    );
    assert.deepEqual(different(explained).length, hidden.length, different(explained).join("\n"));
    assert.equal(explained.differs, 0);
    if (name !== "reaper") assert.equal(explained.pid, pid);
    const groups = new Set(explained.rows.map(({ group }) => group));
    for (const group of ["namespaces", "mounts", "capabilities", "process"])
      assert.ok(groups.has(group), group);
    assert.ok(explained.rows.length > 40, String(explained.rows.length));
    if (name === "flags") {
      const bounding = explained.rows.find(({ what }) => what === "bounding");
      assert.deepEqual(
        [bounding?.now, bounding?.planned?.origin.text, bounding?.planned?.pointer],
        ["CAP_CHOWN", "--cap-drop", "/process/capabilities/bounding"],
      );
    }
    if (name === "reaper") {
      const ttl = explained.rows.find(({ what }) => what.endsWith("ip_default_ttl"));
      assert.deepEqual([ttl?.now, ttl?.planned?.origin.text], ["77", "--sysctl"]);
    }
    world.vitrine("rm", "-f", name);
  });
}

test("limits of the cgroup, and one that was changed since", async (t) => {
  if (!isRoot) return cannotRun(t, "needs a cgroup");
  await sleeper("limited", "-m", "64m", "--pids-limit", "50", "--cpus", "0.5");
  assert.deepEqual(different(explain("limited")), []);
  world.vitrine("update", "--pids-limit", "77", "limited");
  const rows = explain("limited").rows.filter(({ state }) => state !== "same");
  assert.deepEqual(
    rows.map(({ what, planned, now, state }) => [what, planned?.text, now, state]),
    [["pids.max", "50", "77", "differs"]],
  );
  assert.equal(rows[0]?.planned?.origin.text, "--pids-limit");
  world.vitrine("rm", "-f", "limited");
});

test("what happened since is marked: a mount, a mount that is gone, a name, a limit, a sysctl", async (t) => {
  if (findProgram("nsenter") === undefined) return cannotRun(t, "nsenter is not there");
  const pid = await sleeper("changed", "--tmpfs", "/scratch", "--sysctl", "net.ipv4.ip_default_ttl=70");
  const inside = (...words: readonly string[]): void => {
    const user = isRoot ? [] : ["--user", "--preserve-credentials"];
    const done = spawnSync(
      "nsenter",
      ["--target", String(pid), ...user, "--mount", "--uts", "--net", "--", ...words],
      { encoding: "utf8" },
    );
    assert.equal(done.status, 0, done.stderr);
  };
  inside("/bin/busybox", "mount", "-t", "tmpfs", "late", "/tmp");
  inside("/bin/busybox", "umount", "/scratch");
  inside("/bin/busybox", "hostname", "renamed");
  const limited = spawnSync("prlimit", ["--pid", String(pid), "--core=0:0"]);
  assert.equal(limited.status, 0);
  const explained = explain("changed");
  const found = new Map(explained.rows.filter(({ state }) => state !== "same").map((row) => [row.what, row]));
  assert.deepEqual([found.get("/tmp")?.state, found.get("/tmp")?.planned], ["unplanned", null]);
  assert.deepEqual(
    [found.get("/scratch")?.state, found.get("/scratch")?.planned?.origin.text],
    ["gone", "--tmpfs"],
  );
  assert.deepEqual([found.get("host name")?.state, found.get("host name")?.now], ["differs", "renamed"]);
  const text = world.vitrine("explain", "changed");
  assert.match(text, /\+ {2}\/tmp/);
  assert.match(text, /- {2}\/scratch/);
  assert.match(text, /≠ {2}host name/);
  assert.match(text, new RegExp(`process ${pid}: \\d+ compared, ${explained.differs} not as planned`));
  assert.equal(world.vitrine("explain", "--format", "{{.differs}}", "changed"), String(explained.differs));
  world.vitrine("rm", "-f", "changed");
});

test("one that does not run shows the plan that it would be started by", () => {
  world.vitrine("create", "--name", "waits", "--read-only", "probe", "true");
  const done = world.run(["explain", "waits"]);
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stderr, /does not run[\s\S]*vitrine start waits/);
  assert.match(done.stdout, /--read-only/);
  const { ops } = JSON.parse(world.vitrine("explain", "--format", "json", "waits")) as {
    ops: readonly unknown[];
  };
  assert.ok(ops.length > 40);
});

test("a container goes before an image of its name, and --type decides", () => {
  world.vitrine("create", "--name", "probe", "probe", "true");
  assert.match(world.run(["explain", "probe"]).stderr, /does not run/);
  assert.match(world.vitrine("explain", "--type", "image", "probe"), /layer/);
  assert.match(world.run(["explain", "--type", "container", "probe"]).stderr, /does not run/);
  const absent = world.run(["explain", "--type", "container", "nobody"]);
  assert.match(absent.stderr, /there is no container "nobody"/);
  assert.match(world.run(["explain", "nobody"]).stderr, /nobody/);
});
