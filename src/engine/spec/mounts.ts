/** mounts: what every container has, then what was asked for, parents before children (config.md#mounts). */
import { VitrineError } from "../../base/mod.ts";
import type { Mount } from "../../oci/mod.ts";
import { sharedShmSource } from "../containers/record.ts";
import { defaults } from "../defaults.ts";
import { conflict } from "../flags/bad-flag.ts";
import { toHostId } from "../id-maps.ts";
import type { MountRequest } from "../options.ts";
import { inUserNamespace, type SpecInput } from "./input.ts";
import { isPrivate, isWithin } from "./namespaces.ts";
import { byDefault, byFlag, byHost, byImage, type Notebook, type Sourced, sourced } from "./notebook.ts";
import { UserMountList, type UserMounts } from "./user-mounts.ts";

export interface MountsPart extends UserMounts {
  readonly mounts: readonly Mount[];
}

/** `more` are those of generated files (network-files.ts) and bound devices (devices.ts). Error: `flag-conflict` for a target named twice. */
export function mounts(input: SpecInput, more: readonly Sourced<Mount>[], notebook: Notebook): MountsPart {
  const user = new UserMountList(input);
  const asked = requested(input, user, notebook);
  const replaced = new Set(asked.map(({ value }) => value.destination));
  const base = [...standardMounts(input), ...more].filter(({ value }) => !replaced.has(value.destination));
  // A mount over /dev hides what stands below it: those are then left out, as docker does.
  const visible = base.filter(
    ({ value }) => ![...replaced].some((target) => isStandardParent(target, value)),
  );
  return {
    mounts: notebook.list("/mounts", [...visible, ...byDepth(asked)]),
    ...user.result(),
  };
}

function isStandardParent(target: string, mount: Mount): boolean {
  return (
    (target === "/dev" || target === "/proc" || target === "/sys") &&
    mount.destination.startsWith(`${target}/`)
  );
}

/** Stable: mounts of one depth keep their order. */
function byDepth(list: readonly Sourced<Mount>[]): readonly Sourced<Mount>[] {
  const depth = (path: string): number => path.split("/").length;
  return [...list].sort((left, right) => depth(left.value.destination) - depth(right.value.destination));
}

function standardMounts(input: SpecInput): readonly Sourced<Mount>[] {
  return [
    proc(input),
    sourced({ destination: "/dev", type: "tmpfs", source: "tmpfs", options: defaults.dev.value }, byDefault),
    devpts(input),
    ...shm(input),
    ...mqueue(input),
    sys(input),
    cgroup(input),
  ];
}

function proc(input: SpecInput): Sourced<Mount> {
  const { procOptions } = input.options.security;
  const destination = "/proc";
  if (inUserNamespace(input) && !isWithin(input, "pid")) {
    return sourced(
      { destination, type: "bind", source: "/proc", options: ["rbind", ...defaults.proc.value] },
      byHost("a user namespace may not mount the proc of a pid namespace that it does not own"),
    );
  }
  return sourced(
    { destination, type: "proc", source: "proc", options: [...defaults.proc.value, ...procOptions] },
    procOptions.length > 0 ? byFlag("--security-opt proc-opts") : byDefault,
  );
}

function devpts(input: SpecInput): Sourced<Mount> {
  const { ids } = input.idChoice;
  const ttyGroup = ids.kind === "none" || toHostId(ids.gids, 5) !== undefined;
  return sourced(
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: defaults.devpts.value.filter((option) => ttyGroup || option !== "gid=5"),
    },
    ttyGroup ? byDefault : byHost("gid 5 is not mapped"),
  );
}

function shm(input: SpecInput): readonly Sourced<Mount>[] {
  const { ipc, shmSize } = input.options;
  const destination = "/dev/shm";
  if (ipc?.mode === "none") return [];
  if (ipc?.mode === "host") {
    if (!input.hostExists(destination)) return [];
    return [sourced({ destination, type: "bind", source: destination, options: ["rbind"] }, byFlag("--ipc"))];
  }
  const owner = input.options.sharedNamespaces?.shmProcess;
  if (owner !== undefined) {
    const source = sharedShmSource(owner);
    return [
      sourced({ destination, type: "bind", source, options: ["bind", ...sharedFlags] }, byFlag("--ipc")),
    ];
  }
  return [
    sourced(
      {
        destination,
        type: "tmpfs",
        source: "shm",
        options: [...defaults.shm.value, `size=${shmSize ?? defaults.shmBytes.value}`],
      },
      shmSize === undefined ? byDefault : byFlag("--shm-size"),
    ),
  ];
}

const sharedFlags = ["nosuid", "noexec", "nodev"];

