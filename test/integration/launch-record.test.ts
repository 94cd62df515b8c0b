/** Starts that are repeated without the engine: the same as those with it, and never where something changed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import {
  assertGone,
  leveled,
  readRecord,
  recordFiles,
  same,
  settle,
  warmUp,
  withoutEngine,
} from "./launch-record-support.ts";
import { makeRunWorld, until } from "./run-support.ts";
import { fixtures, isRoot, type Result } from "./support.ts";

const world = makeRunWorld("launch");
after(async () => {
  await world[Symbol.asyncDispose]();
});
settle();

const off = { env: { VITRINE_LAUNCH_RECORD: "0" } };
const foreground = (script: string): readonly string[] => [
  "run",
  "--rm",
  "--quiet",
  "probe",
  "sh",
  "-c",
  script,
];

test("what a container sees is the same", () => {
  const script = [
    "hostname; id; pwd; umask; env | sort; ulimit -a; cat /proc/self/cgroup",
    "cat /etc/hostname /etc/hosts /etc/resolv.conf; ls -A /; ls -la /dev /etc",
    "grep -E '^(Name|Uid|Gid|Groups|Cap|Sig[PBIC]|Shd|NoNew|Seccomp|Umask)' /proc/self/status",
    "cut -d' ' -f 4- /proc/self/mountinfo | sed 's/overlay .*//'",
    "ls -l /proc/self/fd; cat /proc/self/oom_score_adj; cat /proc/1/cmdline",
    "echo to stderr >&2; exit 7",
  ].join("; ");
  const command = foreground(script);
  warmUp(world, () => world.run(command));
  let repeated: Result | undefined;
  assert.ok(withoutEngine(world, () => (repeated = world.run(command))));
  assert.equal(repeated!.status, 7);
  assert.match(repeated!.stderr, /to stderr/);
  same(world.run(command, off), repeated!);
});

test("its ids are its own, and it leaves nothing", async () => {
  const command = foreground("hostname");
  warmUp(world, () => world.run(command));
  const names = new Set<string>();
  for (let i = 0; i < 5; i++) {
    assert.ok(withoutEngine(world, () => names.add(world.run(command).stdout)));
  }
  assert.equal(names.size, 5);
  for (const name of names) assert.match(name, /^(?!\d{12})[0-9a-f]{12}\n$/);
  assertGone(world);
});

test("stdin, stdout and stderr are the caller's", () => {
  const command = ["run", "--rm", "--quiet", "-i", "probe", "sh", "-c", "cat; echo e >&2"];
  warmUp(world, () => world.run(command, { input: "x" }));
  const done = world.run(command, { input: "some input" });
  assert.deepEqual([done.status, done.stdout, done.stderr], [0, "some input", "e\n"]);
});

test("statuses and messages of failures are the same", () => {
  for (const words of [["no-such-program"], ["/etc/passwd"], ["sh", "-c", "exit 3"]]) {
    const command = ["run", "--rm", "--quiet", "probe", ...words];
    warmUp(world, () => world.run(command));
    let repeated: Result | undefined;
    assert.ok(
      withoutEngine(world, () => (repeated = world.run(command))),
      words.join(" "),
    );
    same(world.run(command, off), repeated!);
    assert.notEqual(repeated!.status, 0);
  }
});

