/** Artifacts of the store in `system df`, `system check` and `system prune`. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { temporaryName } from "../../src/base/mod.ts";
import { humanSize } from "../../src/cli/format/human.ts";
import { digestOf as digestOfBytes } from "../../src/oci/mod.ts";
import type { Finding } from "../../src/store/mod.ts";
import { makeWorld, type World } from "./support.ts";

let world: World;
const notes = "localhost/notes:1";
const other = "localhost/other:1";

before(() => {
  world = makeWorld("artifacts-check");
  fs.writeFileSync(path.join(world.directory, "notes.txt"), "n".repeat(1000));
  fs.writeFileSync(path.join(world.directory, "other.txt"), "o".repeat(3000));
});
after(() => world[Symbol.asyncDispose]());
beforeEach(() => {
  fs.rmSync(at(), { recursive: true, force: true });
  vitrine("artifact", "add", notes, "notes.txt");
  vitrine("artifact", "add", other, "other.txt", "notes.txt");
});

function vitrine(...args: readonly string[]): string {
  const done = world.run(args, { cwd: world.directory });
  assert.equal(done.status, 0, `${args.join(" ")}: ${done.stdout}${done.stderr}`);
  return done.stdout.trim();
}
const at = (...names: readonly string[]): string => path.join(world.root, "artifacts", ...names);
const blobs = (): readonly string[] => fs.readdirSync(at("blobs/sha256")).sort();
const names = (): readonly string[] =>
  vitrine("artifact", "ls", "-n", "--format", "{{.Repository}}:{{.Tag}}").split("\n").filter(Boolean).sort();
const manifestOf = (name: string): string => at("blobs/sha256", digestOf(name).slice("sha256:".length));
const digestOf = (name: string): string =>
  (JSON.parse(vitrine("artifact", "inspect", name)) as { Digest: string }).Digest;
const blobOf = (text: string): string =>
  at("blobs/sha256", blobs().find((name) => fs.readFileSync(at("blobs/sha256", name), "utf8") === text)!);
/** A blob that a killed command left: nothing leads to it. */
function leave(text: string): string {
  const bytes = Buffer.alloc(5000, text);
  const file = at("blobs/sha256", digestOfBytes(bytes).slice("sha256:".length));
  fs.writeFileSync(file, bytes);
  return file;
}

