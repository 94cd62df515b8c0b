/** Pauses, statistics and updates: the same assertions on cgroup v1 and v2, as root and where a cgroup v2 is delegated as a user. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { test } from "node:test";
import { makeLimitWorld, mebibyte, own, version, why } from "./limits-support.ts";
import { letEnd, until } from "./run-support.ts";
import { cannotRun, findProgram, vitrine as vitrineProgram } from "./support.ts";

const { world, limited, vitrine, detached, inspect } = makeLimitWorld("live-limits");

test("a paused container stands still, and goes on where it was", async (t) => {
  if (!limited) return cannotRun(t, why);
  detached(["--name", "still"], "i=0; while :; do i=$((i+1)); echo $i; echo $i > /count; sleep 0.02; done");
  const lines = (): number => vitrine("logs", "still").split("\n").length;
  await until(() => (lines() > 3 ? true : undefined), "the first lines");
  assert.equal(vitrine("pause", "still"), "still");
  assert.deepEqual(
    [".State.Status", ".State.Paused", ".State.Running"].map((field) => inspect("still", field)),
    ["paused", "true", "true"],
  );
  assert.equal(
    vitrine("ps", "--filter", "status=paused", "--format", "{{.Names}} {{.State}}"),
    "still paused",
  );
  assert.match(vitrine("ps", "--format", "{{.Status}}"), /^Up .* \(Paused\)$/);
  // What it printed last may still be on its way into the log: what it wrote itself says how far it is.
  const upper = `${world.root}/containers/${inspect("still", ".Id")}/upper/count`;
  const count = fs.readFileSync(upper, "utf8");
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(fs.readFileSync(upper, "utf8"), count);
  const refused = world.run(["exec", "still", "true"]);
  assert.equal(refused.status, 125);
  assert.match(refused.stderr, /container still is paused/);
  const again = world.run(["pause", "still"]);
  assert.equal(again.status, 125);
  assert.match(again.stderr, /is paused/);
  assert.equal(vitrine("unpause", "still"), "still");
  assert.equal(inspect("still", ".State.Status"), "running");
  const before = lines();
  await until(() => (lines() > before + 1 ? true : undefined), "more lines");
  assert.match(world.run(["unpause", "still"]).stderr, /is not paused/);
  vitrine("rm", "-f", "still");
});

test("what exec started, and its children, stand still as well", async (t) => {
  if (!limited) return cannotRun(t, why);
  detached(["--name", "many"], "sleep 1000");
  const second = "while :; do date +%s%N > /beat; (sleep 0.01); done";
  vitrine("exec", "-d", "many", "sh", "-c", second);
  const beat = (): string => vitrine("exec", "many", "cat", "/beat");
  await until(() => (world.run(["exec", "many", "cat", "/beat"]).status === 0 ? true : undefined), "a beat");
  const upper = `${world.root}/containers/${inspect("many", ".Id")}/upper/beat`;
  const look = (): string | undefined => (fs.existsSync(upper) ? fs.readFileSync(upper, "utf8") : undefined);
  vitrine("pause", "many");
  const first = look();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(look(), first);
  vitrine("unpause", "--all");
  const after_ = beat();
  await until(() => (beat() === after_ ? undefined : true), "another beat");
  vitrine("rm", "-f", "many");
});

test("a paused container can be stopped, killed and removed", async (t) => {
  if (!limited) return cannotRun(t, why);
  const script = 'trap "exit 7" TERM; echo ready; while :; do sleep 0.02; done';
  for (const [verb, expected] of [
    [["stop", "-t", "300"], "7"],
    [["kill"], "137"],
    [["kill", "-s", "TERM"], "7"],
  ] as const) {
    detached(["--name", "asleep"], script);
    await until(() => (vitrine("logs", "asleep").includes("ready") ? true : undefined), "the trap");
    vitrine("pause", "asleep");
    vitrine(...verb, "asleep");
    assert.equal(vitrine("wait", "asleep"), expected, verb.join(" "));
    vitrine("rm", "asleep");
  }
  detached(["--name", "asleep"], script);
  vitrine("pause", "asleep");
  assert.notEqual(world.run(["rm", "asleep"]).status, 0);
  vitrine("rm", "-f", "asleep");
});

test("a paused container whose monitor is killed leaves nothing", async (t) => {
  if (!limited) return cannotRun(t, why);
  detached(["--name", "lost"], "while :; do sleep 0.02; done");
  vitrine("pause", "lost");
  process.kill(Number(inspect("lost", ".State.ConmonPid")), "SIGKILL");
  await until(() => (inspect("lost", ".State.Status") === "exited" ? true : undefined), "its end");
  vitrine("rm", "lost");
});

test("stats: columns, JSON, templates, those that do not run", async (t) => {
  if (!limited) return cannotRun(t, why);
  const id = detached(["--name", "seen", "-m", "64m", "--pids-limit", "10"], "sleep 1000 & echo two; wait");
  await until(() => (vitrine("logs", "seen") === "two" ? true : undefined), "its second process");
  const [heading, row] = vitrine("stats", "--no-stream")
    .split("\n")
    .map((line) => line.split(/ {2,}/));
  assert.deepEqual(heading, [
    ...["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"],
  ]);
  assert.equal(row?.[0], id.slice(0, 12));
  assert.match(row?.[3] ?? "", /^[\d.]+[KM]?i?B \/ 64MiB$/);
  assert.equal(row?.[7], "2");
  const found = JSON.parse(
    vitrine("stats", "--no-stream", "--format", "json", "--no-trunc", "seen"),
  ) as Record<string, string>;
  assert.equal(found["ID"], id);
  assert.equal(found["NetIO"], "0B / 0B");
  assert.match(found["CPUPerc"]!, /^\d+\.\d\d%$/);
  const memory = /^([\d.]+)(KiB|MiB|B) /.exec(found["MemUsage"]!);
  const bytes = Number(memory?.[1]) * ({ B: 1, KiB: 1024, MiB: mebibyte }[memory?.[2] ?? ""] ?? 0);
  assert.ok(bytes > 16 * 1024 && bytes < 20 * mebibyte, String(found["MemUsage"]));
  const other = vitrine("create", "--name", "idle", "probe", "true");
  assert.doesNotMatch(vitrine("stats", "--no-stream", "--format", "{{.Name}}"), /idle/);
  assert.match(vitrine("stats", "--no-stream", "-a", "--format", "{{.Name}} {{.PIDs}}"), /^idle 0$/m);
  assert.equal(vitrine("stats", "--no-stream", "--format", "{{.Name}}", "seen", other), "seen\nidle");
  assert.equal(world.run(["stats", "--no-stream", "nobody"]).status, 125);
  vitrine("rm", "-f", "seen", "idle");
});

test("stats: a look at a container costs a few calls, however many there are", (t) => {
  if (!limited) return cannotRun(t, why);
  if (findProgram("strace") === undefined) return cannotRun(t, "strace is missing");
  const ids: string[] = [];
  const calls = (most: number): number => {
    while (ids.length < most) ids.push(detached([], "exec sleep 1000"));
    const output = `${world.directory}/calls`;
    const done = spawnSync(
      "strace",
      ["-f", "-o", output, "-e", "trace=%file,%desc", vitrineProgram, "stats", "--no-stream"],
      { env: world.env, cwd: world.directory },
    );
    assert.equal(done.status, 0, done.stderr.toString());
    assert.equal(done.stdout.toString().trim().split("\n").length, 1 + most);
    // Only what it says of containers and processes: its runtime does other things as it likes.
    const text = fs.readFileSync(output, "utf8");
    return text.match(
      /\b(?:open|openat|access|readlink|stat|lstat)\(.*?"\/(?:proc\/\d|sys\/fs\/cgroup|tmp\/vt-)/g,
    )!.length;
  };
  const [few, many] = [calls(2), calls(10)];
  const each = (many - few) / 8;
  // Two records, a link, four looks at monitor and process, one file of CPU time, twelve of the last look.
  assert.ok(each <= 40, `${each} calls for each container`);
  vitrine("rm", "-f", ...ids);
});

test("stats goes on until those that were named have ended", async (t) => {
  if (!limited) return cannotRun(t, why);
  detached(["--name", "short"], "sleep 1000");
  const child = world.start(["stats", "-i", "0", "--format", "{{.Name}}", "short"]);
  let text = "";
  child.stdout!.on("data", (data: Buffer) => {
    text += data.toString();
  });
  await until(() => (text.split("\n").length > 3 ? true : undefined), "three looks");
  const ended = new Promise((resolve) => child.once("close", resolve));
  vitrine("rm", "-f", "short");
  assert.equal(await ended, 0);
});

test("update changes a running container, and what it changed holds when it starts again", (t) => {
  if (!limited) return cannotRun(t, why);
  const limits = `cat ${own("memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us", "memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max")}`;
  const read = (): string => vitrine("exec", "changed", "sh", "-c", limits);
  const expected = (memory: number, pids: number, quota: number): string =>
    `${memory * mebibyte}\n${pids}\n${quota}${version === 1 ? "" : " 100000"}`;
  detached(["--name", "changed", "-m", "64m", "--pids-limit", "20"], "sleep 1000");
  assert.equal(vitrine("update", "-m", "96m", "--cpus", "0.5", "--pids-limit", "30", "changed"), "changed");
  assert.equal(read(), expected(96, 30, 50_000));
  // More than memory and swap together: both must be given.
  const refused = world.run(["update", "-m", "256m", "changed"]);
  assert.equal(refused.status, 125);
  assert.match(refused.stderr, /--memory-swap/);
  assert.equal(read(), expected(96, 30, 50_000));
  vitrine("update", "-m", "256m", "--memory-swap", "-1", "changed");
  assert.equal(read(), expected(256, 30, 50_000));
  vitrine("restart", "-t", "0", "changed");
  assert.equal(read(), expected(256, 30, 50_000));
  assert.equal(inspect("changed", ".HostConfig.Memory"), String(256 * mebibyte));
  assert.equal(inspect("changed", ".HostConfig.MemorySwap"), "-1");
  assert.equal(inspect("changed", ".HostConfig.NanoCpus"), "500000000");
  const launch = `${world.root}/containers/${inspect("changed", ".Id")}/launch.json`;
  assert.match(fs.readFileSync(launch, "utf8"), /"--pids-limit"/, "explain names the flag");
  vitrine("rm", "-f", "changed");
});

test("update of a container that does not run holds at its start", (t) => {
  if (!limited) return cannotRun(t, why);
  const file = own("pids/pids.max", "pids.max");
  vitrine("create", "--name", "later", "probe", "cat", file);
  vitrine("update", "--pids-limit", "44", "later");
  assert.equal(vitrine("start", "-a", "later"), "44");
  assert.equal(world.run(["update", "later"]).status, 125);
  vitrine("rm", "later");
});

test("update changes what happens when the program ends", async () => {
  detached(["--name", "again"], "while [ ! -e /end ]; do sleep 0.05; done; rm /end; exit 3");
  vitrine("update", "--restart", "on-failure:5", "again");
  assert.equal(
    inspect("again", "json .HostConfig.RestartPolicy"),
    '{"Name":"on-failure","MaximumRetryCount":5}',
  );
  letEnd(world, "again");
  await until(() => (inspect("again", ".RestartCount") === "1" ? true : undefined), "its second start");
  await until(() => (world.run(["exec", "again", "true"]).status === 0 ? true : undefined), "its program");
  vitrine("update", "--restart", "no", "again");
  letEnd(world, "again");
  await until(() => (inspect("again", ".State.Status") === "exited" ? true : undefined), "its end");
  vitrine("rm", "again");
});

test("a container of run --rm in the foreground is counted, limited and paused when somebody asks", async (t) => {
  if (!limited) return cannotRun(t, why);
  const script = `while [ ! -e /end ]; do sleep 0.02; done; cat ${own("memory/memory.limit_in_bytes", "memory.max")} || true`;
  const child = world.start(["run", "--rm", "-q", "--name", "front", "probe", "sh", "-c", script]);
  let text = "";
  child.stdout!.on("data", (data: Buffer) => {
    text += data.toString();
  });
  await until(() => (world.run(["exec", "front", "true"]).status === 0 ? true : undefined), "its start");
  vitrine("pause", "front");
  assert.equal(inspect("front", ".State.Status"), "paused");
  vitrine("unpause", "front");
  vitrine("update", "-m", "64m", "front");
  assert.match(
    vitrine("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "front"),
    /^[\d.]+[KM]?i?B \/ 64MiB [12]$/,
  );
  letEnd(world, "front");
  assert.equal(await new Promise((resolve) => child.once("close", resolve)), 0);
  // On v1 the container sees the hierarchies that it was in when it started.
  if (version === 2) assert.equal(text, `${64 * mebibyte}\n`);
});

test("the OOM killer takes a child: told at once, while the program goes on", async (t) => {
  if (!limited) return cannotRun(t, why);
  // Only the child may be chosen, also where the kernel looks for a second one before the first has given up its
  // memory; and only the first run starves.
  const script = `if [ ! -e /starved ]; then
    : > /starved
    (echo 900 > /proc/self/oom_score_adj; head -c 90000000 /dev/zero | tail -c 80000000 > /dev/null)
    echo over
  fi
  while :; do sleep 1; done`;
  vitrine(
    "run",
    "-d",
    "-q",
    "--name",
    "starves",
    "-m",
    "16m",
    "--memory-swap",
    "16m",
    "probe",
    "sh",
    "-c",
    script,
  );
  await until(() => (vitrine("logs", "starves") === "over" ? true : undefined), "the child to be killed");
  const told = () =>
    vitrine("events", "--stream=false", "--filter", "container=starves", "--format", "{{.Action}}");
  await until(() => (told().split("\n").includes("oom") ? true : undefined), "an event");
  await until(
    () => (inspect("starves", ".State.OOMKilled") === "true" ? true : undefined),
    "OOMKilled of a program that runs",
  );
  assert.equal(inspect("starves", ".State.Running"), "true");
  vitrine("stop", "-t", "0", "starves");
  assert.equal(inspect("starves", ".State.OOMKilled"), "true");
  // A new run begins with nothing.
  vitrine("start", "starves");
  assert.equal(vitrine("exec", "starves", "echo", "up"), "up");
  vitrine("rm", "-f", "starves");
});