test("what is kept of a container in the background is the same", async () => {
  const command = ["run", "-d", "--label", "a=b", "probe", "sh", "-c", "echo said; exec sleep 1000"];
  const ids: string[] = [];
  const start = (options = {}): string => {
    const done = world.run(command, options);
    assert.equal(done.status, 0, done.stderr);
    const id = done.stdout.trim();
    assert.match(id, /^[0-9a-f]{64}$/);
    ids.push(id);
    return id;
  };
  warmUp(world, () => start());
  let repeated = "";
  assert.ok(withoutEngine(world, () => (repeated = start())));
  const normal = start(off);
  const seen = async (id: string) => {
    await until(() => (world.run(["logs", id]).stdout === "said\n" ? true : undefined), "the log");
    const directory = path.join(world.root, "containers", id);
    const files = fs.readdirSync(directory).sort();
    const state = path.join(world.runroot, "containers", id);
    return {
      files,
      state: fs.readdirSync(state).sort(),
      modes: [...files.map((file) => path.join(directory, file)), state].map(
        (file) => fs.lstatSync(file).mode,
      ),
      texts: ["container.json", "config.json", "launch.json"].map((file) =>
        leveled(fs.readFileSync(path.join(directory, file), "utf8")),
      ),
      reasons: leveled(fs.readFileSync(path.join(state, "reasons.json"), "utf8")),
      plan: leveled(world.run(["explain", "--format", "json", id]).stdout),
      inspect: leveled(world.run(["inspect", id]).stdout),
      ps: leveled(
        world.run([
          "ps",
          "--no-trunc",
          "--filter",
          `id=${id}`,
          "--format",
          "{{.Image}} {{.Command}} {{.State}} {{.Labels}}",
        ]).stdout,
      ),
      events: leveled(
        fs
          .readFileSync(path.join(world.root, "events"), "utf8")
          .split("\n")
          .filter((line) => line.includes(id))
          .join("\n"),
      ),
    };
  };
  const [left, right] = [await seen(repeated), await seen(normal)];
  for (const key of Object.keys(left) as (keyof typeof left)[]) assert.deepEqual(left[key], right[key], key);
  const removed = world.run(["rm", "-f", ...ids]);
  assert.equal(removed.status, 0, removed.stderr);
  assertGone(world);
});

test("two at once have names of their own", async () => {
  const command = ["run", "-d", "probe", "sleep", "1000"];
  warmUp(world, () => world.run(command));
  const before = fs.readdirSync(path.join(world.root, "names")).length;
  await Promise.all(
    Array.from(
      { length: 12 },
      () =>
        new Promise<void>((resolve, reject) => {
          const child = world.start(command);
          child.on("close", (status) => (status === 0 ? resolve() : reject(new Error(`status ${status}`))));
        }),
    ),
  );
  assert.equal(fs.readdirSync(path.join(world.root, "names")).length, before + 12);
  assert.equal(world.run(["rm", "-f", "--all"]).status, 0);
  assertGone(world);
});

test("of two with one name the second is told so", () => {
  const command = ["run", "-d", "--name", "one", "probe", "sleep", "1000"];
  const remove = ["rm", "-f", "one"];
  warmUp(world, () => {
    assert.equal(world.run(command).status, 0);
    assert.equal(world.run(remove).status, 0);
  });
  assert.equal(world.run(command).status, 0);
  const second = world.run(command);
  assert.equal(second.status, 125);
  assert.match(second.stderr, /the name one is taken by container/);
  assert.equal(world.run(remove).status, 0);
});

// --- what changed ---

