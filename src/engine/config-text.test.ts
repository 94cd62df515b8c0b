import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeRuntimeConfig, parseRuntimeConfig } from "../oci/mod.ts";
import { configText } from "./config-text.ts";
import { seccomp, specInput, userHost } from "./fixtures.ts";
import { makeSpecification } from "./spec.ts";

const limits = {
  rlimits: [{ type: "RLIMIT_CORE", soft: 2n ** 64n - 1n, hard: 2n ** 64n - 1n }],
  resources: { memory: 64n << 20n, deviceRules: [] },
} as const;

for (const [name, input] of Object.entries({
  root: specInput(),
  user: specInput({}, { host: userHost }),
  limits: specInput(limits),
})) {
  test(`the same document as the specification's own writer: ${name}`, () => {
    const { config } = makeSpecification(input, {
      ...seccomp,
      standard: () => ({
        defaultAction: "SCMP_ACT_ERRNO",
        syscalls: [
          { names: ["read", "write"], action: "SCMP_ACT_ALLOW" },
          {
            names: ["clone"],
            action: "SCMP_ACT_ALLOW",
            args: [{ index: 0, value: 2n ** 64n - 1n, op: "SCMP_CMP_EQ" }],
          },
        ],
      }),
    });
    const text = configText(config);
    const other = new TextDecoder().decode(encodeRuntimeConfig(config));
    assert.equal(text, other.replace(/\n */g, "").replace(/": /g, '":'));
    assert.deepEqual(
      parseRuntimeConfig(new TextEncoder().encode(text)).config,
      parseRuntimeConfig(encodeRuntimeConfig(config)).config,
    );
  });
}
