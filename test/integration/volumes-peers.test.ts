/** Volumes of podman's, with runc below it: the same flags and scripts on both engines, the same output. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, isRoot } from "./support.ts";

const world = makeRunWorld("volume-peers");
const usable = isRoot && findProgram("podman") !== undefined && findProgram("runc") !== undefined;
const reason = "podman with runc, as root, is the witness";
const storage = path.join(world.directory, "podman");
const file = path.join(world.directory, "file");
fs.writeFileSync(file, "from the host\n");
after(async () => {
  world.run(["rm", "--all", "--force", "--volumes"]);
  if (usable) podman("rm", "--all", "--force");
  await world[Symbol.asyncDispose]();
});

interface Answer {
  readonly good: boolean;
  readonly stdout: string;
}

function podman(...args: readonly string[]): Answer & { readonly stderr: string } {
  const places = ["--root", `${storage}/root`, "--runroot", `${storage}/run`, "--tmpdir", `${storage}/tmp`];
  const done = spawnSync("podman", [...places, "--runtime", "runc", ...args], { encoding: "utf8" });
  return { good: done.status === 0, stdout: done.stdout, stderr: done.stderr };
}

/** What podman needs on a machine where rlimits cannot be raised. */
const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=20000:20000"];

function both(
  verb: "run" | "create",
  flags: readonly string[],
  command: readonly string[],
): [Answer, Answer] {
  const rest = ["--network", "none", ...flags, "probe", ...command];
  const ours = world.run([verb, "-q", ...rest]);
  const theirs = podman(verb, ...limits, ...rest);
  return [
    { good: ours.status === 0, stdout: ours.stdout },
    { good: theirs.good, stdout: theirs.stdout },
  ];
}

test("the same flags, the same containers", (t) => {
  if (!usable) return cannotRun(t, reason);
  assert.ok(podman("import", "-q", path.join(fixtures, "probe.tar"), "probe").good);
  const look = "cd /etc; stat -c '%n %a %u:%g %F' . passwd group; cat passwd";
  const cases: readonly (readonly [readonly string[], string])[] = [
    [["-v", "filled:/etc"], look],
    [["-v", "filled:/x"], "cat /x/passwd; echo changed >/x/passwd"],
    [["-v", "filled:/etc"], "cat /etc/passwd"],
    [["-v", "filled:/etc:ro"], "touch /etc/x"],
    [["-v", "bare:/home:nocopy"], "ls /home; stat -c %a:%u /home"],
    [["--mount", "type=volume,src=fresh,dst=/not-there"], "stat -c %a:%u /not-there; touch /not-there/file"],
    [["--mount", "type=volume,src=fresh,dst=/n,ro"], "ls /n; touch /n/x"],
    [["-v", "/home"], "ls /home"],
    [["--mount", "type=volume,dst=/home"], "ls /home; touch /home/x"],
    [["-u", "user", "-v", "owned:/o:U"], "stat -c %u:%g /o; touch /o/x"],
    [["--mount", "type=image,src=probe,dst=/i"], "ls /i/bin | head -3; touch /i/x"],
    [["--mount", "type=image,src=probe,dst=/i,rw=true"], "touch /i/x && ls /i/x"],
    [["-v", `${world.directory}:/proc`], "true"],
    [["-v", `${world.directory}:/proc/sys`], "true"],
    [["-v", `${file}:/proc/net/dev`], "true"],
    [["-v", `${file}:/proc/uptime`], "cat /proc/uptime"],
    [["-v", `${file}:/proc/sys/crypto/fips_enabled`], "cat /proc/sys/crypto/fips_enabled || true"],
    [["-v", "no/path:/x"], "true"],
    [["-v", "-bad:/x"], "true"],
    [["-v", "filled:/x:copy,nocopy"], "true"],
    [["-v", "filled:/x:nonsense"], "true"],
    [["--volumes-from", "nobody"], "true"],
  ];
  for (const [flags, script] of cases) {
    const [ours, theirs] = both("run", ["--rm", ...flags], ["sh", "-c", script]);
    assert.deepEqual(ours, theirs, `${flags.join(" ")}: ${script}`);
  }
  const volumes = (text: string): readonly string[] => text.split("\n").filter(Boolean).sort();
  assert.deepEqual(
    volumes(world.run(["volume", "ls", "-q"]).stdout),
    volumes(podman("volume", "ls", "-q").stdout),
    "the same volumes stay",
  );
});

