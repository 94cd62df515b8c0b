/**
 * Limits, pauses, statistics and updates: the same assertions on cgroup v1 and v2 (here, and in the machines of test/vm), as root
 * and where a cgroup v2 is delegated as a user. What differs between the two is in the tables.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { after, test } from "node:test";
import { makeRunWorld, until } from "./run-support.ts";
import { cannotRun, isRoot, type Result } from "./support.ts";

const world = makeRunWorld("limits");
after(async () => {
  world.run(["rm", "--all", "--force"]);
  await until(() => (ours().length === 0 ? true : undefined), "the end of all that is ours").catch(() =>
    assert.deepEqual(ours(), []),
  );
  await world[Symbol.asyncDispose]();
});

/** Every container that was made here, by its id. */
const ids = new Set<string>();

/** What is left of them on the machine: cgroups of any hierarchy, processes that name this world. */
function ours(): readonly string[] {
  const found: string[] = [];
  const visit = (directory: string, depth: number): void => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      const path = `${directory}/${entry.name}`;
      if ([...ids].some((id) => entry.name.includes(id))) found.push(path);
      else if (depth > 0) visitIfThere(path, depth - 1);
    }
  };
  const visitIfThere = (directory: string, depth: number): void => {
    try {
      visit(directory, depth);
    } catch {
      // It went meanwhile, or is not ours to look into.
    }
  };
  visitIfThere("/sys/fs/cgroup", 6);
  for (const pid of fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))) {
    try {
      const words = fs.readFileSync(`/proc/${pid}/cmdline`, "latin1");
      if (words.includes(world.directory) && !/ Z /.test(fs.readFileSync(`/proc/${pid}/stat`, "latin1"))) {
        found.push(`${pid} ${words}`);
      }
    } catch {
      // It ended meanwhile.
    }
  }
  return found;
}

const version = fs.existsSync("/sys/fs/cgroup/cgroup.controllers") ? 2 : 1;
/** A user's limits need a cgroup that is theirs: its directory is given by the session or by who made the machine. */
const limited = isRoot || (version === 2 && world.probe(["-m", "64m"], "true").status === 0);
const why = "no cgroup is delegated to the user of this lane";

function good(done: Result): string {
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.replace(/\n$/, "");
}

const vitrine = (...args: readonly string[]): string => good(world.run(args));
const detached = (flags: readonly string[], script: string): string => {
  const id = vitrine("run", "-d", "-q", ...flags, "probe", "sh", "-c", script);
  ids.add(id);
  return id;
};
const inspect = (name: string, field: string): string => vitrine("inspect", "-f", `{{${field}}}`, name);

/** A file of the container's own cgroup, as it sees it; the names are v1's and v2's. */
const own = (v1: string, v2: string): string => `/sys/fs/cgroup/${version === 1 ? v1 : v2}`;

interface Row {
  readonly flags: readonly string[];
  /** File and content; a string is the code of the refusal. */
  readonly v1: readonly (readonly [file: string, content: string])[] | string;
  readonly v2: readonly (readonly [file: string, content: string])[] | string;
}

const mebibyte = 1 << 20;
const written: readonly Row[] = [
  {
    flags: ["-m", "64m", "--memory-reservation", "32m"],
    v1: [
      ["memory/memory.limit_in_bytes", `${64 * mebibyte}`],
      ["memory/memory.soft_limit_in_bytes", `${32 * mebibyte}`],
    ],
    v2: [
      ["memory.max", `${64 * mebibyte}`],
      ["memory.low", `${32 * mebibyte}`],
    ],
  },
  {
    flags: ["--cpu-shares", "512", "--cpuset-cpus", "0", "--cpuset-mems", "0"],
    v1: [
      ["cpu/cpu.shares", "512"],
      ["cpuset/cpuset.cpus", "0"],
      ["cpuset/cpuset.mems", "0"],
    ],
    v2: [
      ["cpu.weight", "59"],
      ["cpuset.cpus", "0"],
      ["cpuset.mems", "0"],
    ],
  },
  {
    flags: ["--cpus", "0.5", "--pids-limit", "33"],
    v1: [
      ["cpu/cpu.cfs_quota_us", "50000"],
      ["cpu/cpu.cfs_period_us", "100000"],
      ["pids/pids.max", "33"],
    ],
    v2: [
      ["cpu.max", "50000 100000"],
      ["pids.max", "33"],
    ],
  },
  {
    flags: ["--cpu-quota", "20000", "--cpu-period", "50000", "--pids-limit", "-1"],
    v1: [
      ["cpu/cpu.cfs_quota_us", "20000"],
      ["cpu/cpu.cfs_period_us", "50000"],
      ["pids/pids.max", "max"],
    ],
    v2: [
      ["cpu.max", "20000 50000"],
      ["pids.max", "max"],
    ],
  },
  {
    flags: ["--cgroup-conf", "memory.high=50331648"],
    v1: "cgroup-unified-on-v1",
    v2: [["memory.high", "50331648"]],
  },
  {
    flags: ["-m", "64m", "--memory-swappiness", "10"],
    v1: [["memory/memory.swappiness", "10"]],
    v2: "cgroup-limit-unsupported",
  },
  {
    flags: ["-m", "64m", "--oom-kill-disable"],
    v1: [["memory/memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0"]],
    v2: "cgroup-limit-unsupported",
  },
];

