/** Which restriction stood in the way: the command is run again and again with fewer of them. */
import type { RuntimeConfig } from "../../oci/mod.ts";
import type { Restriction, RestrictionGroup } from "./restrictions.ts";

/** Runs the command in a container of this config. True: it did not fail. */
export type Works = (config: RuntimeConfig) => Promise<boolean>;

export interface Cause {
  /** All of them must be lifted, and no fewer. */
  readonly restrictions: readonly Restriction[];
  /** `alone`: it works when only these are lifted, each other restriction being in place. */
  readonly sure: "alone" | "together";
}

export interface Findings {
  /** Each is a way of its own; empty: no restriction that can be lifted stood in the way. */
  readonly causes: readonly Cause[];
  readonly probes: number;
}

/** A config whose command fails. */
export async function findCauses(
  config: RuntimeConfig,
  groups: readonly RestrictionGroup[],
  works: Works,
): Promise<Findings> {
  let probes = 0;
  const attempt = async (items: readonly Restriction[]): Promise<boolean> => {
    probes++;
    return works(liftAll(config, groups, items));
  };
  const causes: Cause[] = [];
  for (const { items } of groups) {
    if (!(await attempt(items))) continue;
    causes.push({ restrictions: await narrow(items, attempt), sure: "alone" });
  }
  if (causes.length > 0) return { causes, probes };
  const all = groups.flatMap(({ items }) => items);
  if (groups.length < 2 || !(await attempt(all))) return { causes, probes };
  const needed = await narrowGroups(groups, attempt);
  const restrictions = await narrow(needed, attempt);
  return { causes: [{ restrictions, sure: "together" }], probes };
}

export function liftAll(
  config: RuntimeConfig,
  groups: readonly RestrictionGroup[],
  items: readonly Restriction[],
): RuntimeConfig {
  return groups.reduce((done, group) => {
    const own = items.filter((item) => group.items.includes(item));
    return own.length === 0 ? done : group.lift(done, own);
  }, config);
}

/** Groups without which it works as well are left in place. */
async function narrowGroups(
  groups: readonly RestrictionGroup[],
  attempt: (items: readonly Restriction[]) => Promise<boolean>,
): Promise<readonly Restriction[]> {
  let kept = groups;
  for (const group of groups) {
    const fewer = kept.filter((one) => one !== group);
    if (await attempt(fewer.flatMap(({ items }) => items))) kept = fewer;
  }
  return kept.flatMap(({ items }) => items);
}

/** By halves: from items that are enough, some that are and of which none can be left out. */
async function narrow(
  items: readonly Restriction[],
  attempt: (items: readonly Restriction[]) => Promise<boolean>,
  besides: readonly Restriction[] = [],
): Promise<readonly Restriction[]> {
  if (items.length <= 1) return items;
  const middle = items.length >> 1;
  const [left, right] = [items.slice(0, middle), items.slice(middle)];
  if (await attempt([...besides, ...left])) return narrow(left, attempt, besides);
  if (await attempt([...besides, ...right])) return narrow(right, attempt, besides);
  const first = await narrow(left, attempt, [...besides, ...right]);
  const second = await narrow(right, attempt, [...besides, ...first]);
  return [...first, ...second];
}
