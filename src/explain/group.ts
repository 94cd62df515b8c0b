/** Which part of a container an op belongs to, as people see it. */

import type { Op, PlannedOp } from "../kernel/mod.ts";
import type { PlanGroup } from "./types.ts";

/** Ops whose part does not depend on what they are for. */
const groupOfOp: Partial<Record<Op["op"], PlanGroup>> = {
  joinNamespace: "namespaces",
  clone: "namespaces",
  cloneInside: "namespaces",
  cloneInto: "cgroup",
  moveNetDevice: "namespaces",
  unshareNamespaces: "namespaces",
  idMap: "namespaces",
  barrier: "namespaces",
  setTimeOffset: "namespaces",
  loopbackUp: "namespaces",
  setHostname: "namespaces",
  setDomainname: "namespaces",
  setRoot: "root filesystem",
  pivotRoot: "root filesystem",
  changeRoot: "root filesystem",
  mountPropagation: "root filesystem",
  cgroupAttach: "cgroup",
  awaitRemoved: "cgroup",
  cgroupVacate: "cgroup",
  deviceProgram: "cgroup",
  makeNode: "devices",
  dropBoundingSet: "capabilities",
  setCapabilities: "capabilities",
  noNewPrivileges: "capabilities",
  seccomp: "seccomp",
  apparmorProfile: "LSM",
  selinuxLabel: "LSM",
  maskPath: "mounts",
  readonlyPath: "mounts",
  bindMount: "mounts",
  bindIdMapped: "mounts",
  bindNode: "mounts",
  bindOfProcess: "mounts",
  makeMountPoint: "mounts",
  mountFilesystem: "mounts",
  mountAttributes: "mounts",
  reconfigureFilesystem: "mounts",
  tmpCopyUp: "mounts",
  tmpfsOver: "mounts",
  clearUnasked: "mounts",
  makeMountPointFor: "mounts",
  unmount: "mounts",
};

/** The config field decides before the op does: mounting /sys/fs/cgroup is a mount, making a cgroup's directory is not. */
const groupOfPointer: readonly (readonly [prefix: string, group: PlanGroup])[] = [
  ["/root", "root filesystem"],
  ["/linux/rootfsPropagation", "root filesystem"],
  ["/linux/resources", "cgroup"],
  ["/linux/cgroupsPath", "cgroup"],
  ["/linux/devices", "devices"],
  ["/mounts", "mounts"],
  ["/linux/maskedPaths", "mounts"],
  ["/linux/readonlyPaths", "mounts"],
  ["/linux/mountLabel", "LSM"],
  ["/linux/uidMappings", "namespaces"],
  ["/linux/gidMappings", "namespaces"],
  ["/linux/timeOffsets", "namespaces"],
  ["/linux/netDevices", "namespaces"],
  ["/linux/namespaces", "namespaces"],
];

export function groupOf({ stage, op, why }: PlannedOp): PlanGroup {
  if (stage === "cleanup") return "clean-up";
  if (op.op === "pivotRoot" || op.op === "setRoot") return "root filesystem";
  if (op.op === "barrier") return "namespaces";
  for (const [prefix, group] of groupOfPointer) {
    if (why.pointer === prefix || why.pointer.startsWith(`${prefix}/`)) return group;
  }
  return groupOfOp[op.op] ?? "process";
}
