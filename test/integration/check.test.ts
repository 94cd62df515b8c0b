/** `system check`: every kind of damage is found, and mended; `system prune` and `system df -v`. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import type { Finding } from "../../src/store/mod.ts";
import { appliersOf, makeRunWorld, until } from "./run-support.ts";
import type { Result } from "./support.ts";

const world = makeRunWorld("check");
after(async () => {
  world.run(["rm", "--all", "--force"]);
  await world[Symbol.asyncDispose]();
});

function good(done: Result): string {
  assert.equal(done.status, 0, done.stdout + done.stderr);
  return done.stdout.replace(/\n$/, "");
}
const vitrine = (...args: readonly string[]): string => good(world.run(args));
const at = (...names: readonly string[]): string => path.join(world.root, ...names);
/** Under the ids of the files: an unprivileged user's are mapped. */
const shell = (script: string): void => {
  const done = spawnSync(
    "unshare",
    [...(process.getuid?.() === 0 ? ["--mount"] : ["--map-root-user", "--map-auto"]), "sh", "-c", script],
    { encoding: "utf8" },
  );
  assert.equal(done.status, 0, done.stderr);
};

function check(...flags: readonly string[]): {
  readonly status: number | null;
  readonly found: readonly Finding[];
} {
  const done = world.run(["system", "check", "--format", "json", ...flags]);
  assert.match(done.stdout, /^\[/, done.stderr);
  return { status: done.status, found: JSON.parse(done.stdout) as Finding[] };
}
const kinds = (found: readonly Finding[]): readonly string[] =>
  [...new Set(found.map(({ kind }) => kind))].sort();

/** The damage is found by a check that changes nothing, mended by another, and then gone. */
function findsAndMends(expected: readonly string[], ...flags: readonly string[]): void {
  const seen = check(...flags);
  assert.equal(seen.status, 1);
  assert.deepEqual(kinds(seen.found), [...expected].sort(), JSON.stringify(seen.found, null, 2));
  assert.ok(seen.found.every(({ repaired }) => !repaired));
  const mended = check("--repair", ...flags);
  assert.equal(mended.status, 0, JSON.stringify(mended.found, null, 2));
  const clean = check(...flags);
  assert.deepEqual(clean.found, []);
  assert.equal(clean.status, 0);
}

const runs = (image = "probe"): void =>
  assert.equal(vitrine("run", "--rm", "-q", image, "echo", "fine"), "fine");
const blobs = (): readonly string[] => fs.readdirSync(at("oci/blobs/sha256"));
/** Largest first: of `probe` the layer, then config and manifest. */
const bySize = (): readonly string[] =>
  [...blobs()].sort(
    (a, b) => fs.statSync(at("oci/blobs/sha256", b)).size - fs.statSync(at("oci/blobs/sha256", a)).size,
  );
const reimport = (): void => {
  vitrine("import", path.join(import.meta.dirname, "../../build/fixtures/probe.tar"), "probe");
};

test("a whole store: nothing is found", () => {
  runs();
  assert.equal(vitrine("system", "check"), "no damage");
  assert.equal(vitrine("system", "check", "--quick"), "no damage");
});

test("a blob with other bytes of the same length; the image goes with it", () => {
  const layer = at("oci/blobs/sha256", bySize()[0]!);
  const fd = fs.openSync(layer, "r+");
  fs.writeSync(fd, "damage", 5000);
  fs.closeSync(fd);
  assert.deepEqual(check("--quick").found, [], "the length is right");
  findsAndMends(["blob", "image"]);
  assert.notEqual(world.run(["run", "--rm", "-q", "--pull", "never", "probe", "true"]).status, 0);
  reimport();
  runs();
});

test("a blob that is missing, and a cut one: told without reading any", () => {
  fs.rmSync(at("oci/blobs/sha256", bySize()[0]!));
  findsAndMends(["image"], "--quick");
  reimport();
  fs.truncateSync(at("oci/blobs/sha256", bySize()[0]!), 100);
  findsAndMends(["image"], "--quick");
  reimport();
  runs();
});

test("an image that a container uses is not taken away", () => {
  const container = vitrine("create", "-q", "probe", "true");
  fs.rmSync(at("oci/blobs/sha256", bySize()[0]!));
  const mended = check("--repair");
  assert.equal(mended.status, 1);
  assert.deepEqual(kinds(mended.found), ["image"]);
  assert.equal(vitrine("start", "-a", container), "", "its layers are there");
  vitrine("rm", container);
  findsAndMends(["image"]);
  reimport();
});

test("index.json: cut short, it keeps the names that are whole; missing, its images come back without names", () => {
  vitrine("tag", "probe", "local/zzz:1");
  const index = at("oci/index.json");
  const text = fs.readFileSync(index, "utf8");
  fs.writeFileSync(index, text.slice(0, text.lastIndexOf('"digest"')));
  assert.notEqual(world.run(["images"]).status, 0);
  findsAndMends(["index"]);
  assert.equal(vitrine("images", "-q").split("\n").length, 1, "one name was whole");
  runs();
  fs.rmSync(index);
  findsAndMends(["index"]);
  assert.match(vitrine("images"), /<none>/);
  vitrine("tag", vitrine("images", "-q"), "probe");
  fs.writeFileSync(index, "\0\0\0\0");
  findsAndMends(["index"]);
  vitrine("tag", vitrine("images", "-q"), "probe");
  runs();
});

test("layers that are half there: no files, no record, a file too few, a file cut short", () => {
  const map = fs.readdirSync(at("layers"))[0]!;
  const layer = (): string => at("layers", map, fs.readdirSync(at("layers", map))[0]!);
  for (const damage of [
    () => shell(`rm -rf ${layer()}/fs`),
    () => fs.writeFileSync(`${layer()}/layer.json`, "{"),
    () => shell(`rm ${layer()}/fs/bin/busybox`),
    () => shell(`: > ${layer()}/fs/etc/passwd`),
  ]) {
    runs();
    damage();
    findsAndMends(["layer"]);
    runs();
  }
});

test("containers without their records, names and state of nobody, a container without its name", () => {
  const [lost, nameless, broken] = [0, 1, 2].map(() => vitrine("create", "-q", "probe", "true")) as [
    string,
    string,
    string,
  ];
  const nameOf = (id: string): string => vitrine("inspect", "-f", "{{.Name}}", id);
  fs.rmSync(at("names", nameOf(nameless)));
  const dead = nameOf(lost);
  fs.rmSync(at("containers", lost, "container.json"));
  fs.writeFileSync(at("containers", broken, "config.json"), "{");
  fs.symlinkSync("f".repeat(64), at("names", "nobody"));
  fs.mkdirSync(path.join(world.runroot, "containers", "e".repeat(64)), { recursive: true });
  const mended = check("--repair");
  assert.equal(mended.status, 1, "containers are only removed when that is asked for");
  assert.deepEqual(kinds(mended.found), ["container", "name", "state"]);
  assert.deepEqual(kinds(check().found), ["container"]);
  assert.equal(check("--repair", "--force").status, 0);
  assert.deepEqual(check().found, []);
  assert.deepEqual(fs.readdirSync(at("containers")), [nameless]);
  assert.deepEqual(fs.readdirSync(at("names")), [nameOf(nameless)]);
  assert.ok(dead !== "");
  vitrine("rm", nameless);
});

test("layers that a container needs are unpacked again", () => {
  const container = vitrine("create", "-q", "probe", "echo", "back");
  const map = fs.readdirSync(at("layers"))[0]!;
  shell(`rm -rf ${at("layers", map)}/*`);
  assert.notEqual(world.run(["start", "-a", container]).status, 0);
  findsAndMends(["container"]);
  assert.equal(vitrine("start", "-a", container), "back");
  vitrine("rm", container);
});

test("what killed commands left in tmp, a damaged lock, no version, a damaged oci-layout, strange blobs", () => {
  fs.mkdirSync(at("tmp/layer.999999-1-4026531836-abc.tmp/fs"), { recursive: true });
  fs.writeFileSync(at("tmp/layer.999999-1-4026531836-abc.tmp/fs/x"), "x");
  // Of a pid namespace that is this one's.
  const own = /\d+/.exec(fs.readlinkSync("/proc/self/ns/pid"))![0];
  fs.renameSync(at("tmp/layer.999999-1-4026531836-abc.tmp"), at(`tmp/layer.999999-1-${own}-abc.tmp`));
  fs.writeFileSync(at("tmp/stray"), "x");
  findsAndMends(["temporary"]);
  fs.writeFileSync(at("lock.db"), "this is no database of any kind");
  findsAndMends(["lock"]);
  fs.rmSync(at("version"));
  findsAndMends(["version"]);
  fs.writeFileSync(at("oci/oci-layout"), "{}");
  findsAndMends(["layout"]);
  fs.writeFileSync(at("oci/blobs/sha256/not-a-digest"), "x");
  findsAndMends(["blob"]);
  fs.writeFileSync(at("oci/blobs/sha256", "0".repeat(64)), "x");
  findsAndMends(["blob"]);
  runs();
});

test("garbage is damage when it is old", () => {
  const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
  const file = at("oci/blobs/sha256", digest);
  fs.writeFileSync(file, "test");
  // Old enough whatever the clock does meanwhile.
  const anHourAgo = Date.now() / 1000 - 3600;
  fs.utimesSync(file, anHourAgo, anHourAgo);
  assert.deepEqual(check().found, []);
  findsAndMends(["garbage"], "--max", "30m");
});

test("a killed unpacking is swept by the next command about containers", async () => {
  vitrine("rmi", "-f", "probe");
  reimport();
  const child = world.start(["run", "--rm", "-q", "probe", "true"]);
  const closed = new Promise((resolve) => child.once("close", resolve));
  const deadline = Date.now() + 60_000;
  while (
    child.exitCode === null &&
    !fs.readdirSync(at("tmp")).some((name) => name.startsWith("layer.")) &&
    Date.now() < deadline
  ) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  child.kill("SIGKILL");
  await closed;
  await until(() => (appliersOf(world).length === 0 ? true : undefined), "its helper to end");
  vitrine("ps", "-a");
  assert.deepEqual(
    fs.readdirSync(at("tmp")).filter((name) => name !== "collect-later"),
    [],
  );
  runs();
});

test("system prune: containers, images, volumes on request, by filters", () => {
  vitrine("create", "-q", "--name", "kept", "--label", "keep=1", "probe", "true");
  const gone = vitrine("create", "-q", "--name", "gone", "-v", "/anonymous", "probe", "true");
  vitrine("tag", "probe", "local/named:1");
  assert.equal(
    vitrine("system", "prune", "-f", "--filter", "until=2001-01-01T00:00:00Z"),
    "Total reclaimed space: 0B",
  );
  const pruned = vitrine("system", "prune", "-f", "--filter", "label!=keep");
  assert.match(pruned, new RegExp(`Deleted Containers:\n${gone}\n`));
  assert.equal(vitrine("ps", "-a", "--format", "{{.Names}}"), "kept");
  assert.match(vitrine("images"), /named/);
  const all = vitrine("system", "prune", "-f", "-a", "--volumes");
  assert.match(all, /Deleted Images:/);
  assert.match(all, /Total reclaimed space: [1-9]/);
  assert.equal(vitrine("images", "-q"), "");
  assert.notEqual(world.run(["system", "prune", "-f", "--filter", "size=3"]).status, 0);
  reimport();
});

test("system df -v has docker's tables", () => {
  vitrine("volume", "create", "named");
  vitrine(
    "create",
    "-q",
    "--name",
    "one",
    "-v",
    "named:/data",
    "probe",
    "echo",
    "a long command line of words",
  );
  const text = vitrine("system", "df", "-v");
  assert.match(text, /^REPOSITORY +TAG +IMAGE ID +CREATED +SIZE +SHARED SIZE +UNIQUE SIZE +CONTAINERS/m);
  assert.match(text, /^CONTAINER ID +IMAGE +COMMAND +LOCAL VOLUMES +SIZE +CREATED +STATUS +NAMES/m);
  assert.match(text, /^[0-9a-f]{12} +probe +echo a long command… +1 +0B +.* +created +one$/m);
  assert.match(text, /^VOLUME NAME +LINKS +SIZE\nnamed +1 +0B$/m);
  // One that only was created goes with container prune: it is not in use.
  const counts = vitrine("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}").split("\n");
  assert.ok(counts.includes("Containers 1 0"), counts.join());
  // Docker's objects, one line; a template goes through them.
  const line = vitrine("system", "df", "-v", "--format", "json");
  assert.doesNotMatch(line, /\n/);
  const shown = JSON.parse(line) as Record<string, readonly Record<string, string>[]>;
  assert.deepEqual(Object.keys(shown).sort(), ["BuildCache", "Containers", "Images", "Volumes"]);
  const { Containers, Images, Volumes } = shown;
  const imageKeys =
    "Containers CreatedAt CreatedSince Digest ID Repository SharedSize Size Tag UniqueSize VirtualSize";
  assert.equal(Object.keys(Images![0]!).sort().join(" "), imageKeys);
  assert.deepEqual([Images![0]!["Repository"], Images![0]!["Containers"]], ["docker.io/library/probe", "1"]);
  const keys =
    "Command CreatedAt ID Image Labels LocalVolumes Mounts Names Networks Ports RunningFor Size State Status";
  assert.equal(Object.keys(Containers![0]!).sort().join(" "), keys);
  assert.deepEqual([Containers![0]!["Names"], Containers![0]!["LocalVolumes"]], ["one", "1"]);
  assert.deepEqual(
    Volumes!.map(({ Mountpoint: _, ...rest }) => rest),
    [
      {
        Availability: "N/A",
        Driver: "local",
        Group: "N/A",
        Labels: "",
        Links: "1",
        Name: "named",
        Scope: "local",
        Size: "0B",
        Status: "N/A",
      },
    ],
  );
  assert.equal(
    vitrine("system", "df", "-v", "--format", "{{range .Volumes}}{{.Name}} {{.Links}}{{end}}"),
    "named 1",
  );
  vitrine("rm", "one");
  vitrine("volume", "rm", "named");
});
