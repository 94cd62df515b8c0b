/** Which cgroup hierarchies there are, where they are mounted and where in them this process is. */

import { linesWith } from "../base/mod.ts";
import type { CgroupDivision, CgroupFacts, CgroupHierarchy, CgroupUnified } from "./host-facts.ts";

/** The part of `HostReader` needed here. */
interface CgroupReader {
  read(path: string): string | undefined;
  writable(path: string): boolean;
  exists(path: string): boolean;
}

interface CgroupMount {
  readonly type: "cgroup" | "cgroup2";
  /** The directory of the hierarchy that is visible at the mount point. */
  readonly root: string;
  readonly mountPoint: string;
  readonly readOnly: boolean;
  readonly superOptions: readonly string[];
}

/** From /proc/self/mountinfo and /proc/self/cgroup (cgroups(7)). */
export function parseCgroups(reader: CgroupReader): CgroupFacts {
  const mounts = parseMounts(linesWith([" - cgroup"], () => reader.read("/proc/self/mountinfo") ?? ""));
  const found: CgroupHierarchy[] = [];
  let unified: CgroupUnified | undefined;
  for (const line of (reader.read("/proc/self/cgroup") ?? "").split("\n")) {
    const [id, list] = line.split(":", 2);
    if (id === undefined || list === undefined) continue;
    const ownPath = line.slice(id.length + list.length + 2);
    if (id === "0" && list === "") unified = unifiedAt(mounts, ownPath, reader);
    else {
      const hierarchy = hierarchyAt(mounts, list.split(","), ownPath, reader);
      if (hierarchy !== undefined) found.push(hierarchy);
    }
  }
  // /proc/self/cgroup counts down; mount order is the order people know.
  const hierarchies: CgroupHierarchy[] = [];
  for (const mount of mounts) {
    for (const each of found) {
      if (each.mountPoint === mount.mountPoint && !hierarchies.includes(each)) hierarchies.push(each);
    }
  }
  const mode = modeOf(hierarchies, unified);
  if (mode !== "v2" || unified === undefined) return { mode, hierarchies, unified };
  const division = divisionOf(unified, reader);
  return { mode, hierarchies, unified: division === undefined ? unified : { ...unified, division } };
}

/** The child of a delegated directory that takes the processes which were in it. */
export const cgroupLeaf = "vitrine-self";

/**
 * Who may write to the whole tree uses its root. Others get what was delegated to them: with systemd the cgroup that
 * they are in (what lies above is its own to divide, cgroups(7)); else the topmost one that is theirs and empty.
 */
function divisionOf(unified: CgroupUnified, reader: CgroupReader): CgroupDivision | undefined {
  const { mountPoint, ownDirectory } = unified;
  const isOurs = (directory: string) =>
    reader.writable(directory) &&
    reader.writable(`${directory}/cgroup.procs`) &&
    reader.writable(`${directory}/cgroup.subtree_control`);
  if (isOurs(mountPoint)) return describe(mountPoint, reader);
  const ours: string[] = [];
  for (
    let at = ownDirectory;
    at.startsWith(`${mountPoint}/`) && isOurs(at);
    at = at.slice(0, at.lastIndexOf("/"))
  ) {
    ours.push(at);
  }
  const [own, above] = ours;
  if (own === undefined) return undefined;
  const empty = reader.exists("/run/systemd/system")
    ? undefined
    : ours.findLast((directory) => !isOccupied(directory, reader));
  const inLeaf = own.endsWith(`/${cgroupLeaf}`) && above !== undefined;
  return describe(empty ?? (inLeaf ? above : own), reader);
}

function describe(directory: string, reader: CgroupReader): CgroupDivision {
  return {
    directory,
    controllers: controllersOf(directory, reader),
    // The machine's own root may have processes; only there `cgroup.type` is missing.
    occupied: reader.exists(`${directory}/cgroup.type`) && isOccupied(directory, reader),
  };
}

function isOccupied(directory: string, reader: CgroupReader): boolean {
  return (reader.read(`${directory}/cgroup.procs`) ?? "").trim() !== "";
}

function controllersOf(directory: string, reader: CgroupReader): readonly string[] {
  const words = (reader.read(`${directory}/cgroup.controllers`) ?? "").trim().split(" ");
  return words.filter((word) => word !== "");
}

