/** The container's cgroup: where, made, filled, removed (config-linux.md#control-groups). */

import { cgroupLeaf, type HostFacts, type Op } from "../kernel/mod.ts";
import { bytesOf } from "./bytes.ts";
import { hasDeviceProgram, hierarchyOf, programOf, rulesOf } from "./cgroup-devices.ts";
import { type CgroupWrite, controllersAvailable } from "./cgroup-limits.ts";
import { writesOfV1 } from "./cgroup-v1.ts";
import { writesOfV2 } from "./cgroup-v2.ts";
import { type Draft, type Reason, unsupported } from "./draft.ts";
import { enterCgroupNamespace } from "./namespaces.ts";
import { absolute } from "./paths.ts";
import {
  placeScope,
  type ScopePlacement,
  type SystemdPlace,
  scopeGroup,
  scopeRequest,
} from "./systemd-scope.ts";
import type { CgroupDecision } from "./types.ts";

const section = "config-linux.md#control-groups";
const pathReason: Reason = { pointer: "/linux/cgroupsPath", section: "config-linux.md#cgroups-path" };

/** How long a cgroup may stay busy after its last process died. */
const removalMilliseconds = 2000;

/**
 * Proposes where to count: v2, else v1, below `/vitrine` unless `linux.cgroupsPath` says where. An unprivileged user has what
 * of v2 is delegated to them; v1 cannot be delegated.
 */
export function decideCgroup(
  host: HostFacts,
  id: string,
  cgroupsPath?: string,
  systemd?: SystemdPlace,
): CgroupDecision {
  if (systemd !== undefined) {
    return decideScope(host, placeScope(systemd, id, cgroupsPath));
  }
  const path = absolute(cgroupsPath ?? id, "/vitrine");
  const { mode, hierarchies, unified } = host.cgroup;
  const privileged = host.identity.euid === 0 && host.userNamespace.initial;
  if (path === "/") {
    throw unsupported("cgroup-path-root", pathReason.pointer, "the root cgroup is the machine's");
  }
  if (mode === "v2" && unified !== undefined) {
    const { division } = unified;
    if (division !== undefined) {
      return { mode: "v2", root: division.directory, path, ...(division.occupied ? { occupied: true } : {}) };
    }
    const reason = privileged ? `${unified.mountPoint} is read-only` : "no cgroup is delegated to the user";
    return { mode: "none", reason };
  }
  if (!privileged) {
    return { mode: "none", reason: "an unprivileged user has no cgroup to divide" };
  }
  const controllers = hierarchies.filter((hierarchy) => hierarchy.controllers.length > 0);
  if (controllers.length === 0) {
    return { mode: "none", reason: "no cgroup hierarchy is mounted" };
  }
  const readOnly = controllers.find((hierarchy) => !hierarchy.writable);
  return readOnly === undefined
    ? { mode: "v1", path }
    : { mode: "none", reason: `${readOnly.mountPoint} is read-only` };
}

function decideScope(host: HostFacts, scope: ScopePlacement): CgroupDecision {
  const { mode, unified } = host.cgroup;
  const path = scopeGroup(scope);
  if (mode !== "v2" || unified === undefined) {
    return scope.user
      ? { mode: "none", reason: "a user's systemd cannot limit by cgroup v1" }
      : { mode: "v1", path, scope };
  }
  // Controllers are passed on from what belongs to that systemd.
  const root = `${unified.mountPoint}${scope.controlGroup}`;
  return { mode: "v2", root, path: path.slice(scope.controlGroup.length), scope };
}

/** The container's directories and what is written there. */
export interface CgroupPlan {
  /** Absolute host paths, in order: v1 one for each hierarchy, v2 one, none without a cgroup. */
  readonly directories: readonly string[];
  /** Those, and on v1 the ones that `pause` or `update` may make later. */
  readonly removals: readonly string[];
  /** The directory of a v2 tree that init is born in: moving there later waits for an RCU grace period, some 10 ms. */
  readonly born?: string;
  /** Parents to be given values (v1 cpuset) or controllers (v2) once they exist. */
  readonly prepare: readonly CgroupWrite[];
  readonly writes: readonly CgroupWrite[];
  /** v2: what enforces the device rules on the container's directory. */
  readonly deviceProgram?: Uint8Array;
}

/** Monitor, before clone: what init is born in. On v2 that is its cgroup, with all limits. */
export function bearInCgroup(draft: Draft, plan: CgroupPlan): void {
  const { born } = plan;
  if (born === undefined) {
    return;
  }
  if (isBornInAll(plan)) {
    makeAndLimit(draft, plan);
  } else {
    makeDirectory(draft, born);
  }
  draft.monitor({ op: "cloneInto", path: { base: "host", path: born }, beside: "" }, pathReason);
}

