/**
 * Whose ids a container runs under: the host's (root), or those of a user namespace. The store unpacks layers for
 * the same choice, so it is made here once for both.
 */
import { VitrineError } from "../base/mod.ts";
import type { HostFacts, IdMapRange, SubordinateRange } from "../kernel/mod.ts";
import type { StoreIds } from "../store/mod.ts";
import { conflict, unsupportedFlag } from "./flags/bad-flag.ts";
import type { UserNamespaceMode } from "./options.ts";

export interface IdChoice {
  readonly ids: StoreIds;
  /** What the user should know of it, e.g. that only one id is mapped. */
  readonly warnings: readonly string[];
  /** With keep-id: who the container's process is when nobody says. */
  readonly defaultUser?: { readonly uid: number; readonly gid: number };
}

/** The id that files of ids outside the map seem to have (/proc/sys/kernel/overflowuid). */
const highestId = 2 ** 32 - 2;

/** Errors: `flag-conflict`, `flag-unsupported`, `user-namespaces-disabled`. */
export function chooseIds(host: HostFacts, mode?: UserNamespaceMode): IdChoice {
  if (host.identity.euid === 0) return ofRoot(mode);
  requireUserNamespaces(host);
  const { uids, gids, newuidmap, newgidmap } = host.subordinateIds;
  if (uids.length === 0 || gids.length === 0 || newuidmap === "" || newgidmap === "") {
    return single(host, mode);
  }
  const { euid, egid } = host.identity;
  const { uid, gid } = idsOf(host, mode);
  return {
    ids: {
      kind: "range",
      uids: around(uid, euid, uids),
      gids: around(gid, egid, gids),
      newuidmap,
      newgidmap,
    },
    warnings: [],
    ...(mode?.mode === "keep-id" ? { defaultUser: { uid, gid } } : {}),
  };
}

/** What the caller's own ids are in the container. */
function idsOf(host: HostFacts, mode: UserNamespaceMode | undefined): { uid: number; gid: number } {
  if (mode?.mode !== "keep-id") return { uid: 0, gid: 0 };
  return { uid: mode.uid ?? host.identity.euid, gid: mode.gid ?? host.identity.egid };
}

/** Docker's and podman's root runs in the user namespace it was started in. */
function ofRoot(mode: UserNamespaceMode | undefined): IdChoice {
  switch (mode?.mode) {
    case undefined:
    case "host":
      return { ids: { kind: "none" }, warnings: [] };
    case "private":
      throw unsupportedFlag(
        "--userns",
        "a user namespace for root's containers is not supported yet",
        "run vitrine as another user: every container then has one",
      );
    case "keep-id":
      throw conflict(
        "--userns",
        "--userns=keep-id is for users other than root",
        "leave it out, or use --user",
      );
  }
}

function requireUserNamespaces(host: HostFacts): void {
  const { supported, maximum, unprivilegedClone, apparmorRestricted, unprivilegedAllowed } =
    host.userNamespace;
  if (unprivilegedAllowed) return;
  const hint = !supported
    ? "this kernel has none: run vitrine as root"
    : maximum === 0
      ? "as root: sysctl -w user.max_user_namespaces=15000"
      : unprivilegedClone === false
        ? "as root: sysctl -w kernel.unprivileged_userns_clone=1"
        : apparmorRestricted
          ? "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run vitrine as root"
          : "run 'vitrine doctor', or run vitrine as root";
  throw new VitrineError("unavailable", "users other than root cannot make user namespaces on this machine", {
    code: "user-namespaces-disabled",
    hint,
  });
}

function single(host: HostFacts, mode: UserNamespaceMode | undefined): IdChoice {
  const { euid, egid, userName } = host.identity;
  const { newuidmap, newgidmap } = host.subordinateIds;
  const remedy =
    newuidmap === "" || newgidmap === ""
      ? "install newuidmap and newgidmap (package uidmap or shadow-utils)"
      : `as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${userName === "" ? euid : userName}`;
  const { uid, gid } = idsOf(host, mode);
  return {
    ids: {
      kind: "single",
      uids: [{ containerID: uid, hostID: euid, size: 1 }],
      gids: [{ containerID: gid, hostID: egid, size: 1 }],
    },
    warnings: [
      `only your own id is mapped into the container: other users, chown and packages that use them will not work; ${remedy}`,
    ],
    ...(mode?.mode === "keep-id" ? { defaultUser: { uid, gid } } : {}),
  };
}

/** The own id at `place`, the subordinate ones in order before and after it. */
function around(place: number, own: number, ranges: readonly SubordinateRange[]): readonly IdMapRange[] {
  const result: IdMapRange[] = [];
  let next = 0;
  const addOwn = (): void => {
    result.push({ containerID: place, hostID: own, size: 1 });
    next = place + 1;
  };
  if (place === 0) addOwn();
  for (const { start, count } of ranges) {
    let used = 0;
    while (used < count && next < highestId) {
      const room = next < place ? place - next : highestId - next;
      const size = Math.min(count - used, room);
      result.push({ containerID: next, hostID: start + used, size });
      used += size;
      next += size;
      if (next === place) addOwn();
    }
  }
  // With fewer subordinate ids than the own id's number, a gap stays before it.
  if (!result.some(({ hostID }) => hostID === own)) addOwn();
  return result;
}

/** The id on the host of a container's id; undefined: not mapped. */
export function toHostId(map: readonly IdMapRange[], id: number): number | undefined {
  const range = map.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return range === undefined ? undefined : range.hostID + (id - range.containerID);
}

/** The last id of the run of mapped ids that begins at 0; -1 when 0 is not mapped. */
export function lastContiguousId(map: readonly IdMapRange[]): number {
  let next = 0;
  for (const { containerID, size } of [...map].sort((left, right) => left.containerID - right.containerID)) {
    if (containerID !== next) break;
    next += size;
  }
  return next - 1;
}
