/** The systemd driver against systemd: containers are transient scopes that it knows, limits, and forgets. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld, until } from "../integration/run-support.ts";
import { fixtures, isRoot, type Result, repository } from "../integration/support.ts";

const user = process.getuid?.() ?? 0;
const managed = isRoot ? "" : `/user.slice/user-${user}.slice/user@${user}.service`;
const slice = isRoot ? "machine.slice" : "user.slice";
const session = {
  XDG_RUNTIME_DIR: process.env["XDG_RUNTIME_DIR"],
  DBUS_SESSION_BUS_ADDRESS: process.env["DBUS_SESSION_BUS_ADDRESS"],
};
const world = makeRunWorld("scope");
after(async () => {
  world.run(["rm", "--all", "--force"], { env: session });
  await world[Symbol.asyncDispose]();
});

function good(done: Result): string {
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.replace(/\n$/, "");
}
const vitrine = (...args: readonly string[]): string => good(world.run(args, { env: session }));
const inspect = (name: string, field: string): string => vitrine("inspect", "-f", `{{${field}}}`, name);

function systemctl(...words: readonly string[]): string {
  const done = spawnSync("systemctl", [...(isRoot ? [] : ["--user"]), ...words], { encoding: "utf8" });
  return done.stdout.trim();
}
const show = (unit: string, property: string): string => systemctl("show", "-P", property, unit);
const units = (): string => systemctl("list-units", "--all", "--plain", "--no-legend", "vitrine-*.scope");

test("a container is a scope of its own, with its limits in it, and nothing of it stays", async () => {
  const id = vitrine(
    "run",
    "-d",
    "-q",
    "--name",
    "web",
    "-m",
    "64m",
    "--pids-limit",
    "33",
    "probe",
    "sleep",
    "1000",
  );
  const unit = `vitrine-${id}.scope`;
  assert.equal(show(unit, "ActiveState"), "active");
  assert.equal(show(unit, "ControlGroup"), `${managed}/${slice}/${unit}`);
  assert.equal(show(unit, "Slice"), slice);
  assert.equal(show(unit, "Delegate"), "yes");
  assert.equal(show(unit, "MemoryMax"), String(64 << 20));
  assert.equal(show(unit, "TasksMax"), "33");
  const pid = inspect("web", ".State.Pid");
  assert.equal(fs.readFileSync(`/proc/${pid}/cgroup`, "utf8").trim(), `0::${managed}/${slice}/${unit}`);
  const directory = `/sys/fs/cgroup${managed}/${slice}/${unit}`;
  assert.equal(inspect("web", ".State.CgroupPath"), directory);
  assert.equal(fs.readFileSync(`${directory}/memory.max`, "utf8").trim(), String(64 << 20));
  assert.equal(vitrine("exec", "web", "cat", "/proc/self/cgroup"), "0::/");
  assert.equal(fs.readFileSync(`${directory}/pids.max`, "utf8").trim(), "33");
  vitrine("rm", "-f", "web");
  await until(() => (fs.existsSync(directory) ? undefined : true), "the end of the cgroup");
  await until(() => (units().includes(id) ? undefined : true), "the end of its units");
});

test("new limits are systemd's as well: they stay when it reads its units again", () => {
  const id = vitrine("run", "-d", "-q", "--name", "web", "-m", "64m", "probe", "sleep", "1000");
  const file = `${inspect("web", ".State.CgroupPath")}/memory.max`;
  vitrine("update", "-m", "96m", "web");
  assert.equal(fs.readFileSync(file, "utf8").trim(), String(96 << 20));
  assert.equal(show(`vitrine-${id}.scope`, "MemoryMax"), String(96 << 20));
  systemctl("daemon-reload");
  assert.equal(fs.readFileSync(file, "utf8").trim(), String(96 << 20));
  vitrine("restart", "-t", "0", "web");
  assert.equal(fs.readFileSync(file, "utf8").trim(), String(96 << 20));
  vitrine("rm", "-f", "web");
});

test("who is killed for want of memory leaves no failed unit", async () => {
  const done = world.run(
    ["run", "--rm", "-q", "-m", "16m", "--memory-swap", "16m", "probe", "tail", "/dev/zero"],
    {
      env: session,
    },
  );
  assert.equal(done.status, 137, done.stderr);
  await until(() => (units() === "" ? true : undefined), "the end of all units");
});

test("a slice of the user's choice, and none where cgroups are made without systemd", () => {
  const parent = vitrine(
    "run",
    "--rm",
    "-q",
    "--cgroup-parent",
    "vt-batch.slice",
    "--cgroupns",
    "host",
    "probe",
    "cat",
    "/proc/self/cgroup",
  );
  assert.match(parent, new RegExp(`^0::${managed}/vt.slice/vt-batch.slice/vitrine-[0-9a-f]{64}.scope$`));
  const refused = world.run(["run", "--rm", "-q", "--cgroup-parent", "/batch", "probe", "true"], {
    env: session,
  });
  assert.equal(refused.status, 125);
  assert.match(refused.stderr, /is no slice/);
  if (!isRoot) return;
  const plain = [
    "--cgroup-manager",
    "cgroupfs",
    "run",
    "--rm",
    "-q",
    "--cgroupns",
    "host",
    "probe",
    "cat",
    "/proc/self/cgroup",
  ];
  assert.match(good(world.run(plain)), /^0::\/vitrine\/[0-9a-f]{64}$/);
});

test("a scope that cannot be had is an error that names it, and leaves nothing", () => {
  const nowhere = {
    ...session,
    DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent",
    XDG_RUNTIME_DIR: "/nonexistent",
  };
  const done = world.run(["--cgroup-manager", "systemd", "run", "--rm", "-q", "probe", "true"], {
    env: { ...nowhere, VITRINE_RUNROOT: `${world.directory}/run` },
  });
  // Root asks the machine's systemd, which does not hang on the caller's environment.
  assert.equal(done.status, isRoot ? 0 : 125);
  if (!isRoot) assert.match(done.stderr, /no systemd that could make/);
  assert.equal(vitrine("ps", "-aq"), "");
});

test("vitrine-runtime --systemd-cgroup: SLICE:PREFIX:NAME, and runc's names without one", async () => {
  const bundle = path.join(world.directory, "bundle");
  fs.mkdirSync(path.join(bundle, "rootfs"), { recursive: true });
  const untar = spawnSync("tar", [
    "-xf",
    path.join(fixtures, "probe.tar"),
    "-C",
    path.join(bundle, "rootfs"),
    "--no-same-owner",
  ]);
  assert.equal(untar.status, 0, String(untar.stderr));
  const program = path.join(repository, "dist/vitrine-runtime");
  const runtime = (...words: readonly string[]): Result => {
    const done = spawnSync(
      program,
      ["--root", path.join(world.directory, "state"), "--systemd-cgroup", ...words],
      {
        env: { ...process.env, ...session },
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    return { status: done.status, signal: done.signal, stdout: done.stdout, stderr: done.stderr };
  };
  good(runtime("spec", "--bundle", bundle, ...(isRoot ? [] : ["--rootless"])));
  const file = path.join(bundle, "config.json");
  const config = JSON.parse(fs.readFileSync(file, "utf8")) as {
    process: { args: string[]; terminal: boolean };
    linux: { cgroupsPath?: string; resources?: object };
  };
  config.process.args = ["sleep", "1000"];
  config.process.terminal = false;
  config.linux.resources = { ...config.linux.resources, pids: { limit: 9 } };
  for (const [wanted, unit] of [
    [undefined, "vitrine-vtscope.scope"],
    [`${slice}:cri:vt1`, "cri-vt1.scope"],
  ] as const) {
    if (wanted === undefined) delete config.linux.cgroupsPath;
    else config.linux.cgroupsPath = wanted;
    fs.writeFileSync(file, JSON.stringify(config));
    const made = spawnSync(
      program,
      [
        "--root",
        path.join(world.directory, "state"),
        "--systemd-cgroup",
        "run",
        "--detach",
        "--bundle",
        bundle,
        "vtscope",
      ],
      { env: { ...process.env, ...session }, stdio: "ignore" },
    );
    assert.equal(made.status, 0);
    assert.equal(show(unit, "ActiveState"), "active");
    assert.equal(show(unit, "TasksMax"), "9");
    good(runtime("update", "--pids-limit", "11", "vtscope"));
    assert.equal(show(unit, "TasksMax"), "11");
    good(runtime("pause", "vtscope"));
    good(runtime("resume", "vtscope"));
    good(runtime("delete", "--force", "vtscope"));
    await until(() => (show(unit, "ActiveState") === "inactive" ? true : undefined), "the end of the scope");
  }
  config.linux.cgroupsPath = "/plain/path";
  fs.writeFileSync(file, JSON.stringify(config));
  const refused = runtime("create", "--bundle", bundle, "vtscope");
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /SLICE:PREFIX:NAME/);
});
