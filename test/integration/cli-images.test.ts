/** The image commands of the built executable, as a user meets them: output, exit status, what is left behind. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { until } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, makeWorld, vitrine, type World } from "./support.ts";

const probe = path.join(fixtures, "probe.tar");
let world: World;
before(() => {
  world = makeWorld("images");
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

function ok(...args: readonly string[]): string {
  const { status, stdout, stderr } = world.run(args);
  assert.equal(status, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
}

function fails(args: readonly string[], status: number, message: RegExp, input?: string | Uint8Array): void {
  const result = world.run(args, { input });
  assert.match(result.stderr, message);
  assert.match(result.stderr, /^error: /m);
  assert.doesNotMatch(result.stderr, /^\s+at |node:internal|\$bunfs/m);
  assert.equal(result.status, status);
  assert.equal(result.stdout, "");
}

/** What a finished command may not leave in the store. */
function leftInTmp(): readonly string[] {
  const directory = path.join(world.root, "tmp");
  return fs.existsSync(directory) ? fs.readdirSync(directory) : [];
}

describe("a command line that is wrong", () => {
  it("an unknown flag names the nearest", () => {
    fails(["images", "--quite"], 125, /unknown flag: --quite\nhint: .*--quiet/);
    fails(["--rot", "/x", "images"], 125, /--root/);
  });
  it("an unknown command names the nearest", () => {
    fails(["imagse"], 125, /unknown command: imagse\nhint: .*vitrine images/);
    fails(["tree"], 125, /vitrine image tree/);
    fails(["image"], 125, /missing command/);
  });
  it("missing and surplus arguments", () => {
    fails(["tag", "a"], 125, /needs NAME/);
    fails(["version", "x"], 125, /takes no argument 'x'/);
  });
  it("a wrong environment", () => {
    const { status, stderr } = world.run(["images"], { env: { VITRINE_STORAGE_DRIVER: "zfs" } });
    assert.equal(status, 125);
    assert.match(stderr, /VITRINE_STORAGE_DRIVER/);
  });
  it("--debug shows causes, without source text", () => {
    const { stderr } = world.run(["--debug", "inspect", "nothing-here"]);
    assert.match(stderr, /^debug: .*\[nothing-found\]/m);
    assert.doesNotMatch(stderr, /^\s*\d+ \| /m);
  });
});

describe("output that nobody takes", () => {
  it("a closed pipe is quiet", () => {
    const done = spawnSync("sh", ["-c", `{ "${vitrine}" help; echo "status $?" >&2; } | true`], {
      env: world.env,
    });
    assert.match(done.stderr.toString(), /^status (141|0)\n$/);
  });
  it("a full device is an error", () => {
    if (!fs.existsSync("/dev/full")) return;
    const done = spawnSync("sh", ["-c", `"${vitrine}" help > /dev/full`], { env: world.env });
    assert.match(done.stderr.toString(), /^error: .*no space left/);
    assert.equal(done.status, 125);
  });
  it("everything arrives in a slow pipe", () => {
    const done = spawnSync("sh", ["-c", `"${vitrine}" help run | (sleep 0.3; wc -c)`], { env: world.env });
    assert.equal(Number(done.stdout.toString()), Buffer.byteLength(ok("help", "run")));
  });
});

