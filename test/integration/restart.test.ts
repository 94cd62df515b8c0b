/** Restart policies: the monitor runs its plan again, until somebody ends the container for good. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { killCases, killScript } from "../support/kill-cases.ts";
import { makeLiveWorld, until } from "../support/live.ts";
import { letEnd } from "./run-support.ts";
import { cannotRun, findProgram, vitrine as program } from "./support.ts";

const world = makeLiveWorld("restart");
const { vitrine, detached, inspect } = world;
after(() => world.end());

const status = (name: string): string => inspect(name, ".State.Status");
const settled = (name: string): Promise<true> =>
  until(() => (status(name) === "exited" ? true : undefined), `${name} to end`);
/** The letter of a process's state; undefined: there is none, or a zombie, of which nothing is left but a number. */
function stateOf(pid: number): string | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
    const [letter] = stat.slice(stat.lastIndexOf(")") + 2);
    return letter === "Z" || letter === "X" ? undefined : letter;
  } catch {
    return undefined;
  }
}
const monitorOf = (name: string): number => Number(inspect(name, ".State.ConmonPid"));

/** Does `look` while the monitor stands still between two runs, of which there were so many already; then it goes on. */
async function inWait(name: string, restarts: number, look: () => void | Promise<void>): Promise<void> {
  const monitor = monitorOf(name);
  try {
    await until(() => {
      if (Number(inspect(name, ".RestartCount")) < restarts) return undefined;
      process.kill(monitor, "SIGSTOP");
      while (stateOf(monitor) !== "T") assert.notEqual(stateOf(monitor), undefined, "it has a monitor");
      if (status(name) === "restarting") return true;
      process.kill(monitor, "SIGCONT");
      return undefined;
    }, "a wait");
    await look();
  } finally {
    if (stateOf(monitor) !== undefined) process.kill(monitor, "SIGCONT");
  }
}
const events = (name: string): readonly string[] =>
  vitrine("events", "--stream=false", "--filter", `container=${name}`, "--format", "{{.Action}}").split("\n");

test("on-failure: so many times, counted, and the last status is told", async () => {
  detached(["--name", "fails", "--restart", "on-failure:2"], "echo run; exit 3");
  await settled("fails");
  assert.equal(inspect("fails", ".RestartCount"), "2");
  assert.equal(inspect("fails", ".State.ExitCode"), "3");
  assert.equal(inspect("fails", ".HostConfig.RestartPolicy.Name"), "on-failure");
  assert.equal(inspect("fails", ".HostConfig.RestartPolicy.MaximumRetryCount"), "2");
  assert.equal(vitrine("logs", "fails"), "run\nrun\nrun");
  assert.equal(vitrine("wait", "fails"), "3");
  const told = events("fails");
  assert.deepEqual(
    told.filter((action) => action !== "restart"),
    ["create", "start", "die", "start", "die", "start", "die"],
  );
  assert.equal(told.filter((action) => action === "restart").length, 2);
  // Started again by hand it counts anew.
  vitrine("start", "fails");
  await settled("fails");
  assert.equal(inspect("fails", ".RestartCount"), "2");
  // Its end is told before all of it is gone; who removes it waits for that.
  vitrine("rm", "fails");
  assert.deepEqual(
    world.remains().filter((entry) => entry.startsWith(world.runroot)),
    [],
  );
});

test("on-failure leaves a success alone; always does not", async () => {
  detached(["--name", "fine", "--restart", "on-failure"], "exit 0");
  await settled("fine");
  assert.equal(inspect("fine", ".RestartCount"), "0");
  vitrine("rm", "fine");
  detached(["--name", "ever", "--restart", "always"], "exit 0");
  await until(() => (Number(inspect("ever", ".RestartCount")) >= 2 ? true : undefined), "two restarts");
  vitrine("stop", "ever");
  assert.equal(status("ever"), "exited");
  vitrine("rm", "ever");
});

test("between two runs: restarting in ps and inspect, not removed without force, started already", async () => {
  const id = detached(["--name", "again", "--restart", "always", "--stop-timeout", "300"], "exit 5");
  const monitor = monitorOf("again");
  let removal: ReturnType<typeof world.start> | undefined;
  let removed: Promise<number | null> | undefined;
  await inWait("again", 3, async () => {
    assert.match(vitrine("ps", "--format", "{{.Status}}"), /^Restarting \(5\) .*ago$/);
    assert.equal(vitrine("ps", "-q", "--no-trunc", "--filter", "status=restarting"), id);
    assert.equal(inspect("again", ".State.Restarting"), "true");
    assert.equal(inspect("again", ".State.Running"), "true");
    assert.equal(vitrine("ps", "-q", "--no-trunc", "--filter", "restart-policy=always"), id);
    assert.equal(vitrine("ps", "-aq", "--filter", "restart-policy=no"), "");
    assert.notEqual(world.run(["rm", "again"]).status, 0);
    assert.equal(vitrine("start", "again"), "again");
    removal = world.start(["rm", "-f", "again"]);
    removed = new Promise((resolve) => removal!.on("close", resolve));
    const asked = path.join(world.runroot, "containers", id, "stop");
    await until(() => (fs.existsSync(asked) ? true : undefined), "the wish that it ends");
  });
  // Nobody waits for as long as a stop may take.
  const late = setTimeout(() => removal!.kill("SIGKILL"), 150_000);
  assert.equal(await removed, 0);
  clearTimeout(late);
  assert.equal(stateOf(monitor), undefined);
});

