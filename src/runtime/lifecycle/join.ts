/** What joining a running container takes, read from /proc. */
import * as fs from "node:fs";
import { errnoOf } from "../../base/mod.ts";
import { type NamespaceType, namespaceTypes } from "../../oci/mod.ts";

const fileOf: Readonly<Partial<Record<NamespaceType, string>>> = { network: "net", mount: "mnt" };

/** The namespaces of `pid` that are not ours. */
export function foreignNamespaces(pid: number): readonly NamespaceType[] {
  return namespaceTypes.filter((type) => {
    const name = fileOf[type] ?? type;
    const theirs = readLink(`/proc/${pid}/ns/${name}`);
    return theirs !== undefined && theirs !== readLink(`/proc/self/ns/${name}`);
  });
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
