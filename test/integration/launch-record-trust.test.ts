/** What a launch record may be trusted with: that it holds all that was looked at, what damage does to it, and a killed start. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import {
  assertGone,
  launches,
  readRecord,
  recordFiles,
  settle,
  straced,
  warmUp,
  withoutEngine,
} from "./launch-record-support.ts";
import { makeRunWorld } from "./run-support.ts";
import { isRoot } from "./support.ts";

const world = makeRunWorld("launch-trust");
after(async () => {
  await world[Symbol.asyncDispose]();
});
// Makes RUNROOT: before it is there nothing is counted.
world.run(["run", "--rm", "--quiet", "probe", "true", "first"]);
settle();

/** What the engine's runtime reads for itself, before our first line or to size its heap: no decision comes from it. */
const runtimeOwn: readonly RegExp[] = [
  /^\/etc\/ld\.so\.(?:preload|cache)$/,
  /^(?:\/usr)?\/lib(?:64)?\//,
  /^\/proc\/self\/(?:maps|statm|exe)$/,
  /^\/proc\/sys\/vm\/(?:overcommit_memory|mmap_min_addr)$/,
  /^\/sys\/kernel\/mm\/transparent_hugepage\/enabled$/,
  /^\/sys\/devices\/system\/node\/node\d+$/,
  /^\/sys\/devices\/system\/cpu\/online$/,
  /^\/proc\/self\/cgroup$/,
  /^\/sys\/fs\/cgroup.*\/(?:cpu\.cfs_quota_us|cpu\.cfs_period_us|cpu\.max|memory\.(?:max|high|(?:soft_)?limit_in_bytes))$/,
  /^\/etc\/localtime$/,
  // The limits are in the key.
  /^\/proc\/self\/limits$/,
];

const commands: Readonly<Record<string, readonly string[]>> = {
  plain: ["run", "--rm", "--quiet", "probe", "true"],
  "in the background": ["run", "-d", "--label", "a=b", "probe", "sleep", "1"],
  options: [
    ...["run", "--rm", "--quiet", "--network", "host", "-v", "/usr:/host:ro", "--tmpfs", "/t", "-w", "/new"],
    ...["-u", "other", "--read-only", "--hostname", "box", "--init", "probe", "true"],
  ],
  ...(isRoot
    ? {
        "as root": [
          ...["run", "--rm", "--quiet", "--memory", "100m", "--userns", "private", "--device", "/dev/fuse"],
          ...["probe", "true"],
        ],
      }
    : {}),
  "start in the foreground": ["start", "-a", "kept"],
  start: ["start", "kept"],
  exec: ["exec", "kept", "true"],
};

/** What must be there first; what must be done before it can be done again. */
const settings: Readonly<
  Record<string, { readonly make: readonly string[]; readonly again?: readonly string[] }>
> = {
  "start in the foreground": { make: ["create", "--name", "kept", "-v", "some:/data", "probe", "true"] },
  start: { make: ["create", "--name", "kept", "probe", "sleep", "1000"], again: ["stop", "-t", "0", "kept"] },
  exec: { make: ["run", "-d", "--name", "kept", "probe", "sleep", "1000"] },
};

