/**
 * Whose ids a container runs under: the host's (root), or those of a user namespace. The store unpacks layers for
 * the same choice, so it is made here once for both.
 */
import { VitrineError } from "../base/mod.ts";
import type { HostFacts, IdMapRange, SubordinateRange } from "../kernel/mod.ts";
import type { StoreIds } from "../store/mod.ts";
import { defaults } from "./defaults.ts";
import { badValue, conflict } from "./flags/bad-flag.ts";
import { type IdSources, noSources, rootPool, subordinateRanges, takeSlots, userPool } from "./id-pools.ts";
import type { IdMapRequest, UserNamespaceMode } from "./options.ts";

export interface IdChoice {
  readonly ids: StoreIds;
  /** What the user should know of it, e.g. that only one id is mapped. */
  readonly warnings: readonly string[];
  /** With keep-id: who the container's process is when nobody says. */
  readonly defaultUser?: { readonly uid: number; readonly gid: number };
  /** The flag that asked for these ids. Absent: what anybody gets without one. */
  readonly flag?: string;
  /** Where they come from, for people. */
  readonly from?: string;
  /** No other container may get them: see `IdSources.taken`. */
  readonly unique?: true;
}

/** The id that files of ids outside the map seem to have (/proc/sys/kernel/overflowuid). */
const highestId = 2 ** 32 - 2;

/** What `newuidmap` and `newgidmap` are for root: it writes the maps itself. */
const noTools = { newuidmap: "", newgidmap: "" };

/**
 * Errors: `flag-conflict`, `user-namespaces-disabled`, `subordinate-ids-missing`, `subordinate-ids-used-up`,
 * `invalid-flag-value`.
 */
export function chooseIds(
  host: HostFacts,
  mode?: UserNamespaceMode,
  sources: IdSources = noSources,
): IdChoice {
  if (host.identity.euid === 0) return ofRoot(host, mode, sources);
  requireUserNamespaces(host);
  const { uids, gids, newuidmap, newgidmap } = host.subordinateIds;
  if (uids.length === 0 || gids.length === 0 || newuidmap === "" || newgidmap === "") {
    return single(host, mode);
  }
  return ofUser(host, mode, sources);
}

/** Ids that every container of the caller has some of: whatever one leaves can be removed under these. */
export function widestIds(host: HostFacts): StoreIds {
  return chooseIds(host).ids;
}

function ofUser(host: HostFacts, mode: UserNamespaceMode | undefined, sources: IdSources): IdChoice {
  const { uids, gids, newuidmap, newgidmap } = host.subordinateIds;
  const { euid, egid } = host.identity;
  const tools = { newuidmap, newgidmap };
  const whole: Maps = { uids: around(0, euid, uids), gids: around(0, egid, gids) };
  switch (mode?.mode) {
    case undefined:
    // The other container has the host's ids too: else its own were chosen (shared-namespaces.ts).
    case "container":
    case "host":
      return range(whole, tools);
    case "private":
      return range(whole, tools, { flag: "--userns" });
    case "keep-id": {
      const { uid, gid } = idsOf(host, mode);
      const size = mode.size ?? highestId;
      const maps = {
        uids: upTo(size, around(uid, euid, uids), uid),
        gids: upTo(size, around(gid, egid, gids), gid),
      };
      return range(maps, tools, { flag: "--userns", defaultUser: { uid, gid } });
    }
    case "nomap":
      return range({ uids: inOrder(uids), gids: inOrder(gids) }, tools, { flag: "--userns" });
    case "auto":
      return automatic(mode.size, userPool(host), 0, tools, sources);
    case "maps":
      return range(requested(mode, whole), tools, { flag: "--uidmap" });
    case "named":
      // newuidmap takes a caller's own ids alone, whatever else the files say.
      return range(named(mode, sources), tools, { flag: "--subuidname" });
  }
}

/** What the caller's own ids are in the container. */
function idsOf(host: HostFacts, mode: UserNamespaceMode | undefined): { uid: number; gid: number } {
  if (mode?.mode !== "keep-id") return { uid: 0, gid: 0 };
  return { uid: mode.uid ?? host.identity.euid, gid: mode.gid ?? host.identity.egid };
}

