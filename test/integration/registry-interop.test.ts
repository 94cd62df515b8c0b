/** Other people's clients against our registry: skopeo, podman, umoci; bytes must be equal after the round trip. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { type Served, serve } from "../support/served.ts";
import { cannotRun, findProgram, fixtures, isRoot, makeWorld, type World } from "./support.ts";

let world: World;
let served: Served | undefined;
let address: string;

/** The layout that is pushed: made of the fixture by our own import and save, so that every tool has the same bytes. */
let layout: string;

before(async () => {
  world = makeWorld("registry");
  layout = path.join(world.directory, "layout");
  const rootfs = path.join(fixtures, "probe.tar");
  const imported = world.run(["import", rootfs, "probe:1"]);
  assert.equal(imported.status, 0, imported.stderr);
  const saved = world.run(["save", "--format", "oci-dir", "-o", layout, "probe:1"]);
  assert.equal(saved.status, 0, saved.stderr);
  served = await serveIn("served");
  ({ address } = served);
});
after(async () => {
  await served?.stop();
  await world[Symbol.asyncDispose]();
});

function serveIn(directory: string, ...flags: readonly string[]): Promise<Served> {
  return serve(world, ["--root", path.join(world.directory, directory), ...flags]);
}

function tool(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): { stdout: string; stderr: string } {
  const done = spawnSync(program, args, {
    env: { ...process.env, HOME: world.env["HOME"], XDG_RUNTIME_DIR: world.directory, ...env },
    cwd: world.directory,
    timeout: 120_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  assert.equal(done.status, 0, `${program} ${args.join(" ")}: ${done.stderr}`);
  return { stdout: done.stdout.toString(), stderr: done.stderr.toString() };
}

const policy = ["--insecure-policy"];
/** Otherwise skopeo compresses what it pushes. */
const asItIs = ["--preserve-digests", "--dest-tls-verify=false"];
const manifestOf = (directory: string): string =>
  JSON.parse(fs.readFileSync(path.join(directory, "index.json"), "utf8")).manifests[0].digest;

describe("skopeo", () => {
  it("pushes and pulls; the bytes are the same", (t) => {
    if (findProgram("skopeo") === undefined) return cannotRun(t, "no skopeo");
    tool("skopeo", [...policy, "copy", ...asItIs, `oci:${layout}`, `docker://${address}/probe:skopeo`]);
    const back = path.join(world.directory, "back-skopeo");
    tool("skopeo", [
      ...policy,
      "copy",
      "--preserve-digests",
      "--src-tls-verify=false",
      `docker://${address}/probe:skopeo`,
      `oci:${back}`,
    ]);
    assert.equal(manifestOf(back), manifestOf(layout));
    for (const algorithm of fs.readdirSync(path.join(back, "blobs"))) {
      for (const hex of fs.readdirSync(path.join(back, "blobs", algorithm))) {
        const its = path.join("blobs", algorithm, hex);
        assert.deepEqual(fs.readFileSync(path.join(back, its)), fs.readFileSync(path.join(layout, its)), its);
      }
    }
    const inspected = JSON.parse(
      tool("skopeo", [...policy, "inspect", "--tls-verify=false", `docker://${address}/probe:skopeo`]).stdout,
    );
    assert.deepEqual(inspected.RepoTags, ["skopeo"]);
    assert.equal(inspected.Digest, manifestOf(layout));
  });
  it("converts to Docker schema 2, lists tags, deletes", (t) => {
    if (findProgram("skopeo") === undefined) return cannotRun(t, "no skopeo");
    const target = `docker://${address}/probe-docker:v2`;
    tool("skopeo", [
      ...policy,
      "copy",
      "--format",
      "v2s2",
      "--dest-tls-verify=false",
      `oci:${layout}`,
      target,
    ]);
    const raw = tool("skopeo", [...policy, "inspect", "--raw", "--tls-verify=false", target]).stdout;
    assert.equal(JSON.parse(raw).mediaType, "application/vnd.docker.distribution.manifest.v2+json");
    const listed = JSON.parse(
      tool("skopeo", [...policy, "list-tags", "--tls-verify=false", `docker://${address}/probe-docker`])
        .stdout,
    );
    assert.deepEqual(listed.Tags, ["v2"]);
    tool("skopeo", [...policy, "delete", "--tls-verify=false", target]);
    const gone = spawnSync("skopeo", [...policy, "inspect", "--tls-verify=false", target]);
    assert.notEqual(gone.status, 0);
  });
  it("reads the registry's own directory as a layout", async (t) => {
    if (findProgram("skopeo") === undefined) return cannotRun(t, "no skopeo");
    await using own = await serveIn("as-layout");
    tool("skopeo", [...policy, "copy", ...asItIs, `oci:${layout}`, `docker://${own.address}/team/probe:1`]);
    assert.equal(await own.stop(), 0);
    const root = path.join(world.directory, "as-layout");
    const inspected = JSON.parse(tool("skopeo", [...policy, "inspect", `oci:${root}:team/probe:1`]).stdout);
    assert.equal(inspected.Digest, manifestOf(layout));
    const checked = world.run(["registry", "check", "--root", root]);
    assert.equal(checked.status, 0, checked.stdout);
    if (findProgram("umoci") !== undefined) {
      assert.match(tool("umoci", ["ls", "--layout", root]).stdout, /team\/probe:1/);
    }
  });
  it("logs in with a password, and is refused without", async (t) => {
    if (findProgram("skopeo") === undefined) return cannotRun(t, "no skopeo");
    const users = path.join(world.directory, "users");
    // The password is "secret", bcrypt with cost 5.
    fs.writeFileSync(users, `alice:${bcryptOfSecret}\n`);
    await using own = await serveIn("with-users", "--auth", `htpasswd=${users}`);
    const target = `docker://${own.address}/probe:1`;
    const refused = spawnSync("skopeo", [...policy, "copy", ...asItIs, `oci:${layout}`, target], {
      env: { ...process.env, HOME: world.env["HOME"], XDG_RUNTIME_DIR: world.directory },
    });
    assert.notEqual(refused.status, 0);
    tool("skopeo", [...policy, "copy", ...asItIs, "--dest-creds", "alice:secret", `oci:${layout}`, target]);
    const wrong = spawnSync("skopeo", [
      ...policy,
      "inspect",
      "--tls-verify=false",
      "--creds",
      "alice:wrong",
      target,
    ]);
    assert.notEqual(wrong.status, 0);
    tool("skopeo", [...policy, "inspect", "--tls-verify=false", "--creds", "alice:secret", target]);
    assert.equal(await own.stop(), 0);
  });
  it("pulls through a mirror", async (t) => {
    if (findProgram("skopeo") === undefined) return cannotRun(t, "no skopeo");
    tool("skopeo", [...policy, "copy", ...asItIs, `oci:${layout}`, `docker://${address}/probe:mirrored`]);
    await using mirror = await serveIn("mirror", "--mirror", `http://${address}`);
    const back = path.join(world.directory, "back-mirror");
    tool("skopeo", [
      ...policy,
      "copy",
      "--preserve-digests",
      "--src-tls-verify=false",
      `docker://${mirror.address}/probe:mirrored`,
      `oci:${back}`,
    ]);
    assert.equal(manifestOf(back), manifestOf(layout));
    assert.equal(await mirror.stop(), 0);
    const checked = world.run(["registry", "check", "--root", path.join(world.directory, "mirror")]);
    assert.equal(checked.status, 0, checked.stdout);
  });
});

describe("podman", () => {
  it("pulls and pushes", (t) => {
    if (findProgram("podman") === undefined || findProgram("skopeo") === undefined) {
      return cannotRun(t, "no podman or skopeo");
    }
    tool("skopeo", [...policy, "copy", ...asItIs, `oci:${layout}`, `docker://${address}/probe:podman`]);
    const base = path.join(world.directory, "podman");
    const flags = [
      "--root",
      `${base}/root`,
      "--runroot",
      `${base}/run`,
      "--tmpdir",
      `${base}/tmp`,
      "--storage-driver",
      "vfs",
      "--events-backend",
      "none",
      "--cgroup-manager",
      "cgroupfs",
    ];
    if (!isRoot && spawnSync("podman", [...flags, "info"]).status !== 0) {
      return cannotRun(t, "podman does not start as this user");
    }
    const source = `${address}/probe:podman`;
    tool("podman", [...flags, "pull", "--tls-verify=false", source]);
    tool("podman", [...flags, "tag", source, `${address}/probe:from-podman`]);
    tool("podman", [
      ...flags,
      "push",
      "--tls-verify=false",
      "--format",
      "oci",
      `${address}/probe:from-podman`,
    ]);
    const inspect = (tag: string) =>
      JSON.parse(
        tool("skopeo", [
          ...policy,
          "inspect",
          "--config",
          "--tls-verify=false",
          `docker://${address}/probe:${tag}`,
        ]).stdout,
      );
    assert.deepEqual(inspect("from-podman").rootfs, inspect("podman").rootfs);
    tool("podman", [...flags, "rmi", "--all", "--force"]);
  });
});

const bcryptOfSecret = "$2b$05$4kVXxJryfGRabyTQ5TIZjeWdeKCeN.ql6TrUKyTfbZ5R1T6uWwqj6";
