/**
 * `mounts` of config.json in their order (config.md#mounts): filesystems, binds and what a user namespace makes of them.
 */
import { VitrineError } from "../base/mod.ts";
import { MOUNT_ATTR_RDONLY, MS_REC, type OpPath } from "../kernel/mod.ts";
import { askedByAnnotation } from "./annotations.ts";
import type { CgroupPlan } from "./cgroup.ts";
import { mountCgroup } from "./cgroup-mount.ts";
import { type Draft, invalid, unsupported } from "./draft.ts";
import {
  bindFromHost,
  hostMqueue,
  isBind,
  type MountEntry,
  makeMountPoint,
  mountOptionsSection as optionsSection,
  mountSection as section,
} from "./mount-entry.ts";
import { idMapOf } from "./mount-id-map.ts";
import { type Attributes, bindAttributes } from "./mount-options.ts";
import { checkProcMount } from "./proc-mounts.ts";
import { rootPath } from "./rootfs.ts";

/** Init: every mount, in the order of the config. */
export function mountAll(draft: Draft, entries: readonly MountEntry[], cgroup: CgroupPlan): void {
  for (const [index, entry] of entries.entries()) {
    mountOne(draft, entry, { before: entries.slice(0, index), cgroup });
  }
}

interface Surroundings {
  /** What is mounted before it. */
  readonly before: readonly MountEntry[];
  readonly cgroup: CgroupPlan;
}

function mountOne(draft: Draft, entry: MountEntry, { before, cgroup }: Surroundings): void {
  checkProcMount(entry);
  if (entry.idMap !== undefined && !isBind(entry)) {
    throw invalid(
      "mount-idmap-not-bind",
      `${entry.pointer}/options`,
      "only a bind mount can show its files with other owners",
    );
  }
  if (entry.options.remount && !isBind(entry)) {
    changeAttributes(draft, entry);
    return;
  }
  if (isBind(entry)) {
    bindSource(draft, entry, before);
    return;
  }
  switch (entry.type) {
    case "":
      throw invalid(
        "mount-type-missing",
        `${entry.pointer}/type`,
        "neither a type nor bind among the options",
      );
    case "cgroup":
    case "cgroup2":
      mountCgroup(draft, entry, cgroup);
      return;
    case "tmpfs":
      mountTmpfs(draft, entry);
      return;
    // In a user namespace these may be mounted only where the namespace that they show belongs to it.
    case "proc":
      mountOrBind(draft, entry, draft.belongs("pid"), "/proc");
      return;
    case "sysfs":
      mountOrBind(draft, entry, draft.belongs("network"), "/sys");
      return;
    case "mqueue":
      mountMqueue(draft, entry);
      return;
    case "devpts":
      mountFilesystem(draft, entry, withLabel(draft, devptsOptions(draft, entry)));
      return;
    default:
      mountFilesystem(draft, entry, withLabel(draft, filesystemOptions(draft, entry)));
  }
}

// --- new filesystems ---

function mountOrBind(draft: Draft, entry: MountEntry, owned: boolean, hostPath: string): void {
  if (owned || !draft.inUserNamespace) {
    mountFilesystem(draft, entry, filesystemOptions(draft, entry));
    return;
  }
  bindFromHost(draft, entry, hostPath);
}

/** Left out where it cannot be had, when nobody asked for it. */
function mountMqueue(draft: Draft, entry: MountEntry): void {
  const owned = draft.belongs("ipc") || !draft.inUserNamespace;
  const problem = !draft.input.host.mqueue
    ? "this kernel has no POSIX message queues"
    : !owned && draft.input.sourceKinds.get(hostMqueue) === "missing"
      ? `a user namespace may not mount those of the host's ipc namespace, and there is no ${hostMqueue}`
      : undefined;
  if (problem === undefined) {
    mountOrBind(draft, entry, owned, hostMqueue);
    return;
  }
  if (draft.origin(entry.pointer).by !== "default") {
    throw unsupported("mqueue-unsupported", entry.pointer, problem);
  }
  draft.note(entry.pointer, `left out: ${problem}`);
}

/** `gid=5` (tty) fails where the user namespace has no such group. */
function devptsOptions(draft: Draft, entry: MountEntry): string[] {
  const kept: string[] = [];
  for (const option of filesystemOptions(draft, entry)) {
    const key = option.slice(0, 4);
    if (
      (key !== "uid=" && key !== "gid=") ||
      draft.isMapped(key === "uid=" ? "uid" : "gid", Number(option.slice(4)))
    ) {
      kept.push(option);
    } else {
      draft.note(`${entry.pointer}/options`, `${option} left out: the user namespace has no such id`);
    }
  }
  return kept;
}

