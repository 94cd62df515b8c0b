/** New limits for a container that is there: what is to be written into its cgroup. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, VitrineError } from "../../base/mod.ts";
import type { HostFacts } from "../../kernel/mod.ts";
import type { LinuxMemory, LinuxResources, RuntimeConfig } from "../../oci/mod.ts";
import { deviceRules, hasDeviceProgram, programOf } from "../cgroup-devices.ts";
import type { CgroupWrite } from "../cgroup-limits.ts";
import { writesOfV1 } from "../cgroup-v1.ts";
import { writesOfV2 } from "../cgroup-v2.ts";
import { Draft, unsupported } from "../draft.ts";
import { enterHierarchy, type LiveCgroup, readControl } from "./control.ts";
import { countIn } from "./counts.ts";

export interface UpdateInput {
  readonly id: string;
  readonly cgroup: LiveCgroup;
  /** With the limits that the container has so far. */
  readonly config: RuntimeConfig;
  /** Those that are to change. */
  readonly resources: LinuxResources;
  readonly host: HostFacts;
}

export interface Update {
  readonly cgroup: LiveCgroup;
  readonly writes: readonly CgroupWrite[];
  /** v2: controllers that must have been passed on to the container's directory. */
  readonly controllers: readonly string[];
  /** v2: takes the place of the program that is on the directory. */
  readonly deviceProgram?: Uint8Array;
  readonly memory?: LinuxMemory;
}

/** Both together: of what both have, the new ones. */
export function mergeResources(present: LinuxResources = {}, given: LinuxResources): LinuxResources {
  const merge = <Part extends object>(from: Part | undefined, to: Part | undefined): Part | undefined =>
    to === undefined ? from : { ...from, ...to };
  const merged: { -readonly [Key in keyof LinuxResources]: LinuxResources[Key] } = { ...present, ...given };
  if (given.memory !== undefined) {
    const { swap, ...others } = present.memory ?? {};
    // Memory without a limit has swap without one as well, unless that is asked for.
    const before = given.memory.limit === -1n || swap === undefined ? others : { ...others, swap };
    merged.memory = merge(present.memory === undefined ? undefined : before, given.memory);
  }
  if (given.cpu !== undefined) merged.cpu = merge(present.cpu, given.cpu);
  if (given.blockIO !== undefined) merged.blockIO = merge(present.blockIO, given.blockIO);
  if (given.unified !== undefined) merged.unified = merge(present.unified, given.unified);
  if (given.rdma !== undefined) merged.rdma = merge(present.rdma, given.rdma);
  return merged;
}

/**
 * Of an area in which something changes all is written again: one limit may be told in terms of another.
 * Errors: those of `compile` about limits, `cgroup-limits-unavailable`.
 */
export function planUpdate({ id, cgroup, config, resources, host }: UpdateInput): Update {
  const { mode, directories } = cgroup;
  const [first] = directories;
  if (mode === "none" || first === undefined) {
    throw unsupported(
      "cgroup-limits-unavailable",
      "/linux/resources",
      "the container has no cgroup to limit",
    );
  }
  const merged = mergeResources(config.linux?.resources, resources);
  const areas = Object.keys(resources) as (keyof LinuxResources)[];
  const wanted = Object.fromEntries(areas.map((area) => [area, merged[area]])) as LinuxResources;
  const { devices } = wanted;
  const draft = new Draft({
    // Without new device rules all that could be written are the defaults, again.
    config: { ...config, linux: { ...config.linux, resources: { ...wanted, devices: devices ?? allowAll } } },
    origins: new Map(),
    host,
    container: {
      id,
      bundle: "",
      stateDirectory: "",
      root: { type: "directory", path: "/" },
      cgroup: mode === "v1" ? { mode, path: "/" } : { mode, root: first, path: "/" },
      stdin: "null",
      init: false,
      dieWithMonitor: false,
      forwardSignals: false,
      reportFailure: [],
      removeTrees: [],
    },
    sourceKinds: new Map(),
  });
  const memory = wanted.memory === undefined ? {} : { memory: wanted.memory };
  if (mode === "v2") {
    const { writes, controllers } = writesOfV2(draft, first);
    const rules = devices === undefined || !hasDeviceProgram(draft) ? "allow-all" : deviceRules(devices);
    return {
      cgroup,
      writes,
      controllers: [...controllers.keys()],
      ...memory,
      ...(rules === "allow-all" ? {} : { deviceProgram: programOf(rules) }),
    };
  }
  const writes = writesOfV1(draft, (controller, pointer) => {
    const hierarchy = host.cgroup.hierarchies.find(({ controllers }) => controllers.includes(controller));
    const directory = directories.find((each) => each.startsWith(`${hierarchy?.mountPoint ?? "?"}/`));
    if (directory !== undefined) return directory;
    throw unsupported("cgroup-controller-missing", pointer, `the container has no cgroup of ${controller}`);
  });
  return { cgroup, writes, controllers: [], ...memory };
}

