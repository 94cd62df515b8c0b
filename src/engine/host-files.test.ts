import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { callerOpenFiles, hostDevices, readBeneath } from "./host-files.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-host-files-"));
after(() => fs.rmSync(directory, { recursive: true, force: true }));
const root = path.join(directory, "root");
fs.mkdirSync(path.join(root, "etc"), { recursive: true });
fs.mkdirSync(path.join(root, "usr/etc"), { recursive: true });
fs.writeFileSync(path.join(root, "usr/etc/passwd"), "inside");
fs.writeFileSync(path.join(directory, "outside"), "outside");

const read = (file: string): string | undefined => {
  const bytes = readBeneath(root, file);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
};

test("links are followed as inside the root", () => {
  fs.symlinkSync("/usr/etc/passwd", path.join(root, "etc/absolute"));
  fs.symlinkSync("../usr/etc/passwd", path.join(root, "etc/relative"));
  fs.symlinkSync("../../../../../usr/etc/passwd", path.join(root, "etc/above"));
  fs.symlinkSync("usr/etc", path.join(root, "linked"));
  for (const file of ["/usr/etc/passwd", "/etc/absolute", "/etc/relative", "/etc/above", "/linked/passwd"]) {
    assert.equal(read(file), "inside", file);
  }
});

test("no link leads out of the root", () => {
  fs.symlinkSync("../../outside", path.join(root, "etc/escape"));
  fs.symlinkSync(path.join(directory, "outside"), path.join(root, "etc/escape-absolute"));
  fs.symlinkSync(directory, path.join(root, "escape-directory"));
  for (const file of ["/etc/escape", "/etc/escape-absolute", "/escape-directory/outside", "/../outside"]) {
    assert.equal(read(file), undefined, file);
  }
});

test("what is no regular file of a sane size is not read", () => {
  fs.symlinkSync("loop", path.join(root, "loop"));
  fs.writeFileSync(path.join(root, "large"), Buffer.alloc(1024 * 1024 + 1));
  for (const file of ["/etc", "/loop", "/large", "/none", "/"]) assert.equal(read(file), undefined, file);
});

test("device nodes are found by themselves, below a directory, and nothing else is", () => {
  const [device] = hostDevices("/dev/null");
  assert.deepEqual([device?.type, device?.major, device?.minor], ["c", 1, 3]);
  assert.ok(hostDevices("/dev").some(({ path: file }) => file === "/dev/zero"));
  assert.deepEqual(hostDevices(path.join(root, "etc")), []);
  assert.deepEqual(hostDevices("/no/such"), []);
  assert.deepEqual(hostDevices(path.join(root, "usr/etc/passwd")), []);
});

test("the caller's limit is read from the caller", () => {
  const limit = callerOpenFiles(process.pid);
  assert.ok(limit !== undefined && limit > 0n);
  assert.equal(callerOpenFiles(2 ** 30), undefined);
});
