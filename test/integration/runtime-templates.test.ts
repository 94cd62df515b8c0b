/** What `spec` and `features` print, beside runc's: field by field, but for what is listed here with its reason. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { cannotRun, findProgram, removeTree, repository } from "./support.ts";

const ours = path.join(repository, "dist/vitrine-runtime");
const runc = findProgram("runc");
const work = fs.mkdtempSync(path.join(os.tmpdir(), "vt-templates-"));
after(() => removeTree(work));

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

function call(runtime: string, args: readonly string[], cwd = work): string {
  const done = spawnSync(runtime, args, { cwd, encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout;
}

/** Every leaf by its JSON pointer; lists of words are one leaf, in their order. */
function leaves(value: Json, pointer = "", found = new Map<string, string>()): Map<string, string> {
  const isWords = Array.isArray(value) && value.every((one) => typeof one !== "object");
  if (typeof value !== "object" || value === null || isWords) {
    found.set(pointer, JSON.stringify(value));
  } else {
    for (const [name, member] of Object.entries(value)) leaves(member, `${pointer}/${name}`, found);
  }
  return found;
}

function spec(runtime: string, args: readonly string[]): Map<string, string> {
  const bundle = fs.mkdtempSync(path.join(work, "bundle-"));
  call(runtime, ["spec", ...args], bundle);
  return leaves(JSON.parse(fs.readFileSync(path.join(bundle, "config.json"), "utf8")) as Json);
}

const specDiffers: Readonly<Record<string, string>> = {
  "/ociVersion": "the version of the specification that each knows",
  "/hostname": "the name of each",
  "/process/capabilities/ambient": "runc before 1.2 had it; CVE-2022-24769's kin",
};

for (const args of [[], ["--rootless"]]) {
  test(`spec ${args.join(" ")} is runc's`, (t) => {
    if (runc === undefined) return cannotRun(t, "runc is not installed");
    const [theirs, own] = [spec(runc, args), spec(ours, args)];
    const pointers = [...new Set([...theirs.keys(), ...own.keys()])].filter(
      (pointer) => theirs.get(pointer) !== own.get(pointer),
    );
    assert.deepEqual(
      pointers.filter((pointer) => specDiffers[pointer] === undefined),
      [],
    );
  });
}

/** The names of all members, and of what type each is. */
function shape(value: Json, pointer = "", found = new Map<string, string>()): Map<string, string> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    found.set(pointer, "object");
    for (const [name, member] of Object.entries(value)) shape(member, `${pointer}/${name}`, found);
  } else {
    found.set(pointer, Array.isArray(value) ? "array" : typeof value);
  }
  return found;
}

interface Features {
  readonly hooks: readonly string[];
  readonly mountOptions: readonly string[];
  readonly linux: {
    readonly namespaces: readonly string[];
    readonly capabilities: readonly string[];
    readonly seccomp: Readonly<
      Record<"actions" | "operators" | "supportedFlags" | "archs", readonly string[]>
    >;
  };
}

test("features has the shape of runc's, and what runc can do", (t) => {
  if (runc === undefined) return cannotRun(t, "runc is not installed");
  const [theirs, own] = [runc, ours].map((one) => JSON.parse(call(one, ["features"])) as Json & Features);
  const known = shape(own!);
  for (const [pointer, type] of shape(theirs!)) {
    if (!pointer.startsWith("/annotations/")) assert.equal(known.get(pointer), type, pointer);
  }
  const all = (mine: readonly string[], their: readonly string[]) =>
    assert.deepEqual(
      their.filter((one) => !mine.includes(one)),
      [],
    );
  all(own!.hooks, theirs!.hooks);
  // Left to the filesystem, which has options of these names.
  all([...own!.mountOptions, "acl", "noacl"], theirs!.mountOptions);
  all(own!.linux.namespaces, theirs!.linux.namespaces);
  all(own!.linux.seccomp.actions, theirs!.linux.seccomp.actions);
  all(own!.linux.seccomp.operators, theirs!.linux.seccomp.operators);
  all(own!.linux.seccomp.supportedFlags, theirs!.linux.seccomp.supportedFlags ?? []);
});
