/**
 * Whole plans, as text: `UPDATE_GOLDEN=1 node --test src/runtime/golden.test.ts` writes them anew, the diff is read.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { encodePlan, type Plan } from "../kernel/mod.ts";
import { compile } from "./compile.ts";
import { namespaces, process, rootInput, userInput, v2Host, withConfig } from "./fixtures.ts";
import type { CompileInput } from "./types.ts";

const cases: Readonly<Record<string, CompileInput>> = {
  "root-default": rootInput,
  "rootless-range": userInput,
  "rootless-single-id": {
    ...withConfig(userInput, {
      process: { ...process, user: { uid: 0, gid: 0 } },
      linux: {
        uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
        gidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
      },
    }),
    container: { ...userInput.container, idMapTools: undefined },
  },
  privileged: withConfig(rootInput, {
    process: { ...process, noNewPrivileges: false },
    linux: {
      resources: { devices: [{ allow: true, access: "rwm" }] },
      maskedPaths: [],
      readonlyPaths: [],
      seccomp: undefined,
    },
  }),
  "read-only": withConfig(rootInput, { root: { ...rootInput.config.root, readonly: true } }),
  terminal: {
    ...withConfig(rootInput, {
      process: { ...process, terminal: true, noNewPrivileges: false, cwd: "/work" },
    }),
    container: {
      ...rootInput.container,
      terminal: { rows: 24, columns: 80 },
      stdin: "inherit",
      init: true,
    },
  },
  "host-namespaces": withConfig(rootInput, {
    hostname: undefined,
    linux: { namespaces: namespaces("mount"), sysctl: undefined, cgroupsPath: "/vitrine/abc" },
  }),
  "id-mapped-mount": {
    ...withConfig(rootInput, {
      mounts: [
        {
          destination: "/data",
          source: "/srv/data",
          options: ["rbind", "ridmap", "ro"],
          uidMappings: [{ containerID: 0, hostID: 3000, size: 10 }],
          gidMappings: [{ containerID: 0, hostID: 4000, size: 10 }],
        },
      ],
    }),
    sourceKinds: new Map([["/srv/data", "directory"]]),
  },
  "joined-namespaces": withConfig(rootInput, {
    hostname: undefined,
    linux: {
      namespaces: [
        { type: "mount" },
        { type: "pid", path: "/proc/42/ns/pid" },
        { type: "network", path: "/run/netns/web" },
      ],
    },
  }),
  "cgroup-v2": {
    ...withConfig(rootInput, {
      linux: {
        resources: {
          devices: [{ allow: false, access: "rwm" }],
          pids: { limit: 100n },
          memory: { limit: 67108864n, swap: 134217728n, reservation: 33554432n },
          cpu: { shares: 512n, quota: 50000n, period: 100000n, cpus: "0-1" },
          unified: { "memory.high": "50331648" },
        },
      },
    }),
    host: v2Host,
    container: {
      ...rootInput.container,
      cgroup: { mode: "v2", root: "/sys/fs/cgroup", path: "/vitrine/abc" },
    },
  },
  "cgroup-v1-limits": {
    ...withConfig(rootInput, {
      linux: {
        resources: {
          devices: [
            { allow: false, access: "rwm" },
            { allow: true, type: "c", major: 10, minor: 229, access: "rw" },
          ],
          pids: { limit: -1n },
          memory: { limit: 67108864n, swap: 134217728n, swappiness: 0n, disableOOMKiller: true },
          cpu: { shares: 512n, quota: 50000n, period: 100000n, cpus: "1" },
        },
      },
    }),
    container: {
      ...rootInput.container,
      cgroup: {
        mode: "v1",
        path: "/vitrine/abc",
        cpuset: { cpus: "0-1", mems: "0", emptyAncestors: ["/vitrine"] },
      },
    },
  },
  hooks: withConfig(rootInput, {
    annotations: { "org.example.note": 'a "quoted" value' },
    hooks: {
      prestart: [{ path: "/bin/prestart" }],
      createRuntime: [{ path: "/bin/runtime", args: ["runtime", "x"], env: ["A=1"], timeout: 5 }],
      createContainer: [{ path: "/bin/container" }],
      startContainer: [{ path: "/sbin/ldconfig", args: ["ldconfig"] }],
      poststart: [{ path: "/bin/poststart" }],
      poststop: [{ path: "/bin/poststop" }],
    },
  }),
  binds: {
    ...withConfig(rootInput, {
      mounts: [
        ...(rootInput.config.mounts ?? []),
        { destination: "/etc/hosts", type: "bind", source: "/srv/hosts", options: ["rbind", "rprivate"] },
        { destination: "/data", type: "bind", source: "/srv/data", options: ["rbind", "rro", "rslave"] },
        { destination: "/code", type: "none", source: "code", options: ["bind", "ro", "nodev", "private"] },
        { destination: "/both", source: "/srv/data", options: ["rbind", "ro", "rnosuid", "noatime"] },
        { destination: "/cache", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup", "size=1m", "rro"] },
        { destination: "relative/dir", type: "tmpfs", options: ["nosuid"] },
      ],
    }),
    sourceKinds: new Map([
      ["/srv/hosts", "file"],
      ["/srv/data", "directory"],
      ["/var/lib/vitrine/containers/abc/code", "directory"],
    ]),
  },
  "host-network-rootless": withConfig(userInput, {
    linux: { namespaces: namespaces("user", "pid", "ipc", "uts", "mount"), sysctl: undefined },
  }),
};

/** One op a line; 64-bit numbers in hex, bytes as text where they are text. */
export function planText(plan: Plan): string {
  const show = (_: string, value: unknown) => {
    if (typeof value === "bigint") {
      return value > 0xffffn ? `0x${value.toString(16)}` : String(value);
    }
    if (value instanceof Uint8Array) {
      const text = Buffer.from(value).toString("latin1");
      return /^[\x20-\x7e]*$/.test(text) ? text : `hex:${Buffer.from(value).toString("hex")}`;
    }
    return value;
  };
  const lines = plan.ops.map(({ stage, op, why, tolerate }) =>
    JSON.stringify({ stage, ...op, ...(tolerate.length > 0 ? { tolerate } : {}), why }, show),
  );
  const notes = (plan.notes ?? []).map((note) => JSON.stringify(note));
  return `{"ops":[\n${lines.join(",\n")}\n],"notes":[\n${notes.join(",\n")}\n]}\n`;
}

for (const [name, input] of Object.entries(cases)) {
  test(`plan of ${name}`, () => {
    const plan = compile(input);
    const file = new URL(`golden/${name}.json`, import.meta.url);
    if (globalThis.process.env["UPDATE_GOLDEN"] === "1") {
      writeFileSync(file, planText(plan));
    }
    assert.deepEqual(planText(plan).split("\n"), readFileSync(file, "utf8").split("\n"));
  });

  test(`plan of ${name}: the same bytes twice`, () => {
    assert.deepEqual(encodePlan(compile(input)), encodePlan(compile(structuredClone(input))));
  });
}