/** Beside v1 the v2 tree is one more. */
function isBornInAll({ born, directories }: CgroupPlan): boolean {
  return born !== undefined && directories.includes(born);
}

/** Monitor, while init mounts: makes the cgroup, limits it, puts init into it (or lets it, in `enterCgroup`). */
export function arrangeCgroup(draft: Draft, plan: CgroupPlan): void {
  if (plan.directories.length === 0 || isBornInAll(plan)) {
    return;
  }
  makeAndLimit(draft, plan);
  const inScope = draft.input.container.cgroup.mode === "v2" && scopeOf(draft) !== undefined;
  if (!movesItself(draft) && !inScope) {
    attach(plan, (op) => draft.monitor(op, pathReason));
  }
}

function makeAndLimit(draft: Draft, plan: CgroupPlan): void {
  const made: string[] = [];
  startScope(draft);
  vacate(draft, plan);
  for (const { directory } of plan.prepare) {
    if (!made.includes(directory)) {
      made.push(directory);
      makeDirectory(draft, directory);
    }
  }
  writeAll(draft, plan.prepare);
  for (const directory of plan.directories) {
    if (!made.includes(directory)) {
      makeDirectory(draft, directory);
    }
  }
  writeAll(draft, plan.writes);
  enforceDevices(draft, plan);
}

function scopeOf({ input }: Draft): ScopePlacement | undefined {
  const { cgroup } = input.container;
  return cgroup.mode === "none" ? undefined : cgroup.scope;
}

/** How long systemd may take, in seconds. */
const scopeSeconds = 60;

/** First of all: systemd makes the directories, and moves init into its own of them. */
function startScope(draft: Draft): void {
  const { config, container } = draft.input;
  const scope = scopeOf(draft);
  if (scope === undefined || container.cgroup.mode === "none") {
    return;
  }
  const { mode } = container.cgroup;
  draft.monitor(
    askSystemd(scope, scopeRequest(scope, mode, container.id, config.linux?.resources ?? {})),
    pathReason,
  );
}

/** The op that asks about init, whose pid the helper writes into the request. */
function askSystemd({ command }: Pick<SystemdPlace, "command">, request: Uint8Array): Op {
  return {
    op: "runProgram",
    path: command[0] ?? "",
    argv: command,
    env: [],
    stdin: request,
    timeoutSeconds: scopeSeconds,
    stateOnStdin: true,
    outputFile: "",
    errorFile: "",
  };
}

/**
 * v1 lets a thread move itself without the lock that waits for an RCU grace period (10 ms); in a user namespace init may
 * not write to the host's cgroup any more, and v2 has no such way.
 */
function movesItself(draft: Draft): boolean {
  return draft.input.container.cgroup.mode === "v1" && !draft.inUserNamespace;
}

/** Controllers go to the children of an empty directory only. */
function vacate(draft: Draft, { prepare }: CgroupPlan): void {
  const { cgroup } = draft.input.container;
  if (cgroup.mode !== "v2" || cgroup.occupied !== true || prepare.length === 0) {
    return;
  }
  const leaf = `${cgroup.root}/${cgroupLeaf}`;
  makeDirectory(draft, leaf);
  draft.monitor(
    { op: "cgroupVacate", from: { base: "host", path: cgroup.root }, to: { base: "host", path: leaf } },
    { ...pathReason, origin: { by: "host", note: "the delegated cgroup has processes" } },
  );
}

function enforceDevices(draft: Draft, { directories, deviceProgram }: CgroupPlan): void {
  const [path] = directories;
  if (path === undefined || deviceProgram === undefined) {
    return;
  }
  draft.monitor(
    { op: "deviceProgram", path: { base: "host", path }, program: deviceProgram },
    { pointer: "/linux/resources/devices", section: "config-linux.md#allowed-device-list" },
  );
}

function attach(plan: CgroupPlan, add: (op: Op) => void): void {
  for (const directory of plan.directories) {
    add({ op: "cgroupAttach", path: { base: "host", path: directory } });
  }
}

function makeDirectory(draft: Draft, directory: string): void {
  draft.monitor(
    { op: "makeDirectory", path: { base: "host", path: directory }, mode: 0o755, parents: true },
    pathReason,
  );
}

/**
 * Init goes on only when it is in its cgroup: before anything shows the cgroup, and before anything of the container
 * runs. Where it is then becomes the root of its cgroup namespace.
 */
export function enterCgroup(draft: Draft, plan: CgroupPlan): void {
  if (!draft.takeCgroupWait()) {
    return;
  }
  if (plan.directories.length > 0 && !isBornInAll(plan)) {
    draft.barrier({ pointer: "/linux/cgroupsPath", section });
    if (movesItself(draft)) {
      attach(plan, (op) => draft.init(op, pathReason));
    }
  }
  enterCgroupNamespace(draft);
}

