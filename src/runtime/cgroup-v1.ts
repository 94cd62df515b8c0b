/** resources of config.json as control files of cgroup v1. */
import type { LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources } from "../oci/mod.ts";
import { hasDeviceController, rulesOf, textOf } from "./cgroup-devices.ts";
import { type CgroupWrite, limitReason, processes, resources, type WriteLimit } from "./cgroup-limits.ts";
import { type Draft, invalid, pointerSegment, type Reason, unsupported } from "./draft.ts";

/** The container's directory in the hierarchy of a controller; throws where it is not mounted. */
export type DirectoryOf = (controller: string, pointer: string) => string;

export function writesOfV1(draft: Draft, directoryOf: DirectoryOf): CgroupWrite[] {
  const wanted = draft.input.config.linux?.resources ?? {};
  const writes: CgroupWrite[] = [];
  const write: WriteLimit = (controller, file, data, reason, other) => {
    const directory = directoryOf(controller, reason.pointer);
    writes.push({ directory, file, data, ...(other === undefined ? {} : { other }), reason });
  };
  writeDevices(draft, write);
  if (wanted.pids?.limit !== undefined) {
    write("pids", "pids.max", processes(wanted.pids.limit), limitReason("pids", "limit", "pids"));
  }
  if (wanted.memory !== undefined) {
    writeMemory(draft, wanted.memory, write);
  }
  if (wanted.cpu !== undefined) {
    writeCpu(wanted.cpu, write);
  }
  if (wanted.blockIO !== undefined) {
    writeBlockIo(wanted.blockIO, write);
  }
  writeOthers(wanted, write);
  return writes;
}

function writeOthers(wanted: LinuxResources, write: WriteLimit): void {
  for (const [index, { pageSize, limit }] of (wanted.hugepageLimits ?? []).entries()) {
    const reason = {
      pointer: `${resources}/hugepageLimits/${index}`,
      section: "config-linux.md#huge-page-limits",
    };
    checkPageSize(pageSize, reason.pointer);
    write("hugetlb", `hugetlb.${pageSize}.limit_in_bytes`, String(limit), reason);
    // Reservations are counted apart since 5.7.
    write("hugetlb", `hugetlb.${pageSize}.rsvd.limit_in_bytes`, String(limit), {
      ...reason,
      tolerate: ["ENOENT"],
    });
  }
  if (wanted.network?.classID !== undefined) {
    write(
      "net_cls",
      "net_cls.classid",
      String(wanted.network.classID),
      limitReason("network", "classID", "network"),
    );
  }
  for (const [index, { name, priority }] of (wanted.network?.priorities ?? []).entries()) {
    write("net_prio", "net_prio.ifpriomap", `${name} ${priority}`, {
      pointer: `${resources}/network/priorities/${index}`,
      section: "config-linux.md#network",
    });
  }
  for (const [device, data] of rdmaLines(wanted.rdma)) {
    write("rdma", "rdma.max", data, {
      pointer: `${resources}/rdma/${pointerSegment(device)}`,
      section: "config-linux.md#rdma",
    });
  }
  if (Object.keys(wanted.unified ?? {}).length > 0) {
    throw unsupported(
      "cgroup-unified-on-v1",
      `${resources}/unified`,
      "invalid configuration: these files are cgroup v2's, this machine has v1",
    );
  }
}

function writeDevices(draft: Draft, write: WriteLimit): void {
  if (!hasDeviceController(draft)) {
    return;
  }
  const rules = rulesOf(draft);
  if (rules === "allow-all") {
    return;
  }
  const section = "config-linux.md#allowed-device-list";
  for (const line of rules) {
    const { index } = line;
    write(
      "devices",
      line.allow ? "devices.allow" : "devices.deny",
      textOf(line),
      index === undefined
        ? { pointer: `${resources}/devices`, section, origin: { by: "default" } }
        : { pointer: `${resources}/devices/${index}`, section },
    );
  }
}

function writeMemory(draft: Draft, memory: LinuxMemory, write: WriteLimit): void {
  const reason = (field: string) => limitReason("memory", field, "memory");
  refuseKernelMemory(memory);
  if (memory.useHierarchy === false) {
    throw unsupported(
      "cgroup-limit-unsupported",
      `${resources}/memory/useHierarchy`,
      "limits always hold for children",
    );
  }
  // Before memory + swap, which may not be less than it.
  for (const [field, file] of [
    ["limit", "memory.limit_in_bytes"],
    ["swap", "memory.memsw.limit_in_bytes"],
    ["reservation", "memory.soft_limit_in_bytes"],
    ["kernelTCP", "memory.kmem.tcp.limit_in_bytes"],
    ["swappiness", "memory.swappiness"],
  ] as const) {
    const value = field === "swap" ? swapOf(memory) : memory[field];
    // 0 means not set, as in runc: a limit of no memory at all runs nothing.
    if (value === undefined || (value === 0n && field !== "swappiness")) {
      continue;
    }
    // A kernel that does not count swap has no such file. A default may be lost there, a wish not.
    const mayLack = field === "swap" && draft.origin(`${resources}/memory/swap`).by === "default";
    write(
      "memory",
      file,
      String(value),
      mayLack ? { ...reason(field), tolerate: ["ENOENT"] } : reason(field),
    );
  }
  if (memory.disableOOMKiller === true) {
    write("memory", "memory.oom_control", "1", reason("disableOOMKiller"));
  }
}

