/** Device nodes and the links of /dev (config-linux.md#devices). */
import {
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  type Origin,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
} from "../kernel/mod.ts";
import type { LinuxDevice } from "../oci/mod.ts";
import { type Draft, invalid, type Reason } from "./draft.ts";
import { isBind, type MountEntry } from "./mount-entry.ts";
import { absolute } from "./paths.ts";

const CAP_MKNOD = 27n;

const byDefault: Origin = { by: "default" };
const defaultReason: Reason = {
  pointer: "/linux/devices",
  section: "config-linux.md#default-devices",
  origin: byDefault,
};

/** What every container has, whatever the config says (config-linux.md#default-devices). */
const defaultDevices: readonly LinuxDevice[] = [
  { type: "c", path: "/dev/null", major: 1, minor: 3 },
  { type: "c", path: "/dev/zero", major: 1, minor: 5 },
  { type: "c", path: "/dev/full", major: 1, minor: 7 },
  { type: "c", path: "/dev/random", major: 1, minor: 8 },
  { type: "c", path: "/dev/urandom", major: 1, minor: 9 },
  { type: "c", path: "/dev/tty", major: 5, minor: 0 },
];

const links: readonly (readonly [string, string])[] = [
  ["/dev/fd", "/proc/self/fd"],
  ["/dev/stdin", "/proc/self/fd/0"],
  ["/dev/stdout", "/proc/self/fd/1"],
  ["/dev/stderr", "/proc/self/fd/2"],
];

/** What is mounted at /dev. */
type DevMount = "tmpfs" | "bind" | "other" | "none";

/** Init, after the mounts: nodes and links. Nothing where the host's /dev was bound: it is not ours to change. */
export function setUpDev(draft: Draft, mounts: readonly MountEntry[]): void {
  const mounted = devMount(mounts);
  const wanted = draft.input.config.linux?.devices ?? [];
  if (mounted !== "bind") {
    const named: string[] = [];
    for (const device of wanted) {
      named.push(absolute(device.path));
    }
    for (const device of defaultDevices) {
      if (!named.includes(device.path)) {
        supplyDevice(draft, device, device.path, defaultReason, mounted);
      }
    }
  }
  for (const [index, device] of wanted.entries()) {
    const path = absolute(device.path);
    if (!(mounted === "bind" && path.startsWith("/dev/")) && path !== "/dev/ptmx") {
      const reason = { pointer: `/linux/devices/${index}`, section: "config-linux.md#devices" };
      supplyDevice(draft, device, path, reason, mounted);
    }
  }
  if (mounted !== "bind") {
    makeLinks(draft);
  }
}

function devMount(mounts: readonly MountEntry[]): DevMount {
  let found: DevMount = "none";
  for (const entry of mounts) {
    if (entry.destination === "/dev") {
      found = isBind(entry) ? "bind" : entry.type === "tmpfs" ? "tmpfs" : "other";
    }
  }
  return found;
}

function supplyDevice(
  draft: Draft,
  device: LinuxDevice,
  path: string,
  reason: Reason,
  mounted: DevMount,
): void {
  // A user namespace can make FIFOs, but no device: it is made outside, or the host's node is bound.
  if (draft.inUserNamespace && device.type !== "p") {
    if (reason !== defaultReason && canMakeOutside(draft)) bindNode(draft, device, path, reason);
    else bindDevice(draft, path, reason);
    return;
  }
  const parent = path.slice(0, path.lastIndexOf("/"));
  if (parent !== "/dev" && parent !== "") {
    draft.init(
      { op: "makeDirectory", path: { base: "root", path: parent }, mode: 0o755, parents: true },
      reason,
    );
  }
  // Only a fresh tmpfs is known to be empty: elsewhere the node may be there from the last start.
  const fresh = mounted === "tmpfs" && path.startsWith("/dev/");
  draft.init(
    {
      op: "makeNode",
      path: { base: "root", path },
      mode: typeBits(device, reason.pointer) | ((device.fileMode ?? 0o666) & 0o7777),
      major: device.major ?? 0,
      minor: device.minor ?? 0,
      uid: device.uid ?? 0,
      gid: device.gid ?? 0,
    },
    fresh ? reason : { ...reason, tolerate: ["EEXIST"] },
  );
}