/** Monitor, at the end: the directories, once the last process is gone. */
export function removeCgroup(draft: Draft, plan: CgroupPlan): void {
  const { cgroup } = draft.input.container;
  for (const directory of plan.removals) {
    // Without a pid namespace of its own, init's death leaves the container's other processes alive.
    if (cgroup.mode === "v2" && !draft.owns("pid")) {
      draft.cleanup(
        {
          op: "writeFile",
          path: { base: "host", path: `${directory}/cgroup.kill` },
          data: bytesOf("1"),
          create: false,
          mode: 0,
        },
        { ...pathReason, tolerate: ["ENOENT", "ENODEV"] },
      );
    }
    if (cgroup.mode === "v2" && cgroup.scope !== undefined) {
      const path = { base: "host", path: directory } as const;
      draft.cleanup({ op: "awaitRemoved", path, milliseconds: removalMilliseconds }, pathReason);
    }
    draft.cleanup(
      {
        op: "removeDirectory",
        path: { base: "host", path: directory },
        retryMilliseconds: removalMilliseconds,
      },
      pathReason,
    );
  }
}

/** What the decision and `linux.resources` come to. Errors: a limit that cannot be kept. */
export function planCgroup(draft: Draft): CgroupPlan {
  const { cgroup } = draft.input.container;
  switch (cgroup.mode) {
    case "none":
      refuseLimits(draft, cgroup.reason);
      return { directories: [], removals: [], prepare: [], writes: [] };
    case "v1":
      return planV1(draft, cgroup);
    case "v2":
      return planV2(draft, cgroup);
  }
}

function refuseLimits(draft: Draft, reason: string): void {
  const resources = draft.input.config.linux?.resources ?? {};
  for (const [name, value] of Object.entries(resources)) {
    if (name !== "devices" && value !== undefined && Object.keys(value).length > 0) {
      throw unsupported(
        "cgroup-limits-unavailable",
        `/linux/resources/${name}`,
        `there is no cgroup to limit: ${reason}`,
        "run as root, or leave the limit out",
      );
    }
  }
}

function planV1(draft: Draft, cgroup: CgroupDecision & { readonly mode: "v1" }): CgroupPlan {
  const { host } = draft.input;
  const directories: string[] = [];
  const directoryOf = (controller: string, pointer: string): string => {
    const hierarchy = hierarchyOf(host, controller);
    if (hierarchy === undefined) {
      throw unsupported(
        "cgroup-controller-missing",
        pointer,
        `the cgroup controller ${controller} is not mounted on this machine`,
      );
    }
    const directory = hierarchy.mountPoint + cgroup.path;
    if (!directories.includes(directory)) {
      directories.push(directory);
    }
    return directory;
  };
  // pids always, to know who is in the container; each further controller costs time.
  if (hierarchyOf(host, "pids") !== undefined) {
    directoryOf("pids", "/linux/resources");
  }
  const writes = writesOfV1(draft, directoryOf);
  if (cgroup.everywhere === true) {
    for (const { controllers, mountPoint, name, writable } of host.cgroup.hierarchies) {
      if (controllers[0] !== undefined) {
        directoryOf(controllers[0], "/linux/cgroupsPath");
      } else if (name !== "" && writable) {
        directories.push(mountPoint + cgroup.path);
      }
    }
  }
  const unified = unifiedBeside(draft, cgroup);
  const bornThere = unified !== undefined && mayBeBorn(draft);
  if (unified !== undefined && !bornThere) directories.push(unified);
  const cpusetRoot = hierarchyOf(host, "cpuset")?.mountPoint;
  const cpuset = cpusetRoot === undefined ? undefined : cpusetRoot + cgroup.path;
  const later = host.cgroup.hierarchies.flatMap(({ controllers, mountPoint }) =>
    controllers.length === 0 ? [] : [mountPoint + cgroup.path],
  );
  return {
    directories,
    ...(bornThere ? { born: unified } : {}),
    removals: [...new Set([...directories, ...later, ...(unified === undefined ? [] : [unified])])],
    writes,
    prepare: cpuset !== undefined && directories.includes(cpuset) ? inheritCpuset(cgroup, cpuset) : [],
  };
}

/** The container's directory in a v2 tree that has no controllers: engines tell by it which container a process is of. */
function unifiedBeside(
  { input }: Draft,
  { everywhere, path, scope }: CgroupDecision & { readonly mode: "v1" },
): string | undefined {
  const { mode, unified } = input.host.cgroup;
  const there = everywhere === true && scope === undefined && mode === "hybrid" && unified?.writable === true;
  return there ? unified.mountPoint + path : undefined;
}