/** After `change` the engine is needed; what it does then is `expected`. */
function invalidated(
  command: readonly string[],
  change: () => void,
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Result {
  settle();
  warmUp(world, () => world.run(command));
  change();
  let done: Result | undefined;
  assert.ok(
    !withoutEngine(world, () => (done = world.run(command, options))),
    "the launcher did not see the change",
  );
  return done!;
}

test("an image that another name leads to", () => {
  world.run(["tag", "probe", "moving"]);
  const command = ["run", "--rm", "--quiet", "moving", "cat", "/mark"];
  const before = invalidated(command, () => {
    const tree = fs.mkdtempSync(path.join(world.directory, "other-"));
    fs.writeFileSync(path.join(tree, "mark"), "new\n");
    const built = world.run([
      "run",
      "--name",
      "builder",
      "--quiet",
      "-v",
      `${tree}:/in:ro`,
      "probe",
      "cp",
      "/in/mark",
      "/mark",
    ]);
    assert.equal(built.status, 0, built.stderr);
    assert.equal(world.run(["commit", "builder", "moving"]).status, 0);
    world.run(["rm", "builder"]);
  });
  assert.deepEqual([before.status, before.stdout], [0, "new\n"]);
});

test("an image that is gone", () => {
  world.run(["import", path.join(fixtures, "probe.tar"), "passing"]);
  const done = invalidated(["run", "--rm", "--quiet", "--pull", "never", "passing", "true"], () => {
    assert.equal(world.run(["rmi", "-f", "passing"]).status, 0);
  });
  assert.equal(done.status, 125);
  assert.match(done.stderr, /passing/);
});

test("layers that are gone", () => {
  const done = invalidated(["run", "--rm", "--quiet", "probe", "echo", "unpacked"], () => {
    const layers = path.join(world.root, "layers");
    for (const map of fs.readdirSync(layers)) {
      for (const layer of fs.readdirSync(path.join(layers, map))) {
        fs.renameSync(path.join(layers, map, layer), path.join(world.directory, `away-${map}-${layer}`));
      }
    }
  });
  assert.deepEqual([done.status, done.stdout], [0, "unpacked\n"]);
});

test("an environment, a directory, a umask", () => {
  const command = ["run", "--rm", "--quiet", "-e", "WORD", "probe", "sh", "-c", 'echo "$WORD"'];
  const done = invalidated(command, () => {}, { env: { WORD: "other" } });
  assert.deepEqual([done.status, done.stdout], [0, "other\n"]);
  const elsewhere = fs.mkdtempSync(path.join(world.directory, "cwd-"));
  invalidated(["run", "--rm", "--quiet", "probe", "true"], () => {}, { cwd: elsewhere });
  const before = process.umask();
  try {
    invalidated(["run", "--rm", "--quiet", "probe", "pwd"], () =>
      process.umask(before === 0o77 ? 0o22 : 0o77),
    );
  } finally {
    process.umask(before);
  }
});

test("the source of a bind mount that is gone, or another thing", () => {
  const source = path.join(world.directory, "source");
  fs.mkdirSync(source, { mode: 0o755 });
  const command = [
    "run",
    "--rm",
    "--quiet",
    "-v",
    `${source}:/in`,
    "probe",
    "sh",
    "-c",
    "test -d /in && echo directory || cat /in",
  ];
  const gone = invalidated(command, () => fs.rmdirSync(source));
  assert.equal(gone.status, 125);
  assert.match(gone.stderr, /source/);
  fs.mkdirSync(source, { mode: 0o755 });
  const replaced = invalidated(command, () => {
    fs.rmdirSync(source);
    fs.writeFileSync(source, "a file\n", { mode: 0o644 });
  });
  assert.deepEqual([replaced.status, replaced.stdout], [0, "a file\n"]);
});

test("a seccomp profile that was edited, even to the same length", () => {
  const profile = path.join(world.directory, "profile.json");
  const write = (action: string) =>
    fs.writeFileSync(
      profile,
      JSON.stringify({
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [{ names: ["mkdir", "mkdirat"], action }],
      }),
    );
  write("SCMP_ACT_ALLOW");
  const command = [
    "run",
    "--rm",
    "--quiet",
    "--security-opt",
    `seccomp=${profile}`,
    "probe",
    "mkdir",
    "/new",
  ];
  const done = invalidated(command, () => write("SCMP_ACT_ERRNO"));
  assert.equal(done.status, 1, done.stderr);
  assert.match(done.stderr, /not permitted/);
});

test("an engine or a helper that was built again", () => {
  const copy = path.join(world.directory, "dist");
  fs.cpSync(path.join(import.meta.dirname, "../../dist"), copy, {
    recursive: true,
    filter: (file) => !file.includes("library"),
  });
  settle();
  const run = () => {
    const words = ["run", "--rm", "--quiet", "probe", "true"];
    const done = spawnSync(path.join(copy, "vitrine"), words, { env: world.env, cwd: world.directory });
    assert.equal(done.status, 0, done.stderr.toString());
  };
  for (const program of ["vitrine-engine", "vitrine-helper", "vitrine"]) {
    warmUp(world, run);
    fs.utimesSync(path.join(copy, program), 1, 1);
    assert.ok(!withoutEngine(world, run), program);
  }
});

test("what cannot be repeated is not noted", () => {
  const files = () => recordFiles(world).length;
  const before = files();
  for (const flags of [["-v", "volume:/v"], ["--pull", "newer"], ...(isRoot ? [["--userns", "auto"]] : [])]) {
    for (let i = 0; i < 4; i++) {
      const done = world.run(["run", "--rm", "--quiet", ...flags, "probe", "true"]);
      assert.equal(done.status, 0, done.stderr);
    }
  }
  assert.equal(files(), before, "a volume is made, a registry is asked, ids are chosen");
});

test("a record is ours alone, and there are few", () => {
  for (const file of recordFiles(world)) {
    const { mode, uid } = fs.lstatSync(file);
    assert.equal(mode & 0o7777, 0o600);
    assert.equal(uid, process.getuid?.());
    assert.ok(readRecord(fs.readFileSync(file)).notes.length > 20);
  }
  assert.ok(recordFiles(world).length <= 64);
  assert.equal(world.run(["system", "prune", "--force"]).status, 0);
  assert.deepEqual(recordFiles(world), []);
});
