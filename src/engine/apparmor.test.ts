import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { test } from "node:test";
import { ensureDefaultProfile, findParser, isLoaded, profilesFile, profileText } from "./apparmor.ts";

const loaded = "docker-default (enforce)\nvitrine-default (enforce)\n";

const parser = "/sbin/apparmor_parser";
const exists = (path: string): boolean => path === parser;

test("the profile is loaded where it is not and can be", () => {
  const loads: string[][] = [];
  const load = (...call: string[]): undefined => {
    loads.push(call);
  };
  ensureDefaultProfile({
    readHostFile: (file) => (file === profilesFile ? loaded : undefined),
    exists,
    load,
  });
  ensureDefaultProfile({ readHostFile: () => undefined, exists: () => false, load });
  assert.deepEqual(loads, []);
  ensureDefaultProfile({ readHostFile: () => "vitrine-default-2 (enforce)\n", exists, load });
  assert.deepEqual(loads, [[parser, profileText]]);
});

test("a profile that the parser refuses is an error, not a silence", () => {
  assert.throws(
    () => ensureDefaultProfile({ readHostFile: () => undefined, exists, load: () => "syntax error" }),
    {
      code: "apparmor-profile-not-loaded",
    },
  );
});

test("names are compared whole", () => {
  assert.equal(isLoaded(loaded, "vitrine-default"), true);
  assert.equal(isLoaded(loaded, "vitrine"), false);
  assert.equal(isLoaded(undefined, "vitrine-default"), false);
});

test("AppArmor's own parser takes it", (t) => {
  const program = findParser(fs.existsSync);
  if (program === undefined) return t.skip("cannot run here: apparmor_parser is not installed");
  const done = spawnSync(program, ["--skip-kernel-load", "--skip-cache", "--preprocess"], {
    input: profileText,
  });
  assert.equal(done.status, 0, done.stderr.toString());
  const compiled = spawnSync(program, ["--skip-kernel-load", "--skip-cache", "--stdout"], {
    input: profileText,
  });
  assert.equal(compiled.status, 0, compiled.stderr.toString());
  assert.ok(compiled.stdout.length > 1000);
});