for (const [name, command] of Object.entries(commands)) {
  test(`every path that the engine looks at is noted: ${name}`, (t) => {
    const setting = settings[name];
    if (setting !== undefined) assert.equal(world.run(setting.make).status, 0);
    world.run(command);
    const again = setting === undefined ? ["rm", "-f", "--all"] : setting.again;
    if (again !== undefined) assert.equal(world.run(again).status, 0);
    // It may have unpacked layers.
    settle();
    const before = new Set(recordFiles(world));
    // The environment of a traced command is the same, so the second start is the one that is noted.
    const traced = straced(world, t, ["-e", "trace=%file"], command);
    if (traced === undefined) return;
    assert.equal(traced.done.status, 0, traced.done.stderr.toString());
    const [file] = recordFiles(world).filter((one) => !before.has(one));
    assert.ok(file, "no record was kept");
    const { notes: found, values } = readRecord(fs.readFileSync(file));
    const notes = found.map(({ kind, texts }) => ({
      kind,
      texts: texts.map((text) => text.replace(/<(\d+)>/g, (_, index) => values[Number(index)]!.value)),
    }));
    const noted = new Set(notes.flatMap(({ texts }) => texts));
    const lines = traced.trace.split("\n");
    const start = lines.findIndex((line) => line.includes("execve(") && line.includes("/vitrine-engine"));
    const end = lines.findIndex((line) => line.includes("execve(") && line.includes("/vitrine-helper"));
    assert.ok(start > 0 && end > start + 50, "the trace has an engine");
    const [, pid] = /\.(\d+)-\d+-\d+-[0-9a-f]+\.tmp/.exec(traced.trace) ?? [];
    assert.ok(pid, "a temporary has the engine's pid");
    const parent = lines
      .slice(start, end)
      .flatMap((line) => /"\/proc\/(\d+)\/limits"/.exec(line)?.[1] ?? [])[0];
    // The processes and the containers of facts that are told as wholes.
    const whole = new Set([`/proc/${pid}/stat`]);
    for (const { kind, texts } of notes) {
      if (kind === 8) whole.add(`/proc/${texts[0]}/stat`);
      for (const type of kind === 12 ? ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] : [])
        for (const directory of [texts[0], "/proc/self/ns"]) whole.add(`${directory}/${type}`);
    }
    const ids = fs.existsSync(path.join(world.runroot, "containers"))
      ? fs.readdirSync(path.join(world.runroot, "containers"))
      : [];
    for (const id of notes.some(({ kind }) => kind === 6) ? ids : []) {
      for (const one of [".", "frozen-by", "monitor"])
        whole.add(path.join(world.runroot, "containers", id, one));
      const monitor = path.join(world.runroot, "containers", id, "monitor");
      if (fs.existsSync(monitor)) whole.add(`/proc/${fs.readFileSync(monitor, "utf8").split(" ")[0]}/stat`);
    }
    const missing = lines
      .slice(start + 1, end)
      .filter((line) => line.includes("(") && !line.startsWith("getcwd("))
      // AT_EMPTY_PATH: of a descriptor, whose opening is a line of its own. A link's text is no path.
      .filter((line) => !/^\w+\(\d+, ""/.test(line))
      .map((line) => /^(?:symlink\("[^"]*", |\w+\((?:AT_FDCWD, )?)"([^"]+)"/.exec(line)?.[1] ?? line)
      .filter((one) => !whole.has(one))
      .map((one) =>
        one
          .replace(`/proc/${pid}/`, "/proc/<PID>/")
          .replace(`/proc/${parent}/`, "/proc/<PARENT>/")
          .replace(/\b[0-9a-f]{64}\b/, (id) =>
            setting === undefined && one.includes(`containers/${id}`) ? "<ID>" : id,
          )
          .replace(/\.\d+-\d+-\d+-[0-9a-f]+\.tmp/g, "<TEMPORARY>")
          .replace(/(\/root\/names\/)[a-z_]+$/, (text, names: string) =>
            setting === undefined ? `${names}<NAME>` : text,
          ),
      )
      .filter((one) => !noted.has(one) && !runtimeOwn.some((pattern) => pattern.test(one)))
      .filter((one) => !one.startsWith(launches(world)));
    assert.deepEqual([...new Set(missing)], []);
    world.run(["rm", "-f", "--all"]);
  });
}

test("a start that is killed at any step leaves nothing that the next command does not remove", (t) => {
  const command = ["run", "--rm", "--quiet", "probe", "true"];
  warmUp(world, () => world.run(command));
  const killed: string[] = [];
  for (const call of ["mkdir", "open", "write", "renameat2", "symlink", "utimensat"]) {
    // strace counts each call by itself.
    for (let count = 1; count < 100; count++) {
      const traced = straced(
        world,
        t,
        ["-e", `trace=${call},execve`, "-e", `inject=${call}:signal=SIGKILL:when=${count}`],
        command,
      );
      if (traced === undefined) return;
      const ended = /execve\("[^"]*vitrine-helper"/.test(traced.trace);
      if (!ended) killed.push(`${call} ${count}`);
      assert.equal(world.run(["ps", "-a", "-q"]).stdout, "", `${call} ${count}`);
      assertGone(world);
      if (ended) break;
    }
  }
  assert.ok(killed.length > 40, killed.join());
  assert.ok(
    killed.includes("mkdir 5") && killed.includes("write 5") && killed.includes("renameat2 1"),
    killed.join(),
  );
  assert.ok(withoutEngine(world, () => assert.equal(world.run(command).status, 0)));
});

test("a step that fails is taken back, and the engine does it all", (t) => {
  const command = ["run", "--rm", "--quiet", "probe", "echo", "done"];
  for (const call of ["mkdir", "write", "renameat2", "symlink", "utimensat", "setrlimit"]) {
    for (const count of [1, 2, 5]) {
      // The engine may have noted its own start, with a pid that happens to stand elsewhere too: then the record is no longer sure.
      warmUp(world, () => world.run(command));
      // Only in the launcher: the engine's own calls come later.
      const traced = straced(
        world,
        t,
        ["-e", `trace=${call}`, "-e", `inject=${call}:error=ENOSPC:when=${count}`],
        command,
      );
      if (traced === undefined) return;
      assert.deepEqual(
        [traced.done.status, traced.done.stdout.toString()],
        [0, "done\n"],
        `${call} ${count}`,
      );
      assertGone(world);
    }
  }
});

test("a record that is damaged, somebody else's, or no file is left alone", () => {
  const command = ["run", "--rm", "--quiet", "probe", "echo", "intact"];
  const fresh = (): string => {
    for (const file of recordFiles(world)) fs.rmSync(file);
    fs.rmSync(path.join(launches(world), "seen"), { force: true });
    warmUp(world, () => world.run(command));
    return recordFiles(world)[0]!;
  };
  const file = fresh();
  const whole = fs.readFileSync(file);
  const works = (what: string) => {
    const done = world.run(command);
    assert.deepEqual([done.status, done.stdout, done.stderr], [0, "intact\n", ""], what);
  };
  const replace = (
    bytes: Uint8Array | undefined,
    how: () => void = () => fs.writeFileSync(file, bytes!, { mode: 0o600 }),
  ) => {
    fs.rmSync(file, { recursive: true, force: true });
    // As if it had come often: no new record is asked for.
    fs.rmSync(path.join(launches(world), "seen"), { force: true });
    how();
  };
  for (let i = 0; i < 40; i++) {
    const bytes = Uint8Array.from(whole);
    const at = i < 20 ? i * 2 : (i * 7919) % bytes.length;
    bytes[at]! ^= 1 << (i % 8);
    replace(bytes);
    works(`a bit at ${at}`);
  }
  for (const size of [0, 10, 255, 256, 300, whole.length - 1]) {
    replace(whole.subarray(0, size));
    works(`${size} bytes`);
  }
  replace(Buffer.concat([whole, Buffer.from("x")]));
  works("a byte more");
  const elsewhere = path.join(world.directory, "elsewhere");
  fs.writeFileSync(elsewhere, whole, { mode: 0o600 });
  const refused: Readonly<Record<string, () => void>> = {
    "a link": () => fs.symlinkSync(elsewhere, file),
    "another name": () => fs.linkSync(elsewhere, file),
    "a directory": () => fs.mkdirSync(file),
    "a FIFO": () => assert.equal(spawnSync("mkfifo", [file]).status, 0),
    "open to others": () => {
      fs.writeFileSync(file, whole);
      fs.chmodSync(file, 0o644);
    },
    ...(isRoot
      ? {
          "of another user": () => {
            fs.writeFileSync(file, whole, { mode: 0o600 });
            fs.chownSync(file, 65534, 65534);
          },
        }
      : {}),
  };
  for (const [what, make] of Object.entries(refused)) {
    replace(undefined, make);
    assert.ok(!withoutEngine(world, () => works(what)), what);
  }
  replace(whole);
  world.run(["run", "--rm", "--quiet", "probe", "true"]);
  assert.ok(withoutEngine(world, () => works("the record again")));
  fs.chmodSync(launches(world), 0o755);
  works("a directory that is open to others");
  fs.chmodSync(launches(world), 0o700);
  assert.ok(withoutEngine(world, () => works("the record again")));
});

test("it can be turned off", () => {
  const command = ["run", "--rm", "--quiet", "probe", "echo", "off"];
  for (const file of recordFiles(world)) fs.rmSync(file);
  for (let i = 0; i < 5; i++) world.run(command, { env: { VITRINE_LAUNCH_RECORD: "0" } });
  assert.deepEqual(recordFiles(world), []);
});

test("the environment cannot name a record, and the container sees nothing of it", () => {
  const file = path.join(world.directory, "planted");
  const env = { VITRINE_LAUNCH_FILE: file, VITRINE_LAUNCH_ID: "x" };
  for (let i = 0; i < 4; i++) {
    const done = world.run(["run", "--rm", "--quiet", "--env-host", "probe", "env"], { env });
    assert.equal(done.status, 0, done.stderr);
    assert.doesNotMatch(done.stdout, /VITRINE_LAUNCH_/);
  }
  assert.ok(!fs.existsSync(file));
});
