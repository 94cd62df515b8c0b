/** The helper in stage apply, fed by the session of kernel/: what arrives, what is refused, what a failure says. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { errnoOf, VitrineError } from "../../src/base/mod.ts";
import { ApplySession, FrameWriter, type Op, runApply } from "../../src/kernel/mod.ts";
import { testedHelper } from "../support/containers.ts";
import { isRoot, removeTree } from "./support.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vt-apply-"));
after(() => removeTree(directory));
const options = { helperPath: testedHelper };
let works = 0;

/** A new work directory, and the ops that begin work on it. */
function newWork(): { readonly work: string; readonly begin: readonly Op[] } {
  const work = path.join(directory, `work-${works++}`);
  fs.mkdirSync(work);
  const begin: Op[] = [
    { op: "setWork", path: { base: "host", path: work } },
    {
      op: "layerOptions",
      ignoreOwner: !isRoot,
      ignoreXattrs: false,
      skipDevices: !isRoot,
      keepKinds: false,
      beginFlush: true,
    },
  ];
  return { work, begin };
}

type Entry = Extract<Op, { op: "layerEntry" }>;

/** Ours: a helper without a user namespace may give files to nobody else. */
const owner = { uid: process.geteuid!(), gid: process.getegid!() };

function entry(name: string | Uint8Array, type: string, more: Partial<Entry> = {}): Entry {
  return {
    op: "layerEntry",
    path: name,
    type: type.charCodeAt(0),
    mode: type === "5" ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    size: 0n,
    mtimeSeconds: 1_700_000_000n,
    mtimeNanoseconds: 123_456_789,
    linkTarget: "",
    major: 0,
    minor: 0,
    xattrNames: [],
    xattrValues: new Uint8Array(),
    ...more,
  };
}

function file(name: string, text: string): Op[] {
  const data = Buffer.from(text);
  return [entry(name, "0", { size: BigInt(data.length) }), { op: "layerData", offset: 0n, data }];
}

function xattrValue(text: string): Uint8Array {
  const bytes = Buffer.alloc(4 + text.length);
  bytes.writeUInt32LE(text.length);
  bytes.write(text, 4);
  return bytes;
}

const end: Op = { op: "layerEnd", sync: false };

test("times have nanoseconds, also those of directories that are written into later", () => {
  const { work, begin } = newWork();
  runApply(options, [...begin, entry("d", "5"), ...file("d/f", "text"), end]);
  for (const name of ["d", "d/f"]) {
    const { mtimeNs } = fs.statSync(path.join(work, name), { bigint: true });
    assert.equal(mtimeNs, 1_700_000_000_123_456_789n, name);
  }
});

test("missing parents are 0755, names need not be UTF-8", () => {
  const { work, begin } = newWork();
  const name = Buffer.from([0x61, 0x2f, 0x62, 0x2f, 0xff, 0xfe]);
  runApply(options, [...begin, entry(name, "0"), end]);
  assert.equal(fs.statSync(path.join(work, "a/b")).mode & 0o7777, 0o755);
  assert.deepEqual(fs.readdirSync(path.join(work, "a/b"), { encoding: "buffer" }), [
    Buffer.from([0xff, 0xfe]),
  ]);
});

test("no name leads out of the root", () => {
  const { work, begin } = newWork();
  const outside = path.join(directory, "outside");
  fs.mkdirSync(outside);
  fs.writeFileSync(path.join(outside, "target"), "safe");
  runApply(options, [
    ...begin,
    ...file("../../escape", "1"),
    ...file("/absolute", "2"),
    entry("link", "2", { linkTarget: "../outside" }),
    entry("out", "2", { linkTarget: outside }),
    ...file("./plain/../dots", "3"),
    end,
  ]);
  assert.deepEqual(fs.readdirSync(work).sort(), ["absolute", "dots", "escape", "link", "out"]);
  // Through a link that points out: resolved inside, where its target does not exist and is made.
  runApply(options, [...begin, ...file("out/target", "evil"), ...file("link/target", "evil"), end]);
  assert.equal(fs.readFileSync(path.join(outside, "target"), "utf8"), "safe");
  assert.equal(fs.readFileSync(path.join(work, "outside/target"), "utf8"), "evil");
  for (const linkTarget of ["../outside/target", `${outside}/target`, ""]) {
    const again = newWork();
    assert.throws(() => runApply(options, [...again.begin, entry("hard", "1", { linkTarget }), end]), {
      code: "apply-failed",
    });
  }
});

