/** Cross-checks against GNU tar, which is assumed to be installed; nothing here needs privilege. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { gather, randomBytes, seededRandom, withDirectory } from "../testing.ts";
import { decodeText, encodeText } from "../text.ts";
import { TarFile } from "./file.ts";
import { parseAll, type Seen } from "./testing.ts";
import { type TarInput, writeTar } from "./writer.ts";

function tar(...args: readonly string[]): Buffer {
  const env = { ...process.env, LC_ALL: "C.UTF-8", TZ: "UTC" };
  const result = spawnSync("tar", args, { maxBuffer: 1 << 28, env });
  assert.equal(result.status, 0, result.stderr.toString());
  return result.stdout;
}

function byPath(seen: readonly Seen[]): Map<string, Seen> {
  return new Map(seen.map((member) => [member.entry.path, member]));
}

const longName = `${"long-directory-name/".repeat(15)}file`;
const rawName = Buffer.of(0x72, 0x61, 0x77, 0xff, 0xe9);

function makeTree(dir: string): void {
  const at = (name: string): string => path.join(dir, name);
  fs.writeFileSync(at("plain"), "hello");
  fs.chmodSync(at("plain"), 0o4751);
  fs.writeFileSync(at("empty"), "");
  fs.writeFileSync(at("ünï"), "x".repeat(1000));
  fs.mkdirSync(path.dirname(at(longName)), { recursive: true });
  fs.writeFileSync(at(longName), "deep");
  fs.linkSync(at("plain"), at("zz-hard"));
  fs.symlinkSync("../some/target", at("soft"));
  fs.symlinkSync("t".repeat(300), at("softlong"));
  assert.equal(spawnSync("mkfifo", [at("fifo")]).status, 0);
  fs.writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), rawName]), "raw");
  for (const [name, time] of [
    ["plain", "1969-12-31 23:59:58.5"],
    ["empty", "2200-01-01 00:00:00.123456789"],
  ]) {
    assert.equal(spawnSync("touch", ["-d", `${time} UTC`, at(name!)]).status, 0);
  }
}

for (const format of ["v7", "oldgnu", "gnu", "ustar", "posix"]) {
  test(`what GNU tar writes in format ${format}`, async () => {
    await withDirectory((dir) => {
      makeTree(dir);
      // v7 and ustar cannot say everything.
      const limited = format === "v7" || format === "ustar";
      const exclude = limited ? ["--exclude=long-directory-name", "--exclude=softlong"] : [];
      const noFifo = format === "v7" ? ["--exclude=fifo"] : [];
      const times = limited ? ["--mtime=@1000000000"] : [];
      const archive = tar(
        "-C",
        dir,
        "--format",
        format,
        "--sort=name",
        ...times,
        ...exclude,
        ...noFifo,
        "-cf",
        "-",
        ".",
      );
      const seen = byPath(parseAll([archive]));
      const plain = seen.get("./plain")!;
      assert.equal(plain.data.toString(), "hello");
      assert.equal(plain.entry.mode, 0o4751);
      assert.equal(plain.entry.uid, process.getuid!());
      const expectedTime = limited ? [1_000_000_000, 0] : format === "posix" ? [-2, 500_000_000] : [-2, 0];
      assert.deepEqual([plain.entry.mtimeSeconds, plain.entry.mtimeNanoseconds], expectedTime);
      const empty = seen.get("./empty")!.entry;
      assert.equal(empty.size, 0);
      if (!limited) assert.equal(empty.mtimeSeconds, 7258118400);
      assert.equal(empty.mtimeNanoseconds, format === "posix" ? 123456789 : 0);
      assert.equal(seen.get("./ünï")!.data.length, 1000);
      assert.equal(seen.get("./")!.entry.type, "directory");
      assert.deepEqual(
        [seen.get("./zz-hard")!.entry.type, seen.get("./zz-hard")!.entry.linkTarget],
        ["hardlink", "./plain"],
      );
      assert.deepEqual(
        [seen.get("./soft")!.entry.type, seen.get("./soft")!.entry.linkTarget],
        ["symlink", "../some/target"],
      );
      assert.equal(seen.get(`./${decodeText(rawName)}`)!.data.toString(), "raw");
      if (format !== "v7") assert.equal(seen.get("./fifo")!.entry.type, "fifo");
      if (!limited) {
        assert.equal(seen.get(`./${longName}`)!.data.toString(), "deep");
        assert.equal(seen.get("./softlong")!.entry.linkTarget, "t".repeat(300));
      }
      const listed = tar(
        "--quoting-style=literal",
        "--show-transformed-names",
        "-tf",
        writeArchive(dir, archive),
      );
      const names = [...seen.keys()].map((name) => `${name}\n`);
      assert.deepEqual([...encodeText(names.join(""))], [...listed]);
    });
  });
}

function writeArchive(dir: string, archive: Uint8Array): string {
  const file = path.join(dir, "archive.tar");
  fs.writeFileSync(file, archive);
  return file;
}

/** Data at these offsets, holes elsewhere. */
function makeSparse(file: string, size: number, offsets: readonly number[]): void {
  const fd = fs.openSync(file, "w");
  for (const offset of offsets) fs.writeSync(fd, Buffer.from(`data at ${offset}`), 0, undefined, offset);
  fs.ftruncateSync(fd, size);
  fs.closeSync(fd);
}

