/** linux.resources and linux.cgroupsPath (config-linux.md#control-groups). */
import type { Linux, LinuxResources } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import type { DevicesPart } from "./devices.ts";
import type { SpecInput } from "./input.ts";
import { limits } from "./limits.ts";
import { byDefault, byFlag, byHost, type Notebook, sourced } from "./notebook.ts";

export function resources(
  input: SpecInput,
  { rules }: DevicesPart,
  notebook: Notebook,
): Pick<Linux, "cgroupsPath" | "resources"> {
  const parts: LinuxResources = {
    ...(rules.length === 0 ? {} : { devices: rules }),
    ...limits({ ...input, resources: input.options.resources }, notebook),
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
    ? (unified?.division?.controllers.includes("pids") ?? false)
    : hierarchies.some(({ controllers }) => controllers.includes("pids"));
}
