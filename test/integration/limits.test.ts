/**
 * Limits: the same assertions on cgroup v1 and v2 (here, and in the machines of test/vm), as root and where a cgroup v2 is
 * delegated as a user. What differs between the two is in the table.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { makeLimitWorld, mebibyte, own, version, why } from "./limits-support.ts";
import { until } from "./run-support.ts";
import { cannotRun, isRoot } from "./support.ts";

const { world, limited, vitrine, detached, inspect } = makeLimitWorld("limits");

interface Row {
  readonly flags: readonly string[];
  /** File and content; a string is the code of the refusal. */
  readonly v1: readonly (readonly [file: string, content: string])[] | string;
  readonly v2: readonly (readonly [file: string, content: string])[] | string;
}

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
  // The shell gives up when it cannot fork, and all ends with it.
  const forks = "for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; wait";
  const done = world.probe(["--pids-limit", "5"], "sh", "-c", forks);
  assert.match(done.stderr, /fork|Resource temporarily unavailable/);
});

test("who takes more memory than the limit is killed", (t) => {
  if (!limited) return cannotRun(t, why);
  const done = world.probe(["-m", "16m", "--memory-swap", "16m"], "sh", "-c", "tail /dev/zero; exit $?");
  assert.equal(done.status, 137);
  assert.equal(world.probe(["-m", "16m", "--memory-swap", "16m"], "tail", "/dev/zero").status, 137);
});

/** As systemd as a container's program does: all processes go below, and its own group passes its controllers on. */
const divides = `
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p /sys/fs/cgroup/below/deep /sys/fs/cgroup/below/empty
    echo 1 > /sys/fs/cgroup/below/deep/cgroup.procs
    echo +pids > /sys/fs/cgroup/cgroup.subtree_control
    echo +pids > /sys/fs/cgroup/below/cgroup.subtree_control
  else
    mkdir -p /sys/fs/cgroup/pids/below/deep /sys/fs/cgroup/pids/below/empty
  fi
  echo divided
  while :; do sleep 1; done`;

test("a container that divides its cgroup can be entered, and leaves nothing", async (t) => {
  if (!limited) return cannotRun(t, why);
  detached(["--privileged", "--name", "divides"], divides);
  await until(
    () => (vitrine("logs", "divides") === "divided" ? true : undefined),
    "what it does to its cgroup",
  );
  const groups = fs.readFileSync(`/proc/${inspect("divides", ".State.Pid")}/cgroup`, "utf8");
  const place = (version === 2 ? /^0::(.+)\/below\/deep$/m : /^\d+:pids:(.+)$/m).exec(groups)?.[1];
  const below = `/sys/fs/cgroup${version === 2 ? "" : "/pids"}${place}/below`;
  assert.deepEqual([`${below}/deep`, `${below}/empty`].map(fs.existsSync), [true, true]);
  // Without and with a launch record.
  for (let count = 0; count < 4; count++) {
    const entered = vitrine("exec", "divides", "cat", "/proc/self/cgroup").split("\n").at(-1);
    assert.equal(entered, version === 2 ? "0::/below/deep" : "0::/");
  }
  vitrine("rm", "-f", "divides");
  assert.ok(!fs.existsSync(below));
});

test("a quota of CPU time holds", async (t) => {
  if (!limited) return cannotRun(t, why);
  // So little that it gets as much on a machine with much else to do.
  detached(["--name", "busy", "--cpus", "0.02"], "while :; do :; done");
  const throttled = `cat ${own("cpu/cpu.stat", "cpu.stat")}`;
  await until(() => {
    const count = /nr_throttled (\d+)/.exec(vitrine("exec", "busy", "sh", "-c", throttled))?.[1];
    return Number(count) > 3 ? true : undefined;
  }, "a throttled period");
  // Over some seconds: two periods' shares may lie side by side, and somebody else may have all the processors for a while.
  const child = world.start(["stats", "--interval", "3", "--format", "{{.CPUPerc}}", "busy"]);
  t.after(() => child.kill("SIGKILL"));
  let text = "";
  child.stdout!.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const percents = (): readonly number[] => text.split("%\n").slice(1, -1).map(Number);
  await until(() => (percents().some((percent) => percent > 0.2) ? true : undefined), "a share of the CPU");
  for (const percent of percents()) assert.ok(percent < 10, `${percent}% of a CPU, where 2 are allowed`);
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
