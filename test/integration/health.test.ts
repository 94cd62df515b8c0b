/** Health checks, events and what the kernel's OOM killer did: all of it is the monitor's to see and to tell. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeLiveWorld, until } from "../support/live.ts";
import { cannotRun, fixtures, isRoot } from "./support.ts";

const world = makeLiveWorld("health");
const { vitrine, detached, inspect } = world;
after(() => world.end());

const health = (name: string): string => inspect(name, ".State.Health.Status");
const becomes = (name: string, status: string): Promise<true> =>
  until(() => (health(name) === status ? true : undefined), `${name} to be ${status}`);
const quick = ["--health-interval", "100ms", "--health-retries", "2"];

test("in a user namespace of its own a check is root there, and nobody outside", async () => {
  detached(
    ["--name", "u", "--userns", "auto", "--health-cmd", "id -u; cat /proc/self/uid_map", ...quick],
    "sleep 1000",
  );
  await becomes("u", "healthy");
  const said = inspect("u", "(index .State.Health.Log 0).Output").split(/\s+/);
  assert.deepEqual(said.slice(0, 2), ["0", "0"]);
  assert.equal(
    `0 ${vitrine("exec", "u", "cat", "/proc/self/uid_map").trim()}`.split(/\s+/).join(),
    said.join().replace(/,$/, ""),
  );
  vitrine("rm", "-f", "u");
});

test("starting, unhealthy, healthy: by inspect, ps, filters, wait and events", async () => {
  const id = detached(
    [
      "--name",
      "h",
      "--health-cmd",
      "echo looked; test -e /ok",
      ...quick,
      "--health-start-period",
      "1h",
      "--health-start-interval",
      "100ms",
    ],
    "sleep 1000",
  );
  // Failures do not count before it was well once.
  await until(() => (inspect("h", "len .State.Health.Log") === "5" ? true : undefined), "five checks");
  assert.equal(health("h"), "starting");
  assert.equal(inspect("h", ".State.Health.FailingStreak"), "0");
  assert.match(vitrine("ps", "--format", "{{.Status}}"), /^Up .* \(health: starting\)$/);
  vitrine("exec", "h", "touch", "/ok");
  assert.equal(vitrine("wait", "--condition", "healthy", "-i", "50ms", "h"), "-1");
  assert.match(vitrine("ps", "--format", "{{.Status}}"), /^Up .* \(healthy\)$/);
  assert.equal(vitrine("ps", "-q", "--no-trunc", "--filter", "health=healthy"), id);
  assert.equal(vitrine("ps", "-q", "--filter", "health=unhealthy"), "");
  assert.equal(vitrine("healthcheck", "run", "h"), "");
  vitrine("exec", "h", "rm", "/ok");
  await becomes("h", "unhealthy");
  assert.match(vitrine("ps", "--format", "{{.Status}}"), /^Up .* \(unhealthy\)$/);
  assert.equal(world.run(["healthcheck", "run", "h"]).status, 1);
  const log = JSON.parse(inspect("h", "json .State.Health.Log")) as readonly {
    Output: string;
    ExitCode: number;
    Start: string;
    End: string;
  }[];
  assert.equal(log.length, 5);
  for (const { Output, Start, End } of log) {
    assert.equal(Output, "looked\n");
    assert.ok(Date.parse(Start) <= Date.parse(End));
  }
  assert.equal(log.at(-1)?.ExitCode, 1);
  const told = vitrine(
    "events",
    "--stream=false",
    "--filter",
    "container=h",
    "--filter",
    "event=health_status",
    "--format",
    "{{.HealthStatus}}",
  );
  assert.deepEqual(told.split("\n"), ["healthy", "unhealthy"]);
  // What it said last is there when the container has ended.
  vitrine("kill", "h");
  vitrine("wait", "h");
  assert.equal(health("h"), "unhealthy");
  vitrine("rm", "h");
});

/** True: a program `sleep NUMBER` runs. */
function sleeper(number: string): true | undefined {
  for (const pid of fs.readdirSync("/proc")) {
    try {
      if (/^\d+$/.test(pid) && fs.readFileSync(`/proc/${pid}/cmdline`, "latin1") === `sleep\0${number}\0`)
        return true;
    } catch {
      // It ended meanwhile.
    }
  }
  return undefined;
}

