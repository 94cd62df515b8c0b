/** `ps --format json`: podman's keys, with values of the same kinds; podman is asked where it is there. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld, until } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, isRoot } from "./support.ts";

const world = makeRunWorld("ps-json");
const storage = path.join(world.directory, "podman");
const usable = isRoot && findProgram("podman") !== undefined && findProgram("runc") !== undefined;
after(async () => {
  world.run(["rm", "--all", "--force", "--volumes"]);
  if (usable) podman("rm", "--all", "--force", "--time", "0");
  await world[Symbol.asyncDispose]();
});

type Row = Readonly<Record<string, unknown>>;

function podman(...args: readonly string[]) {
  const places = [
    ...["--root", `${storage}/root`, "--runroot", `${storage}/run`, "--tmpdir", `${storage}/tmp`],
    // Overlay is a mount of its directory over itself, which stays.
    ...["--storage-driver", "vfs"],
  ];
  return spawnSync("podman", [...places, "--runtime", "runc", ...args], { encoding: "utf8" });
}

/** Those of podman 5.8. */
const keys = [
  ...[
    "AutoRemove",
    "CIDFile",
    "Command",
    "Created",
    "CreatedAt",
    "ExitCode",
    "Exited",
    "ExitedAt",
    "ExposedPorts",
  ],
  ...[
    "Id",
    "Image",
    "ImageID",
    "IsInfra",
    "Labels",
    "Mounts",
    "Names",
    "Namespaces",
    "Networks",
    "Pid",
    "Pod",
  ],
  ...["PodName", "Ports", "Restarts", "Size", "StartedAt", "State", "Status"],
];

/** One that runs, one that ended, one that was not started. */
const containers: readonly (readonly string[])[] = [
  [
    ...["run", "-d", "--name", "one", "--label", "a=b", "-v", "data:/data", "--restart", "on-failure:2"],
    ...["probe", "sleep", "1000"],
  ],
  ["run", "--name", "two", "probe", "sh", "-c", "exit 3"],
  ["create", "--name", "three", "probe", "true"],
];

