import assert from "node:assert/strict";
import { test } from "node:test";
import { VitrineError } from "../base/mod.ts";
import type { Mount } from "../oci/mod.ts";
import { readMounts } from "./mount-entry.ts";
import { checkProcMount } from "./proc-mounts.ts";

function verdict(mount: Mount): string {
  const config = { ociVersion: "1.2.0", root: { path: "rootfs" }, mounts: [mount] };
  try {
    for (const entry of readMounts(config, "/bundle")) checkProcMount(entry);
    return "allowed";
  } catch (error) {
    assert.ok(error instanceof VitrineError, String(error));
    assert.equal(error.operand, "/mounts/0/destination");
    return error.code;
  }
}

const bind = (destination: string, source = "/srv"): Mount => ({ destination, source, options: ["bind"] });

test("only a procfs covers /proc", () => {
  assert.equal(verdict(bind("/proc")), "mount-over-proc");
  assert.equal(verdict(bind("/x/../proc/.")), "mount-over-proc");
  assert.equal(verdict({ destination: "/proc", type: "tmpfs", source: "tmpfs" }), "mount-over-proc");
  assert.equal(verdict({ destination: "/proc", type: "proc", source: "proc" }), "allowed");
  assert.equal(verdict(bind("/proc", "/proc")), "allowed");
});

test("below /proc only what is emulated is covered", () => {
  for (const inside of ["/proc/self", "/proc/sys/kernel/core_pattern", "/proc/cpuinfo/x", "//proc/keys"]) {
    assert.equal(verdict(bind(inside)), "mount-inside-proc", inside);
  }
  for (const fine of ["/proc/cpuinfo", "/proc/sys/crypto/fips_enabled", "/process", "/srv/proc"]) {
    assert.equal(verdict(bind(fine)), "allowed", fine);
  }
});