test("the image's check, with flags over it; --no-healthcheck", async () => {
  vitrine(
    "import",
    "-c",
    'HEALTHCHECK --interval=100ms --retries=1 CMD ["false"]',
    path.join(fixtures, "probe.tar"),
    "checked",
  );
  vitrine("run", "-d", "-q", "--name", "image", "checked", "sleep", "1000");
  await becomes("image", "unhealthy");
  assert.equal(inspect("image", "json .Config.Healthcheck.Test"), '["CMD","false"]');
  vitrine("run", "-d", "-q", "--name", "over", "--health-cmd", "true", "checked", "sleep", "1000");
  await becomes("over", "healthy");
  assert.equal(inspect("over", ".Config.Healthcheck.Interval"), "100000000");
  vitrine("run", "-d", "-q", "--name", "without", "--no-healthcheck", "checked", "sleep", "1000");
  assert.equal(inspect("without", "json .State.Health"), "null");
  assert.equal(vitrine("ps", "--filter", "health=none", "--format", "{{.Names}}"), "without");
  assert.notEqual(world.run(["healthcheck", "run", "without"]).status, 0);
  vitrine("rm", "-f", "image", "over", "without");
});

test("a check sees what an exec sees: user, environment, limits; its output is bounded", async () => {
  detached(
    [
      "--name",
      "sees",
      "-u",
      "user",
      "-e",
      "MARK=1",
      "--health-cmd",
      "id -u; echo $MARK; hostname; head -c 100000 /dev/zero | tr '\\0' x; exit 3",
      ...quick,
    ],
    "sleep 1000",
  );
  await becomes("sees", "unhealthy");
  const [first] = JSON.parse(inspect("sees", "json .State.Health.Log")) as readonly {
    Output: string;
    ExitCode: number;
  }[];
  assert.equal(first?.ExitCode, 3);
  assert.equal(first.Output.length, 4096);
  const [uid, mark, hostname] = first.Output.split("\n");
  assert.deepEqual([uid, mark, hostname], ["1000", "1", inspect("sees", ".Config.Hostname")]);
  const monitor = inspect("sees", ".State.ConmonPid");
  const resident = /VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${monitor}/status`, "utf8"))![1];
  assert.ok(Number(resident) <= 1024, `${resident} kB`);
  vitrine("rm", "-f", "sees");
});

test("a check that takes too long has failed, and is gone; one that is not there as well", async () => {
  detached(
    ["--name", "slow", "--health-cmd", "sleep 999", "--health-timeout", "100ms", ...quick],
    "sleep 1000",
  );
  await becomes("slow", "unhealthy");
  const log = JSON.parse(inspect("slow", "json .State.Health.Log")) as readonly {
    Output: string;
    ExitCode: number;
  }[];
  assert.equal(log.at(-1)?.ExitCode, -1);
  assert.match(log.at(-1)!.Output, /exceeded timeout \(100ms\)/);
  const sleeps = vitrine("top", "slow")
    .split("\n")
    .filter((line) => line.includes("999"));
  // The one that runs now, at most.
  assert.ok(sleeps.length <= 2, sleeps.join("\n"));
  vitrine("rm", "-f", "slow");
  detached(["--name", "none", "--health-cmd", '["/no-such-program"]', ...quick], "sleep 1000");
  await becomes("none", "unhealthy");
  const [missing] = JSON.parse(inspect("none", "json .State.Health.Log")) as readonly {
    Output: string;
    ExitCode: number;
  }[];
  assert.equal(missing?.ExitCode, 127);
  assert.match(missing.Output, /no-such-program/);
  vitrine("rm", "-f", "none");
});

test("what is done to an unhealthy container: kill, stop, restart", async () => {
  const flags = (action: string, command = "false"): readonly string[] => [
    "--health-cmd",
    command,
    ...quick,
    "--health-on-failure",
    action,
  ];
  detached(["--name", "killed", ...flags("kill")], "sleep 1000");
  assert.equal(vitrine("wait", "killed"), "137");
  detached(
    ["--name", "stopped", "--restart", "always", "--stop-timeout", "300", ...flags("stop", "test ! -e /up")],
    'trap "exit 5" TERM; : > /up; while :; do sleep 0.02; done',
  );
  await until(
    () => (inspect("stopped", ".State.Status") === "exited" ? true : undefined),
    "it to be stopped",
  );
  assert.equal(inspect("stopped", ".State.ExitCode"), "5");
  detached(["--name", "again", ...flags("restart")], "sleep 1000");
  await until(() => (Number(inspect("again", ".RestartCount")) >= 2 ? true : undefined), "two restarts");
  assert.equal(inspect("again", ".HostConfig.RestartPolicy.Name"), "no");
  vitrine("stop", "-t", "0", "again");
  assert.equal(inspect("again", ".State.Status"), "exited");
  vitrine("rm", "killed", "stopped", "again");
});

test("a check that runs when the container ends does not hold it up, in the host's pid namespace neither", async () => {
  for (const [flags, number] of [
    [[], `${process.pid}1`],
    [["--pid", "host"], `${process.pid}2`],
  ] as const) {
    detached(
      [
        ...["--name", "ends", ...flags, "--health-cmd", `sleep ${number}`],
        ...["--health-interval", "50ms", "--health-timeout", "10m"],
      ],
      "sleep 1000",
    );
    await until(() => sleeper(number), "the check");
    const before = performance.now();
    vitrine("kill", "ends");
    assert.equal(vitrine("wait", "ends"), "137");
    assert.ok(performance.now() - before < 60_000);
    assert.equal(sleeper(number), undefined);
    vitrine("rm", "ends");
  }
});

test("in the foreground as well", async () => {
  const child = world.start([
    "run",
    "--rm",
    "-q",
    "--name",
    "front",
    "--health-cmd",
    "true",
    ...quick,
    "probe",
    "sleep",
    "1000",
  ]);
  await until(() => {
    const done = world.run(["inspect", "-f", "{{.State.Health.Status}}", "front"]);
    return done.stdout === "healthy\n" ? true : undefined;
  }, "it to be healthy");
  child.kill("SIGKILL");
  await until(() => (vitrine("ps", "-aq") === "" ? true : undefined), "it to be gone");
});

test("events: a container's life in order, and of images; followed as they happen", async (t) => {
  const follower = world.start(["events", "--filter", "container=life", "--format", "{{.Action}}"]);
  t.after(() => follower.kill());
  let followed = "";
  follower.stdout!.on("data", (chunk) => {
    followed += String(chunk);
  });
  // It follows from when it says what another one of that name, made and removed until then, did.
  await until(() => {
    if (followed !== "") return true;
    vitrine("create", "--name", "life", "probe", "true");
    vitrine("rm", "life");
    return undefined;
  }, "the follower");
  // The clock may be set back meanwhile.
  const since = String(Date.now() / 1000 - 3600);
  const id = vitrine(
    "create",
    "--name",
    "life",
    "-l",
    "a=b",
    "probe",
    "sh",
    "-c",
    'trap "exit 3" TERM; echo up; while :; do sleep 0.02; done',
  );
  vitrine("start", "life");
  await until(() => (vitrine("logs", "life").includes("up") ? true : undefined), "the program");
  vitrine("exec", "life", "true");
  vitrine("rename", "life", "other");
  vitrine("rename", "other", "life");
  vitrine("stop", "life");
  vitrine("rm", "life");
  const actions = [
    "create",
    "start",
    "exec_create: true",
    "exec_start: true",
    "exec_die",
    "rename",
    "kill",
    "die",
    "stop",
    "destroy",
  ];
  const told = vitrine(
    "events",
    "--since",
    since,
    "--stream=false",
    "--filter",
    `container=${id}`,
    "--format",
    "{{.Action}}",
  ).split("\n");
  // By its id both changes of its name are told, by its name the one after which it had it.
  assert.deepEqual(
    told,
    actions.flatMap((action) => (action === "rename" ? [action, action] : [action])),
  );
  await until(() => (followed.endsWith("stop\ndestroy\n") ? true : undefined), "what was followed");
  // The first of those that were made to see whether it follows may have been there before it.
  assert.match(followed, new RegExp(`^(?:destroy\n)?(?:create\ndestroy\n)*${actions.join("\n")}\n$`));
  const die = JSON.parse(
    vitrine(
      ...["events", "--since", since, "--stream=false"],
      ...["--filter", "event=die", "--filter", `container=${id}`, "--format", "json"],
    ),
  ) as {
    Type: string;
    Action: string;
    status: string;
    time: number;
    timeNano: number;
    Actor: { ID: string; Attributes: Record<string, string> };
  };
  assert.equal(die.Type, "container");
  assert.equal(die.status, "die");
  assert.deepEqual(
    [die.Actor.Attributes["exitCode"], die.Actor.Attributes["a"], die.Actor.Attributes["image"]],
    ["3", "b", "probe"],
  );
  assert.equal(Math.floor(die.timeNano / 1e9), die.time);
  assert.match(
    vitrine("events", "--since", since, "--stream=false", "--filter", "label=a=b", "--filter", "event=start"),
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) container start [0-9a-f]{64} \(a=b, image=probe, name=life\)$/,
  );
  vitrine("tag", "probe", "copy:1");
  vitrine("rmi", "copy:1");
  assert.deepEqual(
    vitrine("events", "--since", since, "--stream=false", "--filter", "type=image", "--format", "{{.Action}}")
      .split("\n")
      .slice(-2),
    ["tag", "untag"],
  );
  assert.equal(vitrine("events", "--since", since, "--until", since), "");
  const anHour = String(Number(since) + 7200);
  assert.equal(
    vitrine("events", "--since", since, "--until", anHour, "--stream=false", "-f", "event=untag").split("\n")
      .length,
    1,
  );
  // The clock of a machine may be set back meanwhile: only that it ends by itself.
  vitrine("events", "--since", since, "--until", "0s");
  assert.notEqual(world.run(["events", "--filter", "what=x"]).status, 0);
  assert.notEqual(world.run(["events", "--since", "yesterday"]).status, 0);
});

test("events of run --rm: its monitor tells the end", async () => {
  assert.equal(world.run(["run", "--rm", "-q", "--name", "four", "probe", "sh", "-c", "exit 4"]).status, 4);
  assert.deepEqual(
    vitrine(
      "events",
      "--stream=false",
      "--filter",
      "container=four",
      "--format",
      "{{.Action}} {{.ContainerExitCode}}",
    ).split("\n"),
    ["create 0", "start 0", "die 4", "destroy 0"],
  );
});

test("the OOM killer: told by inspect and events", (t) => {
  const done = world.run([
    "run",
    "-q",
    "--name",
    "oom",
    "-m",
    "8m",
    "probe",
    "sh",
    "-c",
    "head -c 60000000 /dev/zero | tail -c 50000000 > /dev/null; exit 9",
  ]);
  if (!isRoot && /limit|cgroup/.test(done.stderr)) {
    cannotRun(t, "no cgroup is delegated to this user");
    return;
  }
  assert.equal(inspect("oom", ".State.OOMKilled"), "true", done.stderr);
  const told = vitrine(
    "events",
    "--stream=false",
    "--filter",
    "container=oom",
    "--format",
    "{{.Action}}",
  ).split("\n");
  // One for each time that it killed: the programs of a pipe may go one by one.
  assert.deepEqual([...new Set(told)], ["create", "start", "oom", "die"]);
  vitrine("rm", "oom");
  vitrine("run", "-q", "--name", "fine", "-m", "64m", "probe", "true");
  assert.equal(inspect("fine", ".State.OOMKilled"), "false");
  vitrine("rm", "fine");
});

test("healthcheck run: counts like any other check", async () => {
  detached(
    [
      "--name",
      "asked",
      "--health-cmd",
      "echo saw; test -e /ok",
      "--health-interval",
      "1h",
      "--health-retries",
      "2",
    ],
    "sleep 1000",
  );
  assert.equal(health("asked"), "starting");
  const first = world.run(["healthcheck", "run", "asked"]);
  assert.equal(first.status, 1, first.stderr);
  assert.equal(first.stdout, "unhealthy\n");
  assert.equal(inspect("asked", ".State.Health.FailingStreak"), "1");
  assert.equal(health("asked"), "starting");
  assert.equal(world.run(["healthcheck", "run", "--ignore-result", "asked"]).status, 0);
  assert.equal(health("asked"), "unhealthy");
  vitrine("exec", "asked", "touch", "/ok");
  assert.equal(vitrine("healthcheck", "run", "asked"), "");
  assert.equal(health("asked"), "healthy");
  assert.equal(inspect("asked", ".State.Health.FailingStreak"), "0");
  assert.equal(
    inspect("asked", "range .State.Health.Log}}{{.ExitCode}} {{.Output}}{{end"),
    "1 saw\n1 saw\n0 saw\n",
  );
  const told = vitrine(
    "events",
    "--stream=false",
    "--filter",
    "container=asked",
    "--filter",
    "event=health_status",
    "--format",
    "{{.Action}}",
  );
  assert.deepEqual(told.split("\n"), ["health_status: unhealthy", "health_status: healthy"]);
  // Who asks while a check runs has the next one.
  const ask = () =>
    new Promise((resolve) => world.start(["healthcheck", "run", "slow"]).on("close", resolve));
  detached(
    ["--name", "slow", "--health-cmd", "echo x >> /began; sleep 1", "--health-interval", "1h"],
    "sleep 1000",
  );
  const both = [ask()];
  await until(
    () => (world.run(["exec", "slow", "test", "-e", "/began"]).status === 0 ? true : undefined),
    "a check",
  );
  both.push(ask());
  assert.deepEqual(await Promise.all(both), [0, 0]);
  assert.equal(vitrine("exec", "slow", "cat", "/began"), "x\nx");
  vitrine("rm", "-f", "slow");
  vitrine("stop", "-t", "0", "asked");
  const ended = world.run(["healthcheck", "run", "asked"]);
  assert.equal(ended.status, 125);
  assert.match(ended.stderr, /does not run|not running/);
  vitrine("rm", "asked");
});

const lastCheck = (name: string): { Output: string; ExitCode: number } => {
  const log = JSON.parse(inspect(name, "json .State.Health.Log")) as { Output: string; ExitCode: number }[];
  return log.at(-1) ?? { Output: "", ExitCode: 0 };
};

test("update changes the check of a running container at once, and of each later start", async () => {
  detached(["--name", "changes", "--health-cmd", "echo first", "--health-interval", "1h"], "sleep 1000");
  assert.equal(health("changes"), "starting");
  assert.equal(vitrine("update", "--health-interval", "100ms", "changes"), "changes");
  await becomes("changes", "healthy");
  assert.equal(lastCheck("changes").Output, "first\n");
  vitrine("update", "--health-cmd", "echo second; exit 3", "--health-retries", "2", "changes");
  await becomes("changes", "unhealthy");
  assert.deepEqual([lastCheck("changes").Output, lastCheck("changes").ExitCode], ["second\n", 3]);
  const config = JSON.parse(inspect("changes", "json .Config.Healthcheck")) as Record<string, unknown>;
  assert.deepEqual(
    [config["Test"], config["Interval"], config["Retries"]],
    [["CMD-SHELL", "echo second; exit 3"], 1e8, 2],
  );
  // Taken away, and given back.
  vitrine("update", "--no-healthcheck", "changes");
  assert.equal(inspect("changes", "json .State.Health"), "null");
  assert.match(vitrine("ps", "--filter", "name=changes", "--format", "{{.Status}}"), /^Up [^(]*$/);
  assert.equal(world.run(["healthcheck", "run", "changes"]).status, 125);
  vitrine("update", "--health-cmd", "echo third", "--health-interval", "100ms", "changes");
  await becomes("changes", "healthy");
  assert.equal(lastCheck("changes").Output, "third\n");
  vitrine("restart", "-t", "0", "changes");
  await becomes("changes", "healthy");
  assert.equal(lastCheck("changes").Output, "third\n");
  vitrine("rm", "-f", "changes");
});

test("a monitor that runs the container again has the changed check", async () => {
  const flags = ["--health-cmd", "echo first", "--health-interval", "1h", "--restart", "always"];
  detached(
    ["--name", "comes", ...flags],
    "echo run >>/runs; while test ! -e /end; do sleep 0.05; done; rm /end; exit 1",
  );
  vitrine("update", "--health-interval", "100ms", "--health-cmd", "echo changed; cat /runs", "comes");
  world.run(["exec", "comes", "touch", "/end"]);
  const again = "changed\nrun\nrun\n";
  await until(() => (lastCheck("comes").Output === again ? true : undefined), "a check of the second run");
  vitrine("rm", "-f", "comes");
});

test("update of a container that has no check: with a command, and from its next start on", async () => {
  detached(["--name", "bare"], "sleep 1000");
  const missing = world.run(["update", "--health-interval", "1s", "bare"]);
  assert.equal(missing.status, 125);
  assert.match(missing.stderr, /has no health check to change/);
  const done = world.run(["update", "--health-cmd", "true", "--health-interval", "100ms", "bare"]);
  assert.equal(done.status, 0, done.stderr);
  assert.match(done.stderr, /from its next start on/);
  vitrine("restart", "-t", "0", "bare");
  await becomes("bare", "healthy");
  const both = world.run(["update", "--no-healthcheck", "--health-retries", "2", "bare"]);
  assert.equal(both.status, 125);
  vitrine("rm", "-f", "bare");
});
