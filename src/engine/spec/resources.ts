/** linux.resources and linux.cgroupsPath (config-linux.md#control-groups). */
import type { Linux, LinuxResources } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import { unsupportedFlag } from "../flags/bad-flag.ts";
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
  const { cgroupParent } = options;
  const scope = cgroup.scope;
  if (cgroupParent !== undefined && cgroupParent.endsWith(".slice") !== (scope !== undefined)) {
    throw unsupportedFlag(
      "--cgroup-parent",
      scope === undefined
        ? `cannot use ${JSON.stringify(cgroupParent)} as a cgroup: slices are systemd's, and cgroups are made without it here`
        : `${JSON.stringify(cgroupParent)} is no slice, and systemd makes the cgroups here`,
      scope === undefined
        ? "give a path below the cgroup mount, for example /vitrine/batch"
        : "give a slice, for example batch.slice, or use --cgroup-manager cgroupfs",
    );
  }
  if (scope !== undefined) {
    const slice =
      cgroupParent === undefined
        ? sourced(defaults.cgroupSlice.value[scope.user ? "user" : "root"], byDefault)
        : sourced(cgroupParent.replace(/^\//, ""), byFlag("--cgroup-parent"));
    return {
      cgroupsPath: notebook.value(pointer, { ...slice, value: `${slice.value}:vitrine:${id}` }),
    };
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
    ? (input.cgroup.scope?.controllers ?? unified?.division?.controllers ?? []).includes("pids")
    : hierarchies.some(({ controllers }) => controllers.includes("pids"));
}
