import assert from "node:assert/strict";
import { test } from "node:test";
import { captureKinds, readCaptures } from "./captures.ts";
import { encodeBody, encodeRecord, readConfirmation } from "./encode.ts";
import type { Note } from "./notes.ts";
import { reasonsOf } from "./orders.ts";
import { type Part, slotFinder, type Values } from "./slots.ts";

const id = "0123456789abcdef".repeat(4);
const values: Values = {
  id,
  name: "red_newton",
  pid: 77,
  startTime: "1234",
  parent: 55,
  captures: [],
  reasons: new Map(),
};

/** Slots as `<slot>`, captures as `<index>` and `<new index>`. */
function shown(text: string, of: Values = values): string {
  return slotFinder(of).partsOf(Buffer.from(text)).map(shownPart).join("");
}

function shownPart(part: Part): string {
  switch (part.kind) {
    case "slot":
      return `<${part.slot}>`;
    case "captured":
    case "padded":
      return `<${part.index}>`;
    case "fresh":
      return `<new ${part.index}>`;
    case "order":
      return `<order ${part.index}: ${part.items.map((item) => item.map(shownPart).join("")).join(" ")}>`;
    default:
      return Buffer.from(part.bytes).toString("latin1");
  }
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

test("no time of this start is in what it found", () => {
  const finder = slotFinder(values);
  const text = `"created":"2026-11-27T02:10:19.906Z" ${id}`;
  assert.equal(finder.foundOf(Buffer.from(text)).map(shownPart).join(""), text.replace(id, "<id>"));
  assert.equal(finder.partsOf(Buffer.from(text)).map(shownPart).join(""), '"created":"<date>" <id>');
});

const names = { length: 10, adjectives: ["red"], surnames: ["newton"] };
const literal = {
  partsOf: (bytes: Uint8Array) => [{ kind: "literal", bytes }] as const,
  foundOf: (bytes: Uint8Array) => [{ kind: "literal", bytes }] as const,
  templateOf: (bytes: Uint8Array) => [{ kind: "literal", bytes }] as const,
  processOf: () => [[], []] as const,
  temporaryLength: () => 0,
  captures: () => [],
};
const found = (path: string): Note => ({ kind: "access", path, mode: 0, errno: 0 });

test("a fact is noted once, and again after a step; in which order does not matter", () => {
  const step: Note = { kind: "makeDirectory", path: "/d", mode: 0o700, existed: false };
  const body = (notes: readonly Note[]) => encodeBody(notes, names, literal);
  const size = (notes: readonly Note[]) => body(notes).length;
  assert.equal(size([found("/a"), found("/a")]), size([found("/a")]));
  assert.equal(
    size([found("/a"), step, found("/a")]) - size([found("/a"), step]),
    size([found("/a")]) - size([]),
  );
  assert.deepEqual(body([found("/a"), found("/b")]), body([found("/b"), found("/a")]));
  assert.notDeepEqual(body([found("/a"), step, found("/b")]), body([found("/b"), step, found("/a")]));
});

test("a record is confirmed by the same body alone", () => {
  const body = encodeBody([found("/a")], names, literal);
  const confirmation = {
    confirmed: true,
    anyId: false,
    names: `${id} red_newton`,
    values: [
      { any: true, value: "/a/b" },
      { any: false, value: "\x01\x00" },
    ],
  };
  const record = encodeRecord(body, confirmation);
  assert.deepEqual(readConfirmation(record, body), confirmation);
  assert.equal(readConfirmation(record, encodeBody([found("/b")], names, literal)), undefined);
  for (const size of [0, 100, 258, record.length - 1])
    assert.equal(readConfirmation(record.subarray(0, size), body), undefined);
});

const digits = "0123456789ab".repeat(5);
const own: Values = {
  ...values,
  id: "c1",
  name: undefined,
  captures: readCaptures(`1/run/c1/bundle\n2/run/process-123\n3${digits}\n`),
};

test("what the command line has is found again, alone or at the beginning of a path", () => {
  assert.equal(shown("/run/c1/bundle/rootfs", own), "<0>/rootfs");
  assert.equal(shown("/run/c1/bundles", own), "/run/<id>/bundles");
  assert.equal(shown(`x-${digits}.scope c12 ac1 c1.pid`, own), "x-<2>.scope c12 ac1 <id>.pid");
  assert.equal(shown(`a${digits}`, own), `a${digits}`);
  assert.throws(() => shown("VPLN /run/process-123", own), /the plan holds/);
  assert.equal(shown("VPLN /run/c1/bundle", own), "VPLN <0>");
});

test("digits and dates of a container's own file are captured, and no number or word", () => {
  const finder = slotFinder(own);
  const template = (text: string) => finder.templateOf(Buffer.from(text)).map(shownPart).join("");
  assert.equal(
    template('{"a":"/layers/abcdef012345/x","b":"abcdef012345","c":"2026-01-02T03:04:05.1Z"}'),
    '{"a":"/layers/<new 3>/x","b":"<3>","c":"<new 4>"}',
  );
  const uuid = "01234567-89ab-4def-8123-456789012345";
  for (const plain of [
    "123456789012",
    "abcdefabcdef",
    "abc123",
    "xabcdef0123456",
    "2026-01-02",
    `x${uuid}`,
    `xpod${uuid}`,
  ])
    assert.equal(template(plain), plain);
  assert.equal(template(`"uid":"${uuid}","path":"/pods/${uuid}/x"`), '"uid":"<new 5>","path":"/pods/<5>/x"');
  assert.equal(template(`"/kubepods/pod${uuid}/x","uid":"${uuid}"`), '"/kubepods/pod<5>/x","uid":"<5>"');
  assert.equal(finder.partsOf(Buffer.from("/abcdef012345")).map(shownPart).join(""), "/<3>");
  assert.deepEqual(
    finder.captures().map(({ kind }) => kind),
    [1, 2, captureKinds.digits, captureKinds.digits, captureKinds.date, captureKinds.digits],
  );
});

test("a container's process is known by its number at certain places alone", () => {
  const finder = slotFinder(own);
  const template = (text: string) => finder.templateOf(Buffer.from(text)).map(shownPart).join("");
  const known = (text: string) => finder.partsOf(Buffer.from(text)).map(shownPart).join("");
  assert.equal(template("4711 99\n"), "<new 3> <new 4>\n");
  assert.equal(known("/proc/4711/ns/net 4711 /proc/47/ns 99"), "/proc/<3>/ns/net 4711 /proc/47/ns 99");
  assert.equal(known("VPLN /proc///////4711/ns/net"), "VPLN /proc<3>/ns/net");
  assert.throws(() => known("VPLN /proc/4711/ns/net"), /the plan holds 4711/);
  assert.deepEqual(finder.processOf("4711", "99").flat().map(shownPart), ["<3>", "<4>"]);
  assert.deepEqual(finder.processOf("4711", "98").flat().map(shownPart), ["4711", "98"]);
  // Another with the same number is another value.
  assert.equal(
    template('{"pid":4711,"creator":{"pid":4711,"startTime":"99"}}'),
    '{"pid":4711,"creator":{"pid":<new 5>,"startTime":"<new 6>"}}',
  );
  for (const plain of ["4711", "4711 99 5", "{4711 99", '"owner":{"pid":1,"startTime":"2"}'])
    assert.equal(template(plain), plain);
});

/** As src/kernel/encode.ts writes them. */
function plan(frames: readonly string[]): Uint8Array {
  const encoded = frames.map((text) => {
    const bytes = Buffer.alloc(12 + 4 + text.length + 1);
    bytes.writeUInt32LE(4 + text.length + 1, 8);
    bytes.writeUInt32LE(text.length, 12);
    bytes.write(text, 16);
    return bytes;
  });
  return Buffer.concat([Buffer.from("VPLN".padEnd(16, "\0")), ...encoded]);
}

test("lists in another order each time give the same texts", () => {
  const mount = (where: string) => `{"destination":"${where}","source":"/c1${where}"}`;
  const made = (variables: readonly string[], places: readonly string[]) => {
    const config = Buffer.from(
      `{"env":[${variables.map((one) => JSON.stringify(one)).join(",")}],"mounts":[${["/proc", ...places].map(mount).join(",")}]}`,
    );
    const ops = ["/mounts/0", "/mounts/1", "/mounts/2"].map((pointer) => [pointer, 0, 0]);
    const bytes = plan(["proc", ...places.map((place) => `mount ${place}`)]);
    const notes: readonly Note[] = [
      { kind: "write", bytes },
      { kind: "write", bytes: Buffer.from(JSON.stringify({ origins: [], sections: [], ops })) },
    ];
    const finder = slotFinder({ ...own, captures: [], reasons: reasonsOf(notes) });
    const texts = [finder.templateOf(config), finder.partsOf(bytes)];
    return {
      texts: texts.map((parts) => parts.map(shownPart).join("")),
      places: finder.captures().map(({ value }) => [...Buffer.from(value, "latin1")]),
    };
  };
  const first = made(["A=1", "B=abcdef012345", "C=3"], ["/etc/a", "/etc/b"]);
  const second = made(["C=3", "A=1", "B=abcdef012346"], ["/etc/b", "/etc/a"]);
  assert.match(first.texts[0]!, /"env":\[<order 0: "A=1" "B=<new 1>" "C=3">\]/);
  assert.match(first.texts[0]!, /,<order 2: \{"destination":"\/etc\/a"/);
  assert.match(first.texts[1]!, /<order 2: .*mount \/etc\/a.*mount \/etc\/b/s);
  assert.deepEqual(first.texts, second.texts);
  assert.deepEqual(
    [first.places[0], first.places[2]],
    [
      [0, 1, 2],
      [0, 1],
    ],
  );
  assert.deepEqual(
    [second.places[0], second.places[2]],
    [
      [2, 0, 1],
      [1, 0],
    ],
  );
  // Of two with one name the last counts, and what is within another comes after it.
  const [config] = made(["A=1", "A=2"], ["/etc", "/etc/b"]).texts;
  assert.doesNotMatch(config!, /<order[^>]*(?:A=1|\/etc\/b)/);
});
