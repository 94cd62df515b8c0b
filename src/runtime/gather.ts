/** Reads what `compile` must know of files. The only part of compiling that looks at the machine. */
import { lstatSync, readFileSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import { errnoOf, fileKind } from "../base/mod.ts";
import { type HostFacts, systemdSocket } from "../kernel/mod.ts";
import type { RuntimeConfig } from "../oci/mod.ts";
import { decideCgroup } from "./cgroup.ts";
import { invalid } from "./draft.ts";
import { resctrlMountPoint } from "./intel-rdt.ts";
import { bindSources, readMounts } from "./mount-entry.ts";
import type { SystemdPlace } from "./systemd-scope.ts";
import type { CgroupDecision, SourceKind } from "./types.ts";

/**
 * `CompileInput.sourceKinds`: what each bind source is, links followed. A relative one begins at the bundle; those that
 * the caller knows are not looked at.
 */
export function gatherSourceKinds(
  config: RuntimeConfig,
  bundle: string,
  known: ReadonlyMap<string, SourceKind> = new Map(),
): Map<string, SourceKind> {
  return new Map(bindSources(config, bundle).map((source) => [source, known.get(source) ?? kindOf(source)]));
}

/** `CompileInput.sourceLinks`; nothing is looked at where no mount asks for it. */
export function gatherSourceLinks(config: RuntimeConfig, bundle: string): ReadonlyMap<string, string> {
  const links = new Map<string, string>();
  for (const { source, options } of readMounts(config, bundle)) {
    if (options.copySymlink && lstatSync(source, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
      links.set(source, readlinkSync(source));
    }
  }
  return links;
}

function kindOf(path: string): SourceKind {
  const kind = fileKind(path);
  return kind === "directory" || kind === "missing" ? kind : "file";
}

/**
 * containerd and CRI-O name the mappings of a user namespace beside the path that it is joined by. They must then be
 * its own, as far as can be seen: by /proc/PID/ns/user. Error: `mappings-of-joined-namespace`.
 */
export function checkJoinedMappings({ linux }: RuntimeConfig): void {
  const user = linux?.namespaces?.find(({ type }) => type === "user")?.path;
  const process = /^\/proc\/([1-9]\d*)\/ns\/user$/.exec(user ?? "")?.[1];
  if (process === undefined) {
    return;
  }
  for (const [field, file] of [
    ["uidMappings", "uid_map"],
    ["gidMappings", "gid_map"],
  ] as const) {
    const wanted = linux?.[field] ?? [];
    const found = readControl(`/proc/${process}/${file}`);
    const text = wanted.map((range) => `${range.containerID} ${range.hostID} ${range.size}`).join("\n");
    if (wanted.length > 0 && found !== "" && text !== found.replace(/^ +/gm, "").replace(/ +/g, " ")) {
      throw invalid(
        "mappings-of-joined-namespace",
        `/linux/${field}`,
        "the user namespace that is joined has other mappings",
        `leave linux.${field} out`,
      );
    }
  }
}

/** `CompileInput.resctrl`, where the config asks for a share of the cache. */
export function gatherResctrl({ linux }: RuntimeConfig): { readonly resctrl?: string } {
  const found =
    linux?.intelRdt === undefined
      ? undefined
      : resctrlMountPoint(readFileSync("/proc/self/mountinfo", "utf8"));
  return found === undefined ? {} : { resctrl: found };
}

/** `decideCgroup`, with the parent's cpuset where the container enters one on v1. */
export function gatherCgroup(
  config: RuntimeConfig,
  host: HostFacts,
  id: string,
  options: { readonly everywhere?: boolean; readonly systemd?: SystemdPlace } = {},
): CgroupDecision {
  const found = decideCgroup(host, id, config.linux?.cgroupsPath, options.systemd);
  const decision: CgroupDecision =
    found.mode !== "none" && options.everywhere === true ? { ...found, everywhere: true } : found;
  const cpu = config.linux?.resources?.cpu;
  const wanted = options.everywhere === true || (cpu?.cpus ?? "") !== "" || (cpu?.mems ?? "") !== "";
  if (decision.mode !== "v1" || !wanted) {
    return decision;
  }
  const hierarchy = host.cgroup.hierarchies.find((one) => one.controllers.includes("cpuset"));
  return hierarchy === undefined
    ? decision
    : { ...decision, cpuset: inheritedCpuset(hierarchy.mountPoint, decision.path) };
}

/**
 * The systemd that makes cgroups for us: the machine's for root, else the user's own. `engine` is the program that asks.
 * undefined: there is none, or it cannot be reached, or it could limit nothing.
 */
export function gatherSystemd(
  { cgroup, identity, userNamespace }: HostFacts,
  environment: Readonly<Record<string, string | undefined>>,
  engine: string,
): SystemdPlace | undefined {
  if (!userNamespace.initial || (cgroup.mode === "none" && identity.euid !== 0)) {
    return undefined;
  }
  const user = identity.euid !== 0;
  const place = systemdSocket(user, environment);
  if (place === undefined || (user && cgroup.mode !== "v2")) {
    return undefined;
  }
  const uid = identity.euid;
  const controlGroup = user ? `/user.slice/user-${uid}.slice/user@${uid}.service` : "";
  const directory = `${cgroup.unified?.mountPoint ?? ""}${controlGroup}`;
  const controllers = cgroup.mode === "v2" ? readControl(`${directory}/cgroup.controllers`) : "";
  return {
    user,
    uid,
    ...place,
    controlGroup,
    controllers: controllers.split(" ").filter((word) => word !== ""),
    command: [engine, "__scope"],
  };
}

/** Walks up from the container's directory to the first cpuset that is not empty; the hierarchy's root never is. */
function inheritedCpuset(mountPoint: string, path: string) {
  const emptyAncestors: string[] = [];
  for (let parent = posix.dirname(path); ; parent = posix.dirname(parent)) {
    const directory = mountPoint + (parent === "/" ? "" : parent);
    const cpus = readControl(`${directory}/cpuset.cpus`);
    const mems = readControl(`${directory}/cpuset.mems`);
    if ((cpus !== "" && mems !== "") || parent === "/") {
      return { cpus, mems, emptyAncestors };
    }
    emptyAncestors.unshift(parent);
  }
}

function readControl(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") {
      return "";
    }
    throw error;
  }
}

/**
 * `ContainerPlacement.rootParentMount`: the mount point that `directory` lies on, from /proc/self/mountinfo
 * (proc(5)). The last line with the longest mount point counts: it lies on top.
 */
export function mountPointOf(
  directory: string,
  mountInfo = readFileSync("/proc/self/mountinfo", "utf8"),
): string {
  let best = "/";
  for (const line of mountInfo.split("\n")) {
    const field = line.split(" ", 5)[4];
    if (field !== undefined) {
      const point = field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(Number.parseInt(octal, 8)),
      );
      const above = point === "/" || directory === point || directory.startsWith(`${point}/`);
      if (above && point.length >= best.length) {
        best = point;
      }
    }
  }
  return best;
}
