/** SELinux, with a policy of our own (selinux.conf): labels of processes and mounts, and that they hold. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, test } from "node:test";
import {
  bundle,
  type Config,
  call,
  output,
  refused,
  run,
  start,
  state,
  succeeded,
} from "../conformance/runtime/support.ts";
import { makeRunWorld, type RunWorld } from "../integration/run-support.ts";

const caller = "system_u:system_r:kernel_t:s0-s0:c0.c3";
const label = "system_u:system_r:container_t:s0:c1,c2";
const other = "system_u:system_r:other_t:s0";
const files = "system_u:object_r:container_file_t:s0:c1,c2";
const own = "tr -d '\\000' </proc/self/attr/current";
const asked = ["--security-opt", "label=type:container_t", "--security-opt", "label=level:s0:c1,c2"];

let world: RunWorld;
before(() => {
  const policy = "/tmp/vt-policy";
  const source = path.join(import.meta.dirname, "selinux.conf");
  const made = spawnSync("checkpolicy", ["-M", "-U", "allow", "-c", "33", "-o", policy, source], {
    encoding: "utf8",
  });
  assert.equal(made.status, 0, made.stdout + made.stderr);
  fs.writeFileSync("/sys/fs/selinux/load", fs.readFileSync(policy));
  fs.writeFileSync("/sys/fs/selinux/enforce", "1");
  world = makeRunWorld("selinux");
});
after(async () => {
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

const labelOfFile = (file: string): string => {
  const done = spawnSync("stat", ["-c", "%C", file], { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.trim();
};

test("a container has its caller's label, or the one that is asked for", () => {
  assert.equal(world.sh([], own), caller);
  assert.equal(world.sh(asked, own), label);
  assert.equal(world.sh([...asked, "--security-opt", "no-new-privileges"], own), label);
  assert.equal(world.sh(["--security-opt", "label=disable"], own), caller);
  assert.equal(world.sh(["--privileged", ...asked], own), caller);
});

test("a label that the policy does not know is refused", () => {
  const done = world.probe(["--security-opt", "label=type:nobody_t"], "true");
  assert.equal(done.status, 125);
  assert.match(done.stderr, /cannot use the SELinux label "system_u:system_r:nobody_t:s0"/);
});

test("what the policy denies is denied, to the type and to the level; why finds the label", () => {
  const type = path.join(world.directory, "private");
  const level = path.join(world.directory, "other-level");
  for (const [file, context] of [
    [type, "system_u:object_r:private_t:s0"],
    [level, "system_u:object_r:container_file_t:s0:c3"],
  ] as const) {
    fs.writeFileSync(file, "secret\n");
    assert.equal(spawnSync("chcon", [context, file]).status, 0);
    const flags = ["-v", `${file}:/secret`];
    const refusedTo = world.probe([...asked, ...flags], "cat", "/secret");
    assert.notEqual(refusedTo.status, 0);
    assert.match(refusedTo.stderr, /Permission denied/);
    assert.equal(world.sh(flags, "cat /secret"), "secret");
  }
  const made = world.run([
    "create",
    "--name",
    "asked",
    ...asked,
    "-v",
    `${type}:/secret`,
    "probe",
    "cat",
    "/secret",
  ]);
  assert.equal(made.status, 0, made.stderr);
  const why = world.run(["why", "--format", "json", "asked"]);
  const causes = JSON.parse(why.stdout).causes as { restrictions: { item: string; flag: string }[] }[];
  const found = causes.map(({ restrictions }) => restrictions.map(({ item, flag }) => `${item}: ${flag}`));
  assert.deepEqual(found, [[`SELinux label ${label}: --security-opt label=disable`]], why.stdout);
  world.run(["rm", "asked"]);
});

test("exec has the container's label; inspect and explain show it", () => {
  const begin = world.run(["run", "-d", "--name", "held", ...asked, "probe", "sleep", "1000"]);
  assert.equal(begin.status, 0, begin.stderr);
  try {
    assert.equal(world.run(["exec", "held", "sh", "-c", own]).stdout, label);
    assert.equal(world.run(["inspect", "--format", "{{.ProcessLabel}}", "held"]).stdout, `${label}\n`);
    const shown = world.run(["explain", "--format", "json", "held"]);
    const rows = JSON.parse(shown.stdout).rows as { what: string; state: string; now: string }[];
    const row = rows.find(({ what }) => what === "SELinux label");
    assert.deepEqual([row?.state, row?.now], ["same", label]);
  } finally {
    world.run(["rm", "-f", "held"]);
  }
});

const labelled = (config: Config): void => {
  config.process.selinuxLabel = label;
  config.linux.mountLabel = files;
};

test("vitrine-runtime: process.selinuxLabel and linux.mountLabel, in exec as well, and another for exec", () => {
  assert.equal(output(own, labelled), label);
  const directory = bundle("sleep 1000", (config, at) => {
    labelled(config);
    for (const name of ["low", "high", "work"]) fs.mkdirSync(path.join(at, name));
    const options = ["low", "high", "work"].map(
      (name, index) => `${["lowerdir", "upperdir", "workdir"][index]}=${path.join(at, name)}`,
    );
    config.mounts.push({ destination: "/over", type: "overlay", source: "overlay", options });
  });
  const id = start(directory);
  const root = `/proc/${state(id).pid}/root`;
  for (const mount of ["/dev", "/dev/shm", "/dev/pts", "/dev/null", "/over"])
    assert.equal(labelOfFile(root + mount), files, mount);
  assert.notEqual(labelOfFile(`${root}/bin`), files);
  assert.equal(succeeded(call(["exec", id, "/bin/sh", "-c", own])).stdout, label);
  assert.equal(succeeded(call(["exec", "--process-label", other, id, "/bin/sh", "-c", own])).stdout, other);
  refused(call(["exec", "--process-label", "system_u:system_r:nobody_t:s0", id, "/bin/true"]));
  const wrong = run("true", (config) => {
    config.process.selinuxLabel = "nonsense";
  });
  refused(wrong);
  assert.match(wrong.stderr, /SELinux label .*nonsense/);
});