/** Of the directories that a further process of a container is to be in: that of a v2 tree it is born in. */
export function bornAmong(
  directories: readonly string[],
  host: HostFacts,
): { readonly cgroups: readonly string[]; readonly born?: string } {
  const { unified } = host.cgroup;
  const born =
    unified !== undefined && knowsCloneInto(host)
      ? directories.find((directory) => directory.startsWith(`${unified.mountPoint}/`))
      : undefined;
  return born === undefined
    ? { cgroups: directories }
    : { cgroups: directories.filter((directory) => directory !== born), born };
}

/** Whoever starts init from within another user namespace may not write to a cgroup of the host. */
function mayBeBorn(draft: Draft): boolean {
  return draft.namespace("user")?.path === undefined && knowsCloneInto(draft.input.host);
}

/** CLONE_INTO_CGROUP: Linux 5.7. */
function knowsCloneInto({ kernel }: HostFacts): boolean {
  return kernel.major > 5 || (kernel.major === 5 && kernel.minor >= 7);
}

/** A v1 cpuset begins with no CPU and no memory node, and a process cannot enter such a one: give it its parent's. */
function inheritCpuset(cgroup: CgroupDecision & { readonly mode: "v1" }, directory: string): CgroupWrite[] {
  const { cpuset } = cgroup;
  if (cpuset === undefined) {
    return [];
  }
  const mountPoint = directory.slice(0, -cgroup.path.length);
  return [...cpuset.emptyAncestors.map((path) => mountPoint + path), directory].flatMap((parent) => [
    inherited(parent, "cpuset.cpus", cpuset.cpus),
    inherited(parent, "cpuset.mems", cpuset.mems),
  ]);
}

function inherited(directory: string, file: string, data: string): CgroupWrite {
  return {
    directory,
    file,
    data,
    reason: {
      pointer: "/linux/resources/cpu",
      section: "config-linux.md#cpu",
      origin: { by: "host", note: "the parent's value" },
    },
  };
}

function planV2(draft: Draft, cgroup: CgroupDecision & { readonly mode: "v2" }): CgroupPlan {
  const directory = cgroup.root + cgroup.path;
  const { writes, controllers } = writesOfV2(draft, directory);
  const available = controllersAvailable(draft.input);
  for (const [controller, pointer] of controllers) {
    if (!available.includes(controller)) {
      throw unsupported(
        "cgroup-controller-missing",
        pointer,
        `the cgroup controller ${controller} is not available here (${available.join(" ") || "none is"})`,
      );
    }
  }
  const rules = hasDeviceProgram(draft) ? rulesOf(draft) : "allow-all";
  // systemd moves init into its scope.
  const bornThere = cgroup.scope === undefined && mayBeBorn(draft);
  return {
    directories: [directory],
    ...(bornThere ? { born: directory } : {}),
    removals: [directory],
    writes,
    prepare: enableControllers(cgroup, [...controllers.keys()], available),
    ...(rules === "allow-all" ? {} : { deviceProgram: programOf(rules) }),
  };
}

const notPassedOn = ["EINVAL", "EBUSY", "EOPNOTSUPP", "ENOENT", "EACCES", "EPERM"] as const;

/** A controller works in a directory when each one above, from the root down, passes it on. */
function enableControllers(
  cgroup: CgroupDecision & { readonly mode: "v2" },
  needed: readonly string[],
  available: readonly string[],
): CgroupWrite[] {
  const reason: Reason = { pointer: "/linux/resources", section, origin: { by: "host", note: "cgroup v2" } };
  const counting = cgroup.everywhere === true ? available.filter((each) => !needed.includes(each)) : [];
  const file = "cgroup.subtree_control";
  const writes: CgroupWrite[] = [];
  let directory = cgroup.root;
  for (const segment of cgroup.path.slice(1).split("/")) {
    if (needed.length > 0) {
      const data = needed.map((controller) => `+${controller}`).join(" ");
      writes.push({ directory, file, data, reason });
    }
    for (const controller of counting) {
      // One that cannot be passed on (cpu with realtime processes about) is not counted, and limits nothing.
      writes.push({ directory, file, data: `+${controller}`, reason: { ...reason, tolerate: notPassedOn } });
    }
    directory += `/${segment}`;
  }
  return writes;
}

function writeAll(draft: Draft, writes: readonly CgroupWrite[]): void {
  for (const write of writes) {
    const path = { base: "host", path: `${write.directory}/${write.file}` } as const;
    const data = bytesOf(write.data);
    draft.monitor(
      write.other === undefined
        ? { op: "writeFile", path, data, create: false, mode: 0 }
        : {
            op: "writeEither",
            path,
            data,
            other: { base: "host", path: `${write.directory}/${write.other.file}` },
            otherData: bytesOf(write.other.data),
          },
      write.reason,
    );
  }
}
