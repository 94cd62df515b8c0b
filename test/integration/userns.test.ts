/** User namespaces on demand: --userns, --uidmap, --subuidname, and what they leave on the host. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeRunWorld, until } from "./run-support.ts";
import { cannotRun, findProgram, fixtures, isRoot, removeTree } from "./support.ts";

const world = makeRunWorld("userns");
addOwnedFile();
after(async () => {
  await world[Symbol.asyncDispose]();
});

/** `probe` gets a file of a user other than root. */
function addOwnedFile(): void {
  const tree = path.join(world.directory, "tree");
  const archive = path.join(world.directory, "probe.tar");
  fs.mkdirSync(path.join(tree, "srv"), { recursive: true });
  fs.writeFileSync(path.join(tree, "srv/owned"), "");
  fs.copyFileSync(path.join(fixtures, "probe.tar"), archive);
  const flags = ["--append", "--numeric-owner", "--owner=1000", "--group=50"];
  const appended = spawnSync("tar", [...flags, "-f", archive, "-C", tree, "srv/owned"]);
  assert.equal(appended.status, 0, appended.stderr.toString());
  for (const args of [
    ["rmi", "probe"],
    ["import", archive, "probe"],
  ]) {
    const done = world.run(args);
    assert.equal(done.status, 0, done.stderr);
  }
}

const uidMap = "cat /proc/self/uid_map";

