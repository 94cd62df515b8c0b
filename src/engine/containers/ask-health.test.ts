/** Asking a monitor for a check: the monitor is played by the test. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { processStartTime } from "../../base/mod.ts";
import { askHealth } from "./ask-health.ts";
import { makeRecord } from "./fixtures.ts";
import { containerDirectory, healthAskFile, healthFile, runDirectory } from "./record.ts";
import { ownPidNamespace } from "./state.ts";

test("a check that began after somebody asked is his, also where the clock was set back meanwhile", async (t) => {
  const base = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-ask-"));
  t.after(() => fs.rmSync(base, { recursive: true, force: true }));
  const paths = { root: path.join(base, "root"), runroot: path.join(base, "run") };
  const startTime = processStartTime(process.pid) ?? "";
  const container = makeRecord({
    id: "a".repeat(64),
    name: "asked",
    monitor: { pid: process.pid, startTime, pidNamespace: ownPidNamespace() },
    healthcheck: true,
  });
  fs.mkdirSync(containerDirectory(paths, container.id), { recursive: true });
  fs.mkdirSync(runDirectory(paths, container.id), { recursive: true });
  fs.writeFileSync(path.join(runDirectory(paths, container.id), "pid"), `${process.pid} ${startTime}\n`);
  const fifo = healthAskFile(paths, container.id);
  assert.equal(spawnSync("mkfifo", [fifo]).status, 0);
  const reader = fs.openSync(fifo, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  const { now } = Date;
  t.after(() => {
    Date.now = now;
    fs.closeSync(reader);
  });
  const tell = (began: number, output: string): void => {
    const text = `healthy 0\n${began}000000 ${began}000001 0 ${output.length}\n${output}\n`;
    fs.writeFileSync(healthFile(paths, container.id), text);
  };
  for (const setBack of [0, 500]) {
    const asking = askHealth(paths, container);
    assert.equal(fs.readSync(reader, Buffer.alloc(8)), 1);
    Date.now = () => now() - setBack;
    // One that ran already is nobody's.
    tell(Date.now() - 60_000, "before");
    await new Promise((resolve) => setTimeout(resolve, 30));
    tell(Date.now(), "after");
    assert.equal((await asking).output, "after");
    Date.now = now;
  }
});