describe("images", () => {
  const created = { SOURCE_DATE_EPOCH: "1700000000" };
  let id: string;

  before(() => {
    const args = ["import", "-c", "CMD sh", "-c", "LABEL a=1", "-c", "ENV X=y", "-m", "made", probe, "one:1"];
    const done = world.run(args, { env: created });
    assert.equal(done.status, 0, done.stderr);
    id = done.stdout.trim();
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
  });

  it("the same tarball is the same image", () => {
    const args = ["import", "-c", "CMD sh", "-c", "LABEL a=1", "-c", "ENV X=y", "-m", "made", "-"];
    const done = world.run(args, { env: created, input: fs.readFileSync(probe) });
    assert.equal(done.stdout.trim(), id);
  });

  it("are listed as podman lists them", () => {
    const lines = ok("images").trimEnd().split("\n");
    assert.match(lines[0]!, /^REPOSITORY {2,}TAG {2,}IMAGE ID {2,}CREATED {2,}SIZE$/);
    assert.match(
      lines[1]!,
      new RegExp(
        `^docker\\.io/library/one {2,}1 {2,}${id.slice(7, 19)} {2,}\\d+ (months|years) ago {2,}[\\d.]+MB$`,
      ),
    );
    assert.equal(ok("images", "-q", "--no-trunc").trim(), id);
    assert.equal(
      ok("images", "--noheading", "--format", "{{.Repository}}:{{.Tag}}"),
      "docker.io/library/one:1\n",
    );
    assert.equal(ok("images", "--filter", "label=a=2", "-q"), "");
    assert.equal(ok("image", "ls", "-q", "o*"), `${id.slice(7, 19)}\n`);
    const [record] = JSON.parse(ok("images", "--format", "json")) as { Id: string; Names: string[] }[];
    assert.deepEqual([record!.Id, record!.Names], [id.slice(7), ["docker.io/library/one:1"]]);
  });

  it("are inspected by name, ID and the beginning of one", () => {
    for (const reference of ["one:1", "docker.io/library/one:1", id, id.slice(7), id.slice(7, 13)]) {
      const [found] = JSON.parse(ok("inspect", reference)) as { Id: string; Config: { Cmd: string[] } }[];
      assert.equal(found!.Id, id);
    }
    assert.equal(
      ok("inspect", "-f", "{{json .Config.Env}} {{.Config.Labels.a}} {{.Os}}", "one:1"),
      '["X=y"] 1 linux\n',
    );
    fails(["inspect", "-f", "{{.Nmae}}", "one:1"], 125, /template/);
    const mixed = world.run(["inspect", "nothing-here", "one:1"]);
    assert.equal(mixed.status, 125);
    assert.equal((JSON.parse(mixed.stdout) as unknown[]).length, 1);
  });

  it("have a history and a tree", () => {
    assert.match(ok("history", "one:1"), new RegExp(`^${id.slice(7, 19)} .*vitrine import .*made\\s*$`, "m"));
    assert.match(ok("image", "tree", "one:1"), /Layers: {3}1\n└── [0-9a-f]{12} /);
    assert.match(ok("explain", "one:1"), /command +(?:\/bin\/sh -c )?"?sh/);
    const explained = JSON.parse(ok("explain", "--format", "json", "one:1")) as {
      id: string;
      totals: { visibleFiles: number };
    };
    assert.equal(explained.id, id);
    assert.ok(explained.totals.visibleFiles > 10);
  });

  it("get and lose names", () => {
    ok("tag", "one:1", "two", "quay.io/x/y:z");
    assert.equal(ok("images", "-q"), `${id.slice(7, 19)}\n`);
    assert.equal(ok("images", "--format", "{{.Tag}}", "quay.io/x/y"), "z\n");
    ok("untag", "one:1", "two");
    fails(["untag", "one:1", "two"], 125, /two/);
    assert.equal(world.run(["image", "exists", "two"]).status, 1);
    assert.equal(world.run(["image", "exists", "one:1"]).status, 0);
    fails(["tag", "one:1", "UPPER"], 125, /lowercase/);
    fails(["tag", "nothing-here", "x"], 125, /nothing-here/);
  });

  for (const format of ["docker-archive", "oci-archive", "oci-dir"]) {
    it(`go through ${format} and come back`, (t) => {
      const target = path.join(world.directory, `saved-${format}`);
      ok("save", "--format", format, "-o", target, "one:1", "quay.io/x/y:z");
      const skopeo = findProgram("skopeo");
      const transport = {
        "docker-archive": "docker-archive",
        "oci-archive": "oci-archive",
        "oci-dir": "oci",
      }[format]!;
      if (skopeo === undefined) cannotRun(t, "skopeo is not installed");
      else {
        const suffix = format === "docker-archive" ? "docker.io/library/one:1" : "docker.io/library/one:1";
        const done = spawnSync(skopeo, ["inspect", "--raw", `${transport}:${target}:${suffix}`]);
        assert.equal(done.status, 0, done.stderr.toString());
      }
      const other = makeWorld("back");
      try {
        const loaded = other.run(["load", "-i", target]);
        assert.equal(loaded.status, 0, loaded.stderr);
        assert.deepEqual(loaded.stdout.trimEnd().split("\n").sort(), [
          "Loaded image: docker.io/library/one:1",
          "Loaded image: quay.io/x/y:z",
        ]);
        assert.equal(other.run(["images", "-q", "--no-trunc"]).stdout.trim(), id);
      } finally {
        fs.rmSync(other.directory, { recursive: true, force: true });
      }
    });
  }

  it("the same images give the same bytes, to a file and to stdout", () => {
    const target = path.join(world.directory, "again.tar");
    ok("save", "-o", target, "one:1");
    const done = spawnSync("sh", ["-c", `"${vitrine}" save one:1 | cmp - "${target}"`], { env: world.env });
    assert.equal(done.status, 0, done.stderr.toString());
  });

  for (const [tool, ...flags] of [
    ["gzip", "-1"],
    ["zstd", "-q", "-1"],
    ["xz", "-0"],
  ] as const) {
    it(`load through a pipe from ${tool}`, (t) => {
      const program = findProgram(tool);
      if (program === undefined) return cannotRun(t, `${tool} is not installed`);
      const archive = path.join(world.directory, "piped.tar");
      if (!fs.existsSync(archive)) ok("save", "-o", archive, "one:1");
      const done = spawnSync(
        "sh",
        ["-c", `${program} ${flags.join(" ")} -c < "${archive}" | "${vitrine}" load`],
        { env: world.env },
      );
      assert.equal(done.stderr.toString(), "");
      assert.equal(done.stdout.toString(), "Loaded image: docker.io/library/one:1\n");
    });
  }

  it("damaged archives leave nothing", () => {
    const archive = path.join(world.directory, "whole.tar");
    ok("save", "--format", "oci-archive", "-o", archive, "one:1");
    const bytes = fs.readFileSync(archive);
    const damaged = Buffer.from(bytes);
    // In the middle of the layer, which is most of the archive.
    damaged[Math.floor(bytes.length / 2)]! ^= 0xff;
    const other = makeWorld("damaged");
    try {
      for (const input of [
        bytes.subarray(0, bytes.length / 2),
        damaged,
        Buffer.from("hello"),
        Buffer.alloc(0),
        Buffer.alloc(4096),
      ]) {
        const done = other.run(["load"], { input });
        assert.equal(done.status, 125);
        assert.match(done.stderr, /^error: /);
        assert.equal(done.stdout, "");
        assert.deepEqual(fs.readdirSync(path.join(other.root, "tmp")), []);
        assert.equal(other.run(["images", "-q"]).stdout, "");
      }
    } finally {
      fs.rmSync(other.directory, { recursive: true, force: true });
    }
  });

  it("what cannot be read or written is said", () => {
    fails(["load", "-i", "/nonexistent/x.tar"], 125, /\/nonexistent\/x\.tar/);
    fails(["import", "/nonexistent/x.tar"], 125, /\/nonexistent\/x\.tar/);
    fails(["import", "https://example.com/x.tar"], 125, /curl/);
    fails(["save", "-o", "/nonexistent/x.tar", "one:1"], 125, /\/nonexistent/);
    fails(["save", "--format", "oci-dir", "one:1"], 125, /stdout/);
    fails(["save", "--format", "tar", "one:1"], 125, /oci-archive/);
    fails(["save", "nothing-here", "-o", path.join(world.directory, "n.tar")], 125, /nothing-here/);
    assert.equal(fs.existsSync(path.join(world.directory, "n.tar")), false);
    const { status, stderr } = world.run([
      "--root",
      "/proc/vitrine",
      "--runroot",
      "/proc/run",
      "import",
      probe,
    ]);
    assert.equal(status, 125);
    assert.match(stderr, /^error: .*\nhint: /);
  });

  it("are removed with podman's statuses", () => {
    fails(["rmi", "nothing-here"], 1, /nothing-here/);
    ok("rmi", "--ignore", "nothing-here");
    ok("rmi", "-f", "nothing-here");
    assert.equal(ok("rmi", "quay.io/x/y:z"), "Untagged: quay.io/x/y:z\n");
    assert.equal(ok("rmi", id), `Untagged: docker.io/library/one:1\nDeleted: ${id}\n`);
    assert.equal(ok("images", "-q"), "");
    fails(["rmi"], 125, /no image is named/);
    assert.deepEqual(leftInTmp(), []);
  });

  it("prune asks, and removes nothing without a yes", () => {
    assert.equal(world.run(["import", "-q", "-", "x"], { input: fs.readFileSync(probe) }).status, 0);
    ok("untag", "x");
    for (const input of ["", "n\n", "maybe\n"]) {
      const refused = world.run(["image", "prune"], { input });
      assert.deepEqual([refused.status, refused.stdout], [0, ""]);
      assert.match(refused.stderr, /^WARNING! [^\n]*\n.*\[y\/N\] $/s);
    }
    const pruned = world.run(["image", "prune"], { input: "y\n" }).stdout;
    assert.match(pruned, /^Deleted: sha256:[0-9a-f]{64}\nTotal reclaimed space: [\d.]+MB\n$/);
    assert.match(ok("system", "df"), /^Images +0 +0 +0B/m);
  });
});

describe("signals", () => {
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    it(`${signal} ends a load that waits, and leaves nothing`, async () => {
      const child = world.start(["load"]);
      // What it had not read when it ended.
      child.stdin!.on("error", () => undefined);
      child.stdin!.write(fs.readFileSync(probe).subarray(0, 100_000));
      await until(() => (leftInTmp().length > 0 ? true : undefined), "the load to begin");
      const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
      child.kill(signal);
      assert.equal(await ended, status);
      child.stdin!.destroy();
      assert.deepEqual(leftInTmp(), []);
    });
  }
});

