/** The limits of a container as the HostConfig of `docker inspect` has them. */
import * as fs from "node:fs";
import type { LinuxResources, LinuxThrottleDevice, RuntimeConfig } from "../../oci/mod.ts";
import type { Origins } from "../../runtime/mod.ts";

export function hostLimits(config: RuntimeConfig, origins: Origins | undefined) {
  const { memory, cpu, pids, blockIO } = config.linux?.resources ?? {};
  const number = (value: bigint | undefined): number => Number(value ?? 0n);
  return {
    CgroupParent: parentOf(config, origins),
    Memory: number(memory?.limit),
    MemorySwap: number(memory?.swap),
    MemoryReservation: number(memory?.reservation),
    MemorySwappiness: memory?.swappiness === undefined ? null : Number(memory.swappiness),
    OomKillDisable: memory?.disableOOMKiller ?? false,
    ...cpuTimes(cpu, origins),
    CpuShares: number(cpu?.shares),
    CpuRealtimePeriod: number(cpu?.realtimePeriod),
    CpuRealtimeRuntime: number(cpu?.realtimeRuntime),
    CpusetCpus: cpu?.cpus ?? "",
    CpusetMems: cpu?.mems ?? "",
    PidsLimit: number(pids?.limit),
    BlkioWeight: blockIO?.weight ?? 0,
    BlkioWeightDevice: (blockIO?.weightDevice ?? []).map(({ major, minor, weight = 0 }) => ({
      Path: devicePath(major, minor),
      Weight: weight,
    })),
    BlkioDeviceReadBps: rates(blockIO?.throttleReadBpsDevice),
    BlkioDeviceWriteBps: rates(blockIO?.throttleWriteBpsDevice),
    BlkioDeviceReadIOps: rates(blockIO?.throttleReadIOPSDevice),
    BlkioDeviceWriteIOps: rates(blockIO?.throttleWriteIOPSDevice),
  };
}

/** Docker shows what was asked: CPUs in billionths, or a quota of a period. */
function cpuTimes(cpu: LinuxResources["cpu"], origins: Origins | undefined) {
  const quota = Number(cpu?.quota ?? 0n);
  const period = Number(cpu?.period ?? 0n);
  const origin = origins?.get("/linux/resources/cpu/quota");
  return origin?.by === "flag" && origin.flag === "--cpus" && period > 0
    ? { NanoCpus: Math.round((quota * 1e9) / period), CpuPeriod: 0, CpuQuota: 0 }
    : { NanoCpus: 0, CpuPeriod: period, CpuQuota: quota };
}

function parentOf({ linux }: RuntimeConfig, origins: Origins | undefined): string {
  const path = linux?.cgroupsPath;
  if (path === undefined || origins?.get("/linux/cgroupsPath")?.by !== "flag") return "";
  return path.includes(":") ? path.slice(0, path.indexOf(":")) : path.slice(0, path.lastIndexOf("/"));
}

function rates(list: readonly LinuxThrottleDevice[] = []): readonly { Path: string; Rate: number }[] {
  return list.map(({ major, minor, rate }) => ({ Path: devicePath(major, minor), Rate: Number(rate) }));
}

/** The config has the device's numbers alone; the kernel knows its name. */
function devicePath(major: number, minor: number): string {
  try {
    const text = fs.readFileSync(`/sys/dev/block/${major}:${minor}/uevent`, "latin1");
    const name = /^DEVNAME=(.+)$/m.exec(text)?.[1];
    if (name !== undefined) return `/dev/${name}`;
  } catch {
    // The device is gone.
  }
  return `${major}:${minor}`;
}
