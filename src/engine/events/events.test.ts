import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { EventReader, parseEvent } from "./read.ts";
import { eventFile, eventFileBytes, eventTail, recordContainerEvent, recordEvent } from "./record.ts";

let root = "";
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "vt-events-"));
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const container = {
  id: "ab".repeat(32),
  name: "web",
  image: "alpine",
  labels: { a: "é\n\u2028", "b c": "" },
};

test("what is recorded is read, in order, and then what came since", () => {
  const reader = new EventReader({ root });
  assert.deepEqual([...reader.read()], []);
  const before = BigInt(Date.now()) * 1_000_000n;
  recordContainerEvent({ root }, container, "create");
  recordEvent({ root }, { type: "volume", action: "create", id: "data", attributes: { driver: "local" } });
  const [first, second, ...rest] = [...reader.read()];
  assert.deepEqual(rest, []);
  assert.equal(first?.action, "create");
  assert.equal(first?.type, "container");
  assert.equal(first?.id, container.id);
  assert.deepEqual({ ...first?.attributes }, { ...container.labels, image: "alpine", name: "web" });
  assert.equal(second?.id, "data");
  // The clock may be set back a little.
  assert.ok(first!.time >= before - 1_000_000_000n && second!.time >= first!.time - 1_000_000_000n);
  recordContainerEvent({ root }, container, "die", { exitCode: "3" });
  assert.deepEqual(
    [...reader.read()].map(({ action, attributes }) => [action, attributes["exitCode"]]),
    [["die", "3"]],
  );
  reader.close();
});

test("a monitor's line: its own attributes come first in the text and count last", () => {
  const tail = eventTail({ type: "container", id: "x", attributes: { exitCode: "label", name: "n" } });
  const event = parseEvent(
    `{"timeNano":1700000000123456789,"action":"die","add":{"exitCode":"137"},${tail}`.trimEnd(),
  );
  assert.equal(event?.time, 1700000000123456789n);
  assert.deepEqual({ ...event?.attributes }, { exitCode: "137", name: "n" });
});

test("what is not an event is passed over", () => {
  for (const line of [
    "",
    "{",
    '{"timeNano":1}',
    '{"timeNano":"1","action":"a","type":"t","id":"i"}',
    '{"timeNano":1,"action":3,"type":"t","id":"i"}',
  ]) {
    assert.equal(parseEvent(line), undefined, line);
  }
  fs.writeFileSync(eventFile({ root }), '{"timeNano":1,"acti\0\n');
  recordEvent({ root }, { type: "system", action: "prune", id: "" });
  assert.deepEqual(
    [...new EventReader({ root }).read()].map(({ action }) => action),
    ["prune"],
  );
});

test("a full file is replaced once, and readers lose nothing of it", () => {
  recordEvent({ root }, { type: "image", action: "first", id: "i" });
  const reader = new EventReader({ root });
  assert.equal([...reader.read()].length, 1);
  const line = fs.readFileSync(eventFile({ root }));
  fs.appendFileSync(
    eventFile({ root }),
    Buffer.alloc(line.length * Math.ceil(eventFileBytes / line.length), line),
  );
  recordEvent({ root }, { type: "image", action: "full", id: "i" });
  recordEvent({ root }, { type: "image", action: "next", id: "i" });
  assert.equal(fs.existsSync(`${eventFile({ root })}.lock`), false);
  assert.ok(fs.statSync(eventFile({ root })).size < 1024);
  const since = [...reader.read()].map(({ action }) => action);
  assert.deepEqual(since.slice(-2), ["full", "next"]);
  assert.equal([...new EventReader({ root }).read()].length, since.length + 1);
});

test("a lock that a killed command left does not stop rotation for ever", () => {
  fs.writeFileSync(eventFile({ root }), Buffer.alloc(eventFileBytes + 1, 10));
  fs.mkdirSync(`${eventFile({ root })}.lock`);
  recordEvent({ root }, { type: "image", action: "a", id: "i" });
  assert.equal(fs.existsSync(`${eventFile({ root })}.1`), false);
  fs.utimesSync(`${eventFile({ root })}.lock`, 1, 1);
  recordEvent({ root }, { type: "image", action: "b", id: "i" });
  recordEvent({ root }, { type: "image", action: "c", id: "i" });
  assert.equal(fs.existsSync(`${eventFile({ root })}.1`), true);
});

test("labels without end do not make lines without end", () => {
  const labels = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`label${at}`, "x".repeat(50)]));
  recordContainerEvent({ root }, { ...container, labels }, "create");
  assert.ok(fs.statSync(eventFile({ root })).size < 2048);
  assert.equal([...new EventReader({ root }).read()][0]?.attributes["name"], "web");
});

test("a store that cannot be written to is no error", () => {
  recordEvent({ root: `${root}/missing` }, { type: "image", action: "pull", id: "i" });
});