const sparseFormats: readonly (readonly string[])[] = [
  ["--format=oldgnu"],
  ["--format=gnu"],
  ["--format=posix", "--sparse-version=0.0"],
  ["--format=posix", "--sparse-version=0.1"],
  ["--format=posix", "--sparse-version=1.0"],
];

for (const format of sparseFormats) {
  test(`sparse files of GNU tar ${format.join(" ")}`, async () => {
    await withDirectory(async (dir) => {
      const step = 128 * 1024;
      const cases: Record<string, readonly [number, readonly number[]]> = {
        one: [4 * step, [step]],
        start: [4 * step, [0]],
        end: [4 * step + 5, [4 * step - 10]],
        hole: [3 * step, []],
        many: [100 * step, Array.from({ length: 60 }, (_, index) => index * step + 4096)],
      };
      for (const [name, [size, offsets]] of Object.entries(cases))
        makeSparse(path.join(dir, name), size, offsets);
      const archive = tar("-C", dir, "--sparse", ...format, "-cf", "-", ...Object.keys(cases));
      const seen = byPath(parseAll([archive]));
      const file = writeArchive(dir, archive);
      await using index = await TarFile.open(file);
      for (const [name, [size]] of Object.entries(cases)) {
        const expected = fs.readFileSync(path.join(dir, name));
        const { entry, data } = seen.get(name)!;
        assert.equal(entry.size, size);
        assert.ok(entry.sparse !== undefined && entry.bodySize < size, `${name} is not sparse`);
        assert.ok(data.equals(expected), name);
        assert.ok((await gather(index.read(index.find(name)!))).equals(expected), name);
      }
      // In small chunks as well.
      const random = seededRandom(5);
      const chunks: Buffer[] = [];
      for (let at = 0; at < archive.length; ) {
        const length = 1 + random(3000);
        chunks.push(archive.subarray(at, at + length));
        at += length;
      }
      assert.deepEqual(parseAll(chunks), parseAll([archive]));
    });
  });
}

const nothing = new Uint8Array(0);

/** Members that need every feature of the writer. */
function members(): TarInput[] {
  const random = seededRandom(8);
  return [
    { path: "d", type: "directory", mode: 0o1777 },
    {
      path: "d/file",
      type: "file",
      mode: 0o4755,
      mtimeSeconds: 1_700_000_000,
      mtimeNanoseconds: 120_000_000,
      body: randomBytes(random, 1500),
    },
    { path: "d/empty", type: "file", mtimeSeconds: -5, mtimeNanoseconds: 500_000_000 },
    {
      path: `${"p".repeat(80)}/${"n".repeat(90)}`,
      type: "file",
      body: Buffer.from("split into prefix and name"),
    },
    { path: "x".repeat(230), type: "file", body: Buffer.from("needs pax") },
    { path: `${"deep/".repeat(60)}dir`, type: "directory" },
    { path: "ünïcode", type: "file", body: nothing },
    { path: decodeText(rawName), type: "file", body: Buffer.from("raw") },
    { path: `${decodeText(rawName)}${"r".repeat(200)}`, type: "file", body: Buffer.from("raw and long") },
    { path: "hard", type: "hardlink", linkTarget: "d/file" },
    { path: "soft", type: "symlink", linkTarget: "é".repeat(100), mode: 0o777 },
    { path: "fifo", type: "fifo" },
    { path: "null", type: "char", devMajor: 1, devMinor: 3, mode: 0o666 },
    { path: "owned", type: "file", uid: 4_000_000_000, gid: 2_097_152, mtimeSeconds: 8_589_934_592 },
    {
      path: "attributes",
      type: "file",
      xattrs: new Map([
        ["user.z", Uint8Array.of(0, 10, 255)],
        ["user.a", nothing],
      ]),
    },
  ];
}