test("nothing is written through what was there before", () => {
  const { work, begin } = newWork();
  const victim = path.join(directory, "victim");
  fs.writeFileSync(victim, "safe");
  fs.symlinkSync(victim, path.join(work, "link"));
  fs.linkSync(victim, path.join(work, "hard"));
  fs.mkdirSync(path.join(work, "tree/deep"), { recursive: true });
  fs.writeFileSync(path.join(work, "tree/deep/x"), "");
  runApply(options, [
    ...begin,
    ...file("link", "new"),
    ...file("hard", "new"),
    ...file("tree", "now a file"),
    end,
  ]);
  assert.equal(fs.readFileSync(victim, "utf8"), "safe");
  assert.equal(fs.readFileSync(path.join(work, "tree"), "utf8"), "now a file");
  assert.ok(fs.lstatSync(path.join(work, "link")).isFile());
});

test("a directory over a directory keeps its content and takes the mode", () => {
  const { work, begin } = newWork();
  runApply(options, [...begin, ...file("d/kept", "x"), entry("d", "5", { mode: 0o1711 }), end]);
  assert.equal(fs.readFileSync(path.join(work, "d/kept"), "utf8"), "x");
  assert.equal(fs.statSync(path.join(work, "d")).mode & 0o7777, 0o1711);
});

test("hard links, and one that names itself", () => {
  const { work, begin } = newWork();
  runApply(options, [
    ...begin,
    ...file("a", "text"),
    entry("b/c", "1", { linkTarget: "./a" }),
    entry("a", "1", { linkTarget: "b/c" }),
    end,
  ]);
  assert.equal(fs.statSync(path.join(work, "a")).ino, fs.statSync(path.join(work, "b/c")).ino);
  assert.equal(fs.readFileSync(path.join(work, "a"), "utf8"), "text");
});

test("whiteouts of the copy driver spare what the layer itself brought", () => {
  const { work, begin } = newWork();
  runApply(options, [...begin, ...file("d/old", "1"), ...file("d/both", "1"), ...file("gone", "1"), end]);
  runApply(options, [
    ...begin,
    ...file("d/new", "2"),
    ...file("d/both", "2"),
    { op: "layerOpaque", path: "d", style: 0 },
    { op: "layerWhiteout", path: "gone", style: 0 },
    { op: "layerWhiteout", path: "never/there", style: 0 },
    { op: "layerWhiteout", path: "d/new", style: 0 },
    end,
  ]);
  assert.deepEqual(fs.readdirSync(work), ["d"]);
  assert.deepEqual(fs.readdirSync(path.join(work, "d")).sort(), ["both", "new"]);
});

test("holes stay holes, and data beyond the size is refused", () => {
  const { work, begin } = newWork();
  const size = 64n * 1024n * 1024n;
  runApply(options, [
    ...begin,
    entry("sparse", "0", { size }),
    { op: "layerData", offset: 1024n * 1024n, data: Buffer.from("middle") },
    end,
  ]);
  const st = fs.statSync(path.join(work, "sparse"));
  assert.equal(BigInt(st.size), size);
  assert.ok(st.blocks * 512 < 1024 * 1024);
  for (const offset of [0n, 2n ** 63n, 2n ** 64n - 1n]) {
    const again = newWork();
    const ops = [
      ...again.begin,
      entry("f", "0", { size: 3n }),
      { op: "layerData", offset, data: Buffer.from("four") } as const,
    ];
    assert.throws(() => runApply(options, ops), { code: "apply-failed", operand: "EFBIG" });
  }
});

test("marks of an overlay cannot be forged by a layer", () => {
  const { work, begin } = newWork();
  const xattrs = {
    xattrNames: ["user.overlay.opaque", "user.fine"],
    xattrValues: Buffer.concat([xattrValue("y"), xattrValue("z")]),
  };
  runApply(options, [...begin, entry("d", "5", xattrs), end]);
  const listed = spawnSync("getfattr", ["-d", path.join(work, "d")], { encoding: "utf8" });
  if (listed.error === undefined) assert.doesNotMatch(listed.stdout, /overlay/);
});

test("xattr values that are cut off are refused", () => {
  for (const xattrValues of [
    new Uint8Array(),
    new Uint8Array([9, 0, 0, 0, 1]),
    new Uint8Array([0, 0, 0, 0, 0]),
  ]) {
    const { begin } = newWork();
    const ops = [...begin, entry("d", "5", { xattrNames: ["user.a"], xattrValues })];
    assert.throws(() => runApply(options, ops), { code: "apply-failed", operand: "EBADMSG" });
  }
});

test("a failure names the op and the call, and control characters of names do not reach the user", () => {
  const { begin } = newWork();
  try {
    runApply(options, [...begin, ...file("f", "x"), entry('f/\u001b[31m"quoted"', "0"), end]);
    assert.fail("a file in a file");
  } catch (error) {
    assert.ok(error instanceof VitrineError);
    assert.equal(error.code, "apply-failed");
    assert.equal(errnoOf(error.cause), "ENOTDIR");
    assert.match(error.message, /open directory f/);
    assert.equal(error.message.includes("\u001b"), false);
  }
});

