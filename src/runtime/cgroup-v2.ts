/** resources of config.json as control files of cgroup v2. What v2 has no file for is an error. */
import type { LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources } from "../oci/mod.ts";
import {
  type CgroupWrite,
  controllersAvailable,
  limitReason,
  orMax,
  processes,
  resources,
  type WriteLimit,
} from "./cgroup-limits.ts";
import { checkPageSize, rdmaLines, refuseKernelMemory, refuseLeafWeight, swapOf } from "./cgroup-v1.ts";
import { type Draft, invalid, pointerSegment, type Reason, unsupported } from "./draft.ts";

export interface V2Writes {
  readonly writes: readonly CgroupWrite[];
  /** Controllers they need, with the pointer of the first field that does. */
  readonly controllers: ReadonlyMap<string, string>;
}

export function writesOfV2(draft: Draft, directory: string): V2Writes {
  const wanted = draft.input.config.linux?.resources ?? {};
  const writes: CgroupWrite[] = [];
  const controllers = new Map<string, string>();
  const write: WriteLimit = (controller, file, data, reason, other) => {
    if (controller !== "" && !controllers.has(controller)) {
      controllers.set(controller, reason.pointer);
    }
    writes.push({ directory, file, data, ...(other === undefined ? {} : { other }), reason });
  };
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
    writeIo(wanted.blockIO, write);
  }
  writeOthers(wanted, write);
  writeUnified(wanted.unified ?? {}, write, draft);
  return { writes, controllers };
}

function writeMemory(draft: Draft, memory: LinuxMemory, write: WriteLimit): void {
  const reason = (field: string) => limitReason("memory", field, "memory");
  refuseKernelMemory(memory);
  for (const field of ["kernelTCP", "swappiness", "disableOOMKiller"] as const) {
    const value = memory[field];
    if (value !== undefined && value !== false && value !== -1n) {
      throw notInV2("memory", field);
    }
  }
  const { limit, reservation } = memory;
  const swap = swapOf(memory);
  if (limit !== undefined && limit !== 0n) {
    write("memory", "memory.max", orMax(limit), reason("limit"));
  }
  if (swap !== undefined && swap !== 0n) {
    const data = swapAlone(swap, limit);
    // A kernel that does not count swap has no such file: then there is none to limit, and a default may be lost.
    const mayLack =
      data === "max" || data === "0" || draft.origin(`${resources}/memory/swap`).by === "default";
    write(
      "memory",
      "memory.swap.max",
      data,
      mayLack ? { ...reason("swap"), tolerate: ["ENOENT"] } : reason("swap"),
    );
  }
  if (reservation !== undefined && reservation !== 0n) {
    write("memory", "memory.low", orMax(reservation), reason("reservation"));
  }
}

/** The spec counts memory + swap, v2 swap alone. */
export function swapAlone(swap: bigint, limit: bigint | undefined): string {
  if (swap < 0n) {
    return "max";
  }
  if (limit === -1n) {
    return String(swap);
  }
  if (limit === undefined || limit <= 0n || swap < limit) {
    throw invalid(
      "memory-swap-without-limit",
      `${resources}/memory/swap`,
      "memory + swap needs a memory limit that is not greater",
    );
  }
  return String(swap - limit);
}

/** The kernel's, in microseconds. */
const defaultPeriod = 100_000n;

function writeCpu(cpu: LinuxCpu, write: WriteLimit): void {
  const reason = (field: string) => limitReason("cpu", field, "cpu");
  for (const field of ["realtimeRuntime", "realtimePeriod"] as const) {
    if (cpu[field] !== undefined && cpu[field] !== 0n) {
      throw notInV2("cpu", field);
    }
  }
  if (cpu.idle !== undefined) {
    write("cpu", "cpu.idle", String(cpu.idle), reason("idle"));
  }
  // An idle group has no weight.
  if (cpu.shares !== undefined && cpu.shares !== 0n && cpu.idle !== 1n) {
    write("cpu", "cpu.weight", String(weightOfShares(cpu.shares)), reason("shares"));
  }
  const { quota, period } = cpu;
  if ((quota !== undefined && quota !== 0n) || (period !== undefined && period !== 0n)) {
    const share = quota === undefined || quota <= 0n ? "max" : String(quota);
    const whole = period === undefined || period === 0n ? defaultPeriod : period;
    write("cpu", "cpu.max", `${share} ${whole}`, reason(quota === undefined ? "period" : "quota"));
  }
  if (cpu.burst !== undefined) {
    write("cpu", "cpu.max.burst", String(cpu.burst), reason("burst"));
  }
  for (const field of ["cpus", "mems"] as const) {
    const value = cpu[field];
    if (value !== undefined && value !== "") {
      write("cpuset", `cpuset.${field}`, value, reason(field));
    }
  }
}

