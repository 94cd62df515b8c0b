/** Whose ids a mount shows (config.md#posix-platform-mounts, `uidMappings`; `idmap` and `ridmap`). */
import type { IdMapRange } from "../kernel/mod.ts";
import { type Draft, invalid, unsupported } from "./draft.ts";
import type { MountEntry } from "./mount-entry.ts";

/** user_namespaces(7): the last id is no id. */
const ids = 2 ** 32 - 1;

export interface NamedRange extends IdMapRange {
  readonly ofContainer?: boolean;
}

interface MountIdMap {
  /** A file of the host: the user namespace whose maps these are. Empty: the maps are given. */
  readonly idMapNamespace: string;
  readonly uids: readonly IdMapRange[];
  readonly gids: readonly IdMapRange[];
  readonly idMapRecursive: boolean;
}

/** `uids=0-1-10#10-11-10;gids=0-100-10`: where ids of the filesystem begin, what they show as, how many. */
export function parseIdMapRanges(
  text: string,
  pointer: string,
): { readonly uids: readonly NamedRange[]; readonly gids: readonly NamedRange[] } {
  const wrong = (what: string) =>
    invalid(
      "mount-idmap-invalid",
      pointer,
      `${JSON.stringify(what)} is no map of ids`,
      "write uids=FROM-TO-COUNT;gids=FROM-TO-COUNT, several ranges with # between them",
    );
  const maps = { uids: [] as NamedRange[], gids: [] as NamedRange[] };
  for (const part of text === "" ? [] : text.split(";")) {
    const [, kind, ranges = ""] = /^(uids|gids)=(.+)$/s.exec(part) ?? [];
    if (kind === undefined) throw wrong(part);
    for (const range of ranges.split("#")) {
      const found = /^(@?)(\d{1,10})-(\d{1,10})-(\d{1,10})$/.exec(range);
      const [containerID = 0, hostID = 0, size = 0] = found?.slice(2).map(Number) ?? [];
      if (found === null || size === 0 || Math.max(containerID, hostID) + size > ids) throw wrong(range);
      maps[kind === "uids" ? "uids" : "gids"].push({
        containerID,
        hostID,
        size,
        ofContainer: found[1] === "@",
      });
    }
  }
  return maps;
}

/** What the range shows as is an id of the container (`@`): then it is looked up in the container's own map. */
function onHost(draft: Draft, entry: MountEntry, kind: "uid" | "gid", range: NamedRange): IdMapRange {
  if (range.ofContainer !== true) return range;
  const hostID = draft.hostId(kind, range.hostID);
  if (hostID === undefined) {
    throw invalid(
      "mount-idmap-invalid",
      `${entry.pointer}/options`,
      `the container's user namespace has no ${kind} ${range.hostID}`,
    );
  }
  return { ...range, hostID };
}

/** The maps that the mount names, else those of the container's user namespace, as runc has it. */
export function idMapOf(draft: Draft, entry: MountEntry): MountIdMap {
  const named = entry.idMap ?? { uids: [], gids: [] };
  const uids = named.uids.map((range) => onHost(draft, entry, "uid", range));
  const gids = named.gids.map((range) => onHost(draft, entry, "gid", range));
  const idMapRecursive = entry.options.idmap === "ridmap";
  requirePrivilege(draft, entry);
  if (uids.length > 0 || gids.length > 0) {
    return { idMapNamespace: "", uids, gids, idMapRecursive };
  }
  const user = draft.namespace("user");
  if (user === undefined) {
    throw invalid(
      "mount-idmap-without-mappings",
      `${entry.pointer}/options`,
      "there is neither a map here nor a user namespace to take it from",
    );
  }
  const { uidMappings = [], gidMappings = [] } = draft.input.config.linux ?? {};
  return user.path === undefined
    ? { idMapNamespace: "", uids: uidMappings, gids: gidMappings, idMapRecursive }
    : { idMapNamespace: user.path, uids: [], gids: [], idMapRecursive };
}

/** The kernel asks for CAP_SYS_ADMIN over the filesystem, which no user namespace of a user has. */
function requirePrivilege(draft: Draft, entry: MountEntry): void {
  if (draft.input.host.identity.euid !== 0) {
    throw unsupported(
      "mount-idmap-unprivileged",
      entry.pointer,
      "only root may show a filesystem's files with other owners",
      "give the files to the container's ids, or run as root",
    );
  }
}
