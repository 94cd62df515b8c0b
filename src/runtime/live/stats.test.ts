import assert from "node:assert/strict";
import { test } from "node:test";
import { countIn, numbersIn, pressureIn } from "./counts.ts";
import { statsOfV1 } from "./stats-v1.ts";
import { statsOfV2 } from "./stats-v2.ts";

const reader = (files: Readonly<Record<string, string>>) => (file: string) => files[file];

test("the counters of v1", () => {
  const stats = statsOfV1(
    reader({
      "cpuacct.usage": "61000000\n",
      "cpuacct.usage_percpu": "60000000 1000000 \n",
      "cpuacct.stat": "user 4\nsystem 2\n",
      "cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
      "memory.stat": "cache 4096\nrss 8192\ntotal_inactive_file 1024\n",
      "memory.usage_in_bytes": "12288\n",
      "memory.max_usage_in_bytes": "20480\n",
      "memory.limit_in_bytes": "9223372036854771712\n",
      "memory.failcnt": "0\n",
      "pids.current": "2\n",
      "pids.max": "max\n",
      "blkio.bfq.io_serviced_recursive": "Total 0\n",
      "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n8:0 Write 0\nTotal 1\n",
      "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 0\nTotal 4096\n",
    }),
  );
  assert.deepEqual(stats.cpu, {
    usage: { total: 61_000_000, percpu: [60_000_000, 1_000_000], kernel: 20_000_000, user: 40_000_000 },
    throttling: {},
  });
  assert.deepEqual(stats.memory.usage, { limit: 9223372036854771712n, usage: 12288, max: 20480, failcnt: 0 });
  assert.deepEqual(stats.memory.swap, { limit: 0, failcnt: 0 });
  assert.equal(stats.memory.cache, 4096);
  assert.deepEqual(stats.pids, { current: 2 });
  // A scheduler that no device uses says nothing: the throttler's counts are taken.
  assert.deepEqual(stats.blkio, {
    ioServicedRecursive: [
      { major: 8, op: "Read", value: 1 },
      { major: 8, op: "Write" },
    ],
    ioServiceBytesRecursive: [
      { major: 8, op: "Read", value: 4096 },
      { major: 8, op: "Write" },
    ],
  });
});

test("the counters of v2 under the names of v1", () => {
  const stats = statsOfV2(
    reader({
      "cpu.stat":
        "usage_usec 61\nuser_usec 40\nsystem_usec 21\nnr_periods 3\nnr_throttled 1\nthrottled_usec 7\n",
      "memory.current": "12288\n",
      "memory.peak": "20480\n",
      "memory.max": "1048576\n",
      "memory.swap.current": "4096\n",
      "memory.swap.max": "max\n",
      "memory.stat": "anon 8192\nfile 4096\n",
      "pids.current": "1\n",
      "pids.max": "9\n",
      "io.stat": "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n",
      "io.pressure":
        "some avg10=1.50 avg60=0.00 avg300=0.00 total=17\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=2\n",
    }),
  );
  assert.deepEqual(stats.cpu, {
    usage: { total: 61_000, kernel: 21_000, user: 40_000 },
    throttling: { periods: 3, throttledPeriods: 1, throttledTime: 7000 },
  });
  assert.deepEqual(stats.memory.usage, { limit: 1048576, usage: 12288, max: 20480, failcnt: 0 });
  assert.deepEqual(
    stats.memory.swap,
    { limit: 18446744073709551615n, usage: 16384, failcnt: 0 },
    "memory and swap",
  );
  assert.deepEqual(stats.pids, { current: 1, limit: 9 });
  const { psi, ...tables } = stats.blkio;
  assert.deepEqual(tables["ioServiceBytesRecursive"], [
    { major: 8, op: "Read", value: 4096 },
    { major: 8, op: "Write" },
  ]);
  assert.equal((psi as { some: { avg10: number } }).some.avg10, 1.5);
});

test("without a cgroup all is zero, and nothing throws", () => {
  for (const stats of [statsOfV1(() => undefined), statsOfV2(() => undefined)]) {
    assert.deepEqual(stats.cpu.usage, { kernel: 0, user: 0 });
    assert.equal(stats.memory.raw, undefined);
  }
});

test("texts of control files as numbers", () => {
  assert.deepEqual(["12\n", "max", "-1", "x", "", undefined].map(countIn), [
    ...[12, 18446744073709551615n, -1, undefined, undefined, undefined],
  ]);
  assert.deepEqual(numbersIn("0-2,7\n"), [0, 1, 2, 7]);
  assert.deepEqual(numbersIn("\n"), []);
  assert.equal(pressureIn(undefined), undefined);
});