/** Docker's and podman's root runs in the user namespace it was started in, unless asked. */
function ofRoot(host: HostFacts, mode: UserNamespaceMode | undefined, sources: IdSources): IdChoice {
  switch (mode?.mode) {
    case undefined:
    // The other container has the host's ids too: else its own were chosen (shared-namespaces.ts).
    case "container":
    case "host":
      return { ids: { kind: "none" }, warnings: [] };
    case "private": {
      const pool = rootPool(sources);
      const maps = takeSlots(pool, pool.slot, [], 0) ?? missing(pool.from);
      return range(maps, noTools, { flag: "--userns", from: `the first ${pool.slot} of ${pool.from}` });
    }
    case "auto": {
      const pool = rootPool(sources);
      // The first slot is that of `private`.
      return automatic(mode.size ?? pool.slot, pool, 1, noTools, sources);
    }
    case "maps":
      return range(
        requested(mode, { uids: host.userNamespace.uidMap, gids: host.userNamespace.gidMap }, true),
        noTools,
        { flag: "--uidmap" },
      );
    case "named":
      return range(named(mode, sources), noTools, { flag: "--subuidname" });
    case "keep-id":
    case "nomap":
      throw conflict(
        "--userns",
        `--userns=${mode.mode} is for users other than root`,
        "use --userns=auto or --userns=private, or leave it out and use --user",
      );
  }
}

interface Maps {
  readonly uids: readonly IdMapRange[];
  readonly gids: readonly IdMapRange[];
}

function range(
  { uids, gids }: Maps,
  tools: { readonly newuidmap: string; readonly newgidmap: string },
  more: Omit<Partial<IdChoice>, "ids"> = {},
): IdChoice {
  return { ids: { kind: "range", uids, gids, ...tools }, warnings: [], ...more };
}

function automatic(
  asked: number | undefined,
  pool: ReturnType<typeof rootPool>,
  skip: number,
  tools: typeof noTools,
  sources: IdSources,
): IdChoice {
  const maps = takeSlots(pool, asked ?? pool.slot, sources.taken(), skip);
  if (maps === undefined) {
    throw new VitrineError("unavailable", `there are not ${asked ?? pool.slot} free ids for --userns=auto`, {
      code: "subordinate-ids-used-up",
      operand: "--userns",
      hint: `they come from ${pool.from}: ask for fewer (auto:size=N), remove containers, or add ids there`,
    });
  }
  return range(maps, tools, { flag: "--userns", from: pool.from, unique: true });
}

/** --uidmap and --gidmap. `ofHost`: their numbers are the host's anyway. */
function requested(mode: Extract<UserNamespaceMode, { mode: "maps" }>, parent: Maps, ofHost = false): Maps {
  const uids = mode.uids.length > 0 ? mode.uids : mode.gids;
  const gids = mode.gids.length > 0 ? mode.gids : mode.uids;
  return {
    uids: translated("--uidmap", uids, parent.uids, ofHost),
    gids: translated("--gidmap", gids, parent.gids, ofHost),
  };
}

function translated(
  flag: string,
  requests: readonly IdMapRequest[],
  parent: readonly IdMapRange[],
  ofHost: boolean,
): readonly IdMapRange[] {
  const result = requests.flatMap(({ containerID, from, host, size }) =>
    host || ofHost
      ? [{ containerID, hostID: from, size }]
      : throughParent(flag, containerID, from, size, parent),
  );
  const sorted = [...result].sort((left, right) => left.containerID - right.containerID);
  for (const [at, { containerID, hostID, size }] of sorted.entries()) {
    const next = sorted[at + 1];
    const inside = result.some(
      (other) =>
        other.containerID !== containerID &&
        other.hostID < hostID + size &&
        hostID < other.hostID + other.size,
    );
    if ((next !== undefined && next.containerID < containerID + size) || inside) {
      throw badValue(flag, `${containerID}:${hostID}:${size}`, "it overlaps another range");
    }
  }
  if (toHostId(sorted, 0) === undefined) {
    throw badValue(
      flag,
      sorted.map(({ containerID, hostID, size }) => `${containerID}:${hostID}:${size}`).join(","),
      "id 0 of the container is not mapped",
      `root's files need it: add ${flag} 0:FROM:1`,
    );
  }
  return sorted;
}

