import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../base/mod.ts";
import type { LinuxIntelRdt } from "../oci/mod.ts";
import { compile } from "./compile.ts";
import { rootInput, withConfig } from "./fixtures.ts";
import { resctrlMountPoint, schemataFile } from "./intel-rdt.ts";

/** The ops about the group, in order: what they write goes as text. */
function ops(intelRdt: LinuxIntelRdt): string[] {
  const input = { ...withConfig(rootInput, { linux: { intelRdt } }), resctrl: "/sys/fs/resctrl" };
  return compile(input).ops.flatMap(({ op, stage, why }) => {
    if (!why.pointer.startsWith("/linux/intelRdt") || op.op === "barrier") return [];
    const path = "path" in op && typeof op.path === "object" && "base" in op.path ? op.path.path : "";
    const data = op.op === "writeFile" ? ` ${JSON.stringify(new TextDecoder().decode(op.data))}` : "";
    return [`${stage} ${op.op} ${path}${data}`];
  });
}

const { id } = rootInput.container;

test("without closID the group is the container's own and goes with it", () => {
  assert.deepEqual(ops({ l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20", schemata: ["L2:0=3"] }), [
    `monitor makeDirectory /sys/fs/resctrl/${id}`,
    `monitor writeFile /sys/fs/resctrl/${id}/schemata "L3:0=f\\nMB:0=20\\nL2:0=3\\n"`,
    `monitor cgroupAttach /sys/fs/resctrl/${id}`,
    `cleanup removeDirectory /sys/fs/resctrl/${id}`,
  ]);
});

test("a group with a name stays; without schemata it must be there", () => {
  assert.deepEqual(ops({ closID: "gold", schemata: ["L3:0=f"] }), [
    "monitor makeDirectory /sys/fs/resctrl/gold",
    'monitor writeFile /sys/fs/resctrl/gold/schemata "L3:0=f\\n"',
    "monitor cgroupAttach /sys/fs/resctrl/gold",
  ]);
  assert.deepEqual(ops({ closID: "gold" }), ["monitor cgroupAttach /sys/fs/resctrl/gold"]);
  assert.deepEqual(ops({ closID: "/" }), ["monitor cgroupAttach /sys/fs/resctrl"]);
});

test("enableMonitoring counts the container by itself", () => {
  assert.deepEqual(ops({ closID: "gold", enableMonitoring: true }), [
    "monitor cgroupAttach /sys/fs/resctrl/gold",
    `monitor makeDirectory /sys/fs/resctrl/gold/mon_groups/${id}`,
    `monitor cgroupAttach /sys/fs/resctrl/gold/mon_groups/${id}`,
    `cleanup removeDirectory /sys/fs/resctrl/gold/mon_groups/${id}`,
  ]);
});

test("where resctrl is not mounted it is an error", () => {
  assert.throws(
    () => compile(withConfig(rootInput, { linux: { intelRdt: {} } })),
    (error) => error instanceof VitrineError && error.code === "intel-rdt-unavailable",
  );
});

test("the mount point is found by the filesystem's type", () => {
  const line = (type: string, where: string) =>
    `30 25 0:27 / ${where} rw,nosuid shared:9 - ${type} ${type} rw\n`;
  assert.equal(resctrlMountPoint(line("tmpfs", "/sys/fs/resctrl")), undefined);
  assert.equal(
    resctrlMountPoint(line("proc", "/proc") + line("resctrl", "/sys/fs/resctrl")),
    "/sys/fs/resctrl",
  );
});

test("update finds the group of a container that runs", () => {
  assert.equal(schemataFile("/r", "c1", {}), "/r/c1/schemata");
  assert.equal(schemataFile("/r", "c1", { closID: "gold" }), "/r/gold/schemata");
  assert.equal(schemataFile("/r", "c1", { closID: "/" }), "/r/schemata");
  assert.throws(() => schemataFile(undefined, "c1", {}), { code: "intel-rdt-unavailable" });
  assert.throws(() => schemataFile("/r", "c1", undefined), { code: "intel-rdt-not-in-group" });
});
