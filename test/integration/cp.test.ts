/** `cp`: docker's table of SRC_PATH and DEST_PATH, both ways, with podman beside us; owners, volumes, links, archives. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, describe, it, test } from "node:test";
import { makeRunWorld } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, isRoot, type Result, removeTree } from "./support.ts";

const world = makeRunWorld("cp");
const work = path.join(world.directory, "work");
fs.mkdirSync(work);
fs.chmodSync(work, 0o777);
after(async () => {
  world.run(["rm", "--all", "--force"]);
  await world.assertClean();
  await world[Symbol.asyncDispose]();
});

function good(done: Result): string {
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.replace(/\n$/, "");
}
const vitrine = (...args: readonly string[]): string => good(world.run(args));
let made = 0;
const create = (...flags: readonly string[]): string =>
  vitrine("create", "-q", ...flags, "probe", "sleep", "1000");

/** A fresh directory on the host with `d/f`, `d/sub/g`, `file`, `other/`. */
function hostTree(): string {
  const directory = path.join(work, `host${made++}`);
  fs.mkdirSync(path.join(directory, "d/sub"), { recursive: true });
  fs.mkdirSync(path.join(directory, "other"));
  fs.writeFileSync(path.join(directory, "d/f"), "f");
  fs.writeFileSync(path.join(directory, "d/sub/g"), "g");
  fs.writeFileSync(path.join(directory, "file"), "file");
  fs.symlinkSync("d", path.join(directory, "to-d"));
  fs.symlinkSync("file", path.join(directory, "to-file"));
  fs.symlinkSync("nowhere", path.join(directory, "dangling"));
  return directory;
}

/** Names below, with the text of files. */
function listing(directory: string, prefix = ""): readonly string[] {
  return fs
    .readdirSync(directory, { withFileTypes: true })
    .flatMap((entry) => {
      const full = path.join(directory, entry.name);
      const name = `${prefix}${entry.name}`;
      if (entry.isSymbolicLink()) return [`${name} -> ${fs.readlinkSync(full)}`];
      return entry.isDirectory()
        ? [`${name}/`, ...listing(full, `${name}/`)]
        : [`${name}=${fs.readFileSync(full, "utf8")}`];
    })
    .sort();
}

/** SRC_PATH, DEST_PATH, and what DEST_PATH's directory then holds beside the tree of `hostTree`; undefined: an error. */
const table: readonly (readonly [source: string, target: string, added: readonly string[] | undefined])[] = [
  // SRC_PATH is a file
  ["file", "new", ["new=file"]],
  ["file", "new/", undefined],
  ["file", "missing/new", undefined],
  ["file", "d/f", ["d/f=file"]],
  ["file", "other", ["other/file=file"]],
  ["file", "other/", ["other/file=file"]],
  ["file", "other/.", ["other/file=file"]],
  ["file", "other/name", ["other/name=file"]],
  ["file/", "new", undefined],
  ["file/.", "new", undefined],
  ["file", "d/f/", undefined],
  ["nothing", "new", undefined],
  // SRC_PATH is a directory
  ["d", "new", ["new/", "new/f=f", "new/sub/", "new/sub/g=g"]],
  ["d", "new/", ["new/", "new/f=f", "new/sub/", "new/sub/g=g"]],
  ["d/", "new", ["new/", "new/f=f", "new/sub/", "new/sub/g=g"]],
  ["d/.", "new", ["new/", "new/f=f", "new/sub/", "new/sub/g=g"]],
  ["d", "missing/new", undefined],
  ["d", "file", undefined],
  ["d/.", "file", undefined],
  ["d", "other", ["other/d/", "other/d/f=f", "other/d/sub/", "other/d/sub/g=g"]],
  ["d/", "other/", ["other/d/", "other/d/f=f", "other/d/sub/", "other/d/sub/g=g"]],
  ["d/.", "other", ["other/f=f", "other/sub/", "other/sub/g=g"]],
  ["d/.", "other/.", ["other/f=f", "other/sub/", "other/sub/g=g"]],
  // links
  ["to-file", "other", ["other/to-file -> file"]],
  ["to-d", "other", ["other/to-d -> d"]],
  ["file", "to-d", ["d/file=file"]],
  ["file", "to-d/name", ["d/name=file"]],
  ["d/f", "to-file", ["file=f"]],
  ["file", "dangling", ["nowhere=file"]],
];
/** Where podman has rules of its own. */
const notPodman = new Set([
  "file/ new",
  "file/. new",
  "to-file other",
  "to-d other",
  "file d/f/",
  "d new/",
  "file dangling",
  "d/f to-file",
]);

