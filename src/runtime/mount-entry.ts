/** One entry of `mounts` in config.json, read; and what every kind of mount needs (config.md#mounts). */
import type { OpPath } from "../kernel/mod.ts";
import type { Mount, RuntimeConfig } from "../oci/mod.ts";
import { type Draft, invalid } from "./draft.ts";
import { type NamedRange, parseIdMapRanges } from "./mount-id-map.ts";
import { type MountOptions, parseMountOptions } from "./mount-options.ts";
import { absolute } from "./paths.ts";

/** Bound where a user namespace may not mount message queues; few containers have it themselves. */
export const hostMqueue = "/dev/mqueue";

export const mountSection = "config.md#mounts";
export const mountOptionsSection = "config.md#linux-mount-options";

export interface MountEntry {
  readonly pointer: string;
  /** Absolute and without `..`: links in it are resolved by the helper, inside the root. */
  readonly target: OpPath;
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: MountOptions;
  /** Asked for by `uidMappings` and `gidMappings`, or by `idmap` and `ridmap` alone: then both are empty. */
  readonly idMap?: { readonly uids: readonly NamedRange[]; readonly gids: readonly NamedRange[] };
}

function readEntry(mount: Mount, pointer: string, bundle: string, root: string | undefined): MountEntry {
  const named = absolute(mount.destination);
  // Some write the host's path of it, as runc allows.
  const destination = root !== undefined && named.startsWith(`${root}/`) ? named.slice(root.length) : named;
  if (destination === "/") {
    throw invalid(
      "mount-over-root",
      `${pointer}/destination`,
      "a mount would hide the whole root filesystem",
    );
  }
  const options = parseMountOptions(mount.options ?? []);
  const type = mount.type ?? "";
  const bind = options.bind !== "no" || type === "bind";
  const fields = { uids: mount.uidMappings ?? [], gids: mount.gidMappings ?? [] };
  const isMapped = options.idmap !== "no" || fields.uids.length > 0 || fields.gids.length > 0;
  const idMap =
    options.idmapRanges === "" ? fields : parseIdMapRanges(options.idmapRanges, `${pointer}/options`);
  return {
    pointer,
    destination,
    target: { base: "root", path: destination },
    type,
    source: bind ? absolute(mount.source ?? "", bundle) : (mount.source ?? ""),
    options: bind && options.bind === "no" ? { ...options, bind: "bind" } : options,
    ...(isMapped ? { idMap } : {}),
  };
}

export function isBind(entry: MountEntry): boolean {
  return entry.options.bind !== "no";
}

/** `mounts` in its order, each entry read once. `root`: the host's path of the root filesystem, where it has one. */
export function readMounts(config: RuntimeConfig, bundle: string, root?: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const mount of config.mounts ?? []) {
    entries.push(readEntry(mount, `/mounts/${entries.length}`, bundle, root));
  }
  return entries;
}

/**
 * Absolute host paths of all bind sources, for `CompileInput.sourceKinds`. In a user namespace some filesystems are
 * bound from the host instead of mounted; these need no kind.
 */
export function bindSources(config: RuntimeConfig, bundle: string): string[] {
  const sources: string[] = [];
  for (const entry of readMounts(config, bundle)) {
    if (isBind(entry)) {
      sources.push(entry.source);
    } else if (entry.type === "mqueue") {
      sources.push(hostMqueue);
    }
  }
  return sources;
}

/** The host's own tree in place of a mount that a user namespace may not make; the asked-for flags on all of it. */
export function bindFromHost(draft: Draft, entry: MountEntry, hostPath: string): void {
  draft.note(
    entry.pointer,
    `${entry.type} cannot be mounted in this user namespace: ${hostPath} of the host is bound in its place`,
  );
  makeMountPoint(draft, entry, false);
  draft.init(
    {
      op: "bindMount",
      source: { base: "host", path: hostPath },
      target: entry.target,
      recursive: true,
      set: entry.options.attributes.set | entry.options.recursiveAttributes.set,
      clear: 0n,
      recursiveAttributes: true,
      propagation: entry.options.propagation[0] ?? 0,
    },
    { pointer: entry.pointer, section: mountSection },
  );
}

export function makeMountPoint(draft: Draft, entry: MountEntry, file: boolean): void {
  draft.init(
    { op: "makeMountPoint", path: entry.target, file },
    { pointer: `${entry.pointer}/destination`, section: mountSection },
  );
}