function mountTmpfs(draft: Draft, entry: MountEntry): void {
  const options = withLabel(draft, filesystemOptions(draft, entry));
  if (!entry.options.tmpcopyup) {
    if (options.some((option) => option.startsWith("mode="))) mountFilesystem(draft, entry, options);
    else mountTmpfsOver(draft, entry, options);
    return;
  }
  makeMountPoint(draft, entry, false);
  draft.init(
    { op: "tmpCopyUp", target: entry.target, attributes: newMountAttributes(entry), options },
    { pointer: entry.pointer, section: optionsSection },
  );
  addPropagation(draft, entry, entry.options.propagation);
}

/** Nobody says which mode: that of the directory, as of the runtimes that engines are used to. */
function mountTmpfsOver(draft: Draft, entry: MountEntry, options: readonly string[]): void {
  draft.init(
    { op: "tmpfsOver", target: entry.target, attributes: newMountAttributes(entry), options },
    { pointer: entry.pointer, section },
  );
  addPropagation(draft, entry, entry.options.propagation);
}

function mountFilesystem(draft: Draft, entry: MountEntry, options: readonly string[]): void {
  makeMountPoint(draft, entry, false);
  draft.init(
    {
      op: "mountFilesystem",
      fstype: entry.type,
      source: entry.source === "" ? entry.type : entry.source,
      target: entry.target,
      attributes: newMountAttributes(entry),
      options,
    },
    { pointer: entry.pointer, section },
  );
  addPropagation(draft, entry, entry.options.propagation);
}

/** A new mount is one mount, so the recursive words mean the same as the others. */
function newMountAttributes(entry: MountEntry): bigint {
  const { attributes, recursiveAttributes } = entry.options;
  const set = attributes.set | recursiveAttributes.set;
  // Nodes are made in /dev after the mounts: `finishDev` makes it read-only.
  return entry.destination === "/dev" ? set & ~MOUNT_ATTR_RDONLY : set;
}

function filesystemOptions(draft: Draft, entry: MountEntry): string[] {
  const { superblock, data, iversion, attributes, recursiveAttributes } = entry.options;
  const options = [...superblock, ...data];
  if (iversion) {
    // The kernel has no common word for it; ext4 has this one, others always count or never.
    if (entry.type === "ext4") {
      options.push("i_version");
    } else {
      draft.note(
        `${entry.pointer}/options`,
        `iversion is an option of ext4: ${entry.type} decides by itself`,
      );
    }
  }
  // A filesystem on a device must know before it is mounted: it may be unable to replay its journal.
  if (
    entry.source.startsWith("/") &&
    ((attributes.set | recursiveAttributes.set) & MOUNT_ATTR_RDONLY) !== 0n
  ) {
    options.push("ro");
  }
  return options;
}

/** linux.mountLabel: the SELinux context of what is mounted anew; proc, sysfs and cgroup cannot have one. */
function withLabel(draft: Draft, options: string[]): string[] {
  const label = draft.input.config.linux?.mountLabel;
  if (label !== undefined && label !== "") {
    options.push(`${askedByAnnotation(draft.input.config).labelOption}=${label}`);
  }
  return options;
}

// --- binds ---

function bindSource(draft: Draft, entry: MountEntry, before: readonly MountEntry[]): void {
  const { options } = entry;
  const unusable = options.data[0] ?? (options.tmpcopyup ? "tmpcopyup" : undefined);
  if (unusable !== undefined) {
    throw invalid(
      "mount-option-invalid",
      `${entry.pointer}/options`,
      `${JSON.stringify(unusable)} is an option of a filesystem, which a bind mount cannot change`,
    );
  }
  const link = options.copySymlink ? draft.input.sourceLinks?.get(entry.source) : undefined;
  if (link !== undefined) {
    copyLink(draft, entry, link);
    return;
  }
  for (const word of options.superblock) {
    draft.note(
      `${entry.pointer}/options`,
      `${word} belongs to the filesystem: a bind mount does not change it`,
    );
  }
  makeBindPoint(draft, entry, before);
  const { recursiveAttributes } = options;
  const { attributes, unasked } = bindAttributes(options);
  const lent = draft.input.container.ofProcesses?.find(({ source }) => source === entry.source);
  if (lent !== undefined) {
    draft.init(
      {
        op: "bindOfProcess",
        process: { base: "host", path: lent.process },
        source: lent.path,
        target: entry.target,
        ...attributes,
      },
      { pointer: entry.pointer, section },
    );
    return;
  }
  const both = isSome(attributes) && isSome(recursiveAttributes);
  const first = both || isSome(recursiveAttributes) ? recursiveAttributes : attributes;
  const bind = {
    source: sourcePath(draft, entry),
    target: entry.target,
    recursive: options.bind === "rbind",
    set: first.set,
    clear: first.clear,
    recursiveAttributes: first === recursiveAttributes,
    propagation: options.propagation[0] ?? 0,
  } as const;
  draft.init(
    entry.idMap === undefined
      ? { op: "bindMount", ...bind }
      : { op: "bindIdMapped", ...bind, ...idMapOf(draft, entry) },
    { pointer: entry.pointer, section },
  );
  if (both) {
    setAttributes(draft, entry, attributes, false);
  }
  if (unasked !== 0n) {
    draft.init(
      { op: "clearUnasked", path: entry.target, clear: unasked },
      { pointer: `${entry.pointer}/options`, section: optionsSection },
    );
  }
  addPropagation(draft, entry, options.propagation.slice(1));
}

