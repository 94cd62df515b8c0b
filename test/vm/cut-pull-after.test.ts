/** After the cut of cut-pull-before.test.ts: no command takes what the disk has lost for the image. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { slowness, vitrine } from "../integration/support.ts";
import { bootID, image, largeBytes, type Note, noteFile, serve, served } from "./cut-pull.ts";
import { call, good, root } from "./reboot.ts";

const note = JSON.parse(fs.readFileSync(noteFile, "utf8")) as Note;
after(() => {
  fs.rmSync(noteFile, { force: true });
  fs.rmSync(served, { recursive: true, force: true });
});

const blobs = path.join(root, "oci/blobs/sha256");
const largeBlobs = (): readonly string[] =>
  fs.readdirSync(blobs).filter((name) => fs.statSync(path.join(blobs, name)).size > largeBytes);

test("the machine was booted again, and the disk has lost the layer", () => {
  assert.notEqual(fs.readFileSync(bootID, "utf8"), note.boot);
  assert.equal(fs.readdirSync(path.join(root, "unflushed")).length, 1);
  assert.deepEqual(largeBlobs(), [], "the blob had reached the disk: nothing is tried here");
});

test("the image is gone, not damaged, and the store is whole", () => {
  assert.equal(good("images", "-q"), "");
  assert.equal(fs.existsSync(path.join(root, "unflushed")), false);
  // Takes away what the pull itself had not taken away on the disk: its lease.
  good("ps", "-a");
  const checked = call("system", "check");
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
});

test("nothing runs of it; a pull brings it back, every byte", async () => {
  const run = ["run", "--rm", "-q", "--network", "none", "--pull"];
  assert.equal(call(...run, "never", image, "cat", "/large").status, 125);
  await using _registry = await serve();
  good("pull", "-q", image);
  const options = { timeout: 100_000 * slowness, maxBuffer: 2 * largeBytes };
  const read = spawnSync(vitrine, [...run, "never", image, "cat", "/large"], options);
  assert.equal(read.status, 0, read.stderr.toString());
  assert.equal(createHash("sha256").update(read.stdout).digest("hex"), note.sha256);
  good("rmi", "--all", "--force");
  good("system", "check");
});