test("frames that are none are refused, at any cut", () => {
  const { work } = newWork();
  const writer = new FrameWriter();
  writer.op({ op: "setWork", path: { base: "host", path: work } }, "apply");
  for (const op of file("f", "some text")) {
    writer.op(op.op === "layerEntry" ? { ...op, ...owner } : op, "apply");
  }
  const bytes = writer.bytes();
  const feed = (input: Uint8Array) => {
    const done = spawnSync(testedHelper, ["apply"], { input, encoding: "utf8" });
    return { status: done.status, answer: JSON.parse(done.stdout) as { ok: boolean; errno?: number } };
  };
  let boundaries = 0;
  for (let length = 0; length <= bytes.length; length++) {
    const { status, answer } = feed(bytes.subarray(0, length));
    assert.equal(status, answer.ok ? 0 : 1);
    if (answer.ok) boundaries++;
  }
  assert.equal(boundaries, 4);
  for (const [at, value] of [
    [0, 0xff],
    [2, 1],
    [2, 9],
    [3, 1],
    [7, 0xff],
    [11, 0x7f],
  ] as const) {
    const damaged = Uint8Array.from(bytes);
    damaged[at] = value;
    assert.equal(feed(damaged).answer.ok, false, `byte ${at}`);
  }
});

test("a session carries what is larger than any buffer, in order", async () => {
  const { work, begin } = newWork();
  const session = new ApplySession(options);
  for (const op of begin) session.op(op);
  const chunks = [10, 70_000, 3_000_000, 4_200_000, 9_000_000, 1].map((size, index) =>
    new Uint8Array(size).fill(index + 1),
  );
  const whole = Buffer.concat(chunks);
  session.op(entry("big", "0", { size: BigInt(whole.length) }));
  let at = 0;
  for (const chunk of chunks) {
    session.data(at, chunk);
    await session.drain();
    at += chunk.length;
  }
  for (let index = 0; index < 3000; index++) {
    session.op(entry(`n${index}`, "0", { size: 100n }));
    session.data(0, new Uint8Array(100).fill(65));
    await session.drain();
  }
  session.op(end);
  assert.deepEqual(await session.end(), { skippedDevices: 0 });
  assert.ok(fs.readFileSync(path.join(work, "big")).equals(whole));
  assert.equal(fs.readdirSync(work).length, 3001);
});

test("a session that fails early says why, however much is still being written", async () => {
  const { begin } = newWork();
  const session = new ApplySession(options);
  for (const op of begin) session.op(op);
  session.op(entry("hard", "1", { linkTarget: "absent" }));
  const failing = (async () => {
    for (let index = 0; index < 200; index++) {
      session.data(0, new Uint8Array(1024 * 1024));
      await session.drain();
    }
    await session.end();
  })();
  await assert.rejects(failing, { code: "apply-failed", operand: "ENOENT" });
  await session.abort();
});

test("a session can be given up", async () => {
  const { begin } = newWork();
  const session = new ApplySession(options);
  for (const op of begin) session.op(op);
  session.op(entry("f", "0", { size: 10n }));
  assert.equal(await session.abort(), undefined);
});

test("a helper that is not there", async () => {
  const missing = { helperPath: path.join(directory, "absent") };
  assert.throws(() => runApply(missing, [end]), { code: "helper-missing" });
  const session = new ApplySession(missing);
  session.op(end);
  await assert.rejects(session.end(), { code: "helper-missing" });
});

test("in a user namespace of one id everything belongs to the caller", () => {
  const { work, begin } = newWork();
  const one = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  const ids = { uids: one(process.getuid?.() ?? 0), gids: one(process.getgid?.() ?? 0) };
  const ops: Op[] = [
    ...begin,
    {
      op: "layerOptions",
      ignoreOwner: true,
      ignoreXattrs: true,
      skipDevices: true,
      keepKinds: false,
      beginFlush: false,
    },
    entry("f", "0", { uid: 1234, gid: 4321 }),
    entry("null", "3", { major: 1, minor: 3 }),
    { op: "layerWhiteout", path: "hidden", style: 1 },
    end,
  ];
  assert.deepEqual(runApply({ ...options, ids }, ops), { skippedDevices: 1 });
  assert.equal(fs.statSync(path.join(work, "f")).uid, process.getuid?.());
  assert.ok(fs.lstatSync(path.join(work, "hidden")).isCharacterDevice());
  const strict = [
    ...begin,
    {
      op: "layerOptions",
      ignoreOwner: false,
      ignoreXattrs: false,
      skipDevices: false,
      keepKinds: false,
      beginFlush: true,
    } as const,
  ];
  assert.throws(() => runApply({ ...options, ids }, [...strict, entry("g", "0", { uid: 1234 })]), {
    code: "apply-failed",
    operand: "EINVAL",
  });
});

