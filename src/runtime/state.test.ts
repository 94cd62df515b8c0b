import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { processStartTime } from "../base/mod.ts";
import { readExitFile, readProcessState } from "./state.ts";

function inDirectory(body: (files: { pidFile: string; exitFile: string }) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "vitrine-state-"));
  try {
    body({ pidFile: join(directory, "pid"), exitFile: join(directory, "exit") });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a container without files is created", () => {
  inDirectory((files) => assert.deepEqual(readProcessState(files), { status: "created" }));
});

test("a process that lives is running", () => {
  inDirectory((files) => {
    const startTime = processStartTime(process.pid) ?? "";
    writeFileSync(files.pidFile, `${process.pid} ${startTime}\n`);
    assert.deepEqual(readProcessState(files), {
      status: "running",
      process: { pid: process.pid, startTime },
    });
  });
});

test("another process with the pid is not the container's", () => {
  inDirectory((files) => {
    writeFileSync(files.pidFile, `${process.pid} 1\n`);
    assert.deepEqual(readProcessState(files), { status: "stopped", exit: undefined });
  });
});

test("the exit record tells how it ended", () => {
  inDirectory((files) => {
    writeFileSync(files.pidFile, `${process.pid} ${processStartTime(process.pid)}\n`);
    writeFileSync(files.exitFile, "137 9 1700000000123456789 oom\n");
    assert.equal(readExitFile(files.exitFile)?.oomKilled, true);
    writeFileSync(files.exitFile, "137 9 1700000000123456789\n");
    assert.deepEqual(readProcessState(files), {
      status: "stopped",
      exit: { code: 137, signal: 9, time: 1700000000123 },
    });
  });
});

test("a file that the monitor never wrote is an error", () => {
  inDirectory((files) => {
    writeFileSync(files.pidFile, "-1 x\n");
    assert.throws(() => readProcessState(files), { code: "state-file-corrupt" });
  });
});