test("stop and kill end it for good, while it runs and while it waits", async () => {
  const ended: string[] = [];
  for (const [at, end] of [["stop"], ["stop", "-t", "0"], ["kill"], ["kill", "-s", "TERM"]].entries()) {
    const [runs, waits] = [`runs${at}`, `waits${at}`];
    const script = 'trap "exit 9" TERM; echo up; while :; do sleep 0.02; done';
    detached(["--name", runs, "--restart", "always"], script);
    await until(() => (vitrine("logs", runs).includes("up") ? true : undefined), "the program");
    vitrine(...end, runs);
    await settled(runs);
    detached(["--name", waits, "--restart", "unless-stopped"], "exit 1");
    await until(
      () =>
        Number(inspect(waits, ".RestartCount")) >= 3 && status(waits) === "restarting" ? true : undefined,
      "a wait",
    );
    vitrine(...end, waits);
    await settled(waits);
    ended.push(runs, waits);
  }
  const look = (): string => vitrine("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", ...ended);
  const before = look();
  assert.deepEqual(new Set(before.split("\n").map((line) => line.split(" ")[0])), new Set(["exited"]));
  // Longer than their waits were.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  assert.equal(look(), before);
  vitrine("rm", ...ended);
});

test("kill: which signals end it for good is as docker has it", async () => {
  for (const [at, { signal, flags, comesBack }] of killCases.entries()) {
    const name = `told${at}`;
    const what = `${signal} ${flags.join(" ")}`;
    detached(["--name", name, ...flags], killScript);
    await until(() => (vitrine("logs", name).includes("up") ? true : undefined), "the program");
    vitrine("kill", "-s", signal, name);
    if (comesBack)
      await until(() => (vitrine("logs", name) === "up\nup" ? true : undefined), `${what}: again`);
    else await until(() => (status(name) === "exited" ? true : undefined), `${what}: the end`);
    assert.equal(inspect(name, ".RestartCount"), comesBack ? "1" : "0", what);
    vitrine("rm", "-f", name);
  }
});

test("kill: a signal that its program ignores is remembered until it is started again", async () => {
  detached(
    ["--name", "deaf", "--restart", "always"],
    'trap "" HUP; echo up; while [ ! -e /end ]; do sleep 0.02; done',
  );
  await until(() => (vitrine("logs", "deaf").includes("up") ? true : undefined), "the program");
  vitrine("kill", "-s", "HUP", "deaf");
  assert.equal(status("deaf"), "running");
  letEnd(world, "deaf");
  await until(() => (status("deaf") === "exited" ? true : undefined), "its end");
  vitrine("start", "deaf");
  await until(
    () => (Number(inspect("deaf", ".RestartCount")) >= 1 ? true : undefined),
    "a restart after the start",
  );
  vitrine("rm", "-f", "deaf");
});

test("kill: that the monitor ended it of the wish alone is no error", async (t) => {
  if (findProgram("strace") === undefined) return cannotRun(t, "strace is missing");
  const id = detached(["--name", "wished", "--restart", "always"], "exit 1");
  const wish = path.join(world.runroot, "containers", id, "stop");
  // The command stands still once it has said its wish; meanwhile the monitor goes on.
  const delay = ["-e", "trace=open,openat", "-e", "inject=open,openat:delay_exit=3000000"];
  const words = ["-f", "-o", "/dev/null", "-P", wish, ...delay, program, "kill", "wished"];
  let complaints = "";
  let killed: Promise<number | null> | undefined;
  await inWait("wished", 2, async () => {
    const child = spawn("strace", words, { env: world.env, cwd: world.directory });
    child.stderr.on("data", (data: Buffer) => (complaints += data));
    killed = new Promise((resolve) => child.on("close", resolve));
    await until(() => (fs.existsSync(wish) ? true : undefined), "the wish");
  });
  assert.equal(await killed, 0, complaints);
  await settled("wished");
  vitrine("rm", "wished");
});