const allowAll = [{ allow: true, access: "rwm" }] as const;

/**
 * Limits that bound each other (memory and memory + swap, quota and period) are accepted in one order only, which
 * depends on what is there: what is refused is tried again after the rest. The device program is the helper's to put.
 * Errors: `cgroup-limit-refused`, `memory-limit-below-usage`.
 */
export function applyUpdate(update: Update): void {
  const { cgroup, writes, controllers } = update;
  checkUsage(update);
  if (cgroup.mode === "v1") {
    for (const { directory } of writes) enterHierarchy(cgroup, directory);
  } else {
    passOn(cgroup.directories[0]!, controllers);
  }
  const refused = writes.filter((write) => !tryWrite(write, false));
  for (const write of refused) tryWrite(write, true);
}

/** memory.checkBeforeUpdate (config-linux.md#memory): else the kernel makes room by killing. */
function checkUsage({ cgroup, memory }: Update): void {
  const { limit, checkBeforeUpdate } = memory ?? {};
  if (checkBeforeUpdate !== true || limit === undefined || limit <= 0n) return;
  const usage = countIn(
    readControl(cgroup, cgroup.mode === "v2" ? "memory.current" : "memory.usage_in_bytes"),
  );
  if (usage === undefined || BigInt(usage) <= limit) return;
  throw new VitrineError("invalid", `the container uses ${usage} bytes of memory, more than ${limit}`, {
    code: "memory-limit-below-usage",
    operand: "/linux/resources/memory/limit",
    hint: "give a higher limit, or leave checkBeforeUpdate out to have the kernel make room",
  });
}

/** A controller works in a directory when each one above passes it on; those that do already take it again. */
function passOn(directory: string, controllers: readonly string[]): void {
  const missing = controllers.filter(
    (controller) => !listed(`${directory}/cgroup.controllers`).includes(controller),
  );
  if (missing.length === 0) return;
  const above: string[] = [];
  for (
    let at = path.dirname(directory);
    fs.existsSync(`${at}/cgroup.subtree_control`);
    at = path.dirname(at)
  ) {
    above.unshift(at);
  }
  for (const each of above) {
    for (const controller of missing) {
      if (listed(`${each}/cgroup.subtree_control`).includes(controller)) continue;
      if (!listed(`${each}/cgroup.controllers`).includes(controller)) continue;
      fs.writeFileSync(`${each}/cgroup.subtree_control`, `+${controller}`, { flag: "r+" });
    }
  }
}

function listed(file: string): readonly string[] {
  try {
    return fs.readFileSync(file, "latin1").trim().split(" ");
  } catch {
    return [];
  }
}

function tryWrite(write: CgroupWrite, last: boolean): boolean {
  const { directory, data, other, reason } = write;
  const second = other !== undefined && !fs.existsSync(`${directory}/${write.file}`);
  const file = second ? other.file : write.file;
  try {
    // Not created: a file of that name in a directory that is no cgroup would be taken for success.
    fs.writeFileSync(`${directory}/${file}`, second ? other.data : data, { flag: "r+" });
    return true;
  } catch (cause) {
    const errno = errnoOf(cause) ?? String(cause);
    if (reason.tolerate?.some((each) => each === errno)) return true;
    if (!last) return false;
    throw new VitrineError(
      "invalid",
      `config.json${reason.pointer}: the kernel refuses ${data} for ${file}: ${errno}`,
      {
        code: "cgroup-limit-refused",
        operand: reason.pointer,
        hint: "a limit may not be below what is in use, nor one limit contradict another",
        cause,
      },
    );
  }
}