/** A range of ids of a plain container may lie in several of the host. */
function throughParent(
  flag: string,
  containerID: number,
  from: number,
  size: number,
  parent: readonly IdMapRange[],
): readonly IdMapRange[] {
  const result: IdMapRange[] = [];
  for (let done = 0; done < size; ) {
    const at = from + done;
    const holder = parent.find((one) => at >= one.containerID && at < one.containerID + one.size);
    if (holder === undefined) {
      throw badValue(
        flag,
        `${containerID}:${from}:${size}`,
        `your containers have no id ${at}`,
        "the second number counts your own id as 0 and your subordinate ids from 1 on; @N is an id of the host",
      );
    }
    const count = Math.min(size - done, holder.containerID + holder.size - at);
    result.push({
      containerID: containerID + done,
      hostID: holder.hostID + at - holder.containerID,
      size: count,
    });
    done += count;
  }
  return result;
}

function named(
  { uidName, gidName }: Extract<UserNamespaceMode, { mode: "named" }>,
  sources: IdSources,
): Maps {
  const uids = inOrder(subordinateRanges(sources, "/etc/subuid", uidName));
  const gids = inOrder(subordinateRanges(sources, "/etc/subgid", gidName));
  if (uids.length === 0) throw noEntry("--subuidname", "/etc/subuid", uidName);
  if (gids.length === 0) throw noEntry("--subgidname", "/etc/subgid", gidName);
  return { uids, gids };
}

function noEntry(flag: string, file: string, name: string): VitrineError {
  return new VitrineError("not-found", `${file} has no entry of ${JSON.stringify(name)}`, {
    code: "subordinate-ids-missing",
    operand: flag,
    hint: `as root: echo ${name}:FIRST:COUNT >> ${file}`,
  });
}

function missing(from: string): never {
  throw new VitrineError("unavailable", "there are no ids for a user namespace", {
    code: "subordinate-ids-missing",
    operand: "--userns",
    hint: `they come from ${from}: echo '${defaults.rootIds.value.owner}:2147483647:2147483648' | tee -a /etc/subuid /etc/subgid`,
  });
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
  if (mode !== undefined && mode.mode !== "keep-id" && mode.mode !== "private" && mode.mode !== "host") {
    throw new VitrineError("unavailable", "you have no subordinate ids to choose from", {
      code: "subordinate-ids-missing",
      operand: mode.mode === "maps" ? "--uidmap" : mode.mode === "named" ? "--subuidname" : "--userns",
      hint: remedy,
    });
  }
  return {
    ids: {
      kind: "single",
      uids: [{ containerID: uid, hostID: euid, size: 1 }],
      gids: [{ containerID: gid, hostID: egid, size: 1 }],
    },
    warnings: [
      `only your own id is mapped into the container: other users, chown and packages that use them will not work; ${remedy}`,
    ],
    ...(mode?.mode === "keep-id" ? { defaultUser: { uid, gid }, flag: "--userns" } : {}),
  };
}

/** Container ids from 0 on. */
function inOrder(ranges: readonly SubordinateRange[]): readonly IdMapRange[] {
  let next = 0;
  return ranges.map(({ start, count }) => {
    next += count;
    return { containerID: next - count, hostID: start, size: count };
  });
}

/** Container ids below `size`, and `own` in any case. */
function upTo(size: number, map: readonly IdMapRange[], own: number): readonly IdMapRange[] {
  return map.flatMap((one) => {
    const count = Math.min(one.size, size - one.containerID);
    if (count > 0) return [{ ...one, size: count }];
    return one.containerID === own && one.size === 1 ? [one] : [];
  });
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

/** Some id of the host is in both. */
export function shareIds(left: StoreIds, right: StoreIds): boolean {
  if (left.kind === "none" || right.kind === "none") return false;
  return (["uids", "gids"] as const).some((kind) =>
    left[kind].some((one) =>
      right[kind].some(
        (other) => one.hostID < other.hostID + other.size && other.hostID < one.hostID + one.size,
      ),
    ),
  );
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
