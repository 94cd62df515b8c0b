import assert from "node:assert/strict";
import { test } from "node:test";
import { cgroupLeaf } from "../kernel/mod.ts";
import { decideCgroup } from "./cgroup.ts";
import { deviceRules, textOf } from "./cgroup-devices.ts";
import { weightOfShares } from "./cgroup-v2.ts";
import { compile } from "./compile.ts";
import { rootHost, rootInput, userHost, userInput, v2Host, withConfig } from "./fixtures.ts";
import { mountPointOf } from "./gather.ts";

const lines = (rules: Parameters<typeof deviceRules>[0]) => {
  const found = deviceRules(rules);
  return found === "allow-all"
    ? found
    : found.map((line) => `${line.allow ? "allow" : "deny"} ${textOf(line)}`);
};

test("device rules begin with all denied and end with the default devices", () => {
  const none = lines([]);
  assert.equal(none[0], "deny a");
  assert.ok(none.includes("allow c 1:3 rwm") && none.includes("allow b *:* m"));
  assert.deepEqual(lines([{ allow: false, access: "rwm" }]), none);
});

test("device rules: all allowed writes nothing, and denies after it stay", () => {
  assert.equal(lines([{ allow: true, access: "rwm" }]), "allow-all");
  assert.equal(lines([{ allow: true, type: "a", major: -1, minor: -1 }]), "allow-all");
  assert.deepEqual(lines([{ allow: true }, { allow: false, type: "b", major: 8, access: "w" }]), [
    "deny b 8:* w",
  ]);
});

test("a rule for all types that is not for all devices becomes two: the kernel reads nothing after an a", () => {
  const found = lines([{ allow: true, major: 10, minor: 200, access: "mr" }]);
  assert.deepEqual(found.slice(0, 3), ["deny a", "allow c 10:200 rm", "allow b 10:200 rm"]);
});

test("shares to weight: the defaults meet and the ends hold", () => {
  assert.equal(weightOfShares(1024n), 100);
  assert.equal(weightOfShares(2n), 1);
  assert.equal(weightOfShares(262144n), 10000);
  assert.ok(weightOfShares(2048n) > 100 && weightOfShares(512n) < 100);
});

test("where to count", () => {
  assert.deepEqual(decideCgroup(rootHost, "abc"), { mode: "v1", path: "/vitrine/abc" });
  assert.deepEqual(decideCgroup(rootHost, "abc", "/a/b"), { mode: "v1", path: "/a/b" });
  assert.deepEqual(decideCgroup(v2Host, "abc", "pods/x"), {
    mode: "v2",
    root: "/sys/fs/cgroup",
    path: "/vitrine/pods/x",
  });
  assert.equal(decideCgroup(userHost, "abc").mode, "none");
  assert.equal(decideCgroup(rootHost, "abc", "../../../etc").mode, "v1");
  assert.throws(() => decideCgroup(rootHost, "abc", "/.."), { code: "cgroup-path-root" });
});

test("a user has what was delegated of v2; its processes move out of the way where a limit needs it", () => {
  const directory = "/sys/fs/cgroup/user.slice/x.scope";
  const division = { directory, controllers: ["memory", "pids"], occupied: true };
  const host = {
    ...userHost,
    cgroup: { ...v2Host.cgroup, unified: { ...v2Host.cgroup.unified!, division } },
  };
  const cgroup = decideCgroup(host, "abc", "/vitrine/abc");
  assert.deepEqual(cgroup, { mode: "v2", root: directory, path: "/vitrine/abc", occupied: true });
  const planned = (resources: object) =>
    compile({
      ...withConfig(userInput, { linux: { resources } }),
      host,
      container: { ...userInput.container, cgroup },
    }).ops.flatMap(({ op, stage }) => (stage === "monitor" ? [op] : []));
  const limited = planned({ pids: { limit: 5n } });
  const [made, vacated, passed] = limited.slice(limited.findIndex(({ op }) => op === "makeDirectory"));
  assert.equal(made?.op === "makeDirectory" && made.path.path, `${directory}/${cgroupLeaf}`);
  assert.deepEqual(vacated, {
    op: "cgroupVacate",
    from: { base: "host", path: directory },
    to: { base: "host", path: `${directory}/${cgroupLeaf}` },
  });
  assert.equal(passed?.op, "makeDirectory");
  assert.ok(!planned({}).some(({ op }) => op === "cgroupVacate"));
  assert.throws(() => planned({ cpu: { cpus: "0" } }), { code: "cgroup-controller-missing" });
});

test("v2: a limit needs its controller, and v1's own settings are refused", () => {
  const with2 = (resources: object) => ({
    ...withConfig(rootInput, { linux: { resources } }),
    host: v2Host,
    container: {
      ...rootInput.container,
      cgroup: { mode: "v2", root: "/sys/fs/cgroup", path: "/vitrine/abc" } as const,
    },
  });
  const refused = (resources: object, code: string) =>
    assert.throws(() => compile(with2(resources)), { code });
  refused({ memory: { swappiness: 1n } }, "cgroup-limit-unsupported");
  refused({ memory: { swap: 10n } }, "memory-swap-without-limit");
  refused({ memory: { kernel: 10n } }, "cgroup-limit-unsupported");
  refused({ cpu: { realtimeRuntime: 1n } }, "cgroup-limit-unsupported");
  refused({ network: { classID: 1 } }, "cgroup-limit-unsupported");
  refused({ blockIO: { leafWeight: 10 } }, "cgroup-limit-unsupported");
  refused({ rdma: { a: { hcaHandles: 1 } } }, "cgroup-controller-missing");
  refused({ unified: { "misc.max": "1" } }, "cgroup-controller-missing");
  refused({ unified: { "../x.y": "1" } }, "cgroup-unified-invalid");
  refused({ hugepageLimits: [{ pageSize: "../2MB", limit: 1n }] }, "hugepage-size-invalid");
});

test("the mount under a directory, with octal escapes and the last of equals", () => {
  const info = [
    "1 0 8:1 / / rw - ext4 x rw",
    "2 1 0:2 / /run rw shared:1 - tmpfs x rw",
    "3 2 0:3 / /run/a\\040b rw - tmpfs x rw",
  ].join("\n");
  assert.equal(mountPointOf("/run/vitrine/x", info), "/run");
  assert.equal(mountPointOf("/run/a b/x", info), "/run/a b");
  assert.equal(mountPointOf("/runner", info), "/");
});
