import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import {
  makePrivateDirectory,
  processStartTime,
  removeTree,
  sweepDead,
  TemporaryFile,
  temporaryName,
  writeFileAtomically,
} from "./files.ts";
import { streamOf } from "./streams.ts";
import { hasCode, withDirectory } from "./testing.ts";

test("start times tell processes apart", async () => {
  assert.match(processStartTime(process.pid) ?? "", /^\d+$/);
  assert.equal(processStartTime(2 ** 22 + 1), undefined);
  // A name with parentheses and spaces does not shift the fields.
  await withDirectory(async (dir) => {
    const program = path.join(dir, "a) S 1 (b");
    fs.copyFileSync("/bin/sleep", program);
    const child = spawn(program, ["10"]);
    await new Promise((resolve) => child.on("spawn", resolve));
    const ours = Number(processStartTime(process.pid));
    assert.ok(Number(processStartTime(child.pid!)) >= ours);
    child.kill("SIGKILL");
    await new Promise((resolve) => child.on("exit", resolve));
    assert.equal(processStartTime(child.pid!), undefined);
  });
});

test("a file is replaced whole, with its mode, and nothing is left beside it", async () => {
  await withDirectory((dir) => {
    const file = path.join(dir, "f");
    writeFileAtomically(file, "one", { mode: 0o600 });
    writeFileAtomically(file, Buffer.from("two"), { mode: 0o640, sync: false });
    assert.equal(fs.readFileSync(file, "utf8"), "two");
    assert.equal(fs.statSync(file).mode & 0o777, 0o640);
    assert.deepEqual(fs.readdirSync(dir), ["f"]);
  });
});

test("a failed replacement leaves the old file and no temporary", async () => {
  await withDirectory((dir) => {
    const target = path.join(dir, "d");
    fs.mkdirSync(path.join(target, "x"), { recursive: true });
    assert.throws(() => writeFileAtomically(target, "x"), { code: "EISDIR" });
    assert.deepEqual(fs.readdirSync(dir), ["d"]);
  });
});

test("a temporary file is committed or disappears", async () => {
  await withDirectory(async (dir) => {
    const target = path.join(dir, "blob");
    {
      await using file = await TemporaryFile.create(dir, "blob");
      assert.equal(await file.write(streamOf(Buffer.from("ab"), Buffer.from("c"))), 3);
      await file.commit(target, { mode: 0o444 });
    }
    assert.equal(fs.readFileSync(target, "utf8"), "abc");
    assert.equal(fs.statSync(target).mode & 0o777, 0o444);
    {
      await using file = await TemporaryFile.create(dir, "blob");
      await file.write(streamOf(Buffer.from("abandoned")));
      assert.equal(fs.readdirSync(dir).length, 2);
    }
    assert.deepEqual(fs.readdirSync(dir), ["blob"]);
  });
});

test("a commit that fails removes the temporary file", async () => {
  await withDirectory(async (dir) => {
    const file = await TemporaryFile.create(dir);
    await assert.rejects(file.commit(path.join(dir, "missing", "x")), { code: "ENOENT" });
    assert.deepEqual(fs.readdirSync(dir), []);
  });
});

test("the sweep removes what the dead left and nothing else", async () => {
  await withDirectory((dir) => {
    const name = temporaryName("mine");
    const parts = /^mine\.(\d+)-(\d+)-(\d+)-([0-9a-f]+)\.tmp$/.exec(name);
    assert.ok(parts !== null);
    const [, pid, start, namespace] = parts;
    const child = spawnSync("true");
    const keep = [
      name,
      "plain",
      "x.tmp",
      // Of another pid namespace: our /proc cannot tell.
      `x.${child.pid}-1-1-abc.tmp`,
    ];
    const dead = [
      `x.${child.pid}-5-${namespace}-abc.tmp`,
      // Our pid, but a process that started at another time.
      `x.${pid}-${Number(start) + 1}-${namespace}-abc.tmp`,
    ];
    for (const file of keep) fs.writeFileSync(path.join(dir, file), "");
    fs.writeFileSync(path.join(dir, dead[0]!), "");
    fs.mkdirSync(path.join(dir, dead[1]!, "sub"), { recursive: true });
    assert.deepEqual([...sweepDead(dir)].sort(), [...dead].sort());
    assert.deepEqual(fs.readdirSync(dir).sort(), [...keep].sort());
    const later = Date.now() + 8 * 24 * 3600 * 1000;
    assert.deepEqual(sweepDead(dir, { now: later }), [`x.${child.pid}-1-1-abc.tmp`]);
    assert.deepEqual(sweepDead(path.join(dir, "missing")), []);
  });
});