function mqueue(input: SpecInput): readonly Sourced<Mount>[] {
  const destination = "/dev/mqueue";
  if (!input.host.mqueue) return [];
  if (input.options.ipc?.mode === "host") {
    if (!input.hostExists(destination)) return [];
    return [sourced({ destination, type: "bind", source: destination, options: ["rbind"] }, byFlag("--ipc"))];
  }
  return [
    sourced({ destination, type: "mqueue", source: "mqueue", options: defaults.mqueue.value }, byDefault),
  ];
}

function sys(input: SpecInput): Sourced<Mount> {
  const destination = "/sys";
  const { privileged } = input.options;
  const options = defaults.sys.value.filter((option) => option !== "ro" || !privileged);
  if (inUserNamespace(input) && !isWithin(input, "network")) {
    return sourced(
      { destination, type: "bind", source: "/sys", options: ["rbind", ...options] },
      byHost("a user namespace may not mount the sysfs of a network namespace that it does not own"),
    );
  }
  return sourced(
    { destination, type: "sysfs", source: "sysfs", options },
    privileged ? byFlag("--privileged") : byDefault,
  );
}

function cgroup(input: SpecInput): Sourced<Mount> {
  const destination = "/sys/fs/cgroup";
  const { privileged } = input.options;
  const options = defaults.cgroup.value.filter((option) => option !== "ro" || !privileged);
  if (inUserNamespace(input) && !isPrivate(input, "cgroup")) {
    return sourced(
      { destination, type: "bind", source: destination, options: ["rbind", ...options] },
      byHost("a user namespace may not mount the cgroups of a namespace that it does not own"),
    );
  }
  return sourced(
    { destination, type: "cgroup", source: "cgroup", options },
    privileged ? byFlag("--privileged") : byDefault,
  );
}

function requested(input: SpecInput, user: UserMountList, notebook: Notebook): readonly Sourced<Mount>[] {
  const { options, image } = input;
  const targets = new Set<string>();
  const list: Sourced<Mount>[] = [];
  for (const request of options.mounts) {
    if (targets.has(request.target)) {
      throw conflict(request.flag, `two mounts have the target ${request.target}`, "leave one of them out");
    }
    targets.add(request.target);
    list.push(sourced(mountOf(request, user), byFlag(request.flag)));
  }
  for (const request of input.inherited ?? []) {
    if (targets.has(request.target)) continue;
    targets.add(request.target);
    list.push(sourced(mountOf(request, user), byFlag(request.flag)));
  }
  for (const target of image?.config?.Volumes ?? []) {
    const origin = byImage("config.Volumes");
    if (options.imageVolumes === "ignore" || targets.has(target) || !usable(target)) {
      if (!usable(target)) notebook.warn(`the image's volume ${JSON.stringify(target)} is passed over`);
      continue;
    }
    targets.add(target);
    if (options.imageVolumes === "tmpfs") {
      list.push(sourced(tmpfs(target, ["rw", "nosuid", "nodev", "tmpcopyup"]), origin));
    } else {
      list.push(
        sourced(user.anonymous({ target, readOnly: false, copyUp: true, flag: "--image-volume" }), origin),
      );
    }
  }
  if (options.readOnly && options.readOnlyTmpfs) {
    for (const [target, mode] of Object.entries(defaults.readonlyTmpfs.value)) {
      if (targets.has(target)) continue;
      list.push(sourced(tmpfs(target, ["rw", "nosuid", "nodev", mode, "tmpcopyup"]), byDefault));
    }
  }
  return list;
}

/** The path comes from an image's author. */
function usable(target: string): boolean {
  return /^\/[^\0]*[^\0/.]/.test(target) && !target.split("/").includes("..");
}

function mountOf(request: MountRequest, user: UserMountList): Mount {
  switch (request.kind) {
    case "bind":
      return user.bind(request);
    case "tmpfs":
      return tmpfs(request.target, withTmpfsDefaults(request.options));
    case "anonymous":
      return user.anonymous(request);
    case "volume":
      return user.volume(request);
    case "image":
      return user.image(request);
  }
}

/** A default stands where its property was not named. */
function withTmpfsDefaults(options: readonly string[]): readonly string[] {
  const names = options.map((option) => option.split("=")[0]!);
  const kept = defaults.tmpfsFlags.value.filter((option) => {
    const name = option.split("=")[0]!;
    return !names.includes(name) && !names.includes(name.replace(/^no/, ""));
  });
  return [...kept, ...options];
}

function tmpfs(target: string, options: readonly string[]): Mount {
  return { destination: target, type: "tmpfs", source: "tmpfs", options };
}

/** The sources of --volume and --mount that are not there. Error: `bind-source-missing`. */
export function requireSources(options: readonly MountRequest[], exists: (path: string) => boolean): void {
  for (const request of options) {
    if (request.kind !== "bind" || exists(request.source)) continue;
    throw new VitrineError("not-found", `the host has no ${JSON.stringify(request.source)}`, {
      code: "bind-source-missing",
      operand: request.flag,
      hint: `make it first: mkdir -p ${JSON.stringify(request.source)}`,
    });
  }
}
