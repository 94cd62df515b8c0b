import assert from "node:assert/strict";
import { test } from "node:test";
import type { LinuxResources } from "../oci/mod.ts";
import { decideCgroup } from "./cgroup.ts";
import { compile } from "./compile.ts";
import { rootHost, rootInput, v2Host, withConfig } from "./fixtures.ts";
import {
  expandSlice,
  isScopePath,
  placeScope,
  resourceProperties,
  type SystemdPlace,
} from "./systemd-scope.ts";

const system: SystemdPlace = {
  user: false,
  uid: 0,
  socket: "/run/dbus/system_bus_socket",
  bus: true,
  controlGroup: "",
  controllers: ["cpu", "cpuset", "io", "memory", "pids"],
  command: ["/usr/libexec/vitrine/vitrine-engine", "__scope"],
};
const user: SystemdPlace = {
  ...system,
  user: true,
  uid: 1000,
  controlGroup: "/user.slice/user-1000.slice/user@1000.service",
  controllers: ["memory", "pids"],
};

test("slices lie in each other", () => {
  assert.equal(expandSlice("machine.slice"), "/machine.slice");
  assert.equal(expandSlice("a-b-c.slice"), "/a.slice/a-b.slice/a-b-c.slice");
  assert.equal(expandSlice("-.slice"), "");
  for (const wrong of ["machine", ".slice", "a--b.slice", "-a.slice", "a/b.slice", "../x.slice"]) {
    assert.throws(() => expandSlice(wrong), { code: "cgroup-slice-invalid" }, wrong);
  }
});

test("cgroupsPath is SLICE:PREFIX:NAME; without one the runtime's own", () => {
  const place = (path: string | undefined, from = system) => {
    const { slice, unit } = placeScope(from, "abc", path);
    return `${slice} ${unit}`;
  };
  assert.equal(
    place("kubepods-burstable.slice:cri-containerd:abc"),
    "kubepods-burstable.slice cri-containerd-abc.scope",
  );
  assert.equal(place(":runc:abc"), "system.slice runc-abc.scope");
  assert.equal(place(undefined), "system.slice vitrine-abc.scope");
  assert.equal(place(undefined, user), "user.slice vitrine-abc.scope");
  assert.equal(place("machine.slice::abc"), "machine.slice abc.scope");
  for (const wrong of ["/a/b", "a:b", "a.slice:b:c:d", "a.slice:b:x/y", "a.slice:b:", "a.slice:b:c.slice"]) {
    assert.throws(() => place(wrong), { code: "cgroup-path-invalid" }, wrong);
  }
  assert.deepEqual(["machine.slice:vitrine:x", ":a:b", "/vitrine/x", undefined].map(isScopePath), [
    ...[true, true, false, false],
  ]);
});

test("where a scope's cgroup is", () => {
  assert.deepEqual(decideCgroup(v2Host, "abc", "a-b.slice:v:x", user), {
    mode: "v2",
    root: `/sys/fs/cgroup${user.controlGroup}`,
    path: "/a.slice/a-b.slice/v-x.scope",
    scope: { ...user, slice: "a-b.slice", unit: "v-x.scope" },
  });
  const v1 = decideCgroup(rootHost, "abc", "m.slice:v:x", system);
  assert.equal(v1.mode === "v1" && v1.path, "/m.slice/v-x.scope");
  assert.equal(decideCgroup(rootHost, "abc", "m.slice:v:x", user).mode, "none");
});

function planOf(host: typeof v2Host, place: SystemdPlace, resources: LinuxResources) {
  const cgroup = decideCgroup(host, "abc", "machine.slice:vitrine:abc", place);
  const input = withConfig(rootInput, { linux: { resources } });
  return compile({ ...input, host, container: { ...input.container, cgroup } }).ops;
}

