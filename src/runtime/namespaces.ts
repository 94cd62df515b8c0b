/** From the monitor to an init in its own namespaces (config-linux.md#namespaces). */
import {
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  type ProcessCapabilities,
} from "../kernel/mod.ts";
import type { LinuxIdMapping, NamespaceType } from "../oci/mod.ts";
import { type Draft, invalid, unsupported, type WantedNamespace } from "./draft.ts";

const section = "config-linux.md#namespaces";
const mappingSection = "config-linux.md#user-namespace-mappings";

/** The kernel's limit of ranges in one map (user_namespaces(7)). */
const mapRanges = 340;
const CAP_SETGID = 6n;

export function cloneBit(type: NamespaceType): number {
  switch (type) {
    case "pid":
      return CLONE_NEWPID;
    case "network":
      return CLONE_NEWNET;
    case "mount":
      return CLONE_NEWNS;
    case "ipc":
      return CLONE_NEWIPC;
    case "uts":
      return CLONE_NEWUTS;
    case "user":
      return CLONE_NEWUSER;
    case "cgroup":
      return CLONE_NEWCGROUP;
    case "time":
      return CLONE_NEWTIME;
  }
}

/** What the fields about namespaces contradict in each other, before the first op. */
export function checkNamespaces(draft: Draft): void {
  const linux = draft.input.config.linux;
  checkHostMounts(draft);
  const user = draft.namespace("user");
  const hasMaps = (linux?.uidMappings ?? linux?.gidMappings) !== undefined;
  if (user === undefined && hasMaps) {
    throw invalid(
      "mappings-without-user-namespace",
      "/linux/uidMappings",
      "there is no user namespace to map",
    );
  }
  if (user !== undefined) {
    if (user.path === undefined) {
      checkMap(linux?.uidMappings, "/linux/uidMappings");
      checkMap(linux?.gidMappings, "/linux/gidMappings");
    } else if (hasMaps) {
      // containerd and CRI-O name both; `gather.ts` compares them where it can.
      draft.note("/linux/uidMappings", "the user namespace that is joined has its own mappings: not used");
    }
  }
  if (linux?.timeOffsets !== undefined && !draft.owns("time")) {
    throw invalid("time-offsets-without-namespace", "/linux/timeOffsets", "there is no new time namespace");
  }
}

/**
 * Without a mount namespace the container's mounts are made on the host, below its root, until it is deleted. What
 * would change the host's own mounts is refused.
 */
function checkHostMounts(draft: Draft): void {
  if (draft.namespace("mount") !== undefined) {
    return;
  }
  const { config, container } = draft.input;
  if (container.root.type !== "directory" || draft.inUserNamespace) {
    throw unsupported(
      "namespace-mount-missing",
      "/linux/namespaces",
      "there is no mount namespace, so every mount would be made on the host",
      'add {"type":"mount"} to linux.namespaces',
    );
  }
  const refused =
    config.root.readonly === true
      ? "/root/readonly"
      : config.linux?.rootfsPropagation !== undefined
        ? "/linux/rootfsPropagation"
        : undefined;
  if (refused !== undefined) {
    throw invalid(
      "namespace-mount-missing",
      refused,
      "there is no mount namespace: it would change the host",
    );
  }
  draft.note(
    "/linux/namespaces",
    "no mount namespace: the mounts are the host's until the container is deleted",
  );
}

function checkMap(map: readonly LinuxIdMapping[] | undefined, pointer: string): void {
  if (map === undefined || map.length === 0) {
    throw invalid("mappings-missing", pointer, "a new user namespace needs mappings of uids and gids");
  }
  if (map.length > mapRanges) {
    throw invalid("mappings-too-many", pointer, `${map.length} ranges, the kernel takes ${mapRanges}`);
  }
}

/** Monitor: clone init, map its ids. Ends with init ready to work on its namespaces. */
export function startInit(draft: Draft): void {
  joinBeforeClone(draft);
  setTimeOffsets(draft);
  let bits = 0;
  for (const wanted of draft.wantedNamespaces()) {
    if (madeByClone(draft, wanted)) {
      bits += cloneBit(wanted.type);
    }
  }
  draft.monitor(
    { op: "clone", flags: BigInt(bits), dieWithMonitor: draft.input.container.dieWithMonitor },
    { pointer: "/linux/namespaces", section },
  );
  if (draft.owns("user")) {
    mapIds(draft);
  } else if (draft.namespace("user") !== undefined) {
    // init gets who opens the host's paths for it.
    draft.barrier({ pointer: "/linux/namespaces", section });
  }
}

/**
 * A pid namespace can be entered by children alone, so the monitor enters it for its child. Where a user namespace is
 * joined, all that is new must be made inside it, to belong to it.
 */
