/**
 * The current directory is nobody's to trust: `cd /tmp/unpacked && sudo vitrine images` must not run what lies there.
 * A Bun executable built without care runs `preload` of ./bunfig.toml and reads ./.env.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, describe, it } from "node:test";
import { fixtures, makeWorld, type World } from "./support.ts";

describe("a hostile current directory", () => {
  let world: World;
  let hostile: string;
  let marker: string;

  before(() => {
    world = makeWorld("cwd");
    hostile = path.join(world.directory, "hostile");
    marker = path.join(world.directory, "marker");
    const evil = `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "ran");\n`;
    fs.mkdirSync(path.join(hostile, "node_modules/evil"), { recursive: true });
    const files: Readonly<Record<string, string>> = {
      "evil.ts": evil,
      "evil.js": evil,
      "bunfig.toml": 'preload = ["./evil.ts"]\n[run]\nbun = true\n[test]\npreload = ["./evil.ts"]\n',
      ".env": `VITRINE_ROOT=${hostile}/stolen\nVITRINE_LOG_LEVEL=nonsense\nVITRINE_HELPER=${hostile}/evil.ts\n`,
      ".env.local": "VITRINE_LOG_LEVEL=nonsense\n",
      ".env.production": "VITRINE_LOG_LEVEL=nonsense\n",
      "package.json":
        '{"name":"x","type":"commonjs","scripts":{"preinstall":"node evil.js"},"imports":{"node:fs":"./evil.js"}}',
      "tsconfig.json":
        '{"compilerOptions":{"paths":{"node:fs":["./evil.ts"],"*":["./evil.ts"]},"baseUrl":"."}}',
      "jsconfig.json": '{"compilerOptions":{"paths":{"*":["./evil.js"]},"baseUrl":"."}}',
      "node_modules/evil/index.js": evil,
      vitrine: "#!/bin/sh\ntouch marker\n",
      "vitrine-helper": "#!/bin/sh\ntouch marker\n",
      alpine: "not an image",
    };
    for (const [name, text] of Object.entries(files)) {
      fs.writeFileSync(path.join(hostile, name), text, { mode: 0o755 });
    }
    fs.writeFileSync(path.join(hostile, ".npmrc"), "node-options=--require ./evil.js\n");
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
  });

  for (const args of [["version"], ["images"], ["--help"], ["info"], ["__complete", ""]]) {
    it(`has no say in '${args.join(" ")}'`, () => {
      const { status, stderr } = world.run(args, { cwd: hostile });
      assert.equal(stderr, "");
      assert.equal(status, 0);
      assert.equal(fs.existsSync(marker), false);
      assert.equal(fs.existsSync(path.join(hostile, "stolen")), false);
    });
  }

  it("has no say in a run, and Bun's variables do not reach the container", () => {
    const imported = world.run(["import", "-q", path.join(fixtures, "probe.tar"), "cwd"], { cwd: hostile });
    assert.equal(imported.status, 0, imported.stderr);
    const { status, stdout, stderr } = world.run(["run", "--rm", "-q", "--env-host", "cwd", "env"], {
      cwd: hostile,
      env: { BUN_OPTIONS: "--smol", KEPT: "yes" },
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^KEPT=yes$/m);
    assert.doesNotMatch(stdout, /^BUN_/m);
    assert.equal(fs.existsSync(marker), false);
  });
});
