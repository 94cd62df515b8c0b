import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { readBeneath } from "./beneath.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-beneath-"));
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
