import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { liveCgroup } from "./control.ts";
import { readCpuTime, readUsage } from "./usage.ts";

const work = fs.mkdtempSync(path.join(os.tmpdir(), "vt-usage-"));
after(() => fs.rmSync(work, { recursive: true }));

/** `{ "memory/memory.stat": TEXT, … }`; returns the directories. */
function tree(name: string, files: Readonly<Record<string, string>>): readonly string[] {
  const directories = new Set<string>();
  for (const [file, text] of Object.entries(files)) {
    const full = path.join(work, name, file);
    fs.mkdirSync(path.dirname(full), { recursive: true });
    fs.writeFileSync(full, text);
    directories.add(path.dirname(full));
  }
  return [...directories];
}

test("v1: each controller's files are found in its hierarchy, whatever the hierarchies are called", () => {
  const files = {
    // A cgroup parent that has the name of a controller.
    "systemd/memory/ID/cgroup.procs": "1\n",
    "cpu,cpuacct/memory/ID/cpuacct.usage": "61000000\n",
    "rest/memory/ID/memory.stat": "cache 4096\ninactive_file 5\ntotal_inactive_file 1024\n",
    "rest/memory/ID/memory.usage_in_bytes": "12288\n",
    "rest/memory/ID/memory.limit_in_bytes": "9223372036854771712\n",
    "rest/memory/ID/pids.current": "2\n",
    "blkio/memory/ID/blkio.bfq.io_service_bytes_recursive": "Total 0\n",
    "blkio/memory/ID/blkio.throttle.io_service_bytes_recursive":
      "8:0 Read 4096\n8:0 Write 512\n8:0 Sync 4608\n8:16 Read 1\nTotal 4609\n",
  };
  const cgroup = liveCgroup(tree("v1", files));
  assert.equal(cgroup.mode, "v1");
  assert.deepEqual(readUsage(cgroup), {
    cpu: 61_000_000,
    memory: { usage: 12288, limit: Number(9223372036854771712n), inactive: 1024 },
    processes: 2,
    read: 4097,
    written: 512,
  });
  assert.equal(readCpuTime(cgroup), 61_000_000);
});

test("v1: what is not counted is not zero", () => {
  const cgroup = liveCgroup(tree("some", { "pids/ID/pids.current": "1\n" }));
  const nothing = { cpu: undefined, memory: undefined, read: 0, written: 0 };
  assert.deepEqual(readUsage(cgroup), { ...nothing, processes: 1 });
  assert.deepEqual(readUsage(liveCgroup([])), { ...nothing, processes: undefined });
  assert.equal(readCpuTime(liveCgroup([path.join(work, "gone")])), undefined);
});

test("v2", () => {
  const files = {
    "ID/cgroup.controllers": "cpu memory io pids\n",
    "ID/cgroup.procs": "7\n8\n9\n",
    "ID/cpu.stat": "usage_usec 61\nuser_usec 40\nsystem_usec 21\n",
    "ID/memory.current": "12288\n",
    "ID/memory.max": "max\n",
    "ID/memory.stat": "anon 8192\nfile 4096\ninactive_file 1024\n",
    "ID/io.stat": "8:0 rbytes=4096 wbytes=10 rios=1 wios=0\n8:16 rbytes=1 wbytes=0 rios=1 wios=0\n",
  };
  const cgroup = liveCgroup(tree("v2", files));
  assert.deepEqual(readUsage(cgroup), {
    cpu: 61_000,
    memory: { usage: 12288, limit: Number(18_446_744_073_709_551_615n), inactive: 1024 },
    // Without the controller they are listed.
    processes: 3,
    read: 4097,
    written: 10,
  });
  assert.equal(readCpuTime(cgroup), 61_000);
});
