import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../base/mod.ts";
import type { WireOp } from "./encode.ts";
import { decodePlan, encodeOp, encodePlan, FrameWriter } from "./encode.ts";
import type { ArgType, Op } from "./ops.ts";
import { opTable } from "./ops.ts";
import { stages, toleratedErrnos } from "./plan.ts";

/** A value of each argument type that shows its edges. */
const samples: Readonly<Record<ArgType, unknown>> = {
  bool: true,
  u32: 0xffff_ffff,
  i32: -20,
  u64: 0xffff_ffff_ffff_ffffn,
  i64: -(2n ** 63n),
  str: "käse\u{1F9C0} with space",
  raw: new Uint8Array([0x66, 0xff, 0xfe]),
  bytes: new Uint8Array([0, 1, 2, 255]),
  strs: ["", "a", "PATH=/bin"],
  u32s: [0, 4294967295],
  path: { base: "root", path: "dev/pts" },
  maps: [{ containerID: 0, hostID: 100000, size: 65536 }],
};

function everyOp(): WireOp[] {
  return Object.entries(opTable).map(([op, { args }], index) => ({
    stage: stages[index % stages.length] ?? "init",
    tolerate: index % 2 === 0 ? [] : toleratedErrnos,
    op: {
      op,
      ...Object.fromEntries(Object.entries(args).map(([name, type]) => [name, samples[type as ArgType]])),
    } as unknown as Op,
  }));
}

test("every op of the table survives the round trip", () => {
  const ops = everyOp();
  assert.deepEqual(decodePlan(encodePlan({ ops })), { ops });
});

test("a frame is what ARCHITECTURE.md says", () => {
  const bytes = encodeOp({ op: "setHostname", name: "web" }, "init");
  const expected = [70, 0, 1, 0, 0, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 0x77, 0x65, 0x62, 0];
  assert.deepEqual([...bytes], expected);
});

test("every cut of a plan is refused", () => {
  const bytes = encodePlan({ ops: everyOp() });
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(
      () => decodePlan(bytes.subarray(0, length)),
      (error) => error instanceof VitrineError && error.code === "plan-corrupt",
    );
  }
});

test("a NUL in a string never reaches the helper, and the refused op leaves nothing behind", () => {
  const writer = new FrameWriter();
  for (const name of ["a\0b", "ä\0b"]) {
    assert.throws(() => writer.op({ op: "setHostname", name }, "init"), {
      code: "op-argument-invalid",
    });
    assert.equal(writer.length, 0);
  }
});

test("numbers out of range are refused", () => {
  const wrong: Op[] = [
    { op: "setUmask", mask: -1 },
    { op: "setUmask", mask: 2 ** 32 },
    { op: "setUmask", mask: 0.5 },
    { op: "dropBoundingSet", keep: -1n },
    { op: "dropBoundingSet", keep: 2n ** 64n },
  ];
  for (const op of wrong) assert.throws(() => encodeOp(op), { code: "op-argument-invalid" });
});

test("the buffer grows over any size, and layerDataHeader writes what the op would", () => {
  const data = new Uint8Array(300_000).fill(7);
  const whole = encodeOp({ op: "layerData", offset: 5n, data });
  const writer = new FrameWriter(16);
  writer.layerDataHeader(5n, data.length);
  const header = writer.take();
  assert.deepEqual(whole.subarray(0, header.length), header);
  assert.equal(whole.length, header.length + data.length);
  assert.equal(writer.length, 0);
});
