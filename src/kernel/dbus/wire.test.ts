import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeMessage,
  encodeMessage,
  type Message,
  messageLength,
  messageTypes,
  splitSignature,
} from "./wire.ts";

test("a message of the specification's types, there and back", () => {
  const message: Message = {
    type: messageTypes.call,
    serial: 7,
    path: "/org/freedesktop/systemd1",
    interface: "org.example.Manager",
    member: "Do",
    destination: "org.example",
    signature: "ybnqiuxtdsogvaya(sv)as",
    body: [
      255,
      true,
      -2,
      65535,
      -3,
      4_000_000_000,
      -5n,
      2n ** 64n - 1n,
      1.5,
      "zß水",
      "/a/b",
      "a(sv)",
      { signature: "au", value: [1, 2] },
      new Uint8Array([1, 2, 3]),
      [
        ["Slice", { signature: "s", value: "x.slice" }],
        ["Delegate", { signature: "b", value: true }],
      ],
      [],
    ],
  };
  const bytes = encodeMessage(message);
  assert.equal(messageLength(bytes), bytes.length);
  assert.deepEqual(decodeMessage(bytes), message);
});

test("the bytes are those of the specification", () => {
  const bytes = encodeMessage({
    type: messageTypes.call,
    serial: 1,
    path: "/",
    member: "Hi",
    signature: "s",
    body: ["x"],
  });
  const expected = [
    ...[0x6c, 1, 0, 1, 6, 0, 0, 0, 1, 0, 0, 0, 39, 0, 0, 0],
    ...[1, 1, 0x6f, 0, 1, 0, 0, 0, 0x2f, 0, 0, 0, 0, 0, 0, 0],
    ...[3, 1, 0x73, 0, 2, 0, 0, 0, 0x48, 0x69, 0, 0, 0, 0, 0, 0],
    ...[8, 1, 0x67, 0, 1, 0x73, 0, 0],
    ...[1, 0, 0, 0, 0x78, 0],
  ];
  assert.deepEqual([...bytes], expected);
});

test("signatures fall into complete types", () => {
  assert.deepEqual(splitSignature("ssa(sv)a(sa(sv))"), ["s", "s", "a(sv)", "a(sa(sv))"]);
  for (const wrong of ["a", "(s", "z", "a".repeat(100)]) {
    assert.throws(() => splitSignature(wrong), { code: "dbus-malformed" });
  }
});

test("what is cut or damaged is an error, whatever it is", () => {
  const bytes = encodeMessage({
    type: messageTypes.signal,
    serial: 3,
    path: "/a",
    interface: "b.c",
    member: "d",
    signature: "a(sv)u",
    body: [[["k", { signature: "as", value: ["v", "w"] }]], 5],
  });
  for (let length = 16; length < bytes.length; length++) {
    assert.throws(() => decodeMessage(bytes.slice(0, length)), { code: "dbus-malformed" });
  }
  let state = 1;
  for (let round = 0; round < 5000; round++) {
    const damaged = bytes.slice();
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    damaged[(state >>> 8) % damaged.length] = state & 255;
    try {
      decodeMessage(damaged);
    } catch (error) {
      assert.equal((error as { code?: string }).code, "dbus-malformed", String(error));
    }
  }
  assert.throws(
    () => messageLength(Uint8Array.from([0x6c, 1, 0, 1, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0])),
    {
      code: "dbus-malformed",
    },
  );
});
