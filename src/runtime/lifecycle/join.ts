/** What joining a running container takes, read from /proc. */
import * as fs from "node:fs";
import { errnoOf, noting } from "../../base/mod.ts";
import { type NamespaceType, namespaceTypes } from "../../oci/mod.ts";

const fileOf: Readonly<Partial<Record<NamespaceType, string>>> = { network: "net", mount: "mnt" };

/** `/` and the longest pid, of 10 digits. */
export const paddedPidLength = 11;

/**
 * /proc/PID with as many slashes before the number as make it as long as any other: so a plan that joins one container has
 * the same bytes as that for another, but for the number (docs/launch-record.md).
 */
export function processDirectoryOf(pid: number): string {
  return `/proc${String(pid).padStart(paddedPidLength, "/")}`;
}

/** The order of the bits by which they are told to who notes them. */
const noted = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

/** The namespaces of `pid` that are not ours. */
export function foreignNamespaces(pid: number): readonly NamespaceType[] {
  const directory = `/proc/${pid}/ns`;
  const done = noting.noter?.namespaces(directory);
  const foreign = namespaceTypes.filter((type) => {
    const theirs = readLink(`${directory}/${nameOf(type)}`);
    return theirs !== undefined && theirs !== readLink(`/proc/self/ns/${nameOf(type)}`);
  });
  done?.(foreign.reduce((bits, type) => bits | (1 << noted.indexOf(nameOf(type))), 0));
  return foreign;
}

function nameOf(type: NamespaceType): string {
  return fileOf[type] ?? type;
}

/** setgroups(2) is given up in the user namespace of `pid`. */
export function setgroupsDeniedFor(pid: number): boolean {
  try {
    return fs.readFileSync(`/proc/${pid}/setgroups`, "latin1").trim() === "deny";
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

/** undefined: the kernel has no such namespace. */
function readLink(path: string): string | undefined {
  try {
    return fs.readlinkSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
