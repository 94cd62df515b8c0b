/** Flags that podman has and docker has not: --timeout, --pidfile, --tz, wait --exit-first-match. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { letEnd, makeRunWorld, until } from "./run-support.ts";

const world = makeRunWorld("podman-flags");
after(async () => {
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

function vitrine(...args: readonly string[]): string {
  const done = world.run(args);
  assert.equal(done.status, 0, `${args.join(" ")}: ${done.stderr}`);
  return done.stdout.trim();
}

function inspect(name: string, template: string): string {
  return vitrine("inspect", "-f", template, name);
}

const forEver = ["sh", "-c", "while test ! -e /end; do sleep 0.05; done; exit 3"];

test("--timeout: whoever waits gets 255, the record has -1; what ends before ends as ever", () => {
  assert.equal(world.probe(["--timeout", "1"], ...forEver).status, 255);
  assert.equal(world.probe(["--timeout", "3600"], "sh", "-c", "exit 4").status, 4);
  assert.equal(world.probe(["--timeout", "0"], "true").status, 0);
  vitrine("run", "-d", "--name", "late", "--timeout", "1", "probe", ...forEver);
  assert.equal(vitrine("wait", "late"), "-1");
  assert.equal(inspect("late", "{{.State.ExitCode}} {{.Config.Timeout}}"), "-1 1");
  assert.match(vitrine("ps", "-a", "--filter", "name=late", "--format", "{{.Status}}"), /^Exited \(-1\) /);
  const died = ["--filter", "container=late", "--filter", "event=die", "--format", "{{json .}}"];
  assert.match(vitrine("events", "--stream=false", "--since", "1h", ...died), /"-1"/);
  // Each start has the whole time.
  vitrine("start", "late");
  assert.equal(vitrine("wait", "late"), "-1");
  vitrine("rm", "late");
});

test("--timeout and --restart on-failure: the end of the time is a failure", async () => {
  vitrine("run", "-d", "--name", "again", "--timeout", "1", "--restart", "on-failure:1", "probe", ...forEver);
  const state = (): string => inspect("again", "{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}");
  await until(() => (state() === "1 exited -1" ? true : undefined), "its second end");
  vitrine("rm", "again");
});

test("--timeout refuses what is no time", () => {
  for (const text of ["-1", "1.5", "x", "5000000000"]) {
    const done = world.probe([`--timeout=${text}`], "true");
    assert.equal(done.status, 125, text);
    assert.match(done.stderr, /invalid value .* for --timeout/);
  }
});

test("--pidfile has the program's pid after each start, and inspect names the file", () => {
  const file = path.join(world.directory, "program.pid");
  vitrine("run", "-d", "--name", "held", "--pidfile", "program.pid", "probe", ...forEver);
  const told = (): string => fs.readFileSync(file, "utf8");
  assert.equal(told(), inspect("held", "{{.State.Pid}}"));
  assert.equal(inspect("held", "{{.PidFile}}"), file);
  letEnd(world, "held");
  vitrine("wait", "held");
  assert.ok(fs.existsSync(file), "podman leaves it as well");
  const before = told();
  vitrine("run", "-d", "--name", "other", "--rm", "probe", ...forEver);
  vitrine("rm", "-f", "-t", "0", "other");
  vitrine("rm", "held");
  vitrine("create", "--name", "held", "--pidfile", file, "probe", ...forEver);
  assert.equal(told(), before, "create starts nothing");
  vitrine("start", "held");
  assert.equal(told(), inspect("held", "{{.State.Pid}}"));
  vitrine("rm", "-f", "-t", "0", "held");
  const nowhere = world.probe(["--pidfile", path.join(world.directory, "missing", "pid")], "true");
  assert.equal(nowhere.status, 125);
  assert.match(nowhere.stderr, /writePidFile/);
});

/** tzfile(5), version 2: XYZ, three hours east of Greenwich. */
function zoneFile(): Buffer {
  const counts = Buffer.alloc(24);
  counts.writeUInt32BE(1, 16);
  counts.writeUInt32BE(4, 20);
  const header = Buffer.concat([Buffer.from("TZif2"), Buffer.alloc(15), counts]);
  const type = Buffer.from([0, 0, 0x2a, 0x30, 0, 0]);
  const block = Buffer.concat([header, type, Buffer.from("XYZ\0")]);
  return Buffer.concat([block, block, Buffer.from("\nXYZ-3\n")]);
}

