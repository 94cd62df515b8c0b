/** Artifacts of the store: podman's verbs, on what stays when a command is killed, and through a registry. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { type Served, serve } from "../support/served.ts";
import { makeWorld, type World } from "./support.ts";

let world: World;
let served: Served;
const at = (...parts: readonly string[]): string => path.join(world.directory, ...parts);

before(async () => {
  world = makeWorld("artifacts");
  served = await serve(world, ["--root", at("served")]);
  fs.mkdirSync(at("site/sub"), { recursive: true });
  fs.writeFileSync(at("site/sub/index.html"), "<p>");
  fs.writeFileSync(at("notes.txt"), "notes");
  fs.writeFileSync(at("more.bin"), "more");
});

after(async () => {
  await served?.[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

function ok(...args: readonly string[]): string {
  const done = world.run(["artifact", ...args], { cwd: world.directory });
  assert.equal(done.status, 0, `artifact ${args.join(" ")}: ${done.stderr}`);
  return done.stdout.trim();
}

function fails(text: RegExp, ...args: readonly string[]): void {
  const done = world.run(["artifact", ...args], { cwd: world.directory });
  assert.equal(done.status, 125, done.stdout);
  assert.match(done.stderr, text);
}

const blobs = (): readonly string[] => fs.readdirSync(path.join(world.root, "artifacts/blobs/sha256")).sort();

describe("artifacts of the store", () => {
  it("are made, shown, sent, fetched, written and removed", () => {
    const name = `${served.address}/team/notes:1`;
    ok("add", "--type", "application/x.notes", "--annotation", "a=b", name, "notes.txt", "site");
    fails(/already/, "add", name, "more.bin");
    const digest = ok("add", "--append", "--file-type", "text/x", name, "more.bin");
    fails(/two files are called/, "add", "-a", name, "more.bin");
    ok("add", "other", "more.bin");
    assert.equal(
      ok("ls", "--no-trunc", "--format", "{{.Repository}} {{.Tag}} {{.Digest}} {{.VirtualSize}}").split("\n")
        .length,
      2,
    );
    const { Manifest, Name, Digest } = JSON.parse(ok("inspect", name));
    assert.deepEqual([Name, Digest, Manifest.artifactType], [name, digest, "application/x.notes"]);
    assert.equal(Manifest.layers.length, 3);
    assert.equal(Manifest.layers[0].annotations.a, "b");
    assert.equal(Manifest.layers[2].mediaType, "text/x");
    fails(/made of files/, "push", "-t", "a/b", name);
    assert.equal(ok("push", "-q", name), digest);
    assert.equal(ok("rm", digest.slice(7, 19)), digest);
    fails(/no artifact/, "inspect", name);
    assert.equal(ok("rm", "--ignore", name), "");
    assert.equal(ok("pull", name), digest);
    fs.mkdirSync(at("out"));
    ok("extract", name, "out");
    assert.equal(fs.readFileSync(at("out/site/sub/index.html"), "utf8"), "<p>");
    assert.equal(fs.readFileSync(at("out/more.bin"), "utf8"), "more");
    fails(/3 files/, "extract", name, "single");
    ok("extract", "--title", "notes.txt", name, "single");
    assert.equal(fs.readFileSync(at("single"), "utf8"), "notes");
    // What one of them still needs stays.
    ok("rm", name);
    ok("extract", "other", "single");
    assert.equal(fs.readFileSync(at("single"), "utf8"), "more");
    assert.equal(blobs().length, 3);
    ok("rm", "--all");
    assert.deepEqual(blobs(), []);
    assert.equal(ok("ls", "-n"), "");
    // Several directories at once: what they are packed into is there until it is sent.
    const pushed = ok("push", "-q", `${served.address}/team/sites:1`, "site", "out", "notes.txt");
    ok("pull", "-o", "sites", `${served.address}/team/sites@${pushed}`);
    assert.equal(fs.readFileSync(at("sites/out/site/sub/index.html"), "utf8"), "<p>");
    // Images are not among them, nor they among images.
    const images = world.run(["images", "-q"]);
    assert.deepEqual([images.status, images.stdout], [0, ""]);
  });

  it("are whole when several come at once, and what a dead command left goes", async () => {
    const artifacts = path.join(world.root, "artifacts");
    const left = path.join(artifacts, "incoming.999999-1-1-000000000000.tmp");
    fs.mkdirSync(left, { recursive: true });
    const old = Date.now() / 1000 - 30 * 24 * 3600;
    fs.utimesSync(left, old, old);
    const children = [1, 2, 3, 4].map((number) =>
      world.start(["artifact", "add", `many:${number}`, at("notes.txt"), at("more.bin")]),
    );
    const statuses = await Promise.all(
      children.map((child) => new Promise((resolve) => child.once("exit", (status) => resolve(status)))),
    );
    assert.deepEqual(statuses, [0, 0, 0, 0]);
    assert.equal(ok("ls", "-n").split("\n").length, 4);
    assert.deepEqual(
      fs.readdirSync(artifacts).filter((name) => name.endsWith(".tmp")),
      [],
    );
    ok("rm", "-a");
  });
});
