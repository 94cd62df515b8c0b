/** `vitrine-runtime create`, repeated without the engine: an id of its own, and everything else the same. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { baseConfig, type Config, makeRoot } from "../conformance/runtime/support.ts";
import { settle, warmUp, withoutEngine } from "./launch-record-support.ts";
import { cannotRun, isRoot, makeWorld, repository } from "./support.ts";

const world = makeWorld("launch-create");
const runtime = path.join(repository, "dist/vitrine-runtime");
const root = path.join(world.directory, "containers");
const bundle = path.join(world.directory, "bundle");
const prefix = `vtl${process.pid}x`;
/** As long as an engine's, and never one that was there. */
let made = 0;
const nextId = (): string => `${prefix}${String(made++).padStart(6, "0")}`;

before(() => {
  if (isRoot) makeRoot(path.join(bundle, "rootfs"));
});
after(async () => {
  if (fs.existsSync(root)) {
    for (const id of fs.readdirSync(root)) call("delete", "--force", id);
  }
  await world[Symbol.asyncDispose]();
});

function asRoot(name: string, body: (t: TestContext) => void): void {
  test(name, (t) => (isRoot ? body(t) : cannotRun(t, "the bundle is root's")));
}

/** Its streams are a file's, since a container keeps them. */
function call(...words: readonly string[]): { readonly status: number | null; readonly text: string } {
  const out = path.join(world.directory, "out");
  const fd = fs.openSync(out, "w");
  const done = spawnSync(runtime, ["--root", root, ...words], {
    stdio: ["ignore", fd, fd],
    env: world.env,
    cwd: world.directory,
    timeout: 120_000,
  });
  fs.closeSync(fd);
  return { status: done.status, text: fs.readFileSync(out, "utf8") };
}

function writeBundle(change: (config: Config) => void = () => {}): void {
  const config = baseConfig("hostname; exit 3");
  change(config);
  fs.writeFileSync(path.join(bundle, "config.json"), JSON.stringify(config));
}

function create(id: string): void {
  const done = call("create", "--bundle", bundle, id);
  assert.equal(done.status, 0, done.text);
}

function leveled(id: string, text: string): string {
  return text
    .replaceAll(id, "<ID>")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<TIME>")
    .replace(/"pid": ?\d+|"startTime": ?"\d+"/g, "<NEW>");
}

/** All that is in its directory, and what `state` says. */
function everything(id: string): Readonly<Record<string, string>> {
  const directory = path.join(root, id);
  const files = fs.readdirSync(directory).filter((name) => name !== "start" && name !== "process");
  const texts = files.map((name) => {
    const file = path.join(directory, name);
    const { mode } = fs.lstatSync(file);
    return [name, `${mode.toString(8)} ${leveled(id, fs.readFileSync(file, "latin1"))}`] as const;
  });
  return { ...Object.fromEntries(texts), printed: leveled(id, call("state", id).text) };
}

asRoot("the same container with another id, though the bundle is written anew", () => {
  const again = (): void => {
    writeBundle();
    create(nextId());
  };
  again();
  settle();
  warmUp(world, again);
  const repeated = nextId();
  assert.ok(withoutEngine(world, () => create(repeated)));
  const normal = nextId();
  world.env["VITRINE_LAUNCH_RECORD"] = "0";
  create(normal);
  delete world.env["VITRINE_LAUNCH_RECORD"];
  assert.deepEqual(everything(repeated), everything(normal));
  assert.match(call("state", repeated).text, /"status": "created"/);
  assert.equal(call("start", repeated).status, 0);
  for (const id of [repeated, normal]) assert.equal(call("delete", "--force", id).status, 0);
  assert.ok(!fs.existsSync(path.join(root, repeated)));
});

asRoot("an id that is taken, and one of another length", () => {
  writeBundle();
  warmUp(world, () => create(nextId()));
  const id = nextId();
  create(id);
  const second = call("create", "--bundle", bundle, id);
  assert.equal(second.status, 1);
  assert.match(second.text, /already exists/);
  const longer = `${nextId()}-longer`;
  assert.ok(!withoutEngine(world, () => create(longer)));
  assert.match(call("state", longer).text, new RegExp(`"id": "${longer}"`));
});

asRoot("one id again and again, which its config names", () => {
  const id = `${prefix}-same`;
  const again = (): void => {
    writeBundle((config) => {
      config.hostname = id;
    });
    create(id);
    assert.equal(call("delete", "--force", id).status, 0);
  };
  again();
  settle();
  warmUp(world, again);
  // The same config, where the name is not that of the container.
  const other = `${prefix}-othr`;
  writeBundle((config) => {
    config.hostname = id;
  });
  assert.ok(!withoutEngine(world, () => create(other)));
  const config = JSON.parse(fs.readFileSync(path.join(root, other, "config.json"), "utf8")) as Config;
  assert.equal(config.hostname, id);
});

asRoot("a config.json that is another, a root filesystem that is gone", () => {
  writeBundle();
  const again = (): void => create(nextId());
  again();
  settle();
  warmUp(world, again);
  writeBundle((config) => {
    config.hostname = "changed";
  });
  const id = nextId();
  assert.ok(!withoutEngine(world, () => create(id)));
  assert.match(fs.readFileSync(path.join(root, id, "config.json"), "utf8"), /"changed"/);
  writeBundle();
  warmUp(world, again);
  fs.renameSync(path.join(bundle, "rootfs"), path.join(bundle, "away"));
  assert.ok(
    !withoutEngine(world, () => {
      const done = call("create", "--bundle", bundle, nextId());
      assert.equal(done.status, 1);
      assert.match(done.text, /rootfs/);
    }),
  );
  fs.renameSync(path.join(bundle, "away"), path.join(bundle, "rootfs"));
});

asRoot("exec in a container that runs: its status and output, and never in another of its name", () => {
  const id = `${prefix}-exec`;
  const begin = (): void => {
    fs.writeFileSync(
      path.join(bundle, "config.json"),
      JSON.stringify(baseConfig("trap 'exit 0' TERM; while :; do sleep 1000 & wait; done")),
    );
    create(id);
    assert.equal(call("start", id).status, 0);
  };
  const exec = () => call("exec", "--env", "WORD=x", id, "sh", "-c", 'echo "$WORD $(id -u)"; exit 5');
  begin();
  settle();
  warmUp(world, exec);
  let done: ReturnType<typeof exec> | undefined;
  assert.ok(withoutEngine(world, () => (done = exec())));
  assert.deepEqual(done, { status: 5, text: "x 0\n" });
  const left = fs.readdirSync(path.join(root, id)).filter((name) => name.startsWith("exec"));
  assert.deepEqual(left, []);
  assert.equal(call("pause", id).status, 0);
  assert.ok(!withoutEngine(world, () => (done = exec())));
  assert.equal(done!.status, 255);
  assert.match(done!.text, /paused/);
  assert.equal(call("resume", id).status, 0);
  assert.ok(withoutEngine(world, () => (done = exec())));
  assert.equal(call("delete", "--force", id).status, 0);
  assert.ok(!withoutEngine(world, () => (done = exec())));
  assert.equal(done!.status, 255);
  begin();
  assert.ok(!withoutEngine(world, () => (done = exec())));
  assert.deepEqual(done, { status: 5, text: "x 0\n" });
});
