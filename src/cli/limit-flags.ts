/** The flags that limit what a container uses, in docker's and podman's words: of run, create and update. */
import {
  parseBytes,
  parseBytesOrUnlimited,
  parseCgroupSetting,
  parseDeviceRate,
  parseDeviceWeight,
  parseInteger,
  parseNanoCpus,
  parseNumberList,
  type ResourceOptions,
} from "../engine/mod.ts";
import type { OptionTable, OptionValues } from "./framework/command.ts";

const section = "Resources";

export const limitOptionTable = {
  memory: { type: "string", short: "m", value: "SIZE", section, help: "memory limit" },
  "memory-swap": {
    type: "string",
    value: "SIZE",
    defaultText: "twice --memory",
    section,
    help: "limit of memory and swap together, -1 for none",
  },
  "memory-reservation": { type: "string", value: "SIZE", section, help: "soft memory limit" },
  "memory-swappiness": {
    type: "string",
    value: "N",
    section,
    help: "0 to 100: how readily memory is swapped out (cgroup v1)",
  },
  cpus: { type: "string", value: "N", section, help: "number of CPUs, as 1.5" },
  "cpu-shares": { type: "string", short: "c", value: "N", section, help: "relative weight" },
  "cpu-period": { type: "string", value: "MICROSECONDS", section, help: "period of --cpu-quota" },
  "cpu-quota": { type: "string", value: "MICROSECONDS", section, help: "CPU time in each period" },
  "cpu-rt-period": {
    type: "string",
    value: "MICROSECONDS",
    section,
    help: "period of --cpu-rt-runtime (cgroup v1)",
  },
  "cpu-rt-runtime": {
    type: "string",
    value: "MICROSECONDS",
    section,
    help: "realtime CPU time in each period (cgroup v1)",
  },
  "cpuset-cpus": { type: "string", value: "LIST", section, help: "CPUs to run on, as 0-3,7" },
  "cpuset-mems": { type: "string", value: "LIST", section, help: "memory nodes to use" },
  "pids-limit": {
    type: "string",
    value: "N",
    defaultText: "2048",
    section,
    help: "limit of processes, -1 for none",
  },
  "blkio-weight": {
    type: "string",
    value: "N",
    section,
    help: "relative weight of block I/O, 10 to 1000, 0 for the machine's",
  },
  "blkio-weight-device": {
    type: "strings",
    value: "DEVICE:N",
    section,
    help: "the same for one block device of the host",
  },
  "device-read-bps": {
    type: "strings",
    value: "DEVICE:SIZE",
    section,
    help: "limit of bytes a second read from a block device, as /dev/sda:1mb",
  },
  "device-write-bps": {
    type: "strings",
    value: "DEVICE:SIZE",
    section,
    help: "limit of bytes a second written to a block device",
  },
  "device-read-iops": {
    type: "strings",
    value: "DEVICE:N",
    section,
    help: "limit of reads a second from a block device",
  },
  "device-write-iops": {
    type: "strings",
    value: "DEVICE:N",
    section,
    help: "limit of writes a second to a block device",
  },
} as const satisfies OptionTable;

export type LimitFlags = OptionValues<typeof limitOptionTable>;

/** Those that cannot be changed later. */
export const firstLimitOptionTable = {
  "oom-kill-disable": {
    type: "boolean",
    section,
    help: "have programs wait for memory where they would be killed (cgroup v1)",
  },
  "cgroup-conf": {
    type: "strings",
    value: "FILE=VALUE",
    section,
    help: "what is written to a file of the container's cgroup, as memory.high=64M (cgroup v2)",
  },
} as const satisfies OptionTable;

export type FirstLimitFlags = OptionValues<typeof firstLimitOptionTable>;

/** Errors: `invalid-flag-value`. */
export function parseLimits(
  flags: LimitFlags & Partial<FirstLimitFlags>,
): Omit<ResourceOptions, "deviceRules"> {
  const integer = (flag: keyof LimitFlags, range: { minimum?: bigint; maximum?: bigint }) =>
    map(flags[flag] as string | undefined, (text) => parseInteger(`--${flag}`, text, range));
  const rates = (flag: "device-read-bps" | "device-write-bps" | "device-read-iops" | "device-write-iops") => {
    const list = flags[flag];
    return list.length === 0 ? undefined : list.map((text) => parseDeviceRate(`--${flag}`, text));
  };
  const weights = flags["blkio-weight-device"].map(parseDeviceWeight);
  const settings = (flags["cgroup-conf"] ?? []).map(parseCgroupSetting);
  return present({
    memory: map(flags.memory, (text) => parseBytes("--memory", text)),
    memorySwap: map(flags["memory-swap"], (text) => parseBytesOrUnlimited("--memory-swap", text)),
    memoryReservation: map(flags["memory-reservation"], (text) => parseBytes("--memory-reservation", text)),
    // -1 is docker's and podman's word for the machine's own.
    memorySwappiness: map(integer("memory-swappiness", { minimum: -1n, maximum: 100n }), (value) =>
      value < 0n ? undefined : Number(value),
    ),
    nanoCpus: map(flags.cpus, (text) => parseNanoCpus("--cpus", text)),
    cpuShares: integer("cpu-shares", { minimum: 0n }),
    cpuPeriod: integer("cpu-period", { minimum: 0n }),
    cpuQuota: integer("cpu-quota", { minimum: -1n }),
    cpuRtPeriod: integer("cpu-rt-period", { minimum: 0n }),
    cpuRtRuntime: integer("cpu-rt-runtime", { minimum: 0n }),
    cpusetCpus: map(flags["cpuset-cpus"], (text) => parseNumberList("--cpuset-cpus", text)),
    cpusetMems: map(flags["cpuset-mems"], (text) => parseNumberList("--cpuset-mems", text)),
    pidsLimit: integer("pids-limit", { minimum: -1n }),
    blkioWeight: map(integer("blkio-weight", { minimum: 0n, maximum: 1000n }), Number),
    blkioWeightDevices: weights.length === 0 ? undefined : weights,
    deviceReadBps: rates("device-read-bps"),
    deviceWriteBps: rates("device-write-bps"),
    deviceReadIops: rates("device-read-iops"),
    deviceWriteIops: rates("device-write-iops"),
    oomKillDisable: flags["oom-kill-disable"] === true ? true : undefined,
    cgroupSettings: settings.length === 0 ? undefined : new Map(settings),
  });
}

function map<From, To>(value: From | undefined, change: (value: From) => To): To | undefined {
  return value === undefined ? undefined : change(value);
}

/** Only what was asked for. */
function present<Values extends object>(
  values: Values,
): { [Key in keyof Values]?: Exclude<Values[Key], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
