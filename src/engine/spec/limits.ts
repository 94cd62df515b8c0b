/** The flags that limit what a container uses → linux.resources (config-linux.md#control-groups), checked as docker does. */
import { VitrineError } from "../../base/mod.ts";
import type { HostFacts } from "../../kernel/mod.ts";
import type {
  LinuxBlockIo,
  LinuxCpu,
  LinuxMemory,
  LinuxResources,
  LinuxThrottleDevice,
  LinuxWeightDevice,
} from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import { badValue, conflict } from "../flags/bad-flag.ts";
import type { DeviceRate, ResourceOptions } from "../options.ts";
import type { HostDevice } from "./input.ts";
import { byDefault, byFlag, escapeKey, type Notebook, sourced } from "./notebook.ts";

export interface LimitInput {
  readonly resources: Omit<ResourceOptions, "deviceRules">;
  readonly host: Pick<HostFacts, "cpus">;
  readonly hostDevices: (path: string) => readonly HostDevice[];
  readonly readHostFile: (path: string) => string | undefined;
  /** What the container has already (`update`): a limit that is given is held against these, and no default is added. */
  readonly present?: LinuxResources;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

const base = "/linux/resources";

/** Memory, CPU and block I/O. Errors: `flag-conflict`, `invalid-flag-value`, `device-not-found`. */
export function limits(
  input: LimitInput,
  notebook: Notebook,
): Pick<LinuxResources, "memory" | "cpu" | "blockIO" | "unified"> {
  return {
    ...filled("memory", memory(input, notebook)),
    ...filled("cpu", cpu(input, notebook)),
    ...filled("blockIO", blockIo(input, notebook)),
    ...filled("unified", unified(input, notebook)),
  };
}

function filled<Key extends string, Part extends object>(key: Key, part: Part): { [K in Key]?: Part } {
  return (Object.keys(part).length === 0 ? {} : { [key]: part }) as { [K in Key]?: Part };
}

function memory(input: LimitInput, notebook: Notebook): LinuxMemory {
  const { memory: limit, memorySwap, memoryReservation, memorySwappiness, oomKillDisable } = input.resources;
  const present = input.present?.memory;
  const pointer = `${base}/memory`;
  const part: Writable<LinuxMemory> = {};
  if (limit !== undefined && limit > 0n) {
    requireMinimum("--memory", limit);
    part.limit = notebook.value(`${pointer}/limit`, sourced(limit, byFlag("--memory")));
    if ((memorySwap === undefined || memorySwap === 0n) && input.present === undefined) {
      part.swap = notebook.value(`${pointer}/swap`, sourced(limit * defaults.memorySwap.value, byDefault));
    }
  }
  const whole = part.limit ?? present?.limit;
  if (memorySwap !== undefined && memorySwap !== 0n) {
    if (whole === undefined) {
      throw conflict("--memory-swap", "--memory-swap needs --memory", "it is the sum of memory and swap");
    }
    part.swap = notebook.value(`${pointer}/swap`, sourced(memorySwap, byFlag("--memory-swap")));
  }
  const swap = part.swap ?? present?.swap;
  if (swap !== undefined && swap > 0n && whole !== undefined && swap < whole) {
    throw memorySwap === undefined
      ? conflict(
          "--memory",
          `--memory is more than the limit of memory and swap together, ${swap} bytes`,
          "give --memory-swap as well",
        )
      : conflict("--memory-swap", "--memory-swap is less than --memory", "it is the sum of memory and swap");
  }
  if (memoryReservation !== undefined && memoryReservation > 0n) {
    requireMinimum("--memory-reservation", memoryReservation);
    if (whole !== undefined && whole > 0n && memoryReservation > whole) {
      throw conflict(
        "--memory-reservation",
        "--memory-reservation is more than --memory",
        "make it the smaller one",
      );
    }
    part.reservation = notebook.value(
      `${pointer}/reservation`,
      sourced(memoryReservation, byFlag("--memory-reservation")),
    );
  }
  if (memorySwappiness !== undefined) {
    part.swappiness = notebook.value(
      `${pointer}/swappiness`,
      sourced(BigInt(memorySwappiness), byFlag("--memory-swappiness")),
    );
  }
  if (oomKillDisable === true) {
    part.disableOOMKiller = notebook.value(
      `${pointer}/disableOOMKiller`,
      sourced(true, byFlag("--oom-kill-disable")),
    );
    if (whole === undefined) {
      notebook.warn(
        "--oom-kill-disable without --memory: the container can use up the memory of the machine",
      );
    }
  }
  return part;
}

function requireMinimum(flag: string, bytes: bigint): void {
  const least = defaults.memoryMinimum.value;
  if (bytes < least) throw badValue(flag, `${bytes}`, `the least is 6 MiB (${least} bytes)`);
}

/** Docker's and podman's period where --cpus gives a share of it, in microseconds. */
const cpuPeriod = 100_000n;
/** The kernel's bounds of a period, in microseconds, and its least quota. */
const leastPeriod = 1000n;
const mostPeriod = 1_000_000n;
const leastQuota = 1000n;

function cpu(input: LimitInput, notebook: Notebook): LinuxCpu {
  const { resources } = input;
  const pointer = `${base}/cpu`;
  const part: Writable<LinuxCpu> = {};
  checkTimes(input);
  const { nanoCpus } = resources;
  if (nanoCpus !== undefined && nanoCpus > 0n) {
    const quota = (nanoCpus * cpuPeriod) / 1_000_000_000n;
    part.period = notebook.value(`${pointer}/period`, sourced(cpuPeriod, byFlag("--cpus")));
    part.quota = notebook.value(
      `${pointer}/quota`,
      sourced(quota < leastQuota ? leastQuota : quota, byFlag("--cpus")),
    );
  }
  const rows = [
    ["shares", resources.cpuShares, "--cpu-shares"],
    ["period", resources.cpuPeriod, "--cpu-period"],
    ["quota", resources.cpuQuota, "--cpu-quota"],
    ["realtimePeriod", resources.cpuRtPeriod, "--cpu-rt-period"],
    ["realtimeRuntime", resources.cpuRtRuntime, "--cpu-rt-runtime"],
  ] as const;
  for (const [key, value, flag] of rows) {
    if (value !== undefined && value !== 0n) {
      part[key] = notebook.value(`${pointer}/${key}`, sourced(value, byFlag(flag)));
    }
  }
  const sets = [
    ["cpus", resources.cpusetCpus, "--cpuset-cpus", "/sys/devices/system/cpu/online", "CPUs"],
    ["mems", resources.cpusetMems, "--cpuset-mems", "/sys/devices/system/node/online", "memory nodes"],
  ] as const;
  for (const [key, value, flag, file, what] of sets) {
    if (value !== undefined) {
      requireOnline(flag, value, input.readHostFile(file), what);
      part[key] = notebook.value(`${pointer}/${key}`, sourced(value, byFlag(flag)));
    }
  }
  return part;
}

function checkTimes({ resources, host }: LimitInput): void {
  const { nanoCpus, cpuPeriod: period, cpuQuota, cpuRtPeriod, cpuRtRuntime } = resources;
  if (nanoCpus !== undefined && nanoCpus > 0n) {
    if (period !== undefined || cpuQuota !== undefined) {
      throw conflict("--cpus", "--cpus excludes --cpu-period and --cpu-quota", "give one or the other");
    }
    if (nanoCpus > BigInt(host.cpus) * 1_000_000_000n) {
      throw conflict("--cpus", `this machine has ${host.cpus} CPUs`, `give at most ${host.cpus}`);
    }
  }
  if (period !== undefined && period !== 0n && (period < leastPeriod || period > mostPeriod)) {
    throw badValue("--cpu-period", `${period}`, "expected 1000 to 1000000 microseconds");
  }
  if (cpuQuota !== undefined && cpuQuota > 0n && cpuQuota < leastQuota) {
    throw badValue("--cpu-quota", `${cpuQuota}`, "the least is 1000 microseconds");
  }
  if (cpuRtPeriod !== undefined && cpuRtRuntime !== undefined && cpuRtRuntime > cpuRtPeriod) {
    throw conflict(
      "--cpu-rt-runtime",
      "--cpu-rt-runtime is more than --cpu-rt-period",
      "make it the smaller one",
    );
  }
}

function requireOnline(flag: string, wanted: string, online: string | undefined, what: string): void {
  const there = online?.trim() ?? "";
  if (there === "") return;
  const known = ranges(there);
  const has = ([first, last]: readonly [number, number]) =>
    known.some(([from, to]) => first >= from && last <= to);
  if (!ranges(wanted).every(has)) {
    throw badValue(flag, wanted, `this machine has the ${what} ${there}`);
  }
}

function ranges(list: string): readonly (readonly [number, number])[] {
  return list.split(",").map((part) => {
    const [first, last = first] = part.split("-");
    return [Number(first), Number(last)];
  });
}

function blockIo(input: LimitInput, notebook: Notebook): LinuxBlockIo {
  const { resources } = input;
  const pointer = `${base}/blockIO`;
  const part: Writable<LinuxBlockIo> = {};
  const { blkioWeight, blkioWeightDevices } = resources;
  if (blkioWeight !== undefined && blkioWeight !== 0) {
    if (blkioWeight < 10) throw badValue("--blkio-weight", `${blkioWeight}`, "expected 10 to 1000, or 0");
    part.weight = notebook.value(`${pointer}/weight`, sourced(blkioWeight, byFlag("--blkio-weight")));
  }
  if (blkioWeightDevices !== undefined) {
    const flag = "--blkio-weight-device";
    part.weightDevice = notebook.list<LinuxWeightDevice>(
      `${pointer}/weightDevice`,
      blkioWeightDevices.map(({ path, weight }) =>
        sourced({ ...blockDevice(input, flag, path), weight }, byFlag(flag)),
      ),
    );
  }
  for (const [key, list, flag] of [
    ["throttleReadBpsDevice", resources.deviceReadBps, "--device-read-bps"],
    ["throttleWriteBpsDevice", resources.deviceWriteBps, "--device-write-bps"],
    ["throttleReadIOPSDevice", resources.deviceReadIops, "--device-read-iops"],
    ["throttleWriteIOPSDevice", resources.deviceWriteIops, "--device-write-iops"],
  ] as const) {
    if (list !== undefined) part[key] = throttles(input, notebook, { key, list, flag });
  }
  return part;
}

function throttles(
  input: LimitInput,
  notebook: Notebook,
  { key, list, flag }: { readonly key: string; readonly list: readonly DeviceRate[]; readonly flag: string },
): readonly LinuxThrottleDevice[] {
  return notebook.list(
    `${base}/blockIO/${key}`,
    list.map(({ path, rate }) => sourced({ ...blockDevice(input, flag, path), rate }, byFlag(flag))),
  );
}

/** Error: `device-not-found`. */
function blockDevice({ hostDevices }: LimitInput, flag: string, path: string) {
  const [found] = hostDevices(path);
  if (found !== undefined && found.type === "b" && found.path === path) {
    return { major: found.major, minor: found.minor };
  }
  throw new VitrineError("not-found", `the host has no block device ${JSON.stringify(path)}`, {
    code: "device-not-found",
    operand: flag,
    hint: "lsblk --paths lists them",
  });
}

function unified({ resources }: LimitInput, notebook: Notebook): Readonly<Record<string, string>> {
  const part: Record<string, string> = {};
  for (const [file, value] of resources.cgroupSettings ?? []) {
    part[file] = notebook.value(
      `${base}/unified/${escapeKey(file)}`,
      sourced(value, byFlag("--cgroup-conf")),
    );
  }
  return part;
}
