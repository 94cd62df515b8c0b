/**
 * Where the ids of `--userns=private`, `auto` and `--subuidname` come from: entries of /etc/subuid and /etc/subgid
 * (subuid(5)), cut into slots so that what one container gives back fits the next.
 */
import type { HostFacts, IdMapRange, SubordinateRange } from "../kernel/mod.ts";
import type { StoreIds } from "../store/mod.ts";
import { defaults } from "./defaults.ts";

/** What a choice of ids may look at beyond the host facts. */
export interface IdSources {
  readonly readHostFile: (path: string) => string | undefined;
  /** The ids of containers that must not be given to another. */
  readonly taken: () => readonly StoreIds[];
}

export const noSources: IdSources = { readHostFile: () => undefined, taken: () => [] };

export interface IdPool {
  readonly uids: readonly SubordinateRange[];
  readonly gids: readonly SubordinateRange[];
  /** Ids in a slot. */
  readonly slot: number;
  /** For people. */
  readonly from: string;
}

/** Root's: the entry of podman's and other tools' common name, else ids that nobody has an entry for. */
export function rootPool(sources: IdSources): IdPool {
  const { owner, start, count, slot } = defaults.rootIds.value;
  const uids = subordinateRanges(sources, "/etc/subuid", owner);
  const gids = subordinateRanges(sources, "/etc/subgid", owner);
  if (uids.length > 0 && gids.length > 0) {
    return {
      uids,
      gids,
      slot,
      from: `the entries of ${JSON.stringify(owner)} in /etc/subuid and /etc/subgid`,
    };
  }
  const range = { start, count };
  return {
    uids: without(range, slot, subordinateRanges(sources, "/etc/subuid")),
    gids: without(range, slot, subordinateRanges(sources, "/etc/subgid")),
    slot,
    from: `vitrine's own range: /etc/subuid and /etc/subgid have no entry of ${JSON.stringify(owner)}`,
  };
}

export function userPool(host: HostFacts): IdPool {
  const { uids, gids } = host.subordinateIds;
  return {
    uids,
    gids,
    slot: defaults.userAutoIds.value,
    from: "your entries in /etc/subuid and /etc/subgid",
  };
}

/** Ranges of one owner, or of all. */
export function subordinateRanges(
  { readHostFile }: IdSources,
  file: "/etc/subuid" | "/etc/subgid",
  wanted?: string,
): readonly SubordinateRange[] {
  return (readHostFile(file) ?? "").split("\n").flatMap((line) => {
    const match = /^([^:#]+):(\d{1,10}):(\d{1,10})$/.exec(line.trim());
    if (match === null || (wanted !== undefined && match[1] !== wanted)) return [];
    const range = { start: Number(match[2]), count: Number(match[3]) };
    // The kernel's last id means "none".
    return range.count > 0 && range.start + range.count < 2 ** 32 ? [range] : [];
  });
}

/** The slots of a range that touch none of `others`. */
function without(
  { start, count }: SubordinateRange,
  slot: number,
  others: readonly SubordinateRange[],
): readonly SubordinateRange[] {
  const free: SubordinateRange[] = [];
  for (let at = start; at + slot <= start + count; at += slot) {
    if (!others.some((other) => overlap({ start: at, count: slot }, other)))
      free.push({ start: at, count: slot });
  }
  return free;
}

function overlap(left: SubordinateRange, right: SubordinateRange): boolean {
  return left.start < right.start + right.count && right.start < left.start + left.count;
}

/** The first of each slot. */
function slotsOf(ranges: readonly SubordinateRange[], slot: number): readonly number[] {
  const starts: number[] = [];
  for (const { start, count } of ranges) {
    for (let at = start; at + slot <= start + count && starts.length < mostSlots; at += slot) starts.push(at);
  }
  return starts;
}

/** More containers than this machine could hold; what is beyond is not looked at. */
const mostSlots = 65_536;

/**
 * `size` ids from the lowest free slots, container ids from 0 on; the first `skip` slots are left alone. undefined: there
 * are not that many.
 */
export function takeSlots(
  pool: IdPool,
  size: number,
  taken: readonly StoreIds[],
  skip: number,
): { readonly uids: readonly IdMapRange[]; readonly gids: readonly IdMapRange[] } | undefined {
  const { slot } = pool;
  const uids = slotsOf(pool.uids, slot);
  const gids = slotsOf(pool.gids, slot);
  const used = (kind: "uids" | "gids", start: number): boolean =>
    taken.some(
      (ids) =>
        ids.kind !== "none" &&
        ids[kind].some(({ hostID, size: count }) =>
          overlap({ start: hostID, count }, { start, count: slot }),
        ),
    );
  const chosen: number[] = [];
  const needed = Math.ceil(size / slot);
  for (let at = skip; at < Math.min(uids.length, gids.length) && chosen.length < needed; at++) {
    if (!used("uids", uids[at]!) && !used("gids", gids[at]!)) chosen.push(at);
  }
  if (chosen.length < needed) return undefined;
  const map = (starts: readonly number[]): readonly IdMapRange[] =>
    joined(
      chosen.map((at, index) => ({
        containerID: index * slot,
        hostID: starts[at]!,
        size: Math.min(slot, size - index * slot),
      })),
    );
  return { uids: map(uids), gids: map(gids) };
}

/** Neighbours become one range: the kernel takes 340. */
function joined(ranges: readonly IdMapRange[]): readonly IdMapRange[] {
  const result: IdMapRange[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    if (last !== undefined && last.hostID + last.size === range.hostID) {
      result[result.length - 1] = { ...last, size: last.size + range.size };
    } else {
      result.push(range);
    }
  }
  return result;
}
