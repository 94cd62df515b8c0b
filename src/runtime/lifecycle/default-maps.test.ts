import assert from "node:assert/strict";
import { test } from "node:test";
import type { Linux } from "../../oci/mod.ts";
import { withIdMaps } from "./default-maps.ts";

const filled = (linux: Linux) =>
  withIdMaps({ ociVersion: "1.3.0", root: { path: "rootfs" }, linux }, { euid: 1000, egid: 100 });
const one = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];

test("what a new user namespace is not given is the caller alone", () => {
  const { config, warnings } = filled({ namespaces: [{ type: "user" }] });
  assert.deepEqual(config.linux?.uidMappings, one(1000));
  assert.deepEqual(config.linux?.gidMappings, one(100));
  assert.equal(warnings.length, 2);
  const half = filled({ namespaces: [{ type: "user" }], uidMappings: one(5) });
  assert.deepEqual([half.config.linux?.uidMappings, half.config.linux?.gidMappings], [one(5), one(100)]);
});

test("one that is joined, and none, have no maps", () => {
  for (const namespaces of [[], [{ type: "user", path: "/proc/1/ns/user" } as const]]) {
    const { config, warnings } = filled({ namespaces });
    assert.deepEqual([config.linux?.uidMappings, warnings], [undefined, []]);
  }
});
