import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeControls, quoted } from "./quote.ts";

test("quoted text holds nothing that a terminal acts on", () => {
  assert.equal(quoted('a"b\\c'), '"a\\"b\\\\c"');
  assert.equal(quoted("\x1b[2J\x9b\u202e\n\ud800"), '"\\u001b[2J\\u009b\\u202e\\u000a\\ud800"');
  assert.equal(quoted("é 漢 😀"), '"é 漢 😀"');
});

test("quoted text is bounded", () => {
  assert.equal(quoted("x".repeat(1000), 3), '"xxx…"');
  assert.equal(quoted("xxx", 3), '"xxx"');
});

test("escaping leaves ordinary text alone", () => {
  assert.equal(escapeControls('say "hi"\t'), 'say "hi"\\u0009');
});
