import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { allCapabilities, capabilityBit, capabilityNames, namesOfCapabilities } from "./capabilities.ts";
import * as constants from "./constants.ts";

test("signals by the names and numbers that users write", () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ["SIGTERM", 15],
    ["term", 15],
    ["9", 9],
    ["SIGIOT", 6],
    ["SIGRTMIN+3", 37],
    ["RTMIN", 34],
    ["RTMAX-1", 63],
    ["RTMAX", 64],
    ["SIGRTMIN+31", undefined],
    ["RTMAX+1", undefined],
    ["0", undefined],
    ["65", undefined],
    ["SIG", undefined],
    ["", undefined],
    ["15 ", undefined],
    ["SIGSIGTERM", undefined],
  ];
  for (const [text, number] of cases) {
    assert.equal(constants.signalNumber(text), number, text);
  }
});

test("every signal's name leads back to its number", () => {
  for (let number = 1; number <= 64; number++) {
    assert.equal(constants.signalNumber(constants.signalName(number)), number);
  }
  assert.equal(constants.signalName(15), "SIGTERM");
  assert.equal(constants.signalName(37), "SIGRTMIN+3");
});

test("a capability's bit is its number in the kernel's header", () => {
  assert.equal(capabilityBit("CAP_CHOWN"), 1n);
  assert.equal(capabilityBit("CAP_SYS_ADMIN"), 1n << 21n);
  assert.equal(capabilityBit("CAP_CHECKPOINT_RESTORE"), 1n << 40n);
  assert.equal(capabilityBit("cap_chown"), undefined);
});

test("names of a mask are those that made it, unknown bits by number", () => {
  const mask = capabilityNames.reduce((bits, name) => bits | (capabilityBit(name) ?? 0n), 0n);
  assert.equal(mask, allCapabilities());
  assert.deepEqual(namesOfCapabilities(mask), [...capabilityNames]);
  assert.deepEqual(namesOfCapabilities(1n | (1n << 41n)), ["CAP_CHOWN", "CAP_41"]);
});

/** Numbers of the kernel's own headers, where they are installed. */
const headers = "/usr/include/linux";
test("numbers are those of the kernel's headers", { skip: !existsSync(`${headers}/mount.h`) }, () => {
  const text = ["mount.h", "sched.h", "capability.h"]
    .map((name) => readFileSync(`${headers}/${name}`, "utf8"))
    .join("\n");
  const defined = new Map<string, bigint>();
  for (const [, name = "", value = ""] of text.matchAll(/^#\s*define\s+(\w+)\s+(0x[0-9a-fA-F]+|\d+)\b/gm)) {
    defined.set(name, BigInt(value));
  }
  let compared = 0;
  for (const [name, value] of Object.entries(constants)) {
    const wanted = defined.get(name);
    if (wanted !== undefined && (typeof value === "number" || typeof value === "bigint")) {
      assert.equal(BigInt(value), wanted, name);
      compared++;
    }
  }
  for (const [number, name] of capabilityNames.entries()) {
    assert.equal(defined.get(name), BigInt(number), name);
  }
  assert.ok(compared >= 15, `${compared} compared`);
});
