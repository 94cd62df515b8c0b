/** checkpoint where criu is not there, may not be used, or cannot do it on this kernel (test/vm has where it can). */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { bundle, call, root, runtime, start, state, succeeded } from "../conformance/runtime/support.ts";
import { cannotRun, findProgram, isRoot } from "./support.ts";

const work = fs.mkdtempSync(path.join(os.tmpdir(), "vt-criu-errors-"));
after(() => fs.rmSync(work, { recursive: true, force: true }));

test("features and help know both verbs", () => {
  const { annotations } = JSON.parse(succeeded(call(["features"])).stdout);
  assert.equal(annotations["org.opencontainers.runc.checkpoint.enabled"], "true");
  // What podman looks for before it uses them.
  succeeded(call(["checkpoint", "--help"]));
  assert.match(call(["restore", "--lsm-profile"]).stderr, /flag needs an argument/);
});

test("without criu the error says what to install", (t) => {
  if (!isRoot) return cannotRun(t, "hiding criu needs a mount namespace of root's");
  const id = start(bundle("sleep 1000"));
  const hidden = ["/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/usr/bin"].filter((directory) =>
    fs.existsSync(path.join(directory, "criu")),
  );
  const script = `for each in ${hidden.join(" ")}; do mount -t tmpfs none "$each" || exit 99; done; exec "$@"`;
  const words = [runtime, "--root", root, "checkpoint", "--image-path", path.join(work, "none"), id];
  const done = spawnSync("unshare", ["--mount", "sh", "-c", script, "sh", ...words], { encoding: "utf8" });
  assert.equal(done.status, 1, done.stderr);
  assert.match(done.stderr, /criu is not installed.*install the package criu/);
  assert.equal(state(id).status, "running");
  assert.equal(fs.existsSync(path.join(work, "none")), false);
});

test("where criu cannot, its own words and its log are named, and the container goes on", (t) => {
  if (!isRoot) return cannotRun(t, "criu needs root");
  if (findProgram("criu") === undefined) return cannotRun(t, "criu is not installed");
  if (spawnSync("criu", ["check"], { cwd: work }).status === 0)
    return cannotRun(t, "criu works on this kernel");
  const id = start(bundle("sleep 1000"));
  const to = path.join(work, "images");
  const done = call(["checkpoint", "--image-path", to, id]);
  assert.equal(done.status, 1);
  const log = path.join(to, "dump.log");
  assert.ok(done.stderr.includes(log), done.stderr);
  const words = /Error \([^)]*\): (.*)/.exec(fs.readFileSync(log, "utf8"))![1]!;
  assert.ok(done.stderr.includes(words), done.stderr);
  assert.equal(state(id).status, "running");
});

test("another user than root is told so", (t) => {
  if (isRoot) return cannotRun(t, "this is root");
  if (findProgram("criu") === undefined) return cannotRun(t, "criu is not installed");
  const done = call(["restore", "--image-path", work, "--bundle", work, "vt-nothing"]);
  assert.equal(done.status, 1);
  assert.match(done.stderr, /criu needs root/);
});