/** `copy-symlink`: podman's `no-dereference`. A link is no mount: the same one is made in the root. */
function copyLink(draft: Draft, entry: MountEntry, target: string): void {
  const reason = { pointer: entry.pointer, section: optionsSection };
  const parent = entry.destination.slice(0, entry.destination.lastIndexOf("/"));
  if (parent !== "") {
    draft.init(
      { op: "makeDirectory", path: { base: "root", path: parent }, mode: 0o755, parents: true },
      reason,
    );
  }
  draft.init({ op: "makeSymlink", path: entry.target, target }, reason);
}

/** A source in the container's root that an earlier mount makes is not there yet, or is something else then. */
function makeBindPoint(draft: Draft, entry: MountEntry, before: readonly MountEntry[]): void {
  const root = rootPath(draft.input.container.root);
  const made =
    isWithin(entry.source, root) &&
    before.some(({ destination }) => isWithin(entry.source, root + destination));
  if (!made) {
    makeMountPoint(draft, entry, sourceIsFile(draft, entry));
    return;
  }
  draft.init(
    { op: "makeMountPointFor", source: { base: "host", path: entry.source }, path: entry.target },
    { pointer: `${entry.pointer}/destination`, section },
  );
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}

function sourcePath(draft: Draft, entry: MountEntry): OpPath {
  const beneath = draft.input.container.beneath?.find(({ source }) => source === entry.source);
  if (beneath === undefined) return { base: "host", path: entry.source };
  draft.init(
    { op: "setWork", path: { base: "host", path: beneath.root } },
    { pointer: `${entry.pointer}/source`, section },
  );
  return { base: "work", path: beneath.path };
}

function sourceIsFile(draft: Draft, entry: MountEntry): boolean {
  const kind = draft.input.sourceKinds.get(entry.source);
  if (kind === undefined) {
    throw new VitrineError("internal", `the kind of ${entry.source} was not gathered`, {
      code: "mount-source-kind-unknown",
      operand: entry.source,
    });
  }
  if (kind === "missing") {
    throw new VitrineError("not-found", `config.json${entry.pointer}: ${entry.source} does not exist`, {
      code: "mount-source-missing",
      operand: entry.source,
      hint: `make it first: mkdir -p ${entry.source}`,
    });
  }
  return kind === "file";
}

// --- what both have ---

function changeAttributes(draft: Draft, entry: MountEntry): void {
  const { attributes, recursiveAttributes, data, superblock } = entry.options;
  const filesystem = [...superblock, ...data];
  if (filesystem.length > 0) {
    draft.init(
      { op: "reconfigureFilesystem", path: entry.target, options: filesystem },
      { pointer: `${entry.pointer}/options`, section: optionsSection },
    );
  }
  setAttributes(draft, entry, attributes, false);
  setAttributes(draft, entry, recursiveAttributes, true);
  addPropagation(draft, entry, entry.options.propagation);
}

function setAttributes(draft: Draft, entry: MountEntry, attributes: Attributes, recursive: boolean): void {
  if (isSome(attributes)) {
    draft.init(
      { op: "mountAttributes", path: entry.target, ...attributes, recursive },
      { pointer: `${entry.pointer}/options`, section: optionsSection },
    );
  }
}

function addPropagation(draft: Draft, entry: MountEntry, propagation: readonly number[]): void {
  for (const bits of propagation) {
    draft.init(
      {
        op: "mountPropagation",
        path: entry.target,
        propagation: bits & ~MS_REC,
        recursive: (bits & MS_REC) !== 0,
      },
      { pointer: `${entry.pointer}/options`, section: optionsSection },
    );
  }
}

function isSome(attributes: Attributes): boolean {
  return attributes.set !== 0n || attributes.clear !== 0n;
}