test("a private directory is made, accepted, or refused", async () => {
  await withDirectory((dir) => {
    const inner = path.join(dir, "a", "b");
    makePrivateDirectory(inner);
    assert.equal(fs.statSync(inner).mode & 0o777, 0o700);
    assert.equal(fs.statSync(path.dirname(inner)).mode & 0o777, 0o700);
    makePrivateDirectory(inner);
    fs.chmodSync(inner, 0o775);
    assert.throws(() => makePrivateDirectory(inner), hasCode("directory-not-private"));
    fs.chmodSync(inner, 0o755);
    makePrivateDirectory(inner);
    const link = path.join(dir, "link");
    fs.symlinkSync(inner, link);
    assert.throws(() => makePrivateDirectory(link), hasCode("directory-not-private"));
    const file = path.join(dir, "file");
    fs.writeFileSync(file, "");
    assert.throws(() => makePrivateDirectory(file), hasCode("directory-not-private"));
  });
});

test("removal follows no link and opens what is closed", async () => {
  await withDirectory((dir) => {
    const outside = path.join(dir, "outside");
    fs.mkdirSync(outside);
    fs.writeFileSync(path.join(outside, "kept"), "");
    const tree = path.join(dir, "tree");
    fs.mkdirSync(path.join(tree, "closed", "deeper"), { recursive: true });
    fs.symlinkSync(outside, path.join(tree, "link"));
    fs.symlinkSync(outside, path.join(tree, "closed", "link"));
    fs.writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.of(0xff, 0x80)]), "");
    fs.chmodSync(path.join(tree, "closed", "deeper"), 0);
    fs.chmodSync(path.join(tree, "closed"), 0);
    removeTree(tree);
    assert.deepEqual(fs.readdirSync(dir), ["outside"]);
    assert.deepEqual(fs.readdirSync(outside), ["kept"]);
    fs.symlinkSync(outside, path.join(dir, "link"));
    removeTree(path.join(dir, "link"));
    assert.deepEqual(fs.readdirSync(outside), ["kept"]);
    removeTree(path.join(dir, "missing"));
  });
});

test("of two that remove the same tree neither fails", async () => {
  await withDirectory(async (dir) => {
    const trees = Array.from({ length: 300 }, (_, at) => path.join(dir, `t${at}`, "a"));
    for (const tree of trees) fs.mkdirSync(tree, { recursive: true });
    // Each sees what the other has begun: they go through the list from the same side, once both are there.
    const code = `
      import { removeTree } from ${JSON.stringify(path.join(import.meta.dirname, "files.ts"))};
      import * as fs from "node:fs";
      fs.writeFileSync(process.argv.at(-1), "");
      while (fs.readdirSync(${JSON.stringify(dir)}).filter((name) => name.startsWith("ready")).length < 2);
      for (let at = 0; at < ${trees.length}; at++) removeTree(${JSON.stringify(dir)} + "/t" + at);`;
    const script = path.join(dir, "remove.mts");
    fs.writeFileSync(script, code);
    const ended = ["ready1", "ready2"].map((mark) => {
      const child = spawn(process.execPath, [script, path.join(dir, mark)], { stdio: "inherit" });
      return new Promise((resolve) => child.on("exit", resolve));
    });
    assert.deepEqual(await Promise.all(ended), [0, 0]);
    assert.deepEqual(fs.readdirSync(dir).sort(), ["ready1", "ready2", "remove.mts"]);
  });
});
