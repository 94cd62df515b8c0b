/** `run`: bad flags and flags of later releases. Each is an error with a hint and status 125, and nothing is left. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { makeRunWorld } from "./run-support.ts";

const world = makeRunWorld("refusals");
after(async () => {
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

const refused: readonly (readonly string[])[] = [
  ["--memory", "lots"],
  ["--memory", "1m"],
  ["--memory-swap", "1g"],
  ["--cpus", "many"],
  ["--cpus", "100000"],
  ["--cpuset-cpus", "a"],
  ["--pids-limit", "x"],
  ["--ulimit", "nofile"],
  ["--ulimit", "bogus=1"],
  ["--volume", "/a:/b:/c:/d"],
  ["--volume", "no/name:/data"],
  ["--mount", "type=volume,source=v1,target=/x,volume-opt=size=1g"],
  ["--volumes-from", "no-such-container"],
  ["--volume", "/tmp:relative"],
  ["--volume", "/tmp:/proc"],
  ["--volume", "/tmp:/proc/sys"],
  ["--tmpfs", "/proc/acpi"],
  ["--mount", "type=bind,target=/x"],
  ["--mount", "type=nonsense,target=/x"],
  ["--tmpfs", "/x:wat"],
  ["--cap-add", "FLY"],
  ["--cap-drop", "FLY"],
  ["--security-opt", "wat"],
  ["--device", "nowhere"],
  ["--sysctl", "nothing"],
  ["--network", "bridge"],
  ["--network", "some-network"],
  ["--pid", "container:x"],
  ["--ipc", "wat"],
  ["--userns", "auto:size=0"],
  ["--userns", "ns:/proc/1/ns/user"],
  ["--userns", "auto", "--uidmap", "0:0:1"],
  ["--hostname", "-bad-"],
  ["--name", "bad/name"],
  ["--env-file", "/no/such/file"],
  ["--label-file", "/no/such/file"],
  ["--stop-signal", "NOPE"],
  ["--platform", "a/b/c/d"],
  ["--platform", "plan9/mips"],
  ["--umask", "9"],
  ["--shm-size", "big"],
  ["--add-host", "nowhere"],
  ["--dns", "name"],
  ["--oom-score-adj", "2000"],
  ["--entrypoint"],
  ["-p", "80:80"],
  ["--restart", "always"],
  ["--log-driver", "journald"],
  ["--group-add", "keep-groups"],
  ["--uidmap", "1:0:1"],
  ["--subuidname", "nobody-has-this-name"],
];

for (const flags of refused) {
  test(flags.join(" "), () => {
    const done = world.probe(flags, "true");
    assert.equal(done.status, 125, done.stdout);
    assert.equal(done.stdout, "");
    assert.match(done.stderr, /^error: \S/);
    assert.match(done.stderr, /^hint: \S/m);
    assert.doesNotMatch(done.stderr, /internal error/);
  });
}

test("an image that is not there says how to get one", () => {
  const done = world.run(["run", "--rm", "--pull", "never", "ghost", "true"]);
  assert.equal(done.status, 125);
  assert.match(done.stderr, /vitrine load|vitrine pull/);
});

test("a missing helper says so", () => {
  const done = world.run(["run", "--rm", "probe", "true"], { env: { VITRINE_HELPER: "/no/such/helper" } });
  assert.equal(done.status, 125);
  assert.match(done.stderr, /helper/);
});
