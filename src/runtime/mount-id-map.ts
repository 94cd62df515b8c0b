/** Whose ids a mount shows (config.md#posix-platform-mounts, `uidMappings`; `idmap` and `ridmap`). */
import type { IdMapRange } from "../kernel/mod.ts";
import { type Draft, invalid, unsupported } from "./draft.ts";
import type { MountEntry } from "./mount-entry.ts";

interface MountIdMap {
  /** A file of the host: the user namespace whose maps these are. Empty: the maps are given. */
  readonly idMapNamespace: string;
  readonly uids: readonly IdMapRange[];
  readonly gids: readonly IdMapRange[];
  readonly idMapRecursive: boolean;
}

/** The maps that the mount names, else those of the container's user namespace, as runc has it. */
export function idMapOf(draft: Draft, entry: MountEntry): MountIdMap {
  const { uids = [], gids = [] } = entry.idMap ?? {};
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
