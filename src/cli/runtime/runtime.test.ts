import assert from "node:assert/strict";
import { test } from "node:test";
import { validateRuntimeConfig } from "../../oci/mod.ts";
import { parseMountOptions } from "../../runtime/mod.ts";
import { mountOptions } from "./features.ts";
import { specTemplate } from "./spec-template.ts";
import { signalNumber } from "./verbs/kill.ts";

test("the template of spec is a valid config, for root and for a user", () => {
  for (const ids of [undefined, { uid: 1000, gid: 1000 }]) {
    const { config, warnings } = validateRuntimeConfig(specTemplate(ids, true));
    assert.deepEqual(warnings, []);
    assert.equal(config.linux?.namespaces?.some(({ type }) => type === "user") ?? false, ids !== undefined);
  }
});

test("features names mount options that are understood, and no other", () => {
  for (const word of mountOptions) assert.deepEqual(parseMountOptions([word]).data, [], word);
  assert.deepEqual(parseMountOptions(["size=1k"]).data, ["size=1k"]);
});

test("signals by number, by name, with and without SIG, realtime ones", () => {
  const words = ["9", "KILL", "SIGKILL", "sigkill", "TERM", "RTMIN+3", "SIGRTMAX-1"];
  assert.deepEqual(words.map(signalNumber), [9, 9, 9, 9, 15, 37, 63]);
  for (const word of ["65", "NONSENSE", "RTMIN+40", "-9"]) {
    assert.throws(() => signalNumber(word), { code: "signal-unknown" });
  }
});