for (const { flags, v1, v2 } of written) {
  test(`${flags.join(" ")} is written where it belongs`, (t) => {
    if (!limited) return cannotRun(t, why);
    const expected = version === 1 ? v1 : v2;
    if (typeof expected === "string") {
      const done = world.probe([...flags, "--cgroups", "enabled"], "true");
      assert.equal(done.status, 125, done.stdout);
      assert.match(done.stderr, version === 1 ? /cgroup v2's/ : /cgroup v2 has nothing like it/);
      return;
    }
    for (const [file, content] of expected) {
      assert.equal(world.sh(flags, `cat /sys/fs/cgroup/${file}`), content, file);
    }
  });
}

test("rates of block devices are written where they belong", (t) => {
  if (!limited) return cannotRun(t, why);
  const name = fs
    .readdirSync("/sys/block")
    .find((each) => fs.existsSync(`/dev/${each}`) && !each.startsWith("ram"));
  if (name === undefined) return cannotRun(t, "the machine has no block device");
  const numbers = fs.readFileSync(`/sys/block/${name}/dev`, "utf8").trim();
  const device = `/dev/${name}`;
  const flags = ["--device-read-bps", `${device}:1mb`, "--device-write-iops", `${device}:100`];
  const read = world.sh(
    flags,
    `cat ${own("blkio/blkio.throttle.read_bps_device /sys/fs/cgroup/blkio/blkio.throttle.write_iops_device", "io.max")}`,
  );
  const [v1, v2] = [
    `${numbers} 1048576\n${numbers} 100`,
    `${numbers} rbps=1048576 wbps=max riops=max wiops=100`,
  ];
  assert.equal(read, version === 1 ? v1 : v2);
  const id = vitrine("create", ...flags, "probe", "true");
  assert.equal(inspect(id, "json .HostConfig.BlkioDeviceReadBps"), `[{"Path":"${device}","Rate":1048576}]`);
  assert.equal(inspect(id, "json .HostConfig.BlkioDeviceWriteIOps"), `[{"Path":"${device}","Rate":100}]`);
  const missing = world.probe(["--device-read-bps", "/dev/null:1mb"], "true");
  assert.equal(missing.status, 125);
  assert.match(missing.stderr, /no block device "\/dev\/null"/);
  vitrine("rm", id);
});

test("values that docker refuses are refused before anything is made", () => {
  for (const [flags, message] of [
    [["-m", "5m"], /6 MiB/],
    [["-m", "64m", "--memory-swap", "32m"], /less than --memory/],
    [["--memory-swap", "64m"], /needs --memory/],
    [["-m", "64m", "--memory-reservation", "128m"], /more than --memory/],
    [["--cpu-period", "10"], /1000 to 1000000/],
    [["--cpu-quota", "10"], /1000 microseconds/],
    [["--cpus", "1", "--cpu-quota", "5000"], /excludes/],
    [["--cpuset-cpus", "0-4095"], /this machine has the CPUs/],
    [["--blkio-weight", "5"], /10 to 1000/],
    [["--cpu-rt-runtime", "20", "--cpu-rt-period", "10"], /more than --cpu-rt-period/],
  ] as const) {
    const done = world.probe(flags, "true");
    assert.equal(done.status, 125, flags.join(" "));
    assert.match(done.stderr, message);
  }
});

test("a container cannot have more processes than its limit", (t) => {
  if (!limited) return cannotRun(t, why);
  const forks = "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait";
  const done = world.probe(["--pids-limit", "5"], "sh", "-c", forks);
  assert.match(done.stderr, /fork|Resource temporarily unavailable/);
});

test("who takes more memory than the limit is killed", (t) => {
  if (!limited) return cannotRun(t, why);
  const done = world.probe(["-m", "16m", "--memory-swap", "16m"], "sh", "-c", "tail /dev/zero; exit $?");
  assert.equal(done.status, 137);
  assert.equal(world.probe(["-m", "16m", "--memory-swap", "16m"], "tail", "/dev/zero").status, 137);
});

test("a quota of CPU time holds", async (t) => {
  if (!limited) return cannotRun(t, why);
  detached(["--name", "busy", "--cpus", "0.2"], "while :; do :; done");
  const throttled = `cat ${own("cpu/cpu.stat", "cpu.stat")}`;
  await until(() => {
    const count = /nr_throttled (\d+)/.exec(vitrine("exec", "busy", "sh", "-c", throttled))?.[1];
    return Number(count) > 3 ? true : undefined;
  }, "a throttled period");
  const percent = Number(
    vitrine("stats", "--no-stream", "--format", "{{.CPUPerc}}", "busy").replace("%", ""),
  );
  assert.ok(percent > 1 && percent < 40, `${percent}% of a CPU, where 20 are allowed`);
  vitrine("rm", "-f", "busy");
});

test("device rules: what is not allowed cannot be opened, though its node can be made", (t) => {
  if (!isRoot) return cannotRun(t, "the kernel refuses devices in a user namespace");
  // No driver has this number: allowed, it is not there; denied, nobody looks.
  const flags = ["--cap-add", "MKNOD"];
  const script = "mknod /d c 240 7 && (: < /d) 2>&1; : < /dev/null && : > /dev/zero && echo fine";
  assert.match(world.sh(flags, script), /Operation not permitted\nfine$/);
  assert.match(
    world.sh([...flags, "--device-cgroup-rule", "c 240:7 rw"], script),
    /No such device or address\nfine$/,
  );
  assert.match(
    world.sh([...flags, "--device-cgroup-rule", "c 240:7 w"], script),
    /Operation not permitted\nfine$/,
  );
  assert.match(world.sh(["--privileged"], script), /No such device or address\nfine$/);
});

test("a paused container stands still, and goes on where it was", async (t) => {
  if (!limited) return cannotRun(t, why);
  detached(["--name", "still"], "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done");
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
  const before = lines();
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(lines(), before);
  const refused = world.run(["exec", "still", "true"]);
  assert.equal(refused.status, 125);
  assert.match(refused.stderr, /container still is paused/);
  const again = world.run(["pause", "still"]);
  assert.equal(again.status, 125);
  assert.match(again.stderr, /is paused/);
  assert.equal(vitrine("unpause", "still"), "still");
  assert.equal(inspect("still", ".State.Status"), "running");
  await until(() => (lines() > before ? true : undefined), "more lines");
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
    [["stop", "-t", "20"], "7"],
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

test("stats: columns, JSON, templates, those that do not run", (t) => {
  if (!limited) return cannotRun(t, why);
  const id = detached(["--name", "seen", "-m", "64m", "--pids-limit", "10"], "sleep 1000 & wait");
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
  vitrine("exec", "front", "touch", "/end");
  assert.equal(await new Promise((resolve) => child.once("close", resolve)), 0);
  // On v1 the container sees the hierarchies that it was in when it started.
  if (version === 2) assert.equal(text, `${64 * mebibyte}\n`);
});

test("a user without a delegated cgroup is told so", (t) => {
  if (limited) return cannotRun(t, "this lane has a cgroup");
  const done = world.probe(["-m", "64m"], "true");
  assert.equal(done.status, 125);
  assert.match(done.stderr, /cgroup/);
  detached(["--name", "free"], "sleep 1000");
  // What a cgroup does not count is added up from the processes.
  assert.match(
    vitrine("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "free"),
    /^[\d.]+[KM]?i?B \/ [\d.]+GiB 1$/,
  );
  for (const [words, message] of [
    [["pause", "free"], /no cgroup that can be frozen/],
    [["update", "-m", "64m", "free"], /no cgroup to limit/],
  ] as const) {
    const refused = world.run(words);
    assert.equal(refused.status, 125);
    assert.match(refused.stderr, message);
  }
  vitrine("rm", "-f", "free");
});