function modeOf(
  hierarchies: readonly CgroupHierarchy[],
  unified: CgroupUnified | undefined,
): CgroupFacts["mode"] {
  const controllers = hierarchies.some((each) => each.controllers.length > 0);
  if (unified === undefined) return controllers ? "v1" : "none";
  return controllers ? "hybrid" : "v2";
}

function hierarchyAt(
  mounts: readonly CgroupMount[],
  list: readonly string[],
  ownPath: string,
  reader: CgroupReader,
): CgroupHierarchy | undefined {
  const mount = pick(
    mounts.filter(
      (each) => each.type === "cgroup" && list.every((option) => each.superOptions.includes(option)),
    ),
  );
  if (mount === undefined) return undefined;
  const ownDirectory = directoryOf(mount, ownPath);
  return {
    controllers: list.filter((option) => !option.startsWith("name=")),
    name: list.find((option) => option.startsWith("name="))?.slice("name=".length) ?? "",
    mountPoint: mount.mountPoint,
    ownPath,
    ownDirectory,
    writable: !mount.readOnly && ownDirectory !== "" && reader.writable(ownDirectory),
  };
}

function unifiedAt(
  mounts: readonly CgroupMount[],
  ownPath: string,
  reader: CgroupReader,
): CgroupUnified | undefined {
  const mount = pick(mounts.filter((each) => each.type === "cgroup2"));
  if (mount === undefined) return undefined;
  const ownDirectory = directoryOf(mount, ownPath);
  const writable = !mount.readOnly && ownDirectory !== "" && reader.writable(ownDirectory);
  return {
    mountPoint: mount.mountPoint,
    ownPath,
    ownDirectory,
    controllers: ownDirectory === "" ? [] : controllersOf(ownDirectory, reader),
    writable,
    delegated:
      writable &&
      reader.writable(`${ownDirectory}/cgroup.procs`) &&
      reader.writable(`${ownDirectory}/cgroup.subtree_control`),
  };
}

/** A hierarchy may be mounted more than once (bind mounts): the usual place wins, else the first. */
function pick(mounts: readonly CgroupMount[]): CgroupMount | undefined {
  return mounts.find((mount) => `${mount.mountPoint}/`.startsWith("/sys/fs/cgroup/")) ?? mounts[0];
}

/** `/../x` (outside the cgroup namespace) and paths outside the mounted subtree have no directory here. */
function directoryOf(mount: CgroupMount, ownPath: string): string {
  if (ownPath.startsWith("/..")) return "";
  const root = mount.root === "/" ? "" : mount.root;
  const own = ownPath === "/" ? "" : ownPath;
  if (own !== root && !own.startsWith(`${root}/`)) return "";
  return `${mount.mountPoint}${own.slice(root.length)}`;
}

/** proc_pid_mountinfo(5): `36 35 98:0 /root /point rw,noatime shared:1 - type source super,options`. */
function parseMounts(text: string): readonly CgroupMount[] {
  const mounts: CgroupMount[] = [];
  // A machine may have hundreds of mounts: only the lines of cgroups are cut out and split.
  for (let at = text.indexOf(" - cgroup"); at >= 0; at = text.indexOf(" - cgroup", at + 1)) {
    const start = text.lastIndexOf("\n", at) + 1;
    const end = text.indexOf("\n", at);
    const line = text.slice(start, end < 0 ? text.length : end);
    const separator = at - start;
    const [, , , root, mountPoint, options] = line.slice(0, separator).split(" ");
    const [type, , superOptions] = line.slice(separator + " - ".length).split(" ");
    if (type !== "cgroup" && type !== "cgroup2") continue;
    const superList = (superOptions ?? "").split(",");
    mounts.push({
      type,
      root: unescapeOctal(root ?? ""),
      mountPoint: unescapeOctal(mountPoint ?? ""),
      readOnly: (options ?? "").split(",").includes("ro") || superList.includes("ro"),
      superOptions: superList,
    });
  }
  return mounts;
}

/** Space, tab, newline and backslash are written `\040` and so on. */
function unescapeOctal(text: string): string {
  if (!text.includes("\\")) return text;
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
