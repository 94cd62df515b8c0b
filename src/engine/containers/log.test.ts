import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { type LogEntry, LogReader, logTime, parseLogLine } from "./log.ts";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-log-"));
after(() => fs.rmSync(directory, { recursive: true, force: true }));

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const texts = (entries: Iterable<LogEntry>): readonly string[] =>
  [...entries].map(({ text, whole }) => new TextDecoder().decode(text) + (whole ? "|" : ""));
const stamp = "2026-11-21T00:06:42.938433773Z";

test("a line of the log", () => {
  const entry = parseLogLine(bytes(`${stamp} stderr F a  b`))!;
  assert.deepEqual([entry.time, entry.stream, entry.whole], [stamp, "stderr", true]);
  assert.equal(new TextDecoder().decode(entry.text), "a  b");
  assert.equal(parseLogLine(bytes(`${stamp} stdout P `))!.whole, false);
  assert.equal(logTime(entry), BigInt(Date.parse("2026-11-21T00:06:42Z")) * 1_000_000n + 938_433_773n);
  for (const line of ["", "x", stamp, `${stamp} stdin F x`, `${stamp} stdout X y`, `${stamp} stdout FF y`]) {
    assert.equal(parseLogLine(bytes(line)), undefined, line);
  }
});

test("what comes later is read later, a half line when it is whole, and a new file after the old one", () => {
  const file = path.join(directory, "log");
  const reader = new LogReader(file);
  assert.deepEqual(texts(reader.read()), []);
  fs.writeFileSync(file, `${stamp} stdout F one\n${stamp} stdout P tw`);
  assert.deepEqual(texts(reader.read()), ["one|"]);
  fs.appendFileSync(file, `o\nnot a line of the log\n${stamp} stdout F three\n`);
  assert.deepEqual(texts(reader.read()), ["two", "three|"]);
  fs.appendFileSync(file, `${stamp} stdout F four\n`);
  fs.renameSync(file, `${file}.1`);
  fs.writeFileSync(file, `${stamp} stdout F five\n`);
  assert.deepEqual(texts(reader.read()), ["four|", "five|"]);
  reader.close();
});