/**
 * Shares 2 … 262144 to weight 1 … 10000 such that 1024, the default of one, is 100, the default of the other: a
 * quadratic in the logarithm, as runc and crun have it since 2025.
 */
export function weightOfShares(shares: bigint): number {
  const value = Number(shares);
  if (value <= 2) {
    return 1;
  }
  if (value >= 262144) {
    return 10000;
  }
  const log = Math.log2(value);
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34));
}

function writeIo(io: LinuxBlockIo, write: WriteLimit): void {
  const section = "config-linux.md#block-io";
  const at = (field: string): Reason => ({ pointer: `${resources}/blockIO/${field}`, section });
  refuseLeafWeight(io);
  if (io.weight !== undefined && io.weight !== 0) {
    writeWeight(write, "default", io.weight, at("weight"));
  }
  for (const [index, device] of (io.weightDevice ?? []).entries()) {
    if (device.weight !== undefined) {
      writeWeight(write, `${device.major}:${device.minor}`, device.weight, at(`weightDevice/${index}`));
    }
  }
  for (const [field, key] of [
    ["throttleReadBpsDevice", "rbps"],
    ["throttleWriteBpsDevice", "wbps"],
    ["throttleReadIOPSDevice", "riops"],
    ["throttleWriteIOPSDevice", "wiops"],
  ] as const) {
    for (const [index, { major, minor, rate }] of (io[field] ?? []).entries()) {
      write("io", "io.max", `${major}:${minor} ${key}=${rate}`, at(`${field}/${index}`));
    }
  }
}

/** The scheduler BFQ takes blkio's own weights; without it iocost does, which has another scale. */
function writeWeight(write: WriteLimit, whose: string, weight: number, reason: Reason): void {
  write("io", "io.bfq.weight", `${whose} ${weight}`, reason, {
    file: "io.weight",
    data: `${whose} ${ioWeight(weight)}`,
  });
}

/** blkio's 10 … 1000 to io's 1 … 10000. */
function ioWeight(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9999) / 990);
}

function writeOthers(wanted: LinuxResources, write: WriteLimit): void {
  for (const [index, { pageSize, limit }] of (wanted.hugepageLimits ?? []).entries()) {
    const reason = {
      pointer: `${resources}/hugepageLimits/${index}`,
      section: "config-linux.md#huge-page-limits",
    };
    checkPageSize(pageSize, reason.pointer);
    write("hugetlb", `hugetlb.${pageSize}.max`, String(limit), reason);
    write("hugetlb", `hugetlb.${pageSize}.rsvd.max`, String(limit), { ...reason, tolerate: ["ENOENT"] });
  }
  for (const [device, data] of rdmaLines(wanted.rdma)) {
    write("rdma", "rdma.max", data, {
      pointer: `${resources}/rdma/${pointerSegment(device)}`,
      section: "config-linux.md#rdma",
    });
  }
  if (wanted.network?.classID !== undefined) {
    throw notInV2("network", "classID");
  }
  if ((wanted.network?.priorities ?? []).length > 0) {
    throw notInV2("network", "priorities");
  }
}

function writeUnified(unified: Readonly<Record<string, string>>, write: WriteLimit, draft: Draft): void {
  const available = controllersAvailable(draft.input);
  for (const [file, value] of Object.entries(unified)) {
    const pointer = `${resources}/unified/${pointerSegment(file)}`;
    // Beneath the container's own directory and nowhere else; without a dot it names no control file.
    if (file.includes("/") || !/^[A-Za-z0-9_]+\.[A-Za-z0-9_.]+$/.test(file)) {
      throw invalid(
        "cgroup-unified-invalid",
        pointer,
        `${JSON.stringify(file)} is not the name of a control file`,
      );
    }
    const controller = file.slice(0, file.indexOf("."));
    const reason = { pointer, section: "config-linux.md#unified" };
    if (controller !== "cgroup" && !available.includes(controller)) {
      throw unsupported(
        "cgroup-controller-missing",
        pointer,
        `the cgroup controller ${controller} is not available here`,
      );
    }
    // Nested keys are one line each, and the kernel takes one line a write.
    for (const line of value.split("\n")) {
      if (line !== "") {
        write(controller === "cgroup" ? "" : controller, file, line, reason);
      }
    }
  }
}

function notInV2(area: string, field: string): Error {
  return unsupported(
    "cgroup-limit-unsupported",
    `${resources}/${area}/${field}`,
    "cgroup v2 has nothing like it",
    "leave it out, or use a host with cgroup v1",
  );
}
