/** New limits for a container that is there (the verb `update`): what is to be written into its cgroup. */
import * as fs from "node:fs";
import { errnoOf, VitrineError } from "../../base/mod.ts";
import type { HostFacts } from "../../kernel/mod.ts";
import type { LinuxResources, RuntimeConfig } from "../../oci/mod.ts";
import type { CgroupWrite } from "../cgroup-limits.ts";
import { writesOfV1 } from "../cgroup-v1.ts";
import { writesOfV2 } from "../cgroup-v2.ts";
import { Draft, unsupported } from "../draft.ts";
import type { LifecycleRecord } from "./record.ts";

/** Errors: those of `compile` about limits, `cgroup-limits-unavailable`. */
export function planUpdate(
  record: LifecycleRecord,
  config: RuntimeConfig,
  resources: LinuxResources,
  host: HostFacts,
): readonly CgroupWrite[] {
  const { mode, directories } = record.cgroup;
  const [first] = directories;
  if (mode === "none" || first === undefined) {
    throw unsupported(
      "cgroup-limits-unavailable",
      "/linux/resources",
      "the container has no cgroup to limit",
    );
  }
  const draft = new Draft({
    // Device rules are not for updating: without any, all that could be written is a default.
    config: { ...config, linux: { ...config.linux, resources: { ...resources, devices: allowAll } } },
    origins: new Map(),
    host,
    container: {
      id: record.id,
      bundle: record.bundle,
      stateDirectory: "",
      root: { type: "directory", path: record.rootfs },
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
  if (mode === "v2") return writesOfV2(draft, first).writes;
  return writesOfV1(draft, (controller, pointer) => {
    const hierarchy = host.cgroup.hierarchies.find(({ controllers }) => controllers.includes(controller));
    const directory = directories.find((each) => each.startsWith(`${hierarchy?.mountPoint ?? "?"}/`));
    if (directory !== undefined) return directory;
    throw unsupported("cgroup-controller-missing", pointer, `the container has no cgroup of ${controller}`);
  });
}

const allowAll = [{ allow: true, access: "rwm" }] as const;

/**
 * Limits that bound each other (memory and memory + swap, quota and period) are accepted in one order only, which
 * depends on what is there: what is refused is tried again after the rest. Error: `cgroup-limit-refused`.
 */
export function applyUpdate(writes: readonly CgroupWrite[]): void {
  const refused = writes.filter((write) => !tryWrite(write, false));
  for (const write of refused) tryWrite(write, true);
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
        cause,
      },
    );
  }
}
