import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, describe, it } from "node:test";
import { VitrineError } from "../../base/mod.ts";
import { digestOf } from "../../oci/mod.ts";
import { makeArtifact, parseAnnotationFlags } from "./artifact.ts";
import { BlobBoard } from "./blob-board.ts";
import { parseLoginKey } from "./login-key.ts";
import { flagsOfSide } from "./options.ts";
import { parsePlace, placeOfDestination } from "./places.ts";
import { readSyncList, versionRange } from "./sync-list.ts";
import { compareTags, tagPattern } from "./tag-list.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-remote-"));
after(() => fs.rmSync(directory, { recursive: true, force: true }));

const hasCode = (code: string) => (error: unknown) => error instanceof VitrineError && error.code === code;

describe("tags", () => {
  it("are in the order of versions", () => {
    const sorted = [
      "edge",
      "latest",
      "1.2",
      "1.2.0-rc.2",
      "1.2.0-rc.10",
      "1.2.0",
      "1.2.0-alpine",
      "v1.10.0-beta1",
      "v1.10.0",
      "20240101",
    ];
    for (let turn = 0; turn < 5; turn++) {
      const mixed = [...sorted].sort((a, b) =>
        digestOf(Buffer.from(a + turn)).localeCompare(digestOf(Buffer.from(b + turn))),
      );
      assert.deepEqual(mixed.sort(compareTags), sorted);
    }
  });

  it("are chosen by patterns", () => {
    const matches = (pattern: string, tag: string) => tagPattern(pattern).test(tag);
    assert.ok(matches("3.*", "3.20") && !matches("3.*", "13.20") && !matches("3.*", "3x20"));
    assert.ok(matches("v?.[0-3]", "v1.3") && !matches("v?.[0-3]", "v1.4"));
    assert.ok(matches("[!a]b", "cb") && !matches("[!a]b", "ab"));
    assert.ok(matches("/^v[0-9]+$/", "v12") && !matches("/^v[0-9]+$/", "v1.2"));
    assert.throws(() => tagPattern("/(/"), hasCode("pattern-invalid"));
  });

  it("are chosen by ranges of versions", () => {
    const suits = (range: string, tag: string) => versionRange("list", range)(tag);
    assert.ok(suits(">= 3.12.0", "3.12") && suits(">=3.12", "v4") && !suits(">= 3.12.0", "3.9"));
    assert.ok(suits(">=1, <2", "1.99.9") && !suits(">=1 <2", "2.0"));
    assert.ok(suits("^1.2", "1.9") && !suits("^1.2", "2.0") && !suits("^0.2.3", "0.3.0"));
    assert.ok(suits("~1.2.3", "1.2.9") && !suits("~1.2.3", "1.3.0"));
    assert.ok(suits("1 || 3", "3.1") && !suits("1 || 3", "2"));
    assert.ok(!suits(">=1", "1.2-rc1") && !suits(">=1", "latest"));
    assert.throws(() => versionRange("list", "newest"), hasCode("sync-list-invalid"));
  });
});

describe("the list of sync", () => {
  const read = (text: string) => {
    const file = path.join(directory, "list.yaml");
    fs.writeFileSync(file, text);
    return readSyncList(file);
  };

  it("is skopeo's, with patterns", async () => {
    const [registry] = await read(`
registry.example:5000:
  images:
    all: []
    some: ["1.0", "2.*", "sha256:${"a".repeat(64)}"]
  images-by-tag-regex:
    nginx: ^1\\.1[0-9]$
  images-by-semver:
    alpine: ">= 3.12"
  credentials: { username: me, password: "1234" }
  tls-verify: false
`);
    assert.equal(registry!.registry, "registry.example:5000");
    assert.deepEqual(registry!.credentials, { user: "me", password: "1234" });
    assert.equal(registry!.tlsVerify, false);
    const [all, some, nginx, alpine] = registry!.repositories;
    const tags = ["1.0", "1.15", "2.1", "3.12", "latest"];
    assert.deepEqual(all!.choose!(tags), tags);
    assert.deepEqual([some!.tags, some!.choose!(tags), some!.digests.length], [["1.0"], ["2.1"], 1]);
    assert.deepEqual(nginx!.choose!(tags), ["1.15"]);
    assert.deepEqual(alpine!.choose!(tags), ["3.12"]);
  });

  it("that is wrong is refused", async () => {
    for (const text of [
      "a: [",
      "- a",
      "r.io: 7",
      "r.io: { pictures: {} }",
      "r.io: { images: { a: [1.10] } }",
      "r.io: { images: { a: latest } }",
      "r.io: { images-by-semver: { a: newest } }",
      "r.io: { tls-verify: maybe }",
      "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]",
    ]) {
      await assert.rejects(read(text), (error: unknown) => error instanceof Error, text);
    }
    await assert.rejects(readSyncList("/nonexistent"), hasCode("sync-list-unreadable"));
  });
});