test("who has a volume, and what goes with a container", (t) => {
  if (!usable) return cannotRun(t, reason);
  const made = both(
    "create",
    ["--name", "holder", "-v", "held:/h", "-v", "/anonymous"],
    ["sh", "-c", "echo x >/h/file"],
  );
  assert.ok(made[0].good && made[1].good);
  const steps: readonly (readonly string[])[] = [
    ["volume", "rm", "held"],
    ["ps", "-a", "--filter", "volume=held", "--format", "{{.Names}}"],
    ["ps", "-a", "--filter", "volume=other", "--format", "{{.Names}}"],
    ["volume", "ls", "-q", "--filter", "name=held"],
    [
      "inspect",
      "holder",
      "--format",
      "{{range .Mounts}}{{.Type}} {{.Destination}} {{.Driver}} {{.RW}}\n{{end}}",
    ],
    ["volume", "inspect", "held", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"],
    ["volume", "exists", "held"],
    ["volume", "exists", "other"],
    ["rm", "-v", "holder"],
    ["volume", "rm", "held"],
    ["volume", "rm", "held"],
    ["volume", "create", "held"],
    ["volume", "create", "--", "-bad"],
    ["volume", "create", "-d", "nobody", "driven"],
    ["volume", "rm", "held"],
  ];
  for (const step of steps) {
    const ours = world.run(step);
    const theirs = podman(...step);
    const sorted = (text: string): readonly string[] => text.trim().split("\n").sort();
    assert.deepEqual(
      [ours.status === 0, sorted(ours.stdout)],
      [theirs.good, sorted(theirs.stdout)],
      step.join(" "),
    );
  }
});

test("podman reads what was exported, and we what podman exported", (t) => {
  if (!usable) return cannotRun(t, reason);
  world.sh(["-v", "ours:/f"], "mkdir /f/d; echo x >/f/d/x; chown 5:6 /f/d/x; ln -s x /f/d/link");
  const archive = path.join(world.directory, "ours.tar");
  assert.equal(world.run(["volume", "export", "--output", archive, "ours"]).status, 0);
  assert.ok(podman("volume", "create", "theirs").good);
  assert.ok(podman("volume", "import", "theirs", archive).good);
  const place = podman("volume", "inspect", "-f", "{{.Mountpoint}}", "theirs").stdout.trim();
  assert.equal(fs.statSync(`${place}/d/x`).uid, 5);
  assert.equal(fs.readFileSync(`${place}/d/link`, "utf8"), "x\n");
  const back = path.join(world.directory, "theirs.tar");
  assert.ok(podman("volume", "export", "--output", back, "theirs").good);
  assert.equal(world.run(["volume", "create", "again"]).status, 0);
  assert.equal(world.run(["volume", "import", "again", back]).status, 0);
  assert.equal(world.sh(["-v", "again:/a"], "stat -c %u:%g /a/d/x; cat /a/d/link"), "5:6\nx");
  const fields = (text: string): readonly string[] => Object.keys((JSON.parse(text) as object[])[0]!);
  const theirs = fields(podman("volume", "inspect", "theirs").stdout);
  const ours = fields(world.run(["volume", "inspect", "again"]).stdout);
  for (const field of ["Name", "Driver", "Mountpoint", "CreatedAt", "Labels", "Scope", "Options"]) {
    assert.ok(ours.includes(field) && theirs.includes(field), field);
  }
});
