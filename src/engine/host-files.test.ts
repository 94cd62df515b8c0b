import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { callerOpenFiles, hostDevices } from "./host-files.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-host-files-"));
after(() => fs.rmSync(directory, { recursive: true, force: true }));
fs.writeFileSync(path.join(directory, "file"), "no device");

test("device nodes are found by themselves, below a directory, and nothing else is", () => {
  const [device] = hostDevices("/dev/null");
  assert.deepEqual([device?.type, device?.major, device?.minor], ["c", 1, 3]);
  assert.ok(hostDevices("/dev").some(({ path: file }) => file === "/dev/zero"));
  assert.deepEqual(hostDevices(directory), []);
  assert.deepEqual(hostDevices("/no/such"), []);
  assert.deepEqual(hostDevices(path.join(directory, "file")), []);
});

test("the caller's limit is read from the caller", () => {
  const limit = callerOpenFiles(process.pid);
  assert.ok(limit !== undefined && limit > 0n);
  assert.equal(callerOpenFiles(2 ** 30), undefined);
});
