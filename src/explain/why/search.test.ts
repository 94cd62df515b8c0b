import assert from "node:assert/strict";
import { test } from "node:test";
import { nativeSystemCalls } from "../../kernel/mod.ts";
import type { RuntimeConfig } from "../../oci/mod.ts";
import { type LiftFacts, restrictionsOf } from "./restrictions.ts";
import { findCauses, liftAll } from "./search.ts";

const config: RuntimeConfig = {
  ociVersion: "1.3.0",
  root: { path: "/r", readonly: true },
  process: {
    user: { uid: 7, gid: 7 },
    args: ["x"],
    cwd: "/",
    noNewPrivileges: true,
    rlimits: [{ type: "RLIMIT_CORE", soft: 0n, hard: 0n }],
    capabilities: { bounding: ["CAP_KILL"], effective: [], permitted: [], inheritable: [], ambient: [] },
  },
  mounts: [
    { destination: "/proc", type: "proc", source: "proc", options: ["noexec"] },
    { destination: "/t", type: "tmpfs", source: "tmpfs", options: ["noexec", "nosuid", "size=1k"] },
    { destination: "/d", type: "bind", source: "/home/d", options: ["rbind", "ro"] },
  ],
  linux: {
    namespaces: [{ type: "mount" }, { type: "network" }],
    maskedPaths: ["/proc/kcore"],
    readonlyPaths: ["/proc/sys"],
    sysctl: { "net.ipv4.ip_forward": "1", "kernel.shmmax": "9" },
    resources: { memory: { limit: 1n }, pids: { limit: 1n }, devices: [{ allow: false, access: "rwm" }] },
    seccomp: {
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [{ names: ["read", "write"], action: "SCMP_ACT_ALLOW" }],
    },
  },
};
const facts: LiftFacts = {
  capabilities: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"],
  profileFor: undefined,
  systemCalls: nativeSystemCalls("x86_64"),
  devices: [{ path: "/dev/fuse", type: "c", major: 10, minor: 229 }],
  isUsers: ({ source }) => source === "/home/d",
  allowWrites: false,
};
const groups = restrictionsOf(config, facts);

test("every restriction of a config is in the list once, with its flag and its cost", () => {
  const all = groups.flatMap(({ items }) => items);
  const named = all.filter(({ kind }) => kind !== "seccomp").map(({ kind, item }) => `${kind} ${item}`);
  assert.deepEqual(named.sort(), [
    "capability CAP_CHOWN",
    "capability CAP_KILL",
    "capability CAP_NET_ADMIN",
    "capability CAP_SYS_ADMIN",
    "device /dev/fuse",
    "device every device number",
    "limit RLIMIT_CORE",
    "limit memory",
    "limit pids",
    "limit size of /t",
    "masked-path /proc/kcore",
    "mount-option noexec of /t",
    "mount-option nosuid of /t",
    "network a network of its own",
    "no-new-privileges no_new_privs",
    "read-only /",
    "read-only /proc/sys",
    "user user 7",
  ]);
  assert.ok(all.filter(({ kind }) => kind === "seccomp").length > 300);
  for (const { flag, cost } of all) assert.ok(flag.length > 4 && cost.length > 10);
});

test("the user's own files are writable only where that is allowed", () => {
  const items = restrictionsOf(config, { ...facts, allowWrites: true }).flatMap((group) => group.items);
  assert.ok(items.some(({ kind, item }) => kind === "read-only" && item === "/d"));
});

test("what is lifted is gone from the config, and nothing else changes", () => {
  const pick = (...names: readonly string[]) =>
    groups.flatMap(({ items }) => items.filter(({ kind, item }) => names.includes(`${kind} ${item}`)));
  const lifted = (...names: readonly string[]): RuntimeConfig => liftAll(config, groups, pick(...names));
  assert.deepEqual(lifted(), config);
  assert.equal(lifted("read-only /").root.readonly, false);
  assert.deepEqual(lifted("read-only /proc/sys").linux?.readonlyPaths, []);
  assert.deepEqual(lifted("masked-path /proc/kcore").linux?.maskedPaths, []);
  assert.deepEqual(lifted("mount-option noexec of /t").mounts?.[1]?.options, ["nosuid", "size=1k", "exec"]);
  assert.deepEqual(lifted("limit size of /t").mounts?.[1]?.options, ["noexec", "nosuid"]);
  assert.deepEqual(lifted("limit memory").linux?.resources?.memory, undefined);
  assert.deepEqual(lifted("limit memory").linux?.resources?.pids, { limit: 1n });
  const network = lifted("network a network of its own").linux;
  assert.deepEqual([network?.namespaces, network?.sysctl], [[{ type: "mount" }], { "kernel.shmmax": "9" }]);
  assert.deepEqual(lifted("capability CAP_CHOWN").process?.capabilities?.ambient, ["CAP_CHOWN"]);
  const root = lifted("user user 7").process;
  assert.deepEqual([root?.user.uid, root?.capabilities?.effective], [0, ["CAP_KILL"]]);
  assert.deepEqual(lifted("device /dev/fuse").linux?.devices?.[0]?.path, "/dev/fuse");
  assert.equal(lifted("no-new-privileges no_new_privs").process?.noNewPrivileges, false);
});

const allows = (made: RuntimeConfig, name: string): boolean =>
  made.linux?.seccomp?.syscalls?.some(
    ({ names, action }) => action === "SCMP_ACT_ALLOW" && names.includes(name),
  ) === true;
const holds = (made: RuntimeConfig, name: string): boolean =>
  made.process?.capabilities?.effective?.includes(name) === true;

test("one of hundreds is found by halves", async () => {
  let runs = 0;
  const found = await findCauses(config, groups, async (made) => {
    runs++;
    return allows(made, "keyctl");
  });
  assert.deepEqual(
    found.causes.map(({ restrictions, sure }) => [restrictions.map(({ item }) => item), sure]),
    [[["keyctl"], "alone"]],
  );
  assert.equal(found.probes, runs);
  assert.ok(runs < 40, String(runs));
});

test("each way of its own is told, and what must come together", async () => {
  const either = await findCauses(
    config,
    groups,
    async (made) => holds(made, "CAP_CHOWN") || made.root.readonly === false,
  );
  assert.deepEqual(
    either.causes.map(({ restrictions }) => restrictions.map(({ item }) => item)),
    [["/"], ["CAP_CHOWN"]],
  );
  const both = await findCauses(
    config,
    groups,
    async (made) => holds(made, "CAP_SYS_ADMIN") && allows(made, "mount") && allows(made, "fsopen"),
  );
  assert.equal(both.causes.length, 1);
  assert.equal(both.causes[0]?.sure, "together");
  assert.deepEqual(both.causes[0]?.restrictions.map(({ item }) => item).sort(), [
    "CAP_SYS_ADMIN",
    "fsopen",
    "mount",
  ]);
  const never = await findCauses(config, groups, async () => false);
  assert.deepEqual(never.causes, []);
});
