import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, describe, it } from "node:test";
import { expectedHelper, findHelper, statePaths } from "./locations.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-locations-"));
after(() => fs.rmSync(directory, { recursive: true }));
const uid = process.getuid!();
const nothing = { root: undefined, runroot: undefined };

describe("statePaths", () => {
  it("gives root the system's directories", () => {
    assert.deepEqual(statePaths(nothing, { HOME: "/root", XDG_RUNTIME_DIR: "/x" }, 0, assert.fail), {
      root: "/var/lib/vitrine",
      runroot: "/run/vitrine",
    });
  });
  it("takes what is named, from the current directory on", () => {
    assert.deepEqual(statePaths({ root: "r", runroot: "/s/../t" }, {}, 1000, assert.fail), {
      root: path.resolve("r"),
      runroot: "/t",
    });
  });
  it("follows XDG for others, where it is private", () => {
    const runtime = path.join(directory, "runtime");
    fs.mkdirSync(runtime, { mode: 0o700 });
    // The rules for users other than root are tried with our own id, or a directory given to another.
    const other = uid === 0 ? 12345 : uid;
    if (uid === 0) fs.chownSync(runtime, other, other);
    const environment = { HOME: "/home/u", XDG_RUNTIME_DIR: runtime };
    assert.deepEqual(statePaths(nothing, environment, other, assert.fail), {
      root: "/home/u/.local/share/vitrine",
      runroot: path.join(runtime, "vitrine"),
    });
    assert.equal(
      statePaths(nothing, { ...environment, XDG_DATA_HOME: "/d" }, other, assert.fail).root,
      "/d/vitrine",
    );
    assert.equal(
      statePaths(nothing, { ...environment, XDG_DATA_HOME: "relative" }, other, assert.fail).root,
      "/home/u/.local/share/vitrine",
    );
  });
  it("does not use a runtime directory that others can enter or that is a link, and says so", () => {
    const open = path.join(directory, "open");
    fs.mkdirSync(open);
    fs.chmodSync(open, 0o755);
    const link = path.join(directory, "link");
    fs.symlinkSync(open, link);
    for (const unsafe of [open, link, path.join(directory, "missing"), "relative"]) {
      const warnings: string[] = [];
      // An id that has no /run/user and no directory in /tmp; only then is the fallback tried, which is not ours.
      const stranger = 3_999_999_999;
      try {
        const { runroot } = statePaths(nothing, { HOME: "/h", XDG_RUNTIME_DIR: unsafe }, stranger, (text) =>
          warnings.push(text),
        );
        assert.notEqual(runroot, path.join(unsafe, "vitrine"));
      } catch (error) {
        assert.equal((error as { code?: string }).code, "runroot-unsafe");
      } finally {
        fs.rmSync(`/tmp/vitrine-run-${stranger}`, { recursive: true, force: true });
      }
      assert.equal(warnings.length, 1);
    }
  });
});

describe("the helper is found", () => {
  it("beside the executable, then in libexec", () => {
    const prefix = path.join(directory, "prefix");
    fs.mkdirSync(path.join(prefix, "libexec/vitrine"), { recursive: true });
    fs.mkdirSync(path.join(prefix, "bin"));
    const executable = path.join(prefix, "bin/vitrine");
    const installed = path.join(prefix, "libexec/vitrine/vitrine-helper");
    fs.writeFileSync(installed, "");
    assert.equal(findHelper({}, executable), installed);
    const beside = path.join(prefix, "bin/vitrine-helper");
    fs.writeFileSync(beside, "");
    assert.equal(findHelper({}, executable), beside);
    assert.equal(expectedHelper({ VITRINE_HELPER: "/h" }, executable), "/h");
  });
});
