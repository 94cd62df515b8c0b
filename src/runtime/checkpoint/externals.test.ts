import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { inherited, readStreams, resolveInside, writeStreams } from "./externals.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "vt-externals-"));
after(() => fs.rmSync(root, { recursive: true, force: true }));
fs.mkdirSync(path.join(root, "run"));
fs.mkdirSync(path.join(root, "var"));
fs.symlinkSync("/run", path.join(root, "var/run"));
fs.symlinkSync("../../../../run", path.join(root, "var/up"));
fs.symlinkSync("loop", path.join(root, "loop"));

test("links of a destination are followed inside the root", () => {
  assert.equal(resolveInside(root, "/var/run/secrets"), "/run/secrets");
  assert.equal(resolveInside(root, "/var/up/x"), "/run/x");
  assert.equal(resolveInside(root, "/../../etc"), "/etc");
  assert.equal(resolveInside(root, "/data"), "/data");
  assert.equal(resolveInside(root, "/loop"), "/loop");
});

test("streams: what was written is read, and only pipes and files of the host are asked for", () => {
  const streams = ["/dev/null", "pipe:[12]", "file[16:4]"];
  assert.throws(() => readStreams(root), { code: "checkpoint-images-missing" });
  writeStreams(root, streams);
  fs.writeFileSync(path.join(root, "inventory.img"), "");
  assert.deepEqual(readStreams(root), streams);
  assert.deepEqual(inherited(streams), [undefined, "pipe:[12]", "file[16:4]"]);
});
