import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { goTime, humanAgo, humanDuration, humanSize, parseGoDuration } from "./human.ts";
import { jsonText } from "./json.ts";
import { displayWidth, layTable } from "./table.ts";

describe("humanSize prints as docker's units", () => {
  const cases: readonly (readonly [number, number, string])[] = [
    [0, 3, "0B"],
    [999, 3, "999B"],
    [1000, 3, "1kB"],
    [1024, 3, "1.02kB"],
    [7_804_928, 3, "7.8MB"],
    [7_804_928, 4, "7.805MB"],
    [116_543_210, 3, "117MB"],
    [999_999, 3, "1e+03kB".replace("1e+03", "1000")],
    [1_234_567_890, 3, "1.23GB"],
    [5e15, 3, "5PB"],
  ];
  for (const [bytes, digits, expected] of cases) {
    it(expected, () => assert.equal(humanSize(bytes, digits), expected));
  }
});

describe("humanDuration prints as docker's", () => {
  const hour = 3600;
  const cases: readonly (readonly [number, string])[] = [
    [0, "Less than a second"],
    [1, "1 second"],
    [59.9, "59 seconds"],
    [60, "About a minute"],
    [119, "About a minute"],
    [120, "2 minutes"],
    [59 * 60, "59 minutes"],
    [hour, "About an hour"],
    [1.5 * hour, "2 hours"],
    [47 * hour, "47 hours"],
    [48 * hour, "2 days"],
    [13 * 24 * hour, "13 days"],
    [14 * 24 * hour, "2 weeks"],
    [59 * 24 * hour, "8 weeks"],
    [60 * 24 * hour, "2 months"],
    [729 * 24 * hour, "24 months"],
    [730 * 24 * hour, "2 years"],
  ];
  for (const [seconds, expected] of cases) {
    it(expected, () => assert.equal(humanDuration(seconds), expected));
  }
  it("counts back from now", () => assert.equal(humanAgo(0, 14 * 24 * hour * 1000), "2 weeks ago"));
});

describe("times and durations of Go", () => {
  it("prints a time", () =>
    assert.equal(goTime(Date.UTC(2024, 8, 6, 22, 20, 7)), "2024-09-06 22:20:07 +0000 UTC"));
  it("reads durations", () => {
    assert.equal(parseGoDuration("1h30m"), 5_400_000);
    assert.equal(parseGoDuration("1.5h"), 5_400_000);
    assert.equal(parseGoDuration("300ms"), 300);
    assert.equal(parseGoDuration("1 hour"), undefined);
    assert.equal(parseGoDuration(""), undefined);
  });
});

describe("layTable", () => {
  it("pads all but the last cell to twelve or the widest and two", () => {
    assert.equal(
      layTable([
        ["A", "B"],
        ["a-cell-of-sixteen", "x"],
        ["", ""],
      ]),
      "A                  B\na-cell-of-sixteen  x\n                   \n",
    );
    assert.equal(layTable([["A", "B", "C"]]), "A           B           C\n");
  });
  it("counts columns of the terminal, not characters", () => {
    assert.equal(displayWidth("日本"), 4);
    assert.equal(displayWidth("e\u0301"), 1);
    assert.equal(layTable([["日本", "x"]]), "日本        x\n");
  });
});

describe("jsonText", () => {
  it("escapes what a terminal would act on, and keeps the value", () => {
    const value = { text: "\x1b[31m\x9b\u202e\u2028\u{e0001}" };
    const text = jsonText(value);
    assert.match(text, /^[\x20-\x7e]*$/);
    assert.deepEqual(JSON.parse(text), value);
  });
  it("prints bigints as numbers", () => assert.equal(jsonText({ n: 5n }), '{"n":5}'));
});