test("many stops at the moment of a restart: none is lost", async () => {
  for (let round = 0; round < 12; round++) {
    detached(["--name", "race", "--restart", "always"], "exit 1");
    // The second wait takes 200 ms: stops fall before, into and after it.
    await until(() => (Number(inspect("race", ".RestartCount")) >= 1 ? true : undefined), "a restart");
    await new Promise((resolve) => setTimeout(resolve, 60 + round * 20));
    vitrine("stop", "-t", "0", "race");
    assert.equal(status("race"), "exited", `round ${round}`);
    assert.equal(
      fs.existsSync(path.join(world.runroot, "containers")) &&
        fs.readdirSync(path.join(world.runroot, "containers")).length > 0,
      false,
    );
    vitrine("rm", "race");
  }
});

test("wait: as docker, until the program ends, though it is run again", async () => {
  detached(["--name", "w", "--restart", "always"], "sleep 0.5; exit 6");
  assert.equal(vitrine("wait", "w"), "6");
  vitrine("rm", "-f", "w");
});

test("a setup that fails is not tried again", () => {
  const done = world.run([
    "run",
    "-d",
    "-q",
    "--restart",
    "always",
    "--name",
    "none",
    "probe",
    "no-such-program",
  ]);
  assert.equal(done.status, 127);
  assert.equal(status("none"), "exited");
  assert.equal(inspect("none", ".RestartCount"), "0");
  vitrine("rm", "none");
});

test("in the foreground the caller goes with the first run, with its status and output", async () => {
  const done = world.run([
    "run",
    "-q",
    "--name",
    "fg",
    "--restart",
    "always",
    "probe",
    "sh",
    "-c",
    "echo out; echo err >&2; exit 3",
  ]);
  assert.equal(done.status, 3);
  assert.equal(done.stdout, "out\n");
  assert.equal(done.stderr, "err\n");
  await until(() => (Number(inspect("fg", ".RestartCount")) >= 1 ? true : undefined), "a restart");
  vitrine("rm", "-f", "fg");
});

test("what the container wrote is there in the next run, and its limits and streams as well", async () => {
  detached(
    ["--name", "keeps", "--restart", "on-failure:2", "-t", "-v", "/data", "--cgroups", "enabled"],
    'echo line >> /data/file; echo line >> /file; echo "$(wc -l < /data/file) $(wc -l < /file)"; test -t 1 && exit 1',
  );
  await settled("keeps");
  assert.equal(vitrine("logs", "keeps").replaceAll("\r", ""), "1 1\n2 2\n3 3");
  vitrine("rm", "keeps");
});

test("--rm and bad policies are refused", () => {
  for (const flags of [
    ["--rm", "--restart", "always"],
    ["--restart", "sometimes"],
    ["--restart", "always:3"],
    ["--restart", "on-failure:x"],
    ["--restart", "on-failure:-1"],
  ]) {
    const done = world.run(["run", "-d", ...flags, "probe", "true"]);
    assert.equal(done.status, 125, flags.join(" "));
    assert.match(done.stderr, /--restart/);
  }
  assert.equal(vitrine("run", "--rm", "-q", "--restart", "no", "probe", "echo", "fine"), "fine");
});

test("after a boot those are started that are to run: always, and unless-stopped that nobody stopped", async () => {
  for (const [name, policy] of [
    ["boot-always", "always"],
    ["boot-unless", "unless-stopped"],
    ["boot-stopped", "unless-stopped"],
    ["boot-no", "no"],
  ] as const) {
    detached(["--name", name, "--restart", policy], "sleep 1000");
  }
  vitrine("stop", "-t", "0", "boot-stopped", "boot-always");
  // The machine goes down.
  for (const name of ["boot-unless", "boot-no"]) {
    const pid = Number(inspect(name, ".State.Pid"));
    process.kill(monitorOf(name), "SIGKILL");
    await until(() => (stateOf(pid) === undefined ? true : undefined), "the end of its program");
  }
  fs.rmSync(world.runroot, { recursive: true, force: true });
  assert.deepEqual(vitrine("start", "--filter", "restart-policy=always", "--all").split("\n").length, 1);
  vitrine("start", "--all", "--filter", "should-start-on-boot=true");
  const running = vitrine("ps", "--format", "{{.Names}}").split("\n").sort();
  assert.deepEqual(running, ["boot-always", "boot-unless"]);
  vitrine("rm", "-f", "-a");
});

test("a monitor that is killed between two runs leaves what the next command clears", async () => {
  detached(["--name", "orphan", "--restart", "always"], "exit 2");
  const monitor = monitorOf("orphan");
  await inWait("orphan", 3, () => {
    process.kill(monitor, "SIGKILL");
  });
  await settled("orphan");
  assert.equal(inspect("orphan", ".State.ExitCode"), "2");
  vitrine("start", "orphan");
  vitrine("rm", "-f", "orphan");
});
