/** `run`: what the program is, who it is, what it finds around it, and how its end becomes ours. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld, rowsOf } from "./run-support.ts";
import { fixtures } from "./support.ts";

const world = makeRunWorld("process");
after(async () => {
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

test("exit statuses are those of docker", () => {
  assert.equal(world.probe([], "true").status, 0);
  assert.equal(world.probe([], "sh", "-c", "exit 42").status, 42);
  // Without --init the program is pid 1, which the kernel spares from its own signals: its child is killed instead.
  assert.equal(world.probe([], "sh", "-c", "sh -c 'kill -9 $$'; exit $?").status, 137);
  assert.equal(world.probe(["--init"], "sh", "-c", "kill -TERM $$").status, 143);
  assert.equal(world.probe([], "no-such-program").status, 127);
  assert.equal(world.probe([], "/bin/nothing/here").status, 127);
  assert.equal(world.probe([], "/etc/passwd").status, 126);
  assert.equal(world.probe([], "/etc").status, 126);
  assert.equal(world.probe(["--no-such-flag"], "true").status, 125);
  assert.equal(world.run(["run", "--rm", "no-such-image", "true"]).status, 125);
});

test("a program that cannot be run is told with where it came from", () => {
  const { stderr } = world.probe([], "no-such-program");
  assert.match(stderr, /no-such-program/);
  assert.match(stderr, /\/process\/args/);
  assert.match(stderr, /^hint: /m);
});

test("output, errors and input are the caller's", () => {
  const done = world.run(["run", "--rm", "-q", "-i", "probe", "sh", "-c", "cat; echo to-err >&2"], {
    input: "from stdin\n",
  });
  assert.equal(done.stdout, "from stdin\n");
  assert.equal(done.stderr, "to-err\n");
  // Without -i there is nothing to read.
  assert.equal(world.run(["run", "--rm", "-q", "probe", "cat"], { input: "x" }).stdout, "");
});

test("a large output arrives whole", () => {
  const done = world.probe([], "sh", "-c", "seq 1 200000");
  assert.equal(done.stdout.split("\n").length, 200_001);
  assert.ok(done.stdout.endsWith("\n200000\n"));
});

test("the environment is the defaults', the image's and the flags', in this order", () => {
  const file = path.join(world.directory, "env-file");
  fs.writeFileSync(file, "FROM_FILE=1\nBOTH=file\n");
  const env = world
    .sh(
      ["-e", "BOTH=flag", "-e", "EMPTY=", "-e", "FROM_CALLER", "--env-file", file, "--unsetenv", "container"],
      "env",
    )
    .split("\n");
  assert.ok(env.includes("FROM_FILE=1"));
  assert.ok(env.includes("BOTH=flag"));
  assert.ok(env.includes("EMPTY="));
  assert.ok(env.includes("HOME=/root"));
  assert.ok(env.some((line) => line.startsWith("PATH=/usr/local/sbin:")));
  assert.ok(!env.some((line) => line.startsWith("container=") || line.startsWith("VITRINE_")));
  const passed = world.run(["run", "--rm", "-q", "-e", "FROM_CALLER", "probe", "env"], {
    env: { FROM_CALLER: "yes" },
  });
  assert.match(passed.stdout, /^FROM_CALLER=yes$/m);
});

test("users, groups and home come from the image", () => {
  assert.equal(world.sh([], "id"), "uid=0(root) gid=0(root) groups=0(root)");
  assert.equal(
    world.sh(["-u", "user"], "id"),
    "uid=1000(user) gid=1000(user) groups=29(audio),50(staff),1000(user)",
  );
  assert.equal(world.sh(["-u", "user:staff"], "id -g; id -G"), "50\n50");
  assert.equal(
    world.sh(["-u", "1001", "--group-add", "staff", "--group-add", "777"], "id -u; id -G"),
    "1001\n1001 29 50 777",
  );
  assert.equal(world.sh(["-u", "user"], "echo $HOME"), "/home/user");
  assert.equal(
    world
      .sh(["-u", "4321:8765"], "id -u; id -g; grep 4321 /etc/passwd | cut -d: -f3,4 || true")
      .split("\n")[0],
    "4321",
  );
  const missing = world.probe(["-u", "nobody-here"], "true");
  assert.equal(missing.status, 125);
  assert.match(missing.stderr, /nobody-here/);
});

test("a user without an entry is given one, and it is gone with the container", () => {
  assert.match(world.sh(["-u", "4321:1000"], "cat /etc/passwd"), /^4321:\*:4321:1000:/m);
  assert.doesNotMatch(world.sh(["-u", "4321", "--passwd=false"], "cat /etc/passwd"), /4321/);
});

test("the working directory is made where missing and cannot be left through ..", () => {
  assert.equal(world.sh(["-w", "/made/here"], "pwd"), "/made/here");
  assert.equal(world.sh(["-w", "/../../tmp"], "pwd"), "/tmp");
  assert.equal(world.probe(["-w", "relative"], "true").status, 125);
});

test("entrypoint and command", () => {
  assert.equal(world.probe(["--entrypoint", "/bin/echo"], "a", "b c").stdout, "a b c\n");
  assert.equal(world.probe(["--entrypoint", '["/bin/echo","-n"]'], "x").stdout, "x");
  const none = world.run(["run", "--rm", "probe"]);
  assert.equal(none.status, 125);
  assert.match(none.stderr, /^hint: /m);
});

test("the host name is the id's beginning, or the flag's", () => {
  const name = world.sh([], "hostname; cat /etc/hostname; echo $HOSTNAME").split("\n");
  assert.match(name[0]!, /^[0-9a-f]{12}$/);
  assert.deepEqual(new Set(name).size, 1);
  assert.equal(world.sh(["-h", "web"], "hostname; grep -c web /etc/hosts"), "web\n1");
});

test("limits are the caller's, or the flags'", () => {
  const limits = (flags: readonly string[]): string =>
    world.sh(flags, "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc");
  const caller = /^Max open files +(\S+) +(\S+)/m.exec(fs.readFileSync("/proc/self/limits", "utf8"))!;
  const lines = limits([]).split("\n");
  // Our own soft limit was raised by node, and is what vitrine's caller has here.
  assert.deepEqual(lines.slice(0, 2), [caller[1], caller[2]]);
  assert.deepEqual(limits(["--ulimit", "nofile=64:128", "--ulimit", "core=0:0"]).split("\n"), [
    "64",
    "128",
    "0",
    "0",
  ]);
});

test("--init is a pid 1 that reaps and passes signals on", () => {
  assert.equal(world.sh(["--init"], "echo $$"), "2");
  assert.match(world.sh(["--init"], "cat /proc/1/comm"), /^vitrine/);
  assert.equal(world.sh([], "echo $$"), "1");
});

test("the pid 1 of --init shows nothing of its caller", () => {
  const env = { SECRET: "hunter2" };
  const seen = world.run(
    ["run", "--rm", "--quiet", "--init", "probe", "sh", "-c", "cat /proc/1/cmdline /proc/1/environ"],
    { env },
  );
  assert.equal(seen.status, 0, seen.stderr);
  assert.equal(seen.stdout.replaceAll("\0", ""), "vitrine-reap");
});

test("umask, oom score, no_new_privs", () => {
  assert.equal(world.sh([], "umask"), "0022");
  assert.equal(world.sh(["--umask", "077"], "umask"), "0077");
  assert.equal(world.sh(["--oom-score-adj", "100"], "cat /proc/self/oom_score_adj"), "100");
  const status = (flags: readonly string[]) => rowsOf(world.sh(flags, "cat /proc/self/status"));
  assert.equal(status([]).get("NoNewPrivs"), "0");
  assert.equal(status(["--security-opt", "no-new-privileges"]).get("NoNewPrivs"), "1");
});

test("a container has no descriptor of ours", () => {
  // 0, 1, 2 and the one ls itself has open.
  assert.deepEqual(world.sh([], "ls /proc/self/fd").split("\n"), ["0", "1", "2", "3"]);
});

test("--rootfs takes a directory as it is", () => {
  const root = path.join(world.directory, "tree");
  fs.mkdirSync(root);
  const tar = path.join(fixtures, "probe.tar");
  assert.equal(spawnSync("tar", ["-xf", tar, "-C", root, "--no-same-owner"]).status, 0);
  const done = world.run(["run", "--rm", "-q", "--rootfs", root, "sh", "-c", "echo in >/made; id -un"]);
  assert.equal(done.status, 0, done.stderr);
  assert.equal(done.stdout, "root\n");
  assert.equal(fs.readFileSync(path.join(root, "made"), "utf8"), "in\n");
  assert.equal(world.run(["run", "--rm", "--rootfs", "/", "true"]).status, 125);
  assert.equal(world.run(["run", "--rm", "--rootfs", "/no/such", "true"]).status, 125);
});