/** Seconds; the clock may be set a little meanwhile. */
const began = Math.floor(Date.now() / 1000) - 2;
const networked = ([verb, ...rest]: readonly string[]) => [verb!, "--network", "none", ...rest];
for (const [at, command] of containers.entries()) {
  // They are told apart by the date.
  while ([...ours().values()].some(({ Created }) => Number(Created) >= Math.floor(Date.now() / 1000))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const done = world.run(networked(command));
  assert.equal(done.status, at === 1 ? 3 : 0, done.stderr);
}

function ours(...flags: readonly string[]): ReadonlyMap<string, Row> {
  return byName(world.run(["ps", "--all", ...flags, "--format", "json"]).stdout);
}

function byName(text: string): ReadonlyMap<string, Row> {
  return new Map((JSON.parse(text) as Row[]).map((row) => [(row["Names"] as string[])[0]!, row]));
}

test("the keys of podman, each with what is true of the container", () => {
  const rows = ours();
  assert.deepEqual([...rows.keys()], ["three", "two", "one"], "the newest first");
  const now = Math.ceil(Date.now() / 1000) + 2;
  for (const row of rows.values()) {
    assert.deepEqual(Object.keys(row).sort(), keys);
    assert.match(String(row["Id"]), /^[0-9a-f]{64}$/);
    assert.match(String(row["ImageID"]), /[0-9a-f]{64}$/);
    assert.ok(Number(row["Created"]) >= began && Number(row["Created"]) <= now);
    assert.match(String(row["CreatedAt"]), / ago$/);
    const nothing = [
      "CIDFile",
      "ExposedPorts",
      "IsInfra",
      "Namespaces",
      "Networks",
      "Pod",
      "PodName",
      "Ports",
      "Size",
    ];
    assert.deepEqual(
      nothing.map((key) => row[key]),
      ["", null, false, {}, [], "", "", null, null],
    );
  }
  const never = -62_135_596_800;
  const of = (name: string, ...wanted: readonly string[]) => wanted.map((key) => rows.get(name)![key]);
  const ended = ["State", "Exited", "ExitCode", "Restarts", "AutoRemove", "Command", "Mounts"];
  assert.deepEqual(of("one", ...ended, "Labels", "ExitedAt"), [
    ...["running", false, 0, 0, false, ["sleep", "1000"], ["/data"], { a: "b" }, never],
  ]);
  assert.deepEqual(of("two", ...ended, "Pid"), ["exited", true, 3, 0, false, ["sh", "-c", "exit 3"], [], 0]);
  assert.deepEqual(of("three", ...ended, "Pid", "StartedAt", "ExitedAt", "Status"), [
    ...["created", false, 0, 0, false, ["true"], [], 0, never, never, "Created"],
  ]);
  const [pid, started] = of("one", "Pid", "StartedAt");
  assert.match(fs.readFileSync(`/proc/${pid}/cmdline`, "latin1"), /^sleep\0/);
  assert.ok(Number(started) >= began && Number(started) <= now);
  const [exited, status] = of("two", "ExitedAt", "Status");
  assert.ok(Number(exited) >= began && Number(exited) <= now);
  assert.match(String(status), /^Exited \(3\) .* ago$/);
});

test("Restarts counts, AutoRemove tells of --rm, Size is there with --size", async () => {
  const flags = ["--network", "none"];
  world.run(["run", "-d", "--rm", "--name", "passing", ...flags, "probe", "sleep", "1000"]);
  world.run(["run", "-d", "--name", "again", "--restart", "on-failure:1", ...flags, "probe", "false"]);
  assert.equal(world.run(["wait", "--condition", "exited", "again"]).status, 0);
  world.run(["run", "--name", "writes", ...flags, "probe", "sh", "-c", "head -c 5000 /dev/zero >/file"]);
  await until(() => (ours().get("again")!["Restarts"] === 1 ? true : undefined), "another run");
  const rows = ours("--size");
  assert.deepEqual([rows.get("passing")!["AutoRemove"], rows.get("again")!["AutoRemove"]], [true, false]);
  const size = rows.get("writes")!["Size"] as { rootFsSize: number; rwSize: number };
  assert.deepEqual(Object.keys(size).sort(), ["rootFsSize", "rwSize"]);
  assert.ok(
    size.rwSize >= 5000 && size.rwSize < 20_000 && size.rootFsSize > size.rwSize,
    JSON.stringify(size),
  );
  world.run(["rm", "-f", "passing", "again", "writes"]);
});

test("podman says the same", (t) => {
  if (!usable) return cannotRun(t, "podman with runc, as root, is the witness");
  assert.equal(podman("import", "-q", path.join(fixtures, "probe.tar"), "probe").status, 0);
  const limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=20000:20000"];
  for (const [at, command] of containers.entries()) {
    const [verb, ...rest] = networked(command);
    const done = podman(verb!, ...(verb === "run" ? limits : []), ...rest);
    assert.equal(done.status, at === 1 ? 3 : 0, done.stderr);
  }
  const theirs = byName(podman("ps", "--all", "--format", "json").stdout);
  const mine = ours();
  const kind = (value: unknown): string =>
    value === null ? "null" : Array.isArray(value) ? "list" : typeof value;
  for (const [name, row] of theirs) {
    for (const [key, value] of Object.entries(row)) {
      const found = mine.get(name)?.[key];
      // Without labels podman has null; what has no labels is a mapping here as well.
      if (key !== "Labels") assert.equal(kind(found), kind(value), `${name}: ${key}`);
    }
    for (const key of [
      "Command",
      "Exited",
      "ExitCode",
      "ExitedAt",
      "Mounts",
      "Names",
      "State",
      "AutoRemove",
    ]) {
      // When it ended is another second.
      const last = key === "ExitedAt" && Number(row[key]) > 0;
      if (!last) assert.deepEqual(mine.get(name)?.[key], row[key], `${name}: ${key}`);
    }
  }
  assert.equal(theirs.size, containers.length);
});
