import assert from "node:assert/strict";
import { test } from "node:test";
import { describeProcesses, descriptorsOf, durationText } from "./descriptors.ts";

test("words are descriptors where all are: by name, ps's code, or joined by commas", () => {
  assert.deepEqual(descriptorsOf(["pid", "hpid,%C", "%a"]), ["pid", "hpid", "pcpu", "args"]);
  for (const words of [["-ef"], ["aux"], ["pid", "nonsense"], ["constructor"], [""]]) {
    assert.equal(descriptorsOf(words), undefined, words.join(" "));
  }
});

test("durations are written as Go writes them", () => {
  const cases = [
    [0, "0s"],
    [0.25, "250ms"],
    [2.5, "2.5s"],
    [60, "1m0s"],
    [3723.04, "1h2m3.04s"],
  ] as const;
  for (const [seconds, text] of cases) assert.equal(durationText(seconds), text);
});

test("a process as it is; one that has ended has no row", () => {
  const [headings, row, ...more] = describeProcesses(
    [process.pid, 2 ** 22 + 1],
    ["hpid", "huid", "state", "rss", "seccomp", "stime"],
    Date.now(),
  );
  assert.deepEqual(headings, ["HPID", "HUID", "STATE", "RSS", "SECCOMP", "STIME"]);
  assert.deepEqual(more, []);
  assert.deepEqual(row?.slice(0, 2), [String(process.pid), String(process.geteuid?.())]);
  assert.match(row?.[2] ?? "", /^[RSD]$/);
  assert.ok(Number(row?.[3]) > 1000, `${row?.[3]} KiB`);
  assert.match(row?.[5] ?? "", /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC$/);
});