interface Range {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

function mapOf(flags: readonly string[], file = "uid_map"): readonly Range[] {
  return parseMap(world.sh(flags, `cat /proc/self/${file}`));
}

function parseMap(text: string): readonly Range[] {
  return text.split("\n").map((line) => {
    const [containerID, hostID, size] = line.trim().split(/\s+/).map(Number);
    return { containerID: containerID!, hostID: hostID!, size: size! };
  });
}

function toHost(map: readonly Range[], id: number): number {
  const range = map.find((one) => id >= one.containerID && id < one.containerID + one.size);
  assert.ok(range, `${id} is mapped`);
  return range.hostID + id - range.containerID;
}

/** This machine's test user has newuidmap and an entry in /etc/subuid. */
const hasRange =
  isRoot || (findProgram("newuidmap") !== undefined && /^vitrine-test:/m.test(read("/etc/subuid")));

function read(file: string): string {
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
}

/** A directory that everybody may write to, below one that only we may enter. */
function shared(name: string): string {
  const closed = path.join(world.directory, `closed-${name}`);
  const open = path.join(closed, "open");
  fs.mkdirSync(open, { recursive: true });
  fs.chmodSync(open, 0o777);
  fs.chmodSync(closed, 0o700);
  return open;
}

const modes = isRoot
  ? ["--userns=private", "--userns=auto", "--uidmap=0:300000:65536"]
  : ["--userns=auto:size=2048", "--userns=nomap", "--uidmap=0:1:2048"];

for (const mode of modes) {
  test(`${mode}: files belong to mapped ids on the host, below directories that these cannot enter`, (t) => {
    if (!hasRange) return cannotRun(t, "no subordinate ids");
    const directory = shared(mode.replace(/\W/g, "-"));
    const text = world.sh(
      [mode, "-v", `${directory}:/data`, "-v", "/own"],
      `${uidMap}; touch /data/root /own/x /etc/hosts; touch /data/user; chown 1000:50 /data/user`,
    );
    const map = parseMap(text);
    assert.notEqual(toHost(map, 0), process.getuid!());
    assert.equal(fs.statSync(path.join(directory, "root")).uid, toHost(map, 0));
    assert.equal(fs.statSync(path.join(directory, "user")).uid, toHost(map, 1000));
    removeTree(path.dirname(directory));
  });

  test(`${mode}: the root filesystem is root's, its files have the image's owners`, (t) => {
    if (!hasRange) return cannotRun(t, "no subordinate ids");
    const lines = world.sh(
      [mode],
      "stat -c '%u %g' / /etc/passwd /srv/owned; touch /new; stat -c %u /new; cat /etc/hosts >&2",
    );
    assert.deepEqual(lines.split("\n"), ["0 0", "0 0", "1000 50", "0"]);
  });

  test(`${mode}: by the copy driver as well`, (t) => {
    if (!hasRange) return cannotRun(t, "no subordinate ids");
    const done = world.run([
      ...["--storage-driver", "copy", "run", "--rm", "--quiet", mode, "probe"],
      ...["sh", "-c", "touch /new; stat -c '%u' / /new /srv/owned"],
    ]);
    assert.equal(done.status, 0, done.stderr);
    assert.equal(done.stdout, "0\n0\n1000\n");
  });
}

test("a user's own id keeps its number by keep-id, and / is root's", (t) => {
  if (isRoot) {
    const refused = world.probe(["--userns=keep-id"], "true");
    assert.equal(refused.status, 125);
    return;
  }
  if (!hasRange) return cannotRun(t, "no subordinate ids");
  assert.equal(world.sh(["--userns=keep-id"], "id -u; stat -c %u /"), `${process.getuid!()}\n0`);
  assert.equal(world.sh(["--userns=keep-id:uid=7,gid=8"], "id -u; id -g"), "7\n8");
});

test("--userns=auto: two containers at a time have no id in common, and an id given back is used again", async (t) => {
  if (!hasRange) return cannotRun(t, "no subordinate ids");
  const start = async (name: string) => {
    const child = world.start([
      "run",
      "--quiet",
      "--name",
      name,
      "--userns=auto",
      "probe",
      "sh",
      "-c",
      `${uidMap}; sleep 1000`,
    ]);
    let text = "";
    child.stdout!.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    const ended = new Promise((resolve) => child.on("exit", resolve));
    const map = parseMap(
      await until(() => (text.endsWith("\n") ? text.trimEnd() : undefined), `${name}'s map`),
    );
    const end = async (): Promise<void> => {
      const removed = world.run(["rm", "--force", name]);
      assert.equal(removed.status, 0, removed.stderr);
      await ended;
    };
    return { map, end };
  };
  const both = await Promise.all([start("one"), start("two")]);
  const [one, two] = both.map(({ map }) => map[0]!) as [Range, Range];
  assert.ok(
    one.hostID + one.size <= two.hostID || two.hostID + two.size <= one.hostID,
    JSON.stringify([one, two]),
  );
  const lower = Math.min(one.hostID, two.hostID);
  await both[one.hostID === lower ? 0 : 1]!.end();
  assert.equal(mapOf(["--userns=auto"])[0]!.hostID, lower);
  await both[one.hostID === lower ? 1 : 0]!.end();
});

test("a kept container keeps its ids when it is started again", (t) => {
  if (!hasRange) return cannotRun(t, "no subordinate ids");
  const run = (...args: string[]) => world.run(args);
  assert.equal(
    run("run", "--quiet", "--name", "kept", "--userns=auto", "probe", "sh", "-c", "echo x >>/log; cat /log")
      .status,
    0,
  );
  const again = run("start", "--attach", "kept");
  assert.equal(again.stdout, "x\nx\n", again.stderr);
  assert.equal(run("rm", "kept").status, 0);
});

test("layers are unpacked once for a map, apart for another, and all go with the image", (t) => {
  if (!hasRange) return cannotRun(t, "no subordinate ids");
  const layers = path.join(world.root, "layers");
  const unpacked = (): readonly string[] =>
    fs
      .readdirSync(layers)
      .flatMap((map) => fs.readdirSync(path.join(layers, map)).map((name) => `${map}/${name}`));
  assert.equal(world.run(["tag", "probe", "again"]).status, 0);
  const mode = isRoot ? "--userns=private" : "--userns=nomap";
  world.sh([mode], "echo changed >/etc/passwd");
  const before = unpacked();
  assert.match(world.sh([mode], "cat /etc/passwd"), /root/);
  assert.deepEqual(unpacked(), before);
  world.sh(["--userns=auto:size=3072"], "true");
  assert.equal(unpacked().length, before.length + 1);
  assert.equal(world.run(["rmi", "again"]).status, 0);
  assert.equal(world.run(["rmi", "probe"]).status, 0);
  assert.deepEqual(unpacked(), []);
  for (const map of fs.readdirSync(path.join(world.root, "chains"))) {
    assert.deepEqual(fs.readdirSync(path.join(world.root, "chains", map)), []);
  }
  assert.deepEqual(
    fs.readdirSync(path.join(world.root, "tmp")).filter((name) => /^(layer|trash|chain)/.test(name)),
    [],
  );
});

test("nothing is left", async () => {
  await world.assertClean();
});