test("what the writer writes, the parser reads", async () => {
  const inputs = members();
  const seen = parseAll([await gather(writeTar(inputs))]);
  assert.equal(seen.length, inputs.length);
  for (const [index, input] of inputs.entries()) {
    const { entry, data } = seen[index]!;
    assert.equal(entry.path, input.type === "directory" ? `${input.path}/` : input.path);
    assert.equal(entry.type, input.type);
    assert.equal(entry.mode, input.mode ?? (input.type === "directory" ? 0o755 : 0o644));
    assert.deepEqual([entry.uid, entry.gid], [input.uid ?? 0, input.gid ?? 0]);
    assert.deepEqual(
      [entry.mtimeSeconds, entry.mtimeNanoseconds],
      [input.mtimeSeconds ?? 0, input.mtimeNanoseconds ?? 0],
    );
    assert.equal(entry.linkTarget, input.linkTarget ?? "");
    assert.deepEqual([entry.devMajor, entry.devMinor], [input.devMajor ?? 0, input.devMinor ?? 0]);
    assert.deepEqual([...entry.xattrs.keys()], [...(input.xattrs?.keys() ?? [])].sort());
    for (const [name, value] of input.xattrs ?? [])
      assert.deepEqual(entry.xattrs.get(name), Uint8Array.from(value));
    assert.deepEqual([...data], [...((input.body as Uint8Array | undefined) ?? [])]);
  }
});

test("what the writer writes, GNU tar lists with the same names, sizes, times and attributes", async () => {
  await withDirectory(async (dir) => {
    const archive = await gather(writeTar(members()));
    const file = writeArchive(dir, archive);
    const listing = tar("--xattrs", "--quoting-style=escape", "--numeric-owner", "--full-time", "-tvvf", file)
      .toString()
      .replace(/ +/g, " ");
    for (const line of [
      "drwxrwxrwt 0/0 0 1970-01-01 00:00:00 d/",
      "-rwsr-xr-x 0/0 1500 2023-11-14 22:13:20.12 d/file",
      ` ${"p".repeat(80)}/${"n".repeat(90)}`,
      ` ${"x".repeat(230)}`,
      ` ${"deep/".repeat(60)}dir/`,
      " raw\\377\\351",
      " hard link to d/file",
      ` soft -> ${"é".repeat(100)}`,
      "prw-r--r-- 0/0 0 1970-01-01 00:00:00 fifo",
      "crw-rw-rw- 0/0 1,3 1970-01-01 00:00:00 null",
      " 4000000000/2097152 0 2242-03-16 12:56:32 owned",
      " x: 0 user.a",
      " x: 3 user.z",
    ]) {
      assert.ok(listing.includes(line), `${line}\nnot in\n${listing}`);
    }
    tar("-C", dir, "--no-same-owner", "--exclude=null", "--exclude=owned", "-xf", file);
    assert.equal(fs.readFileSync(path.join(dir, "x".repeat(230)), "utf8"), "needs pax");
    // Its listing shows times before 1970 a second off; what it extracts is right.
    assert.equal(fs.statSync(path.join(dir, "d/empty"), { bigint: true }).mtimeNs, -4_500_000_000n);
    assert.equal(fs.readFileSync(Buffer.concat([Buffer.from(`${dir}/`), rawName]), "utf8"), "raw");
  });
});
