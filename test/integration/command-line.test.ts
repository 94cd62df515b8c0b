/** Words of docker's and podman's command lines that scripts use, beside the names of containers. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, test } from "node:test";
import { makeLiveWorld, until } from "../support/live.ts";
import { isRoot } from "./support.ts";

const world = makeLiveWorld("words");
const { vitrine, detached, inspect } = world;
after(() => world.end());

const running = (): string =>
  vitrine("ps", "--format", "{{.Names}}", "--sort", "names").split("\n").join(" ");
const refused = (code: number, pattern: RegExp, ...args: readonly string[]): void => {
  const done = world.run(args);
  assert.equal(done.status, code, `${args.join(" ")}: ${done.stdout}${done.stderr}`);
  assert.match(done.stderr, pattern);
};

test("--cidfile and --filter choose the containers of stop, kill, restart, pause, rm and wait", () => {
  const file = path.join(world.directory, "cid");
  const id = detached(["--name", "one", "--cidfile", file, "--label", "tier=web"], "exec sleep 1000");
  detached(["--name", "two", "--label", "tier=web"], "exec sleep 1000");
  detached(["--name", "three"], "exec sleep 1000");
  if (isRoot) {
    vitrine("pause", "--cidfile", file);
    assert.equal(inspect("one", ".State.Paused"), "true");
    vitrine("unpause", "--filter", "name=one");
    assert.equal(inspect("one", ".State.Paused"), "false");
  }
  const before = inspect("one", ".State.Pid");
  vitrine("restart", "-t", "0", "--cidfile", file);
  assert.notEqual(inspect("one", ".State.Pid"), before);
  assert.equal(vitrine("kill", "--cidfile", file), id);
  assert.equal(vitrine("wait", "--cidfile", file), "137");
  assert.equal(running(), "three two");
  vitrine("start", "one");
  assert.equal(vitrine("stop", "--timeout", "0", "--filter", "label=tier=web").split("\n").length, 2);
  assert.equal(running(), "three");
  refused(125, /--filter chooses the containers itself/, "stop", "--filter", "name=x", "three");
  refused(125, /cannot read/, "stop", "--cidfile", `${file}-missing`);
  assert.equal(vitrine("stop", "--ignore", "--cidfile", `${file}-missing`), "");
  assert.equal(vitrine("stop", "-t", "0", "--ignore", "nobody", "three"), "three");
  vitrine("rm", "--cidfile", file);
  vitrine("rm", "--filter", "label=tier=web");
  vitrine("start", "three");
  // Gently: the program ends by its own signal.
  vitrine("rm", "-f", "-t", "5", "--latest");
  assert.equal(vitrine("ps", "-aq"), "");
  assert.equal(vitrine("rm", "--ignore", "--cidfile", `${file}-missing`), "");
});

test("--replace: the container that has the name goes first", () => {
  const first = detached(["--name", "same"], "exec sleep 1000");
  const second = detached(["--name", "same", "--replace"], "exec sleep 1000");
  assert.notEqual(first, second);
  assert.equal(vitrine("ps", "-aq", "--no-trunc"), second);
  const third = vitrine("create", "--replace", "--name", "same", "probe", "true");
  assert.equal(vitrine("ps", "-aq", "--no-trunc"), third);
  refused(125, /--replace needs a name/, "create", "--replace", "probe", "true");
  // The beginning of an id is no name.
  vitrine("create", "--replace", "--name", third.slice(0, 4), "probe", "true");
  assert.equal(vitrine("ps", "-aq").split("\n").length, 2);
  vitrine("rm", "-a");
});

test("--attach: the streams that are named", () => {
  const both = world.run([
    "run",
    "--rm",
    "-a",
    "stdout",
    "-a",
    "STDERR",
    "probe",
    "sh",
    "-c",
    "echo o; echo e >&2",
  ]);
  assert.deepEqual([both.stdout, both.stderr.split("\n").at(-2)], ["o\n", "e"]);
  const input = world.run(
    ["run", "--rm", "-i", "-a", "stdin", "-a", "stdout", "-a", "stderr", "probe", "cat"],
    {
      input: "in",
    },
  );
  assert.equal(input.stdout, "in");
  const speaks = ["probe", "sh", "-c", "echo o; echo e >&2; exit 4"];
  const outputs = (...args: readonly string[]): readonly unknown[] => {
    const done = world.run(["run", "-q", ...args, ...speaks]);
    return [done.status, done.stdout, done.stderr];
  };
  assert.deepEqual(outputs("--rm", "-a", "stdout"), [4, "o\n", ""]);
  assert.deepEqual(outputs("--name", "half", "-a", "stderr"), [4, "", "e\n"]);
  // The log has both.
  assert.equal(vitrine("logs", "half"), "o");
  vitrine("rm", "half");
  const fed = world.run(["run", "--rm", "-i", "-a", "stdin", "-a", "stdout", "probe", "cat"], {
    input: "in",
  });
  assert.deepEqual([fed.stdout, fed.stderr], ["in", ""]);
  refused(125, /exclude each other/, "run", "-d", "-a", "stdout", "-a", "stderr", "probe", "true");
  refused(125, /expected stdin, stdout or stderr/, "run", "-a", "stdlog", "probe", "true");
});

test("words for what is so anyway are taken", () => {
  vitrine(
    ...["create", "--name", "words", "--disable-content-trust=false", "--kernel-memory", "64m"],
    ...["--volume-driver", "local", "--systemd=false", "probe", "true"],
  );
  vitrine("ps", "--sync", "--external");
  vitrine("logs", "--details", "--color", "words");
  assert.match(vitrine("inspect", "--latest", "-f", "{{.Name}}"), /words/);
  refused(125, /invalid/, "create", "--volume-driver", "nfs", "probe", "true");
  vitrine("rm", "words");
});

test("ps --sort and top --latest", async () => {
  for (const [name, image] of [
    ["b", "true"],
    ["a", "false"],
    ["c", "sh"],
  ] as const) {
    vitrine("create", "--name", name, "probe", image);
  }
  const order = (field: string): string =>
    vitrine("ps", "-a", "--sort", field, "--format", "{{.Names}}").replaceAll("\n", "");
  assert.equal(order("created"), "cab");
  assert.equal(order("names"), "abc");
  assert.equal(order("command"), "acb");
  assert.equal(order("id").length, 3);
  assert.equal(order("size").length, 3);
  refused(125, /invalid value/, "ps", "--sort", "colour");
  vitrine("rm", "-a");
  detached(["--name", "last"], "exec sleep 4321");
  // The shell becomes it a moment later.
  await until(() => (/sleep/.test(vitrine("top", "last", "-o", "pid,comm")) ? true : undefined), "sleep");
  assert.match(vitrine("top", "--latest"), /sleep 4321/);
  vitrine("rm", "-f", "last");
  assert.ok(fs.existsSync(world.root));
});