test("the monitor asks for the scope before it limits it, and leaves init where systemd put it", () => {
  const ops = planOf(v2Host, system, { pids: { limit: 7n }, memory: { limit: 64n << 20n } });
  const monitor = ops.filter(({ stage }) => stage === "monitor").map(({ op }) => op);
  const asked = monitor.findIndex((op) => op.op === "runProgram");
  const first = monitor[asked];
  assert.ok(first?.op === "runProgram" && first.stateOnStdin);
  assert.deepEqual(first.argv, system.command);
  const text = new TextDecoder().decode(first.stdin);
  assert.ok(text.startsWith('{"pid":0,'), "where the helper writes init's pid");
  const request = JSON.parse(text) as { unit: string; controlGroup: string; properties: { name: string }[] };
  assert.equal(request.unit, "vitrine-abc.scope");
  assert.equal(request.controlGroup, "/machine.slice/vitrine-abc.scope");
  for (const name of ["Slice", "Delegate", "MemoryMax", "TasksMax", "CollectMode"]) {
    assert.ok(
      request.properties.some((property) => property.name === name),
      name,
    );
  }
  const written = monitor.findIndex((op) => op.op === "writeFile" && op.path.path.endsWith("/pids.max"));
  assert.ok(asked < written);
  assert.ok(!ops.some(({ op }) => op.op === "cgroupAttach"));
  const cleanup = ops.filter(({ stage }) => stage === "cleanup").map(({ op }) => op.op);
  assert.equal(
    cleanup[cleanup.indexOf("removeDirectory") - 1],
    "awaitRemoved",
    "systemd has time to note the end",
  );
  // On v1 systemd knows few of the hierarchies: init goes into all of them itself.
  const v1 = planOf(rootHost, system, { pids: { limit: 7n } });
  assert.ok(v1.some(({ op, stage }) => op.op === "cgroupAttach" && stage === "init"));
});

test("a controller that the user's systemd was not given is an error", () => {
  assert.throws(() => planOf(v2Host, user, { cpu: { shares: 512n } }), { code: "cgroup-controller-missing" });
});

const texts = (resources: LinuxResources, version: "v1" | "v2") =>
  resourceProperties(resources, version).map(({ name, value }) => `${name}=${String(value)}`);
const infinity = "18446744073709551615";

test("limits as properties, as runc maps them", () => {
  const all: LinuxResources = {
    memory: { limit: 1n << 26n, swap: 3n << 25n, reservation: 1n << 25n },
    cpu: { shares: 1024n, quota: 12_345n, period: 100_000n, cpus: "0,9", mems: "0" },
    pids: { limit: 0n },
    blockIO: { weight: 100 },
    unified: { "memory.high": "max", "pids.max": "5", "io.max": "8:0 rbps=1" },
  };
  assert.deepEqual(texts(all, "v2"), [
    ...["MemoryMax=67108864", "MemoryLow=33554432", "MemorySwapMax=33554432", "CPUWeight=100"],
    // A hundredth of a CPU is the least step: rounded up.
    ...["CPUQuotaPeriodUSec=100000", "CPUQuotaPerSecUSec=130000", "TasksMax=1"],
    ...["AllowedCPUs=1,2,0,0,0,0,0,0", "AllowedMemoryNodes=1,0,0,0,0,0,0,0"],
    ...[`MemoryHigh=${infinity}`, "TasksMax=5"],
  ]);
  assert.deepEqual(texts({ memory: all.memory!, cpu: { shares: 7n }, blockIO: { weight: 100 } }, "v1"), [
    ...["MemoryLimit=67108864", "CPUShares=7", "BlockIOWeight=100"],
  ]);
  assert.deepEqual(
    texts({ memory: { limit: -1n }, cpu: { quota: -1n, idle: 1n, shares: 5n }, pids: { limit: -1n } }, "v2"),
    [
      ...[`MemoryMax=${infinity}`, `MemorySwapMax=${infinity}`, "CPUWeight=0"],
      ...[`CPUQuotaPerSecUSec=${infinity}`, `TasksMax=${infinity}`],
    ],
  );
});