function check(...flags: readonly string[]): readonly Finding[] {
  const done = world.run(["system", "check", "--format", "json", ...flags]);
  assert.match(done.stdout, /^\[/, done.stderr);
  const found = JSON.parse(done.stdout) as Finding[];
  assert.equal(done.status, found.some(({ repaired }) => !repaired) ? 1 : 0);
  return found;
}
/** A check without repair changes nothing, one with it leaves nothing. */
function findsAndMends(expected: readonly string[], ...flags: readonly string[]): void {
  for (const repair of [[], ["--repair"]]) {
    const found = check(...flags, ...repair);
    assert.deepEqual(
      found.map(({ kind, object }) => `${kind} ${object}`).sort(),
      [...expected].sort(),
      JSON.stringify(found, null, 2),
    );
  }
  assert.deepEqual(check(...flags), []);
}

describe("artifacts in system df", () => {
  const rows = (): readonly string[] =>
    vitrine(
      "system",
      "df",
      "--format",
      "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}",
    ).split("\n");

  it("have a row, and with -v a table and a member, where there are any", () => {
    const files = blobs().map((name) => fs.statSync(at("blobs/sha256", name)).size);
    const bytes = files.reduce((sum, size) => sum + size, 0);
    assert.equal(rows()[3], `Artifacts|2|0|${humanSize(bytes, 4)}|0B (0%)`);
    leave("a");
    assert.match(rows()[3]!, /^Artifacts\|2\|0\|.*kB\|5kB \(\d+%\)$/);
    const text = vitrine("system", "df", "-v");
    assert.match(
      text,
      /^Artifacts space usage:\n\nARTIFACT +DIGEST +SIZE\nlocalhost\/notes:1 +[0-9a-f]{12} +1\.\d+kB\n/m,
    );
    const shown = JSON.parse(vitrine("system", "df", "-v", "--format", "json")) as {
      Artifacts: readonly Record<string, string>[];
    };
    assert.deepEqual(
      shown.Artifacts.map(({ Name, Digest }) => [Name, Digest]),
      [
        [notes, digestOf(notes)],
        [other, digestOf(other)],
      ],
    );
  });

  it("are not there where there are none", () => {
    vitrine("artifact", "rm", "--all");
    assert.deepEqual(
      rows().map((row) => row.split("|")[0]),
      ["Images", "Containers", "Local Volumes"],
    );
    assert.doesNotMatch(vitrine("system", "df", "-v"), /Artifacts/);
  });
});

it("system prune takes what no artifact leads to, and no artifact", () => {
  const whole = blobs();
  const left = leave("b");
  assert.match(vitrine("system", "prune", "--all", "--force"), /Total reclaimed space: 5kB$/);
  assert.ok(!fs.existsSync(left));
  assert.deepEqual(blobs(), whole);
  assert.deepEqual(names(), [notes, other]);
});

describe("artifacts in system check", () => {
  it("are whole", () => {
    assert.deepEqual(check(), []);
    assert.deepEqual(check("--quick"), []);
  });

  it("a file that is missing: its artifact goes, the other stays", () => {
    fs.rmSync(blobOf("o".repeat(3000)));
    findsAndMends([`artifact ${other}`], "--quick");
    assert.deepEqual(names(), [notes]);
  });

  it("other bytes of the same length", () => {
    const file = blobOf("o".repeat(3000));
    fs.writeFileSync(file, "x".repeat(3000));
    assert.deepEqual(check("--quick"), [], "the length is right");
    findsAndMends([`blob artifacts/sha256:${path.basename(file)}`, `artifact ${other}`]);
    assert.deepEqual(names(), [notes]);
  });

  it("a damaged manifest stops what needs it, and says what helps", () => {
    const file = manifestOf(notes);
    fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace("schemaVersion", "schemaversion"));
    const refused = world.run(["artifact", "ls"]);
    assert.match(refused.stderr, /artifact localhost\/notes:1 is damaged.*\n.*vitrine system check --repair/);
    // Nothing is known of what it needs: nothing goes.
    const left = leave("c");
    vitrine("system", "prune", "--force");
    assert.ok(fs.existsSync(left));
    findsAndMends([`blob artifacts/sha256:${path.basename(file)}`, `artifact ${notes}`]);
    assert.deepEqual(names(), [other]);
    vitrine("artifact", "add", notes, "notes.txt");
    assert.ok(!fs.existsSync(left));
  });

  it("what nothing leads to, when it is old; names that are no digests; what a killed command left", () => {
    const left = leave("d");
    assert.deepEqual(check(), []);
    fs.utimesSync(left, 1e9, 1e9);
    fs.writeFileSync(at("blobs/sha256/readme"), "");
    // Of a process that had our id before us.
    const dead = temporaryName("incoming").replace(/-\d+-/, "-1-");
    fs.mkdirSync(at(dead));
    findsAndMends([
      "garbage 1 blob of artifacts",
      "blob artifacts/blobs/sha256/readme",
      `temporary artifacts/${dead}`,
    ]);
    assert.ok(!fs.existsSync(left));
    assert.deepEqual(names(), [notes, other]);
  });

  it("index.json: cut short, what stands whole keeps its name; missing, the artifacts get one of their digests", () => {
    const digests = [digestOf(notes), digestOf(other)].map((digest) => digest.slice(7, 19));
    const text = fs.readFileSync(at("index.json"), "utf8");
    fs.writeFileSync(at("index.json"), text.slice(0, text.lastIndexOf('"digest"')));
    findsAndMends(["index artifacts/index.json"]);
    assert.deepEqual(names(), [notes, `localhost/recovered:${digests[1]}`].sort());
    fs.rmSync(at("index.json"));
    findsAndMends(["index artifacts/index.json"]);
    assert.deepEqual(names(), digests.map((digest) => `localhost/recovered:${digest}`).sort());
  });

  it("oci-layout and lock.db", () => {
    fs.rmSync(at("oci-layout"));
    fs.writeFileSync(at("lock.db"), "no database, and longer than a header");
    findsAndMends(["layout artifacts/oci-layout", "lock artifacts/lock.db"]);
    assert.deepEqual(names(), [notes, other]);
  });
});
