import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { test } from "node:test";
import { ensureDefaultProfile, findParser, profileText } from "./apparmor.ts";
import { rootHost, userHost } from "./fixtures.ts";

const parser = "/sbin/apparmor_parser";
const exists = (path: string): boolean => path === parser;
const armored = (host: typeof rootHost, apparmorProfiles: readonly string[] | undefined) => ({
  ...host,
  securityModules: { enabled: ["apparmor"], apparmor: true, apparmorProfiles, selinux: false },
});

test("the profile is loaded where it is not and can be", () => {
  const loads: string[][] = [];
  const load = (...call: string[]): undefined => {
    loads.push(call);
  };
  ensureDefaultProfile({ host: armored(rootHost, ["docker-default", "vitrine-default"]), exists, load });
  ensureDefaultProfile({ host: armored(rootHost, []), exists: () => false, load });
  ensureDefaultProfile({ host: armored(rootHost, undefined), exists, load });
  ensureDefaultProfile({ host: armored(userHost, []), exists, load });
  assert.deepEqual(loads, []);
  ensureDefaultProfile({ host: armored(rootHost, ["vitrine-default-2"]), exists, load });
  assert.deepEqual(loads, [[parser, profileText]]);
});

test("a profile that the parser refuses is an error, not a silence", () => {
  assert.throws(
    () => ensureDefaultProfile({ host: armored(rootHost, []), exists, load: () => "syntax error" }),
    {
      code: "apparmor-profile-not-loaded",
    },
  );
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