test("trees deeper than there are descriptors are removed", () => {
  const { work } = newWork();
  const before = process.cwd();
  process.chdir(work);
  for (let depth = 0; depth < 1500; depth++) {
    fs.mkdirSync("d");
    process.chdir("d");
  }
  fs.writeFileSync("f", "");
  process.chdir(before);
  runApply(options, [{ op: "removeTree", path: { base: "host", path: work } }]);
  assert.equal(fs.existsSync(work), false);
});

test("a copied tree has links, holes, modes and times of the first", () => {
  const { begin } = newWork();
  const copy = path.join(directory, "copy");
  fs.mkdirSync(copy);
  runApply(options, [
    ...begin,
    ...file("d/a", "text"),
    entry("d/b", "1", { linkTarget: "d/a" }),
    entry("d/s", "2", { linkTarget: "a" }),
    entry("fifo", "6"),
    entry("hole", "0", { size: 8n * 1024n * 1024n, mode: 0o4711 }),
    entry("d", "5", { mode: 0o750 }),
    end,
    { op: "copyTree", from: { base: "work", path: "" }, to: { base: "host", path: copy } },
  ]);
  const at = (name: string) => fs.lstatSync(path.join(copy, name), { bigint: true });
  assert.equal(at("d/a").ino, at("d/b").ino);
  assert.equal(fs.readlinkSync(path.join(copy, "d/s")), "a");
  assert.ok(at("fifo").isFIFO());
  assert.equal(at("hole").mode & 0o7777n, 0o4711n);
  assert.ok(at("hole").blocks < 100n);
  assert.equal(at("d").mode & 0o7777n, 0o750n);
  assert.equal(at("d").mtimeNs, 1_700_000_000_123_456_789n);
});

test("fillVolume: an empty directory once, an interrupted copy to its end, nothing where there is no directory", () => {
  const { work, begin } = newWork();
  runApply(options, [...begin, entry("d", "5", { mode: 0o750 }), ...file("d/f", "text"), end]);
  fs.linkSync(path.join(work, "d/f"), path.join(work, "d/g"));
  fs.symlinkSync("/etc/passwd", path.join(work, "d/link"));
  const volume = path.join(directory, "volume");
  const to = path.join(volume, "_data");
  fs.mkdirSync(to, { recursive: true });
  const fill = (from: string): void => {
    runApply(options, [
      { op: "setWork", path: { base: "host", path: work } },
      {
        op: "fillVolume",
        from: { base: "work", path: from },
        to: { base: "host", path: to },
        lock: { base: "host", path: volume },
      },
    ]);
  };
  for (const nothing of ["none", "d/f"]) fill(nothing);
  assert.deepEqual(fs.readdirSync(to), []);
  fill("d");
  assert.deepEqual(fs.readdirSync(to).sort(), ["f", "g", "link"]);
  assert.equal(fs.statSync(path.join(to, "f")).ino, fs.statSync(path.join(to, "g")).ino);
  assert.equal(fs.statSync(to).mode & 0o777, 0o750);
  // The time of the directory is that of the first one, though a mark was in it meanwhile.
  assert.equal(fs.statSync(to).mtimeMs, fs.statSync(path.join(work, "d")).mtimeMs);
  fs.writeFileSync(path.join(to, "f"), "mine");
  fill("d");
  assert.equal(fs.readFileSync(path.join(to, "f"), "utf8"), "mine", "what is not empty is left alone");
  fs.writeFileSync(path.join(to, ".vitrine-filling"), "");
  fs.rmSync(path.join(to, "g"));
  fs.mkdirSync(path.join(to, "g/in/the/way"), { recursive: true });
  fill("d");
  assert.deepEqual(fs.readdirSync(to).sort(), ["f", "g", "link"]);
  assert.equal(fs.readFileSync(path.join(to, "g"), "utf8"), "text");
});

test("changeOwners: everything below, links themselves and not what they lead to", (t) => {
  if (!isRoot) return t.skip("cannot run here: only root gives files away");
  const { work, begin } = newWork();
  runApply(options, [
    ...begin,
    entry("d", "5"),
    entry("d/e", "5"),
    ...file("d/e/f", "text"),
    ...file("out", "text"),
    end,
  ]);
  fs.symlinkSync(path.join(work, "out"), path.join(work, "d/link"));
  runApply(options, [...begin, { op: "changeOwners", path: { base: "work", path: "d" }, uid: 7, gid: 8 }]);
  for (const name of ["d", "d/e", "d/e/f", "d/link"]) {
    const { uid, gid } = fs.lstatSync(path.join(work, name));
    assert.deepEqual([uid, gid], [7, 8], name);
  }
  assert.equal(fs.statSync(path.join(work, "out")).uid, 0);
});