function joinBeforeClone(draft: Draft): void {
  const pid = draft.namespace("pid");
  const user = draft.namespace("user");
  if (user?.path !== undefined) {
    draft.monitor(
      { op: "cloneInside", user: user.path, pid: pid?.path ?? "" },
      { pointer: `/linux/namespaces/${user.index}/path`, section },
    );
  } else if (pid?.path !== undefined) {
    join(draft, "monitor", pid, pid.path);
  }
}

function madeByClone(draft: Draft, wanted: WantedNamespace): boolean {
  if (wanted.path !== undefined) {
    return false;
  }
  // The root of a cgroup namespace is where its maker is: init is not in its cgroup yet.
  return wanted.type !== "cgroup" || draft.input.container.cgroup.mode === "none";
}

function setTimeOffsets(draft: Draft): void {
  const offsets = draft.input.config.linux?.timeOffsets;
  for (const clock of ["monotonic", "boottime"] as const) {
    const offset = offsets?.[clock];
    if (offset !== undefined) {
      draft.monitor(
        {
          op: "setTimeOffset",
          clock: clock === "monotonic" ? CLOCK_MONOTONIC : CLOCK_BOOTTIME,
          seconds: offset.secs ?? 0n,
          nanoseconds: offset.nanosecs ?? 0,
        },
        { pointer: `/linux/timeOffsets/${clock}`, section: "config-linux.md#offset-for-time-namespace" },
      );
    }
  }
}

function mapIds(draft: Draft): void {
  const { linux } = draft.input.config;
  const { idMapTools } = draft.input.container;
  draft.monitor(
    {
      op: "idMap",
      uids: linux?.uidMappings ?? [],
      gids: linux?.gidMappings ?? [],
      denySetgroups: setgroupsDenied(draft),
      newuidmap: idMapTools?.newuidmap ?? "",
      newgidmap: idMapTools?.newgidmap ?? "",
    },
    { pointer: "/linux/uidMappings", section: mappingSection },
  );
  draft.barrier({ pointer: "/linux/uidMappings", section: mappingSection });
}

/**
 * Without CAP_SETGID the kernel takes a gid map only once setgroups(2) is given up for good: a group that denies
 * access could be dropped otherwise (CVE-2014-8989). newgidmap holds the capability in our place.
 */
export function setgroupsDenied(draft: Draft): boolean {
  const { host, container } = draft.input;
  if (!draft.owns("user")) {
    return host.userNamespace.setgroupsDenied;
  }
  return container.idMapTools === undefined && !holds(host.capabilities, CAP_SETGID);
}

function holds(capabilities: ProcessCapabilities, number: bigint): boolean {
  return ((capabilities.effective >> number) & 1n) === 1n;
}

/** Init: the namespaces that clone did not give it, save the cgroup namespace. */
export function enterNamespaces(draft: Draft): void {
  const user = draft.namespace("user");
  if (user?.path !== undefined) {
    draft.init(
      { op: "setUser", uid: 0, gid: 0, groups: [], skipGroups: false },
      { pointer: `/linux/namespaces/${user.index}`, section },
    );
  }
  let mount: WantedNamespace | undefined;
  for (const namespace of draft.wantedNamespaces()) {
    if (namespace.type === "mount") {
      mount = namespace;
    } else if (namespace.path !== undefined && namespace.type !== "user" && namespace.type !== "pid") {
      join(draft, "init", namespace, namespace.path);
    }
  }
  // Last: the other paths are the host's.
  if (mount?.path !== undefined) {
    join(draft, "init", mount, mount.path);
  }
}

function join(draft: Draft, stage: "monitor" | "init", namespace: WantedNamespace, path: string): void {
  draft[stage](
    { op: "joinNamespace", path: { base: "host", path }, type: cloneBit(namespace.type) },
    { pointer: `/linux/namespaces/${namespace.index}/path`, section },
  );
}

/** Init: what a new network namespace needs to be of any use: its loopback device up. */
export function setUpNetwork(draft: Draft): void {
  const network = draft.namespace("network");
  if (network !== undefined && draft.owns("network")) {
    draft.init({ op: "loopbackUp" }, { pointer: `/linux/namespaces/${network.index}`, section });
  }
}

/** Init: a cgroup namespace whose root is the container's cgroup. After the monitor has put it there. */
export function enterCgroupNamespace(draft: Draft): void {
  const cgroup = draft.namespace("cgroup");
  if (cgroup !== undefined && draft.owns("cgroup") && draft.input.container.cgroup.mode !== "none") {
    draft.init(
      { op: "unshareNamespaces", flags: BigInt(CLONE_NEWCGROUP) },
      { pointer: `/linux/namespaces/${cgroup.index}`, section },
    );
  }
}