describe("places", () => {
  it("say what kind they are", () => {
    assert.deepEqual(parsePlace("vitrine:app"), { transport: "vitrine", name: "app" });
    assert.equal(parsePlace("docker://alpine").transport, "docker");
    assert.throws(() => parsePlace("alpine"), hasCode("place-without-transport"));
    assert.equal(placeOfDestination("localhost:5000/app").transport, "docker");
    assert.equal(placeOfDestination("oci:./x:1").transport, "oci");
  });

  it("of credentials are registries and namespaces", () => {
    assert.deepEqual(parseLoginKey("https://index.docker.io/v1/"), {
      registry: "docker.io",
      key: "docker.io",
    });
    assert.deepEqual(parseLoginKey("r.io:5000/team/x"), { registry: "r.io:5000", key: "r.io:5000/team/x" });
    for (const text of ["", "a b", "r.io/UPPER", "-x", "r.io/../x y"]) {
      assert.throws(() => parseLoginKey(text), hasCode("registry-name-invalid"), text);
    }
  });
});

const noDirectory = async (): Promise<string> => assert.fail("files are not spooled");

describe("artifacts", () => {
  it("name their files, and are the same for the same files", async () => {
    const file = path.join(directory, "sbom.json");
    fs.writeFileSync(file, "{}");
    const make = () =>
      makeArtifact({
        artifactType: "a/b",
        files: [`${file}:application/json`],
        annotations: { k: "v" },
        created: "2024-01-01T00:00:00Z",
        temporaryDirectory: noDirectory,
      });
    const [one, other] = [await make(), await make()];
    assert.equal(one.root.digest, other.root.digest);
    const manifest = JSON.parse(Buffer.from(await one.readDocument(one.root)).toString());
    assert.equal(manifest.artifactType, "a/b");
    assert.equal(manifest.layers[0].mediaType, "application/json");
    assert.equal(manifest.layers[0].annotations["org.opencontainers.image.title"], "sbom.json");
  });

  it("of wrong types, files and annotations are refused", async () => {
    const make = (artifactType: string, files: readonly string[]) =>
      makeArtifact({ artifactType, files, annotations: {}, created: "", temporaryDirectory: noDirectory });
    await assert.rejects(make("nonsense", []), hasCode("artifact-type-invalid"));
    await assert.rejects(make("a/b", ["/nonexistent"]), hasCode("artifact-file-unreadable"));
    await assert.rejects(make("a/b", ["/dev/null"]), hasCode("artifact-file-unreadable"));
    assert.throws(() => parseAnnotationFlags(["novalue"]), hasCode("annotation-invalid"));
  });
});

describe("the flags of one side", () => {
  it("stand before those of both, and who we are is said as a whole", () => {
    const given = new Set(["creds", "tls-verify", "src-no-creds", "dest-tls-verify"]);
    const options = {
      creds: "me:secret",
      "tls-verify": false,
      "src-no-creds": true,
      "dest-tls-verify": true,
    };
    const source = flagsOfSide("src", options, given);
    assert.deepEqual(source.own, ["no-creds"]);
    assert.equal(source.flags.creds, undefined);
    assert.equal(source.flags["no-creds"], true);
    assert.equal(source.flags["tls-verify"], false);
    const target = flagsOfSide("dest", options, given);
    assert.deepEqual(target.own, ["tls-verify"]);
    assert.equal(target.flags.creds, "me:secret");
    assert.equal(target.flags["tls-verify"], true);
    assert.ok(target.given.has("tls-verify"));
  });
});

describe("the board of blobs", () => {
  const blob = { mediaType: "x", digest: digestOf(Buffer.from("a")), size: 1000 };
  const show = (terminal: boolean): string => {
    const file = path.join(directory, `board-${terminal}`);
    const fd = fs.openSync(file, "w");
    let time = 0;
    const board = new BlobBoard({ quiet: false, fd, terminal, now: () => (time += 200) });
    board.begin(blob);
    board.progress(blob, 500);
    board.progress(blob, 900);
    board.end(blob, "pulled");
    board.close();
    fs.closeSync(fd);
    return fs.readFileSync(file, "utf8");
  };

  it("is one line each where output is piped", () => {
    assert.equal(show(false), "ca978112ca1b pulled 1000 B\n");
  });

  it("draws bars on a terminal, and takes them away", () => {
    const text = show(true);
    assert.match(text, /\[#{15}-{15}\] {2}50% of 1000 B/);
    assert.match(text, /100% of/);
    assert.ok(text.indexOf("pulled") > text.lastIndexOf("%"));
  });
});
