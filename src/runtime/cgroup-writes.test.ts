/** linux.resources as writes, field by field, on v1 and on v2: what runc and crun write for the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LinuxResources } from "../oci/mod.ts";
import { compile } from "./compile.ts";
import { rootHost, rootInput, v2Host, withConfig } from "./fixtures.ts";
import type { CompileInput } from "./types.ts";

const allowed = { devices: [{ allow: true, access: "rwm" }] } as const;
const hierarchies = [
  ..."cpu,cpuacct cpuset memory blkio pids net_cls net_prio hugetlb rdma freezer".split(" "),
];

function inputOf(version: 1 | 2, resources: LinuxResources): CompileInput {
  const input = withConfig(rootInput, { linux: { resources: { ...allowed, ...resources } } });
  const cgroup = version === 1 ? "v1" : "v2";
  return {
    ...input,
    origins: new Map(),
    host:
      version === 2
        ? {
            ...v2Host,
            cgroup: {
              ...v2Host.cgroup,
              unified: {
                ...v2Host.cgroup.unified!,
                division: {
                  directory: "/cg",
                  controllers: ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"],
                  occupied: false,
                },
              },
            },
          }
        : {
            ...rootHost,
            cgroup: {
              ...rootHost.cgroup,
              hierarchies: hierarchies.map((names) => ({
                controllers: names.split(","),
                name: "",
                mountPoint: `/cg/${names}`,
                ownPath: "/",
                ownDirectory: `/cg/${names}`,
                writable: true,
              })),
            },
          },
    container: {
      ...input.container,
      cgroup:
        cgroup === "v1"
          ? { mode: "v1", path: "/x", cpuset: { cpus: "0-1", mems: "0", emptyAncestors: [] } }
          : { mode: "v2", root: "/cg", path: "/x" },
    },
  };
}

/** `FILE DATA`, with what is written where FILE is not there, and what may be missing. */
function writes(version: 1 | 2, resources: LinuxResources): string[] {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
  const short = (path: string) => path.replace(version === 1 ? /^\/cg\/[a-z_,]+\/x\// : "/cg/x/", "");
  return compile(inputOf(version, resources)).ops.flatMap(({ stage, op, tolerate, why }) => {
    if (stage !== "monitor" || (op.op !== "writeFile" && op.op !== "writeEither")) return [];
    if (op.path.path.endsWith("subtree_control") || why.origin.by === "host") return [];
    assert.ok(why.pointer.startsWith("/linux/resources/") && why.section.startsWith("config-linux.md#"));
    const other = op.op === "writeEither" ? ` | ${short(op.other.path)} ${text(op.otherData)}` : "";
    return [
      `${short(op.path.path)} ${text(op.data)}${other}${tolerate.length > 0 ? ` (${tolerate.join()})` : ""}`,
    ];
  });
}

const mebibyte = 1n << 20n;

/** What is asked, what v1 gets, what v2 gets; a string is the code of the refusal. */
const table: Readonly<Record<string, readonly [LinuxResources, string[] | string, string[] | string]>> = {
  "a memory limit": [
    { memory: { limit: 64n * mebibyte } },
    ["memory.limit_in_bytes 67108864"],
    ["memory.max 67108864"],
  ],
  "memory and swap": [
    { memory: { limit: 64n * mebibyte, swap: 96n * mebibyte, reservation: 32n * mebibyte } },
    [
      "memory.limit_in_bytes 67108864",
      "memory.memsw.limit_in_bytes 100663296",
      "memory.soft_limit_in_bytes 33554432",
    ],
    ["memory.max 67108864", "memory.swap.max 33554432", "memory.low 33554432"],
  ],
  "no swap": [
    { memory: { limit: 64n * mebibyte, swap: 64n * mebibyte } },
    ["memory.limit_in_bytes 67108864", "memory.memsw.limit_in_bytes 67108864"],
    ["memory.max 67108864", "memory.swap.max 0 (ENOENT)"],
  ],
  "memory without end": [
    { memory: { limit: -1n } },
    ["memory.limit_in_bytes -1", "memory.memsw.limit_in_bytes -1"],
    ["memory.max max", "memory.swap.max max (ENOENT)"],
  ],
  "swap alone, of memory without end": [
    { memory: { limit: -1n, swap: 64n * mebibyte } },
    ["memory.limit_in_bytes -1", "memory.memsw.limit_in_bytes 67108864"],
    ["memory.max max", "memory.swap.max 67108864"],
  ],
  "swappiness and the OOM killer": [
    { memory: { swappiness: 0n, disableOOMKiller: true } },
    ["memory.swappiness 0", "memory.oom_control 1"],
    "cgroup-limit-unsupported",
  ],
  "checkBeforeUpdate, which is for updates": [
    { memory: { limit: 64n * mebibyte, checkBeforeUpdate: true } },
    ["memory.limit_in_bytes 67108864"],
    ["memory.max 67108864"],
  ],
  "CPU shares": [{ cpu: { shares: 512n } }, ["cpu.shares 512"], ["cpu.weight 59"]],
  "CPU time": [
    { cpu: { quota: 50_000n, period: 200_000n, burst: 10_000n } },
    ["cpu.cfs_period_us 200000", "cpu.cfs_quota_us 50000", "cpu.cfs_burst_us 10000"],
    ["cpu.max 50000 200000", "cpu.max.burst 10000"],
  ],
  "a quota in the kernel's period": [
    { cpu: { quota: 50_000n } },
    ["cpu.cfs_quota_us 50000"],
    ["cpu.max 50000 100000"],
  ],
  "no burst": [{ cpu: { burst: 0n } }, ["cpu.cfs_burst_us 0"], ["cpu.max.burst 0"]],
  "no further process": [{ pids: { limit: 0n } }, ["pids.max 1"], ["pids.max 1"]],
  "a period alone": [{ cpu: { period: 50_000n } }, ["cpu.cfs_period_us 50000"], ["cpu.max max 50000"]],
  "no quota": [{ cpu: { quota: -1n } }, ["cpu.cfs_quota_us -1"], ["cpu.max max 100000"]],
  "an idle group": [{ cpu: { idle: 1n, shares: 512n } }, ["cpu.idle 1"], ["cpu.idle 1"]],
  realtime: [
    { cpu: { realtimePeriod: 1_000_000n, realtimeRuntime: 950_000n } },
    ["cpu.rt_period_us 1000000", "cpu.rt_runtime_us 950000"],
    "cgroup-limit-unsupported",
  ],
  "CPUs and memory nodes": [
    { cpu: { cpus: "0-1", mems: "0" } },
    ["cpuset.cpus 0-1", "cpuset.mems 0"],
    ["cpuset.cpus 0-1", "cpuset.mems 0"],
  ],
  processes: [{ pids: { limit: 32n } }, ["pids.max 32"], ["pids.max 32"]],
  "processes without end": [{ pids: { limit: -1n } }, ["pids.max max"], ["pids.max max"]],
  "weights of block I/O": [
    { blockIO: { weight: 500, weightDevice: [{ major: 8, minor: 0, weight: 10 }] } },
    [
      "blkio.weight 500 | blkio.bfq.weight 500",
      "blkio.weight_device 8:0 10 | blkio.bfq.weight_device 8:0 10",
    ],
    ["io.bfq.weight default 500 | io.weight default 4950", "io.bfq.weight 8:0 10 | io.weight 8:0 1"],
  ],
  "rates of block I/O": [
    {
      blockIO: {
        throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1024n }],
        throttleWriteBpsDevice: [{ major: 8, minor: 0, rate: 2048n }],
        throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 3n }],
        throttleWriteIOPSDevice: [{ major: 8, minor: 16, rate: 4n }],
      },
    },
    [
      "blkio.throttle.read_bps_device 8:0 1024",
      "blkio.throttle.write_bps_device 8:0 2048",
      "blkio.throttle.read_iops_device 8:0 3",
      "blkio.throttle.write_iops_device 8:16 4",
    ],
    ["io.max 8:0 rbps=1024", "io.max 8:0 wbps=2048", "io.max 8:0 riops=3", "io.max 8:16 wiops=4"],
  ],
  "huge pages": [
    { hugepageLimits: [{ pageSize: "2MB", limit: 4n * mebibyte }] },
    ["hugetlb.2MB.limit_in_bytes 4194304", "hugetlb.2MB.rsvd.limit_in_bytes 4194304 (ENOENT)"],
    ["hugetlb.2MB.max 4194304", "hugetlb.2MB.rsvd.max 4194304 (ENOENT)"],
  ],
  RDMA: [
    { rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 10_000 }, rxe3: { hcaObjects: 1 } } },
    ["rdma.max mlx5_1 hca_handle=3 hca_object=10000", "rdma.max rxe3 hca_object=1"],
    ["rdma.max mlx5_1 hca_handle=3 hca_object=10000", "rdma.max rxe3 hca_object=1"],
  ],
  "marks and priorities of network traffic": [
    { network: { classID: 0x100001, priorities: [{ name: "eth0", priority: 5 }] } },
    ["net_cls.classid 1048577", "net_prio.ifpriomap eth0 5"],
    "cgroup-limit-unsupported",
  ],
  "files of v2": [
    { unified: { "memory.high": "1048576", "cgroup.max.depth": "3", "io.max": "8:0 rbps=1\n8:16 wbps=2\n" } },
    "cgroup-unified-on-v1",
    ["memory.high 1048576", "cgroup.max.depth 3", "io.max 8:0 rbps=1", "io.max 8:16 wbps=2"],
  ],
};

for (const [name, [resources, v1, v2]] of Object.entries(table)) {
  for (const [version, expected] of [
    [1, v1],
    [2, v2],
  ] as const) {
    test(`${name} on v${version}`, () => {
      if (typeof expected === "string") {
        assert.throws(() => compile(inputOf(version, resources)), { code: expected });
      } else {
        assert.deepEqual(writes(version, resources), expected);
      }
    });
  }
}

test("a swap limit that is only a default may be lost where the kernel counts no swap", () => {
  const resources = { memory: { limit: 64n * mebibyte, swap: 128n * mebibyte } };
  for (const [version, file] of [
    [1, "memory.memsw.limit_in_bytes"],
    [2, "memory.swap.max"],
  ] as const) {
    const input = inputOf(version, resources);
    const toleratedBy = (by: "default" | "config") =>
      compile({ ...input, origins: new Map([["/linux/resources/memory/swap", { by }]]) }).ops.flatMap(
        ({ op, tolerate }) => (op.op === "writeFile" && op.path.path.endsWith(file) ? [...tolerate] : []),
      );
    assert.deepEqual(toleratedBy("default"), ["ENOENT"]);
    assert.deepEqual(toleratedBy("config"), []);
  }
});
