/** Sysctls, read-only and masked paths (config-linux.md#sysctl, #readonly-paths, #masked-paths). */

import type { NamespaceType } from "../oci/mod.ts";
import { bytesOf } from "./bytes.ts";
import { type Draft, invalid, pointerSegment } from "./draft.ts";
import { absolute } from "./paths.ts";

/** Init: kernel parameters of the container's own namespaces, in a procfs of the helper's own. */
export function writeSysctls(draft: Draft): void {
  for (const [key, value] of Object.entries(draft.input.config.linux?.sysctl ?? {})) {
    const pointer = `/linux/sysctl/${pointerSegment(key)}`;
    const path = sysctlPath(key);
    checkNamespace(draft, path, pointer, key);
    draft.init(
      {
        op: "writeFile",
        path: { base: "proc", path: `sys/${path}` },
        data: bytesOf(value),
        create: false,
        mode: 0,
      },
      {
        pointer,
        section: "config-linux.md#sysctl",
        // A default must not fail on a kernel without the feature; a wish must.
        ...(draft.origin(pointer).by === "default" ? { tolerate: ["ENOENT"] as const } : {}),
      },
    );
  }
}

/** `net.ipv4.conf.eth0/100.rp_filter` and `net/ipv4/conf/eth0.100/rp_filter` (sysctl(8)) are one file. */
function sysctlPath(key: string): string {
  const dot = key.indexOf(".");
  const slash = key.indexOf("/");
  if (slash >= 0 && (dot < 0 || slash < dot)) {
    return key;
  }
  let path = "";
  for (const letter of key) {
    path += letter === "." ? "/" : letter === "/" ? "." : letter;
  }
  return path;
}

const ipcParameters = [
  "kernel/msgmax",
  "kernel/msgmnb",
  "kernel/msgmni",
  "kernel/sem",
  "kernel/shmall",
  "kernel/shmmax",
  "kernel/shmmni",
  "kernel/shm_rmid_forced",
];

/** A parameter that is not of a namespace of the container would change the host. */
function checkNamespace(draft: Draft, path: string, pointer: string, key: string): void {
  if (absolute(`/${path}`) !== `/${path}`) {
    throw invalid("sysctl-invalid", pointer, `${JSON.stringify(key)} is not the name of a sysctl`);
  }
  if (path === "kernel/hostname") {
    throw invalid("sysctl-hostname", pointer, "the host name has a field of its own", "set hostname instead");
  }
  const type = namespaceOf(path);
  if (type === undefined) {
    throw invalid(
      "sysctl-not-namespaced",
      pointer,
      `${key} belongs to no namespace: it would change the host`,
    );
  }
  if (draft.namespace(type) === undefined) {
    throw invalid(
      "sysctl-of-host",
      pointer,
      `the container shares the host's ${type} namespace: ${key} would change the host`,
      `give the container a ${type} namespace, or set it on the host`,
    );
  }
}

function namespaceOf(path: string): NamespaceType | undefined {
  if (path.startsWith("net/")) {
    return "network";
  }
  if (path.startsWith("fs/mqueue/") || ipcParameters.includes(path)) {
    return "ipc";
  }
  if (path === "kernel/domainname") {
    return "uts";
  }
  return path.startsWith("user/") ? "user" : undefined;
}

/** Init: read-only paths first, since a masked path may lie in one. What is not there needs no protection. */
export function protectPaths(draft: Draft): void {
  const { readonlyPaths, maskedPaths } = draft.input.config.linux ?? {};
  for (const [index, path] of (readonlyPaths ?? []).entries()) {
    draft.init(
      { op: "readonlyPath", path: { base: "root", path } },
      {
        pointer: `/linux/readonlyPaths/${index}`,
        section: "config-linux.md#readonly-paths",
        tolerate: ["ENOENT"],
      },
    );
  }
  const masked = maskedPaths ?? [];
  for (const [index, path] of masked.entries()) {
    // A second mask over the first would only be one mount more.
    if (masked.indexOf(path) < index) continue;
    draft.init(
      { op: "maskPath", path: { base: "root", path } },
      {
        pointer: `/linux/maskedPaths/${index}`,
        section: "config-linux.md#masked-paths",
        tolerate: ["ENOENT"],
      },
    );
  }
}
