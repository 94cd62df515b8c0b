/**
 * A large pull does not wait for the disk (src/store/unflushed.ts). A power cut is played: the helper that flushes never gets to
 * it, the note is of another boot, and files are what a disk may have of them.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { type Served, serve } from "../support/served.ts";
import { until } from "./run-support.ts";
import { fixtures, helper, makeWorld, removeTree, type World } from "./support.ts";

const anotherBoot = "00000000-0000-4000-8000-000000000000";

let world: World;
let server: Served | undefined;
let image: string;
let store: NodeJS.ProcessEnv;
let stores = 0;
/** A helper that is killed before it flushes. */
let neverFlushes: string;

before(async () => {
  world = makeWorld("unflushed");
  fs.chmodSync(world.directory, 0o755);
  const tree = path.join(world.directory, "more");
  fs.mkdirSync(tree);
  // Random: a layer that stays large when it is compressed.
  fs.writeFileSync(path.join(tree, "large"), randomBytes(18 * 1024 * 1024));
  ok(["import", path.join(fixtures, "probe.tar"), "probe"], world.env);
  ok(["create", "-q", "--name", "more", "probe", "true"], world.env);
  ok(["cp", path.join(tree, "large"), "more:/large"], world.env);
  ok(["commit", "-q", "more", "large"], world.env);
  server = await serve(world, ["--root", `${world.directory}/served`]);
  image = `${server.address}/large:1`;
  ok(["push", "-q", "large", image], world.env);
  neverFlushes = path.join(world.directory, "never-flushes");
  fs.writeFileSync(
    neverFlushes,
    `#!/bin/sh\ncase $(readlink /proc/$$/fd/0) in */tmp/flush.*) exit 1;; esac\nexec ${helper} "$@"\n`,
    { mode: 0o755 },
  );
});

after(async () => {
  await server?.stop();
  await world[Symbol.asyncDispose]();
});

beforeEach(() => {
  const base = path.join(world.directory, `store${stores++}`);
  store = { VITRINE_ROOT: path.join(base, "root"), VITRINE_RUNROOT: path.join(base, "run") };
});

function ok(args: readonly string[], env: NodeJS.ProcessEnv = store): string {
  const done = world.run(args, { env });
  assert.equal(done.status, 0, `vitrine ${args.join(" ")}: ${done.stderr}`);
  return done.stdout.trim();
}

const inStore = (...names: readonly string[]): string => path.join(store["VITRINE_ROOT"]!, ...names);
const notes = (): readonly string[] =>
  fs.existsSync(inStore("unflushed")) ? fs.readdirSync(inStore("unflushed")) : [];

/** Pulls, and the power goes before anything was flushed. */
function pullBeforeCut(): void {
  ok(["pull", "-q", image], { ...store, VITRINE_HELPER: neverFlushes });
  assert.equal(notes().length, 1);
}

function cut(): void {
  for (const note of notes())
    fs.renameSync(inStore("unflushed", note), inStore("unflushed", note.replace(/^[0-9a-f-]+/, anotherBoot)));
}

/** The files of the upper layer, and its blob. */
function largest(): { readonly file: string; readonly blob: string } {
  const layers = inStore("layers", fs.readdirSync(inStore("layers"))[0]!);
  const file = fs
    .readdirSync(layers)
    .map((name) => path.join(layers, name, "fs/large"))
    .find((name) => fs.existsSync(name));
  const blobs = inStore("oci/blobs/sha256");
  const blob = fs
    .readdirSync(blobs)
    .map((name) => path.join(blobs, name))
    .sort((one, other) => fs.statSync(other).size - fs.statSync(one).size)[0]!;
  return { file: file!, blob };
}

const size = ["run", "--rm", "-q", "--pull", "never", "--network", "none"];
const large = `${18 * 1024 * 1024}`;

test("a pull leaves a note, which goes when the disk has all", async () => {
  ok(["pull", "-q", image]);
  await until(() => (notes().length === 0 ? true : undefined), "the flush");
  assert.equal(ok([...size, image, "stat", "-c", "%s", "/large"]), large);
  assert.equal(fs.existsSync(inStore("unflushed")), false);
  ok(["system", "check"]);
});

test("a note whose helper was killed goes with the next large pull", async () => {
  pullBeforeCut();
  ok(["rmi", "-f", image]);
  ok(["pull", "-q", image]);
  await until(() => (notes().length === 0 ? true : undefined), "both flushes");
});

test("after a power cut layers are made again of blobs that are whole", () => {
  pullBeforeCut();
  ok(["create", "-q", "--name", "made", "--network", "none", image, "stat", "-c", "%s", "/large"]);
  cut();
  truncate(largest().file);
  assert.equal(ok([...size, image, "stat", "-c", "%s", "/large"]), large);
  assert.deepEqual(notes(), []);
  ok(["system", "check"]);
  ok(["rm", "made"]);
});

test("a container that was made of them starts, though nobody opened the store before", () => {
  pullBeforeCut();
  ok(["create", "-q", "--name", "made", "--network", "none", image, "stat", "-c", "%s", "/large"]);
  cut();
  truncate(largest().file);
  assert.equal(ok(["start", "-a", "made"]), large);
  ok(["rm", "made"]);
});

test("an image whose blob is damaged is gone, and a pull brings it back", () => {
  pullBeforeCut();
  cut();
  const { blob } = largest();
  fs.chmodSync(blob, 0o644);
  const fd = fs.openSync(blob, "r+");
  fs.writeSync(fd, Buffer.alloc(4096), 0, 4096, 1024 * 1024);
  fs.closeSync(fd);
  assert.equal(ok(["images", "-q"]), "");
  assert.equal(fs.existsSync(blob), false);
  ok(["system", "check"]);
  ok(["pull", "-q", image]);
  assert.equal(ok([...size, image, "stat", "-c", "%s", "/large"]), large);
});

test("a note of this boot, and one that was never whole, harm nothing", () => {
  pullBeforeCut();
  const { file } = largest();
  assert.equal(ok([...size, image, "stat", "-c", "%s", "/large"]), large);
  assert.equal(notes().length, 1, "it is not yet flushed");
  assert.ok(fs.existsSync(file));
  fs.writeFileSync(inStore("unflushed", `${anotherBoot}.1-1-1-0.tmp`), "{");
  assert.equal(ok(["images", "-q"]) === "", false);
  assert.equal(notes().length, 1);
});

/** As the owner, whoever that is in a user's store. */
function truncate(file: string): void {
  try {
    fs.truncateSync(file, 0);
  } catch {
    removeTree(file);
  }
}