interface Engine {
  readonly name: string;
  /** One for the whole table. */
  container(): string;
  cp(from: string, to: string): boolean;
  /** Fills a new directory of the container's, and shows what is in one. */
  put(host: string, inside: string): void;
  listing(inside: string): readonly string[];
}

let mine = "";
const ours: Engine = {
  name: "vitrine",
  container: () => {
    if (mine === "") mine = create();
    return mine;
  },
  cp: (from, to) => world.run(["cp", from, to]).status === 0,
  put: (host, inside) => assert.ok(ours.cp(`${host}/.`, `${ours.container()}:${inside}`)),
  listing: (inside) => {
    const out = path.join(work, `out${made++}`);
    assert.ok(ours.cp(`${ours.container()}:${inside}`, out));
    return listing(out);
  },
};

function expected(before: readonly string[], added: readonly string[] | undefined): readonly string[] {
  if (added === undefined) return before;
  const names = new Set(added.map((line) => line.split("=")[0]));
  return [...before.filter((line) => !names.has(line.split("=")[0])), ...added].sort();
}

function runTable(engine: Engine): void {
  for (const [source, target, added] of table) {
    if (engine !== ours && notPodman.has(`${source} ${target}`)) continue;
    it(`into: ${source} to ${target}`, () => {
      const host = hostTree();
      const inside = `/w${made++}`;
      engine.put(host, inside);
      const copied = engine.cp(`${host}/${source}`, `${engine.container()}:${inside}/${target}`);
      assert.equal(copied, added !== undefined);
      assert.deepEqual(engine.listing(inside), expected(listing(host), added));
    });
    // Each of podman's takes a third of a second: one way shows its rules.
    if (engine !== ours) continue;
    it(`out of: ${source} to ${target}`, () => {
      const host = hostTree();
      const inside = `${engine.container()}:/w${made++}`;
      assert.ok(engine.cp(`${host}/.`, inside));
      const before = listing(host);
      assert.equal(engine.cp(`${inside}/${source}`, `${host}/${target}`), added !== undefined);
      assert.deepEqual(listing(host), expected(before, added));
    });
  }
}

describe("docker's table", () => runTable(ours));

describe("the same with podman", () => {
  const storage = path.join(world.directory, "podman");
  const podman = (...args: readonly string[]): Result => {
    const flags = [
      ...["--root", `${storage}/root`, "--runroot", `${storage}/run`, "--tmpdir", `${storage}/tmp`],
      ...["--storage-driver", "vfs"],
    ];
    const done = spawnSync("podman", [...flags, "--cgroup-manager", "cgroupfs", ...args], {
      encoding: "utf8",
    });
    return { status: done.status, signal: null, stdout: done.stdout, stderr: done.stderr };
  };
  let theirs = "";
  let tree = "";
  const podmans: Engine = {
    name: "podman",
    container: () => theirs,
    cp: (from, to) => podman("cp", from, to).status === 0,
    // Its driver keeps plain directories, so that a row takes one command of its alone.
    put: (host, inside) => fs.cpSync(host, `${tree}${inside}`, { recursive: true, verbatimSymlinks: true }),
    listing: (inside) => listing(`${tree}${inside}`),
  };
  if (findProgram("podman") === undefined || !isRoot) {
    it("podman's own answers", (t) => cannotRun(t, isRoot ? "no podman" : "podman needs root here"));
    return;
  }
  before(() => {
    good(podman("import", path.join(fixtures, "probe.tar"), "localhost/probe"));
    theirs = good(podman("create", "--network", "none", "localhost/probe", "sleep", "1000"));
    tree = good(podman("mount", theirs));
  });
  after(() => {
    podman("umount", "--all", "--force");
    podman("rm", "--all", "--force");
    removeTree(storage);
  });
  runTable(podmans);
});