describe("information", () => {
  it("version and info answer templates and JSON", () => {
    const version = ok("version", "--format", "{{.Client.Version}}").trim();
    assert.match(version, /^\d+\.\d+\.\d+$/);
    assert.equal(ok("--version"), `vitrine version ${version}\n`);
    const info = JSON.parse(ok("info", "--format", "json")) as { Store: { Root: string; RunRoot: string } };
    assert.deepEqual([info.Store.Root, info.Store.RunRoot], [world.root, world.runroot]);
  });
  it("flags go before the environment", () => {
    const root = path.join(world.directory, "elsewhere");
    assert.equal(ok("--root", root, "info", "-f", "{{.Store.Root}}"), `${root}\n`);
  });
  it("completes names of images", () => {
    assert.equal(
      world.run(["import", "-q", "-", "completed:1"], { input: fs.readFileSync(probe) }).status,
      0,
    );
    assert.equal(ok("__complete", "inspect", "comp"), "completed:1\n:none\n");
    ok("rmi", "completed:1");
  });
});

describe("the completion scripts", () => {
  it("bash completes a name with a colon", (t) => {
    const bash = findProgram("bash");
    if (bash === undefined) return cannotRun(t, "bash is not installed");
    assert.equal(world.run(["import", "-q", "-", "coloured:1"], { input: fs.readFileSync(probe) }).status, 0);
    const script = `source <("$1" completion bash)
      try() { COMP_LINE="$1"; COMP_POINT=\${#COMP_LINE}; COMPREPLY=(); _vitrine 2>/dev/null; printf '%s\\n' "\${COMPREPLY[@]}"; echo .; }
      try "$1 inspect colo"; try "$1 inspect coloured:"; try "$1 save --format oci-d"; try "$1 save --format=oci-d"; try "$1 imag"`;
    const done = spawnSync(bash, ["-c", script, "bash", vitrine], { env: world.env });
    assert.equal(
      done.stdout.toString(),
      "coloured:1\n.\n1\n.\noci-dir\n.\noci-dir\n.\nimages\nimage\n.\n",
      done.stderr.toString(),
    );
  });
  for (const shell of ["zsh", "fish"]) {
    it(`${shell} takes its script`, (t) => {
      const program = findProgram(shell);
      if (program === undefined) return cannotRun(t, `${shell} is not installed`);
      const script = path.join(world.directory, `completion.${shell}`);
      fs.writeFileSync(script, ok("completion", shell));
      const done = spawnSync(program, ["-n", script]);
      assert.equal(done.status, 0, done.stderr.toString());
    });
  }
});
