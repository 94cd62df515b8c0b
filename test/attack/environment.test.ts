/**
 * The environment of a caller says nothing about what vitrine is: Bun lets it preload scripts into, and debug, every
 * executable that it built. And the launcher finds its engine wherever it is started from.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { fixtures, makeWorld, repository, vitrine, type World } from "../integration/support.ts";

describe("a hostile environment", () => {
  let world: World;
  let script: string;
  let marker: string;

  before(() => {
    world = makeWorld("environment");
    script = path.join(world.directory, "evil.js");
    marker = path.join(world.directory, "marker");
    fs.writeFileSync(script, `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "ran");\n`);
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
  });

  const variables = () => ({
    BUN_OPTIONS: `--preload ${script}`,
    BUN_BE_BUN: "1",
    BUN_INSPECT: "1",
    BUN_INSPECT_PRELOAD: script,
    BUN_JSC_dumpOptions: "1",
    BUN_JSC_useJIT: "1",
    BUN_CONFIG_VERBOSE_FETCH: "1",
    NODE_OPTIONS: `--require ${script}`,
    MIMALLOC_VERBOSE: "1",
  });

  it("would have its way with the engine alone, or this test shows nothing", () => {
    const engine = path.join(path.dirname(vitrine), "vitrine-engine");
    spawnSync(engine, ["version"], { env: { ...world.env, BUN_OPTIONS: `--preload ${script}` } });
    assert.equal(fs.existsSync(marker), true);
    fs.rmSync(marker);
  });

  for (const args of [["version"], ["images"], ["--log-level", "error", "info"], ["system", "df"]]) {
    it(`has no say in '${args.join(" ")}'`, () => {
      const plain = world.run(args);
      assert.deepEqual(world.run(args, { env: variables() }), plain);
      assert.equal(fs.existsSync(marker), false);
    });
  }

  it("has no say in a run that unpacks its image, nor in the container", () => {
    const imported = world.run(["import", "-q", path.join(fixtures, "probe.tar"), "env"]);
    assert.equal(imported.status, 0, imported.stderr);
    const { status, stdout, stderr } = world.run(["run", "--rm", "-q", "--env-host", "env", "env"], {
      env: { ...variables(), KEPT: "yes" },
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^KEPT=yes$/m);
    assert.doesNotMatch(stdout, /^(BUN|MIMALLOC)_/m);
    assert.equal(fs.existsSync(marker), false);
  });

  it("may come through a pipe although a run that unpacks starts itself again", () => {
    const archive = path.join(world.directory, "piped.tar");
    spawnSync("tar", ["-C", world.directory, "-cf", archive, "evil.js"]);
    const tree = path.join(fixtures, "probe.tar");
    assert.equal(spawnSync("tar", ["-Af", archive, tree]).status, 0);
    assert.equal(world.run(["import", "-q", archive, "piped"]).status, 0);
    const run = `echo PIPED=yes | ${vitrine} run --rm -q --env-file /dev/stdin piped env`;
    const { status, stdout, stderr } = spawnSync("sh", ["-c", run], { env: world.env, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^PIPED=yes$/m);
  });

  it("finds the engine through a symbolic link and as it is installed", () => {
    const installed = path.join(world.directory, "prefix");
    fs.mkdirSync(path.join(installed, "bin"), { recursive: true });
    fs.mkdirSync(path.join(installed, "libexec/vitrine"), { recursive: true });
    fs.copyFileSync(vitrine, path.join(installed, "bin/vitrine"));
    fs.symlinkSync(
      path.join(repository, "dist/vitrine-engine"),
      path.join(installed, "libexec/vitrine/vitrine-engine"),
    );
    fs.symlinkSync(path.join(installed, "bin/vitrine"), path.join(world.directory, "link"));
    const expected = world.run(["version"]).stdout;
    for (const file of [path.join(installed, "bin/vitrine"), path.join(world.directory, "link")]) {
      const { status, stdout } = spawnSync(file, ["version"], { env: world.env, encoding: "utf8" });
      assert.deepEqual({ status, stdout }, { status: 0, stdout: expected });
    }
  });

  it("says what is missing where there is no engine", () => {
    const lonely = path.join(world.directory, "lonely");
    fs.copyFileSync(vitrine, lonely);
    const { status, stderr } = spawnSync(lonely, ["version"], { env: world.env, encoding: "utf8" });
    assert.equal(status, 125);
    assert.match(stderr, /^error: .*vitrine-engine: .*\nhint: /);
  });
});
