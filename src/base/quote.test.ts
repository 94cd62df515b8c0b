import assert from "node:assert/strict";
import { test } from "node:test";
import { quoted } from "./quote.ts";

test("quoted text holds nothing that a terminal acts on", () => {
  assert.equal(quoted('a"b\\c'), '"a\\"b\\\\c"');
  assert.equal(quoted("\x1b[2J\x9b\u202e\n\ud800"), '"\\e[2J\\x9b\\u{202e}\\n\\u{d800}"');
  assert.equal(quoted("é 漢 😀"), '"é 漢 😀"');
});

test("quoted text is bounded", () => {
  assert.equal(quoted("x".repeat(1000), 3), '"xxx…"');
  assert.equal(quoted("xxx", 3), '"xxx"');
});