/** `ls -n`-like facts of an archive's members. */
function members(archive: string): readonly string[] {
  const done = spawnSync("tar", ["--numeric-owner", "-tvf", "-"], {
    input: Buffer.from(archive, "latin1"),
    encoding: "utf8",
  });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.trimEnd().split("\n");
}

function archiveOf(...args: readonly string[]): string {
  const done = spawnSync(path.join(import.meta.dirname, "../../dist/vitrine"), ["cp", ...args, "-"], {
    env: world.env,
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.equal(done.status, 0, done.stderr.toString());
  return done.stdout.toString("latin1");
}

test("owners: kept on the way in, the container's user with -a, the caller's on the way out", () => {
  const host = hostTree();
  const container = create("--user", "1000:1001");
  vitrine("cp", `${host}/file`, `${container}:/plain`);
  vitrine("cp", "-a", `${host}/file`, `${container}:/archive`);
  const { uid, gid } = fs.statSync(`${host}/file`);
  assert.match(members(archiveOf(`${container}:/plain`))[0]!, new RegExp(` ${uid}/${gid} `));
  assert.match(members(archiveOf(`${container}:/archive`))[0]!, / 1000\/1001 /);
  vitrine("cp", `${container}:/archive`, `${host}/out`);
  assert.equal(fs.statSync(`${host}/out`).uid, process.getuid?.());
  if (!isRoot) return;
  vitrine("cp", "-a", `${container}:/archive`, `${host}/kept`);
  assert.deepEqual([fs.statSync(`${host}/kept`).uid, fs.statSync(`${host}/kept`).gid], [1000, 1001]);
});

test("-a keeps owners where the container names no user, as docker does", () => {
  const host = hostTree();
  if (isRoot) fs.chownSync(`${host}/file`, 1234, 2345);
  const container = create();
  vitrine("cp", "-a", `${host}/file`, `${container}:/archive`);
  const { uid, gid } = fs.statSync(`${host}/file`);
  assert.match(members(archiveOf(`${container}:/archive`))[0]!, new RegExp(` ${uid}/${gid} `));
  const archive = archiveOf(`${container}:/archive`);
  const input = Buffer.from(archive, "latin1");
  assert.equal(world.run(["cp", "-a", "-", `${container}:/tmp`], { input }).status, 0);
  assert.match(members(archiveOf(`${container}:/tmp/archive`))[0]!, new RegExp(` ${uid}/${gid} `));
});

test("modes, times, hard links, holes and special files arrive", () => {
  const host = hostTree();
  fs.chmodSync(`${host}/d/f`, 0o4751);
  fs.utimesSync(`${host}/d/f`, 1_000_000_000, 1_000_000_000.5);
  fs.utimesSync(`${host}/d`, 900_000_000, 900_000_000);
  fs.linkSync(`${host}/d/f`, `${host}/d/again`);
  spawnSync("mkfifo", [`${host}/d/fifo`]);
  const sparse = fs.openSync(`${host}/d/sparse`, "w");
  fs.writeSync(sparse, "end", 64 * 1024 * 1024);
  fs.closeSync(sparse);
  fs.writeFileSync(Buffer.from(`${host}/d/caf\xe9`, "latin1"), "latin1");
  const container = create();
  vitrine("cp", `${host}/d`, `${container}:/d`);
  vitrine("cp", `${container}:/d`, `${host}/back`);
  const stat = fs.statSync(`${host}/back/f`);
  assert.equal(stat.mode & 0o7777, 0o4751);
  assert.equal(stat.mtimeMs, 1_000_000_000_500);
  assert.equal(fs.statSync(`${host}/back/again`).ino, stat.ino);
  assert.ok(fs.statSync(`${host}/back/fifo`).isFIFO());
  assert.ok(fs.existsSync(Buffer.from(`${host}/back/caf\xe9`, "latin1")));
  const hole = fs.statSync(`${host}/back/sparse`);
  assert.equal(hole.size, 64 * 1024 * 1024 + 3);
  assert.ok(hole.blocks < 1000, `${hole.blocks} blocks`);
});

test("-L copies what a link leads to", () => {
  const host = hostTree();
  const container = create();
  vitrine("cp", `${host}/.`, `${container}:/w`);
  vitrine("cp", "-L", `${host}/to-file`, `${container}:/w/other`);
  vitrine("cp", "-L", `${container}:/w/to-d`, `${host}/other`);
  assert.deepEqual(listing(`${host}/other`), ["to-d/", "to-d/f=f", "to-d/sub/", "to-d/sub/g=g"]);
  assert.match(members(archiveOf(`${container}:/w/other/to-file`))[0]!, /^-.* to-file$/);
});

test("a file is no directory and a directory no file, unless --overwrite says so", () => {
  const host = hostTree();
  const container = create();
  vitrine("cp", `${host}/d`, `${container}:/w`);
  fs.rmSync(`${host}/d/sub`, { recursive: true });
  fs.writeFileSync(`${host}/d/sub`, "now a file");
  const done = world.run(["cp", `${host}/d/.`, `${container}:/w`]);
  assert.equal(done.status, 1);
  assert.match(done.stderr, /--overwrite/);
  vitrine("cp", "--overwrite", `${host}/d/.`, `${container}:/w`);
  vitrine("cp", `${container}:/w/sub`, `${host}/out`);
  assert.equal(fs.readFileSync(`${host}/out`, "utf8"), "now a file");
});

test("archives: in, out, and what is no directory", () => {
  const host = hostTree();
  const container = create();
  const tar = spawnSync("tar", ["-C", host, "-c", "d", "to-file"]).stdout;
  assert.equal(world.run(["cp", "-", `${container}:/`], { input: tar }).status, 0);
  assert.deepEqual(
    members(archiveOf(`${container}:/d`)).map((line) => line.split(" ").at(-1)),
    ["d/", "d/f", "d/sub/", "d/sub/g"],
  );
  assert.deepEqual(
    members(archiveOf(`${container}:/d/.`)).map((line) => line.split(" ").at(-1)),
    ["./", "./f", "./sub/", "./sub/g"],
  );
  assert.equal(world.run(["cp", "-", `${container}:/d/f`], { input: tar }).status, 1);
  assert.equal(world.run(["cp", "-", `${container}:/missing`], { input: tar }).status, 1);
  assert.equal(world.run(["cp", "-", `${container}:/d`], { input: "not a tar".repeat(200) }).status, 1);
  assert.equal(world.run(["cp", host, host]).status, 1);
});

test("running: what is mounted there counts; between containers; into itself is refused", () => {
  const host = hostTree();
  const running = vitrine(
    "run",
    "-d",
    "-q",
    "-v",
    `${host}:/bound`,
    "--tmpfs",
    "/memory",
    "probe",
    "sleep",
    "1000",
  );
  vitrine("cp", `${host}/file`, `${running}:/memory/file`);
  assert.equal(vitrine("exec", running, "cat", "/memory/file"), "file");
  vitrine("cp", `${host}/file`, `${running}:/bound/from-cp`);
  assert.equal(fs.readFileSync(`${host}/from-cp`, "utf8"), "file");
  const stopped = create();
  vitrine("cp", `${running}:/memory`, `${stopped}:/copied`);
  vitrine("cp", `${stopped}:/copied/file`, `${running}:/again`);
  assert.equal(vitrine("exec", running, "cat", "/again"), "file");
  const whole = members(archiveOf(`${running}:/`));
  assert.ok(whole.some((line) => line.endsWith("./bound/file")));
  assert.ok(
    !whole.some((line) => / \.\/(?:proc|sys|dev)\/./.test(line)),
    "what the kernel makes up is left out",
  );
  for (const container of [running, stopped]) {
    assert.equal(world.run(["cp", `${container}:/etc`, `${container}:/etc/inner`]).status, 1);
    vitrine("cp", `${container}:/etc`, `${container}:/etc-again`);
  }
  vitrine("rm", "-f", running);
});

test("running: a file that is mounted gets the content, and stays mounted and whose it is", () => {
  const host = hostTree();
  fs.writeFileSync(`${host}/hosts`, "127.0.0.1 localhost\n10.9.8.7 copied\n", { mode: 0o600 });
  fs.writeFileSync(`${host}/single`, "single");
  fs.chmodSync(`${host}/single`, 0o640);
  const running = vitrine(
    ...["run", "-d", "-q", "-v", `${host}/single:/bound-file`, "-v", `${host}/single:/read-only:ro`],
    ...["probe", "sleep", "1000"],
  );
  for (const name of ["hosts", "resolv.conf", "hostname"]) {
    const about = (): string => vitrine("exec", running, "stat", "-c", "%a %u %g %i", `/etc/${name}`);
    const before = about();
    vitrine("cp", `${host}/hosts`, `${running}:/etc/${name}`);
    assert.match(vitrine("exec", running, "cat", `/etc/${name}`), /10\.9\.8\.7 copied$/);
    assert.equal(about(), before);
  }
  // Among others, from an archive, and shorter than what was there.
  const tree = path.join(work, "etc-tree");
  fs.mkdirSync(`${tree}/etc`, { recursive: true });
  fs.writeFileSync(`${tree}/etc/hosts`, "::1 six\n");
  fs.writeFileSync(`${tree}/etc/other`, "other\n");
  vitrine("cp", `${tree}/etc`, `${running}:/`);
  assert.equal(vitrine("exec", running, "cat", "/etc/hosts", "/etc/other"), "::1 six\nother");
  fs.writeFileSync(`${tree}/etc/hosts`, "");
  vitrine("cp", `${tree}/etc/.`, `${running}:/etc`);
  assert.equal(vitrine("exec", running, "cat", "/etc/hosts"), "");
  vitrine("cp", `${host}/hosts`, `${running}:/bound-file`);
  assert.match(fs.readFileSync(`${host}/single`, "utf8"), /copied/);
  assert.equal(fs.statSync(`${host}/single`).mode & 0o777, 0o640);
  const refused = world.run(["cp", `${host}/hosts`, `${running}:/read-only`]);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /read-only/);
  // A directory, or a link, cannot be where a file is mounted.
  fs.mkdirSync(path.join(work, "instead/hosts"), { recursive: true });
  assert.equal(world.run(["cp", path.join(work, "instead/hosts"), `${running}:/etc`]).status, 1);
  vitrine("rm", "-f", running);
});

test("stopped: a bind is written to, a read-only one and a read-only root are not", () => {
  const host = hostTree();
  const container = create("-v", `${host}/d:/rw`, "-v", `${host}/other:/ro:ro`);
  vitrine("cp", `${host}/file`, `${container}:/rw/sub/new`);
  assert.equal(fs.readFileSync(`${host}/d/sub/new`, "utf8"), "file");
  const refused = world.run(["cp", `${host}/file`, `${container}:/ro/`]);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /read-only/);
  const sealed = create("--read-only", "-v", `${host}/d:/rw`);
  assert.match(world.run(["cp", `${host}/file`, `${sealed}:/tmp/x`]).stderr, /read-only/);
  vitrine("cp", `${host}/file`, `${sealed}:/rw/again`);
});

test("what was copied in is there when it starts, and a start waits for a copy", async () => {
  const host = hostTree();
  const container = vitrine("create", "-q", "probe", "cat", "/late/file");
  vitrine("cp", host, `${container}:/late`);
  assert.equal(vitrine("start", "-a", container), "file");
  assert.equal(vitrine("wait", container), "0");
});