test("--tz NAME: the host's rules are the container's, whatever the image has", () => {
  const zones = path.join(world.directory, "zones");
  fs.mkdirSync(path.join(zones, "My"), { recursive: true });
  fs.writeFileSync(path.join(zones, "My/Zone"), zoneFile());
  fs.writeFileSync(path.join(zones, "text"), "no zone\n");
  const env = { TZDIR: zones };
  const date = ["probe", "date", "+%Z %z"];
  const run = (...args: readonly string[]) => world.run(["run", "--rm", "-q", ...args], { env });
  const done = run("--tz", "My/Zone", ...date);
  assert.equal(done.stdout, "XYZ +0300\n", done.stderr);
  assert.equal(run("--tz", "My/Zone", "--read-only", "--user", "1000", ...date).stdout, "XYZ +0300\n");
  assert.equal(run("--tz", "", ...date).status, 0);
  for (const [name, code] of [
    ["Nowhere/Land", /unknown time zone "Nowhere\/Land"/],
    ["text", /holds no time zone/],
    ["My", /unknown time zone/],
    ["../zones/My/Zone", /invalid value/],
    ["/etc/localtime", /invalid value/],
  ] as const) {
    const refused = run("--tz", name, ...date);
    assert.equal(refused.status, 125, name);
    assert.match(refused.stderr, code, name);
  }
  // It is the container's own copy: the next start needs no zone of the host.
  const made = world.run(["create", "--name", "east", "--tz", "My/Zone", ...date], { env });
  assert.equal(made.status, 0, made.stderr);
  fs.rmSync(path.join(zones, "My/Zone"));
  assert.equal(vitrine("start", "-a", "east"), "XYZ +0300");
  assert.equal(inspect("east", "{{.Config.Timezone}} {{.Mounts}}"), "My/Zone []");
  assert.match(vitrine("explain", "east"), /\/etc\/localtime.*--tz/);
  vitrine("rm", "east");
});

test("--tz local is the host's /etc/localtime", () => {
  const script = "md5sum </etc/localtime";
  if (fs.existsSync("/etc/localtime")) {
    const sum = createHash("md5").update(fs.readFileSync("/etc/localtime")).digest("hex");
    assert.equal(world.sh(["--tz", "local"], script), `${sum}  -`);
  } else {
    assert.match(world.probe(["--tz", "local"], "true").stderr, /unknown time zone "local"/);
  }
});

test("wait --exit-first-match: the first of several, and that one alone", () => {
  vitrine("run", "-d", "--name", "stays", "probe", ...forEver);
  vitrine("run", "-d", "--rm", "--name", "goes", "probe", ...forEver);
  vitrine("run", "-d", "--name", "ends", "probe", "sh", "-c", "exit 5");
  assert.equal(vitrine("wait", "--exit-first-match", "stays", "goes", "ends"), "5");
  assert.equal(inspect("stays", "{{.State.Running}}"), "true");
  const condition = ["--exit-first-match", "--condition", "running", "--interval", "20ms"];
  assert.equal(vitrine("wait", ...condition, "ends", "stays"), "-1");
  assert.equal(vitrine("wait", "--exit-first-match", "--ignore", "missing", "ends"), "5");
  const missing = world.run(["wait", "--exit-first-match", "stays", "missing"]);
  assert.equal(missing.status, 125);
  assert.match(missing.stderr, /there is no container "missing"/);
  vitrine("rm", "-f", "-t", "0", "stays", "goes", "ends");
});
