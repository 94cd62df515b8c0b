import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeBody, encodeHeader, readConfirmation } from "./encode.ts";
import type { Note } from "./notes.ts";
import { slotFinder, type Values } from "./slots.ts";

const id = "0123456789abcdef".repeat(4);
const values: Values = { id, name: "red_newton", pid: 77, startTime: "1234", parent: 55 };

/** Slots as `<slot>`. */
function shown(text: string, of: Values = values): string {
  return slotFinder(of)
    .partsOf(Buffer.from(text))
    .map((part) => (part.kind === "slot" ? `<${part.slot}>` : Buffer.from(part.bytes).toString("latin1")))
    .join("");
}

test("what is new each time is found where it is written", () => {
  assert.equal(shown(`/run/containers/${id}/plan`), "/run/containers/<id>/plan");
  assert.equal(shown(`HOSTNAME=${id.slice(0, 12)}`), "HOSTNAME=<short>");
  assert.equal(shown("/names/red_newton"), "/names/<name>");
  assert.equal(shown("container.77-1234-4026531836-ab12.tmp"), "container<temporary>");
  assert.equal(
    shown('{"pid":77,"startTime":"1234","x":77}'),
    '{"pid":<pid>,"startTime":"<startTime>","x":77}',
  );
  assert.equal(shown("77 1234 pid:[1]\n"), "<pid> <startTime> pid:[1]\n");
  assert.equal(shown('{"created":1795743536290}'), '{"created":<milliseconds>}');
  assert.equal(shown('{"timeNano":1795743536290053000,'), '{"timeNano":<nanoseconds>,');
  assert.equal(shown('"created": "2026-11-27T02:10:19.906Z"'), '"created": "<date>"');
  assert.equal(shown("/proc/55/limits"), "/proc/<parent>/limits");
});

test("what only looks like it is left alone", () => {
  for (const text of [
    "77",
    '"pid":777,"startTime":"1234"',
    "77.5",
    "/proc/55/ns/net",
    "bind /proc/55/limits",
    '"created":12',
  ]) {
    assert.equal(shown(text), text);
  }
  assert.equal(shown("/names/red_newton", { ...values, name: undefined }), "/names/red_newton");
  // An id of a caller is any text.
  assert.equal(shown("a.b+c aXb+c", { ...values, id: "a.b+c" }), "<id> aXb+c");
});

test("a plan holds nothing that may have another length", () => {
  assert.equal(shown(`VPLN ${id}`), "VPLN <id>");
  assert.throws(() => shown("VPLN 77 1234 pid:["), /the plan holds this start's pid/);
});

const names = { length: 10, adjectives: ["red"], surnames: ["newton"] };
const literal = {
  partsOf: (bytes: Uint8Array) => [{ kind: "literal", bytes }] as const,
  temporaryLength: () => 0,
};
const found = (path: string): Note => ({ kind: "access", path, mode: 0, errno: 0 });

test("a fact is noted once, and again after a step", () => {
  const step: Note = { kind: "makeDirectory", path: "/d", mode: 0o700, existed: false };
  const size = (notes: readonly Note[]) => encodeBody(notes, names, literal).length;
  assert.equal(size([found("/a"), found("/a")]), size([found("/a")]));
  assert.equal(
    size([found("/a"), step, found("/a")]) - size([found("/a"), step]),
    size([found("/a")]) - size([]),
  );
});

test("a record is confirmed by the same body alone", () => {
  const body = encodeBody([found("/a")], names, literal);
  const record = Buffer.concat([
    encodeHeader(body, { confirmed: true, anyId: false, names: `${id} red_newton` }),
    body,
  ]);
  assert.deepEqual(readConfirmation(record, body), {
    confirmed: true,
    anyId: false,
    names: `${id} red_newton`,
  });
  assert.equal(readConfirmation(record, encodeBody([found("/b")], names, literal)), undefined);
  assert.equal(readConfirmation(record.subarray(0, 100), body), undefined);
});
