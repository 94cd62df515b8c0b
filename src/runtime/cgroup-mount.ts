/** A mount of type `cgroup` or `cgroup2`: what the container sees at /sys/fs/cgroup. */
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY } from "../kernel/mod.ts";
import { type CgroupPlan, enterCgroup } from "./cgroup.ts";
import { type Draft, unsupported } from "./draft.ts";
import { bindFromHost, type MountEntry, makeMountPoint, mountSection as section } from "./mount-entry.ts";

const harmless = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

export function mountCgroup(draft: Draft, entry: MountEntry, cgroup: CgroupPlan): void {
  // The mount shows the cgroup that init is in, from the root of its cgroup namespace.
  enterCgroup(draft, cgroup);
  const { mode } = draft.input.host.cgroup;
  if (mode === "v2") {
    mountUnified(draft, entry);
    return;
  }
  if (entry.type === "cgroup2") {
    throw unsupported("cgroup2-mount-unsupported", entry.pointer, "this machine limits by cgroup v1");
  }
  mountHierarchies(draft, entry, cgroup);
}

function mountUnified(draft: Draft, entry: MountEntry): void {
  const { cgroup: facts } = draft.input.host;
  // A user namespace may mount it only with a cgroup namespace of its own.
  if (draft.inUserNamespace && !draft.owns("cgroup")) {
    bindFromHost(draft, entry, facts.unified?.mountPoint ?? "/sys/fs/cgroup");
    return;
  }
  const { attributes, recursiveAttributes, data } = entry.options;
  makeMountPoint(draft, entry, false);
  draft.init(
    {
      op: "mountFilesystem",
      fstype: "cgroup2",
      source: entry.source === "" ? "cgroup" : entry.source,
      target: entry.target,
      attributes: attributes.set | recursiveAttributes.set,
      options: data,
    },
    { pointer: entry.pointer, section },
  );
}

/** v1: a tmpfs with the container's own directory of each hierarchy that it is in, under the names of the host. */
function mountHierarchies(draft: Draft, entry: MountEntry, { directories }: CgroupPlan): void {
  const reason = { pointer: entry.pointer, section };
  const set = entry.options.attributes.set | entry.options.recursiveAttributes.set;
  makeMountPoint(draft, entry, false);
  draft.init(
    {
      op: "mountFilesystem",
      fstype: "tmpfs",
      source: "tmpfs",
      target: entry.target,
      attributes: (set | harmless) & ~MOUNT_ATTR_RDONLY,
      options: ["mode=755", "size=64k"],
    },
    reason,
  );
  if (directories.length === 0) {
    draft.note(entry.pointer, "empty: the container has no cgroup of its own");
  }
  for (const directory of directories) {
    bindHierarchy(draft, entry, directory, set | harmless);
  }
  if ((set & MOUNT_ATTR_RDONLY) !== 0n) {
    draft.init(
      { op: "mountAttributes", path: entry.target, set: MOUNT_ATTR_RDONLY, clear: 0n, recursive: false },
      { pointer: `${entry.pointer}/options`, section: "config.md#linux-mount-options" },
    );
  }
}

function bindHierarchy(draft: Draft, entry: MountEntry, directory: string, set: bigint): void {
  const reason = { pointer: entry.pointer, section };
  const hierarchy = draft.input.host.cgroup.hierarchies.find((one) =>
    directory.startsWith(`${one.mountPoint}/`),
  );
  const name = hierarchy?.mountPoint.slice(hierarchy.mountPoint.lastIndexOf("/") + 1) ?? "";
  const target = { base: "root", path: `${entry.destination}/${name}` } as const;
  draft.init({ op: "makeMountPoint", path: target, file: false }, reason);
  draft.init(
    {
      op: "bindMount",
      source: { base: "host", path: directory },
      target,
      recursive: false,
      set,
      clear: 0n,
      recursiveAttributes: false,
      propagation: 0,
    },
    reason,
  );
  // `cpu` and `cpuacct` beside `cpu,cpuacct`: programs look for each by its own name.
  if (name.includes(",")) {
    for (const controller of hierarchy?.controllers ?? []) {
      const path = `${entry.destination}/${controller}`;
      draft.init({ op: "makeSymlink", path: { base: "root", path }, target: name }, reason);
    }
  }
}
