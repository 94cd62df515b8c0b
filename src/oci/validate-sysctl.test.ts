import assert from "node:assert/strict";
import { test } from "node:test";
import { assertFails } from "./test-support.ts";
import { validateRuntimeConfig } from "./validate-runtime.ts";
import { sysctlNamespace, sysctlPath } from "./validate-sysctl.ts";

const namespaces = ["network", "ipc", "uts", "mount"].map((type) => ({ type }));
const validate = (sysctl: object, more: object = {}) =>
  validateRuntimeConfig({ ociVersion: "1.0.0", root: { path: "r" }, linux: { namespaces, sysctl }, ...more });

test("names become paths as sysctl(8) has it", () => {
  for (const [name, path] of [
    ["net.ipv4.ip_forward", "net/ipv4/ip_forward"],
    ["net/ipv4/ip_forward", "net/ipv4/ip_forward"],
    ["net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"],
    ["net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"],
    ["", undefined],
    ["net", undefined],
    ["net.", undefined],
    [".net.x", undefined],
    ["net..x", undefined],
    ["net/../kernel/core_pattern", undefined],
    ["net.//.kernel", undefined],
    ["/net/x", undefined],
    ["net/ipv4/x\0y", undefined],
    ["net.ipv4.x y", undefined],
  ] as const) {
    assert.equal(sysctlPath(name), path, name);
  }
});

test("each parameter belongs to a namespace or to the machine", () => {
  assert.equal(sysctlNamespace("net/core/somaxconn"), "network");
  assert.equal(sysctlNamespace("fs/mqueue/msg_max"), "ipc");
  assert.equal(sysctlNamespace("kernel/sem"), "ipc");
  assert.equal(sysctlNamespace("kernel/domainname"), "uts");
  assert.equal(sysctlNamespace("user/max_user_namespaces"), "user");
  for (const path of [
    "kernel/core_pattern",
    "vm/overcommit_memory",
    "fs/file-max",
    "kernel/shmmaxx",
    "netx/y",
  ]) {
    assert.equal(sysctlNamespace(path), undefined, path);
  }
});

test("only parameters of the container's namespaces can be set", () => {
  validate({ "net.core.somaxconn": "256", "kernel/sem": "1 2", "kernel.hostname": "x" });
  for (const name of ["kernel.core_pattern", "vm.swappiness", "kernel/core_pattern"]) {
    assertFails("runtime-config-sysctl-host", () => validate({ [name]: "|/bin/sh" }), name);
  }
  assertFails("runtime-config-namespace-missing", () => validate({ "user.max_user_namespaces": "1" }));
  for (const name of ["net..x", "net/../kernel/core_pattern", "net.ipv4/../../kernel.core_pattern"]) {
    assertFails("runtime-config-sysctl-invalid", () => validate({ [name]: "1" }), name);
  }
  assertFails("runtime-config-invalid", () => validate({ "net.core.somaxconn": 256 }));
});

test("one name is not set in two ways", () => {
  const code = "runtime-config-duplicate";
  assertFails(code, () => validate({ "kernel.hostname": "a" }, { hostname: "b" }));
  assertFails(code, () => validate({ "kernel/domainname": "a" }, { domainname: "b" }));
  validate({ "kernel.domainname": "a" }, { domainname: "a" });
  assertFails(code, () => validate({ "net.ipv4.ip_forward": "1", "net/ipv4/ip_forward": "0" }));
});