/** As runc: memory without a limit has swap without one, unless something else is asked for. */
export function swapOf({ limit, swap }: LinuxMemory): bigint | undefined {
  return limit === -1n && (swap === undefined || swap === 0n) ? -1n : swap;
}

export function refuseKernelMemory(memory: LinuxMemory): void {
  if (memory.kernel !== undefined && memory.kernel > 0n) {
    throw unsupported(
      "cgroup-limit-unsupported",
      `${resources}/memory/kernel`,
      "the kernel no longer limits kernel memory apart (deprecated in 5.4)",
      "limit memory as a whole",
    );
  }
}

function writeCpu(cpu: LinuxCpu, write: WriteLimit): void {
  const reason = (field: string) => limitReason("cpu", field, "cpu");
  // The period before the quota, which is checked against it; a burst after the quota that bounds it.
  for (const [field, file] of [
    ["shares", "cpu.shares"],
    ["period", "cpu.cfs_period_us"],
    ["quota", "cpu.cfs_quota_us"],
    ["burst", "cpu.cfs_burst_us"],
    ["realtimePeriod", "cpu.rt_period_us"],
    ["realtimeRuntime", "cpu.rt_runtime_us"],
    ["idle", "cpu.idle"],
  ] as const) {
    const value = cpu[field];
    const unset = value === 0n && field !== "idle" && field !== "burst" && field !== "realtimeRuntime";
    // An idle group has no shares.
    if (field === "shares" && cpu.idle === 1n) continue;
    if (value !== undefined && !unset) {
      write("cpu", file, String(value), reason(field));
    }
  }
  for (const field of ["cpus", "mems"] as const) {
    const value = cpu[field];
    if (value !== undefined && value !== "") {
      write("cpuset", `cpuset.${field}`, value, reason(field));
    }
  }
}

function writeBlockIo(io: LinuxBlockIo, write: WriteLimit): void {
  const section = "config-linux.md#block-io";
  const at = (field: string): Reason => ({ pointer: `${resources}/blockIO/${field}`, section });
  refuseLeafWeight(io);
  if (io.weight !== undefined && io.weight !== 0) {
    writeWeight(write, "", String(io.weight), at("weight"));
  }
  for (const [index, device] of (io.weightDevice ?? []).entries()) {
    if (device.weight !== undefined) {
      const data = `${device.major}:${device.minor} ${device.weight}`;
      writeWeight(write, "_device", data, at(`weightDevice/${index}`));
    }
  }
  for (const [field, file] of [
    ["throttleReadBpsDevice", "blkio.throttle.read_bps_device"],
    ["throttleWriteBpsDevice", "blkio.throttle.write_bps_device"],
    ["throttleReadIOPSDevice", "blkio.throttle.read_iops_device"],
    ["throttleWriteIOPSDevice", "blkio.throttle.write_iops_device"],
  ] as const) {
    for (const [index, { major, minor, rate }] of (io[field] ?? []).entries()) {
      write("blkio", file, `${major}:${minor} ${rate}`, at(`${field}/${index}`));
    }
  }
}

/** CFQ, which had `blkio.weight`, is gone since 5.0; BFQ has its own file. */
function writeWeight(write: WriteLimit, suffix: string, data: string, reason: Reason): void {
  write("blkio", `blkio.weight${suffix}`, data, reason, { file: `blkio.bfq.weight${suffix}`, data });
}

export function refuseLeafWeight(io: LinuxBlockIo): void {
  const refuse = (field: string) =>
    unsupported(
      "cgroup-limit-unsupported",
      `${resources}/blockIO/${field}`,
      "leaf weights went with the CFQ scheduler (Linux 5.0)",
    );
  if (io.leafWeight !== undefined) {
    throw refuse("leafWeight");
  }
  for (const [index, device] of (io.weightDevice ?? []).entries()) {
    if (device.leafWeight !== undefined) {
      throw refuse(`weightDevice/${index}/leafWeight`);
    }
  }
}

/** `64KB`, `2MB`, `1GB`: it becomes part of a file name. */
export function checkPageSize(pageSize: string, pointer: string): void {
  if (!/^[1-9]\d*[KMG]B$/.test(pageSize)) {
    throw invalid(
      "hugepage-size-invalid",
      `${pointer}/pageSize`,
      `${JSON.stringify(pageSize)} is not like 2MB`,
    );
  }
}

/** `mlx5_1 hca_handle=3 hca_object=10000`: the same file in both versions. */
export function rdmaLines(
  rdma: Readonly<Record<string, { readonly hcaHandles?: number; readonly hcaObjects?: number }>> | undefined,
): [string, string][] {
  const lines: [string, string][] = [];
  for (const [device, { hcaHandles, hcaObjects }] of Object.entries(rdma ?? {})) {
    const handles = hcaHandles === undefined ? "" : ` hca_handle=${hcaHandles}`;
    const objects = hcaObjects === undefined ? "" : ` hca_object=${hcaObjects}`;
    lines.push([device, device + handles + objects]);
  }
  return lines;
}
