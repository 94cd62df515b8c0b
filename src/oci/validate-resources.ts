/** `linux.resources` of config.json (config-linux.md#control-groups). */
import { numberList } from "./config-reader.ts";
import { compact, type Field } from "./field.ts";
import {
  deviceRuleTypes,
  type LinuxBlockIo,
  type LinuxCpu,
  type LinuxDeviceRule,
  type LinuxHugepageLimit,
  type LinuxMemory,
  type LinuxNetwork,
  type LinuxRdma,
  type LinuxResources,
  type LinuxThrottleDevice,
  type LinuxWeightDevice,
} from "./runtime-config.ts";

const uint16 = 0xffff;
const int64Most = 2n ** 63n - 1n;

export function readResources(field: Field): LinuxResources {
  return compact({
    devices: field.at("devices").optional((rules) => rules.array(readDeviceRule)),
    memory: field.at("memory").optional(readMemory),
    cpu: field.at("cpu").optional(readCpu),
    pids: field
      .at("pids")
      .optional((pids) => compact({ limit: pids.at("limit").optional(amountOrUnlimited) })),
    blockIO: field.at("blockIO").optional(readBlockIo),
    hugepageLimits: field.at("hugepageLimits").optional((limits) => limits.array(readHugepageLimit)),
    network: field.at("network").optional(readNetwork),
    rdma: field.at("rdma").optional((devices) => devices.record(readRdma)),
    unified: field.at("unified").optional((files) => files.record(readUnified)),
  });
}

/** -1 is no limit. */
function amountOrUnlimited(field: Field): bigint {
  return field.bigint(-1n, int64Most);
}

function readDeviceRule(field: Field): LinuxDeviceRule {
  // -1 stands for all numbers, as an absent one does.
  const number = (name: "major" | "minor", most: number) =>
    field.at(name).optional((value) => value.integer(-1, most));
  const allow = field.at("allow").boolean();
  const given = field.at("access").optional((text) => text.string());
  // Some configs deny "all" by a letter of their own; nothing is allowed by it.
  const access = !allow && given?.includes("a") === true ? "rwm" : given;
  if (access !== undefined && (!/^[rwm]*$/.test(access) || new Set(access).size !== access.length)) {
    field.at("access").fail("must be composed of r, w and m");
  }
  return compact({
    allow,
    // Go writes an empty type for all.
    type: field.at("type").optional((type) => (type.text() === "" ? undefined : type.oneOf(deviceRuleTypes))),
    major: number("major", 0xfff),
    minor: number("minor", 0xf_ffff),
    access,
  });
}

function readMemory(field: Field): LinuxMemory {
  const amount = (name: string) => field.at(name).optional(amountOrUnlimited);
  const flag = (name: string) => field.at(name).optional((value) => value.boolean());
  const memory: LinuxMemory = compact({
    limit: amount("limit"),
    reservation: amount("reservation"),
    swap: amount("swap"),
    kernel: amount("kernel"),
    kernelTCP: amount("kernelTCP"),
    swappiness: field.at("swappiness").optional((value) => value.bigint(0n, 100n)),
    disableOOMKiller: flag("disableOOMKiller"),
    useHierarchy: flag("useHierarchy"),
    checkBeforeUpdate: flag("checkBeforeUpdate"),
  });
  const { limit = 0n, swap = 0n } = memory;
  if (swap > 0n && limit > 0n && swap < limit) {
    field.at("swap").fail(`is memory and swap together: it cannot be below the limit ${limit}`);
  }
  return memory;
}

function readCpu(field: Field): LinuxCpu {
  const unsigned = (name: string) => field.at(name).optional((value) => value.uint64());
  const signed = (name: string) => field.at(name).optional((value) => value.int64());
  const cpu: LinuxCpu = compact({
    shares: unsigned("shares"),
    quota: signed("quota"),
    burst: unsigned("burst"),
    period: unsigned("period"),
    realtimeRuntime: signed("realtimeRuntime"),
    realtimePeriod: unsigned("realtimePeriod"),
    cpus: field.at("cpus").optional(numberList),
    mems: field.at("mems").optional(numberList),
    idle: field.at("idle").optional((value) => value.bigint(0n, 1n)),
  });
  const { quota = 0n, burst = 0n } = cpu;
  if (quota > 0n && burst > quota) {
    field.at("burst").fail(`is ${burst}, above the quota ${quota}`);
  }
  return cpu;
}

function readBlockIo(field: Field): LinuxBlockIo {
  const weight = (name: string) => field.at(name).optional((value) => value.integer(0, uint16));
  const throttle = (name: string) => field.at(name).optional((list) => list.array(readThrottleDevice));
  return compact({
    weight: weight("weight"),
    leafWeight: weight("leafWeight"),
    weightDevice: field.at("weightDevice").optional((list) => list.array(readWeightDevice)),
    throttleReadBpsDevice: throttle("throttleReadBpsDevice"),
    throttleWriteBpsDevice: throttle("throttleWriteBpsDevice"),
    throttleReadIOPSDevice: throttle("throttleReadIOPSDevice"),
    throttleWriteIOPSDevice: throttle("throttleWriteIOPSDevice"),
  });
}

function blockDevice(field: Field): { readonly major: number; readonly minor: number } {
  return { major: field.at("major").integer(0, 0xfff), minor: field.at("minor").integer(0, 0xf_ffff) };
}

function readWeightDevice(field: Field): LinuxWeightDevice {
  const device: LinuxWeightDevice = compact({
    ...blockDevice(field),
    weight: field.at("weight").optional((value) => value.integer(0, uint16)),
    leafWeight: field.at("leafWeight").optional((value) => value.integer(0, uint16)),
  });
  return device.weight === undefined && device.leafWeight === undefined
    ? field.fail("must have weight or leafWeight")
    : device;
}

function readThrottleDevice(field: Field): LinuxThrottleDevice {
  return { ...blockDevice(field), rate: field.at("rate").uint64() };
}

function readHugepageLimit(field: Field): LinuxHugepageLimit {
  const pageSize = field.at("pageSize").string();
  if (!/^[1-9][0-9]{0,9}[KMG]B$/.test(pageSize)) {
    field.at("pageSize").fail("must be a size such as 64KB, 2MB or 1GB");
  }
  return { pageSize, limit: field.at("limit").uint64() };
}

function readNetwork(field: Field): LinuxNetwork {
  return compact({
    classID: field.at("classID").optional((id) => id.uint32()),
    priorities: field.at("priorities").optional((list) =>
      list.array((entry) => ({
        name: entry.at("name").filled(),
        priority: entry.at("priority").uint32(),
      })),
    ),
  });
}

function readRdma(field: Field): LinuxRdma {
  const rdma: LinuxRdma = compact({
    hcaHandles: field.at("hcaHandles").optional((count) => count.uint32()),
    hcaObjects: field.at("hcaObjects").optional((count) => count.uint32()),
  });
  return rdma.hcaHandles === undefined && rdma.hcaObjects === undefined
    ? field.fail("must have hcaHandles or hcaObjects")
    : rdma;
}

/** A key names a file in the container's own cgroup directory and no other place. */
function readUnified(field: Field, name: string): string {
  return /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+$/.test(name)
    ? field.string()
    : field.fail("is not the name of a cgroup file such as memory.high", {
        code: "runtime-config-unified-invalid",
      });
}
