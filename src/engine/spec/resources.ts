/** linux.resources and linux.cgroupsPath (config-linux.md#control-groups). */
import type { Linux, LinuxCpu, LinuxMemory, LinuxResources } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import { badValue, conflict } from "../flags/bad-flag.ts";
import type { DevicesPart } from "./devices.ts";
import type { SpecInput } from "./input.ts";
import { byDefault, byFlag, byHost, type Notebook, sourced } from "./notebook.ts";

export function resources(
  input: SpecInput,
  { rules }: DevicesPart,
  notebook: Notebook,
): Pick<Linux, "cgroupsPath" | "resources"> {
  const parts: LinuxResources = {
    ...(rules.length === 0 ? {} : { devices: rules }),
    ...memory(input, notebook),
    ...cpu(input, notebook),
    ...pids(input, notebook),
  };
  return { ...cgroupsPath(input, notebook), resources: parts };
}

function cgroupsPath(input: SpecInput, notebook: Notebook): Pick<Linux, "cgroupsPath"> {
  const { options, cgroup, id } = input;
  const pointer = "/linux/cgroupsPath";
  if (cgroup.mode === "none") {
    notebook.note(pointer, options.cgroups ? byHost(cgroup.reason) : byFlag("--cgroups"));
    return {};
  }
  const path =
    options.cgroupParent === undefined
      ? sourced(`${defaults.cgroupParent.value}/${id}`, byDefault)
      : sourced(`${options.cgroupParent}/${id}`, byFlag("--cgroup-parent"));
  return { cgroupsPath: notebook.value(pointer, path) };
}

function memory(input: SpecInput, notebook: Notebook): { readonly memory?: LinuxMemory } {
  const { memory: limit, memorySwap, memoryReservation, memorySwappiness } = input.options.resources;
  const pointer = "/linux/resources/memory";
  const part: { -readonly [Key in keyof LinuxMemory]: LinuxMemory[Key] } = {};
  if (limit !== undefined && limit > 0n) {
    if (limit < defaults.memoryMinimum.value) {
      throw badValue("--memory", `${limit}`, `the least is 6 MiB (${defaults.memoryMinimum.value} bytes)`);
    }
    part.limit = notebook.value(`${pointer}/limit`, sourced(limit, byFlag("--memory")));
    if (memorySwap === undefined || memorySwap === 0n) {
      part.swap = notebook.value(`${pointer}/swap`, sourced(limit * defaults.memorySwap.value, byDefault));
    }
  }
  if (memorySwap !== undefined && memorySwap !== 0n) {
    if (part.limit === undefined) {
      throw conflict("--memory-swap", "--memory-swap needs --memory", "it is the sum of memory and swap");
    }
    if (memorySwap > 0n && memorySwap < part.limit) {
      throw conflict(
        "--memory-swap",
        "--memory-swap is less than --memory",
        "it is the sum of memory and swap",
      );
    }
    part.swap = notebook.value(`${pointer}/swap`, sourced(memorySwap, byFlag("--memory-swap")));
  }
  if (memoryReservation !== undefined && memoryReservation > 0n) {
    if (part.limit !== undefined && memoryReservation > part.limit) {
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
  return Object.keys(part).length === 0 ? {} : { memory: part };
}

/** Docker's and podman's period where --cpus gives a share of it, in microseconds. */
const cpuPeriod = 100_000n;

function cpu(input: SpecInput, notebook: Notebook): { readonly cpu?: LinuxCpu } {
  const {
    nanoCpus,
    cpuShares,
    cpuPeriod: period,
    cpuQuota,
    cpusetCpus,
    cpusetMems,
  } = input.options.resources;
  const pointer = "/linux/resources/cpu";
  const part: { -readonly [Key in keyof LinuxCpu]: LinuxCpu[Key] } = {};
  if (nanoCpus !== undefined && nanoCpus > 0n) {
    if (period !== undefined || cpuQuota !== undefined) {
      throw conflict("--cpus", "--cpus excludes --cpu-period and --cpu-quota", "give one or the other");
    }
    if (nanoCpus > BigInt(input.host.cpus) * 1_000_000_000n) {
      throw conflict("--cpus", `this machine has ${input.host.cpus} CPUs`, `give at most ${input.host.cpus}`);
    }
    const quota = (nanoCpus * cpuPeriod) / 1_000_000_000n;
    part.period = notebook.value(`${pointer}/period`, sourced(cpuPeriod, byFlag("--cpus")));
    // The kernel refuses quotas under a millisecond.
    part.quota = notebook.value(`${pointer}/quota`, sourced(quota < 1000n ? 1000n : quota, byFlag("--cpus")));
  }
  const rows = [
    ["shares", cpuShares, "--cpu-shares"],
    ["period", period, "--cpu-period"],
    ["quota", cpuQuota, "--cpu-quota"],
  ] as const;
  for (const [key, value, flag] of rows) {
    if (value !== undefined && value !== 0n) {
      part[key] = notebook.value(`${pointer}/${key}`, sourced(value, byFlag(flag)));
    }
  }
  if (cpusetCpus !== undefined) {
    part.cpus = notebook.value(`${pointer}/cpus`, sourced(cpusetCpus, byFlag("--cpuset-cpus")));
  }
  if (cpusetMems !== undefined) {
    part.mems = notebook.value(`${pointer}/mems`, sourced(cpusetMems, byFlag("--cpuset-mems")));
  }
  return Object.keys(part).length === 0 ? {} : { cpu: part };
}

function pids(input: SpecInput, notebook: Notebook): Pick<LinuxResources, "pids"> {
  const { pidsLimit } = input.options.resources;
  const pointer = "/linux/resources/pids/limit";
  if (pidsLimit !== undefined) {
    // 0 and -1 are docker's and podman's words for none.
    const limit = pidsLimit <= 0n ? -1n : pidsLimit;
    notebook.note(pointer, byFlag("--pids-limit"));
    return limit === -1n && input.cgroup.mode === "none" ? {} : { pids: { limit } };
  }
  if (input.cgroup.mode === "none" || !hasPidsController(input)) {
    notebook.note(pointer, byHost("no pids cgroup can be had"));
    return {};
  }
  return { pids: { limit: notebook.value(pointer, sourced(defaults.pidsLimit.value, byDefault)) } };
}

function hasPidsController(input: SpecInput): boolean {
  const { unified, hierarchies } = input.host.cgroup;
  return input.cgroup.mode === "v2"
    ? (unified?.controllers.includes("pids") ?? false)
    : hierarchies.some(({ controllers }) => controllers.includes("pids"));
}
