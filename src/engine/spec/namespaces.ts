/** linux.namespaces and the id maps (config-linux.md#namespaces). */
import { kernelAtLeast } from "../../kernel/mod.ts";
import type { LinuxIdMapping, LinuxNamespace, NamespaceType } from "../../oci/mod.ts";
import { defaults } from "../defaults.ts";
import { conflict } from "../flags/bad-flag.ts";
import type { NamespaceMode } from "../options.ts";
import { inUserNamespace, type SpecInput } from "./input.ts";
import { byDefault, byFlag, byHost, type Notebook, type Sourced, sourced } from "./notebook.ts";

export interface NamespacesPart {
  readonly namespaces: readonly LinuxNamespace[];
  readonly uidMappings?: readonly LinuxIdMapping[];
  readonly gidMappings?: readonly LinuxIdMapping[];
}

/** How each namespace that a flag governs is chosen, and the flag. */
export function namespaceModes(input: SpecInput) {
  const { options } = input;
  const network: NamespaceMode | undefined =
    options.network?.mode === "none" ? { mode: "private" } : options.network;
  const ipc: NamespaceMode | undefined = options.ipc?.mode === "none" ? { mode: "private" } : options.ipc;
  return {
    pid: { asked: options.pid, flag: "--pid" },
    network: { asked: network, flag: "--network" },
    ipc: { asked: ipc, flag: "--ipc" },
    uts: { asked: options.uts, flag: "--uts" },
    cgroup: { asked: options.cgroupns, flag: "--cgroupns" },
    time: { asked: options.time, flag: "--timens" },
  } as const satisfies Partial<
    Record<NamespaceType, { readonly asked: NamespaceMode | undefined; readonly flag: string }>
  >;
}

/** True where the container gets a new namespace of the type. */
export function isPrivate(input: SpecInput, type: keyof ReturnType<typeof namespaceModes>): boolean {
  return (namespaceModes(input)[type].asked?.mode ?? "private") === "private";
}

/** True where the namespace belongs to the container's user namespace: its own, or one of the container it shares both with. */
export function isWithin(input: SpecInput, type: keyof ReturnType<typeof namespaceModes>): boolean {
  const shared = input.options.sharedNamespaces?.user !== undefined;
  return isPrivate(input, type) || (shared && namespaceModes(input)[type].asked?.mode === "path");
}

export function namespaces(input: SpecInput, notebook: Notebook): NamespacesPart {
  const list: Sourced<LinuxNamespace>[] = [];
  const modes = namespaceModes(input);
  requirePossible(input);
  const joinedUser = input.options.sharedNamespaces?.user;
  if (joinedUser !== undefined) {
    list.push(sourced({ type: "user", path: joinedUser.path }, byFlag(joinedUser.flag)));
  } else if (inUserNamespace(input)) {
    list.push(sourced({ type: "user" }, userNamespaceOrigin(input)));
  }
  for (const type of defaults.namespaces.value) {
    if (type === "mount") {
      list.push(sourced({ type }, byDefault));
      continue;
    }
    const { asked, flag } = modes[type];
    if (type === "time" && !timeNamespaces(input)) {
      if (asked?.mode === "private") {
        throw conflict(flag, "this kernel has no time namespaces", "leave --timens out (Linux 5.6 has them)");
      }
      continue;
    }
    if (asked?.mode === "host") continue;
    const path = asked?.mode === "path" ? { path: asked.path } : {};
    list.push(sourced({ type, ...path }, asked === undefined ? byDefault : byFlag(flag)));
  }
  const { ids } = input.idChoice;
  if (ids.kind === "none" || joinedUser !== undefined)
    return { namespaces: notebook.list("/linux/namespaces", list) };
  const origin = userNamespaceOrigin(input);
  notebook.note("/linux/uidMappings", origin);
  notebook.note("/linux/gidMappings", origin);
  return {
    namespaces: notebook.list("/linux/namespaces", list),
    uidMappings: ids.uids,
    gidMappings: ids.gids,
  };
}

/** CONFIG_TIME_NS may be off in a kernel that is new enough; then its switches in /proc are not there. */
function timeNamespaces(input: SpecInput): boolean {
  return (
    kernelAtLeast(input.host.kernel, 5, 6) && input.readHostFile("/proc/self/timens_offsets") !== undefined
  );
}

function userNamespaceOrigin(input: SpecInput) {
  const { flag } = input.idChoice;
  if (flag !== undefined) return byFlag(flag);
  return byHost("not root: without a user namespace an unprivileged user can make no other");
}

function requirePossible(input: SpecInput): void {
  const { options } = input;
  if (options.uts?.mode === "host" && options.hostname !== undefined) {
    throw conflict(
      "--hostname",
      "--hostname needs a UTS namespace of the container's own",
      "leave out --uts=host or --hostname",
    );
  }
  if (options.uts?.mode === "host" && options.domainname !== undefined) {
    throw conflict(
      "--domainname",
      "--domainname needs a UTS namespace of the container's own",
      "leave out --uts=host",
    );
  }
}