function typeBits(device: LinuxDevice, pointer: string): number {
  if (device.type === "p") {
    return S_IFIFO;
  }
  if (device.major === undefined || device.minor === undefined) {
    throw invalid("device-number-missing", pointer, "a device needs major and minor");
  }
  return device.type === "b" ? S_IFBLK : S_IFCHR;
}

/** What init's user namespace may not, whoever opens the host's paths for it may. A joined one's map is not known. */
function canMakeOutside(draft: Draft): boolean {
  const { userNamespace, capabilities } = draft.input.host;
  return draft.owns("user") && userNamespace.initial && ((capabilities.effective >> CAP_MKNOD) & 1n) === 1n;
}

function bindNode(draft: Draft, device: LinuxDevice, path: string, reason: Reason): void {
  const target = { base: "root", path } as const;
  draft.init({ op: "makeMountPoint", path: target, file: true }, reason);
  draft.init(
    {
      op: "bindNode",
      target,
      mode: typeBits(device, reason.pointer) | ((device.fileMode ?? 0o666) & 0o7777),
      major: device.major ?? 0,
      minor: device.minor ?? 0,
      uid: ownerOnHost(draft, "uid", device.uid ?? 0, reason),
      gid: ownerOnHost(draft, "gid", device.gid ?? 0, reason),
    },
    reason,
  );
}

/** `uid` and `gid` are of the container (config-linux.md#devices). */
function ownerOnHost(draft: Draft, kind: "uid" | "gid", id: number, reason: Reason): number {
  const found = draft.hostId(kind, id);
  if (found !== undefined) return found;
  draft.note(reason.pointer, `the user namespace has no ${kind} ${id}: the device belongs to nobody there`);
  return 0;
}

function bindDevice(draft: Draft, path: string, reason: Reason): void {
  const target = { base: "root", path } as const;
  draft.init({ op: "makeMountPoint", path: target, file: true }, reason);
  draft.init(
    {
      op: "bindMount",
      source: { base: "host", path },
      target,
      recursive: false,
      // A device needs neither, and on the host's own /dev they may be missing.
      set: MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
      clear: 0n,
      recursiveAttributes: false,
      propagation: 0,
    },
    reason,
  );
}

function makeLinks(draft: Draft): void {
  const reason: Reason = {
    pointer: "/linux/devices",
    section: "runtime-linux.md#dev-symbolic-links",
    origin: byDefault,
  };
  for (const [path, target] of links) {
    draft.init({ op: "makeSymlink", path: { base: "root", path }, target }, reason);
  }
  if (draft.input.host.presentPaths.includes("/proc/kcore")) {
    draft.init(
      { op: "makeSymlink", path: { base: "root", path: "/dev/core" }, target: "/proc/kcore" },
      reason,
    );
  }
  draft.init(
    { op: "makeSymlink", path: { base: "root", path: "/dev/ptmx" }, target: "pts/ptmx" },
    defaultReason,
  );
}

/** Init, once all nodes are made: a /dev that was asked for read-only. */
export function finishDev(draft: Draft, mounts: readonly MountEntry[]): void {
  for (const entry of mounts) {
    const { attributes, recursiveAttributes } = entry.options;
    const readonly = ((attributes.set | recursiveAttributes.set) & MOUNT_ATTR_RDONLY) !== 0n;
    if (entry.destination === "/dev" && readonly && !isBind(entry)) {
      draft.init(
        { op: "mountAttributes", path: entry.target, set: MOUNT_ATTR_RDONLY, clear: 0n, recursive: false },
        { pointer: `${entry.pointer}/options`, section: "config.md#linux-mount-options" },
      );
    }
  }
}
