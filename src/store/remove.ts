/** `tag`, `untag`, `rmi` and `image prune`. */
import { VitrineError } from "../base/mod.ts";
import { formatReference } from "../image/mod.ts";
import { type Descriptor, type Digest, isIndexMediaType } from "../oci/mod.ts";
import { type Collected, collectLocked, removeTrash } from "./collect.ts";
import { readContainers } from "./containers.ts";
import { locked, type StoreContext } from "./context.ts";
import {
  type IndexEntry,
  namesOf,
  readIndex,
  repositoryOf,
  withNames,
  withoutNames,
  withoutRoot,
  writeIndex,
} from "./index-file.ts";
import { listImages } from "./list.ts";
import { distinctRoots, type Found, find, manifestsUnder } from "./lookup.ts";
import { requireTag } from "./put.ts";
import type {
  ContainerRecord,
  ImageRow,
  PruneOptions,
  PruneResult,
  Removal,
  RemoveOptions,
} from "./types.ts";

export async function tagImage(context: StoreContext, reference: string, name: string): Promise<void> {
  const normalized = formatReference(requireTag(name));
  await locked(context, () => {
    const { root, entries } = find(context, reference);
    writeIndex(context, withNames(entries, root, [normalized]).entries);
  });
}

export async function untagImage(context: StoreContext, name: string): Promise<void> {
  const normalized = formatReference(requireTag(name));
  await locked(context, () => {
    const entries = readIndex(context);
    if (!entries.some((entry) => entry.name === normalized)) {
      throw new VitrineError("not-found", `no image has the name ${normalized}`, {
        code: "name-not-found",
        operand: name,
        hint: "vitrine images lists the names",
      });
    }
    writeIndex(context, withoutNames(entries, [normalized]));
  });
}

/** One step of a removal: the index afterwards and what to tell. */
interface Step {
  readonly entries: readonly IndexEntry[];
  readonly removals: readonly Removal[];
}

export async function removeImage(
  context: StoreContext,
  reference: string,
  { force = false }: RemoveOptions,
): Promise<readonly Removal[]> {
  const { removals, collected } = await locked(context, () => {
    const step = removeFound(context, find(context, reference), force);
    writeIndex(context, step.entries);
    return { removals: step.removals, collected: collectLocked(context) };
  });
  removeTrash(context, collected.trash);
  return removals;
}

/** Docker's rules: a name of several is only untagged; an ID deletes, unless names of several repositories lead to it. */
function removeFound(context: StoreContext, found: Found, force: boolean): Step {
  const { entries } = found;
  if (found.by === "name" && namesOf(entries, found.root.digest).length > 1) {
    return {
      entries: withoutNames(entries, [found.name!]),
      removals: [{ action: "untagged", name: found.name! }],
    };
  }
  const roots = found.by === "id" ? rootsOfId(context, found) : [found.root];
  const names = roots.flatMap((root) => namesOf(entries, root.digest));
  const repositories = new Set(names.map(repositoryOf));
  if (found.by !== "name" && repositories.size > 1 && !force) {
    throw new VitrineError(
      "invalid",
      `image has names in ${repositories.size} repositories: ${names.join(", ")}`,
      {
        code: "image-has-names",
        operand: found.root.digest,
        hint: "remove it by one of its names, or all with --force",
      },
    );
  }
  const containers = readContainers(context);
  let step: Step = { entries, removals: [] };
  for (const root of roots) {
    const ids = idsUnder(context, root);
    if (!force) refuseWhenUsed(usersOf(containers, root, ids), root);
    const next = deleteRoot(step.entries, root, idsThatGo(context, step.entries, root, ids));
    step = { entries: next.entries, removals: [...step.removals, ...next.removals] };
  }
  return { entries: step.entries, removals: withoutRepeats(step.removals) };
}

/** The same config can be under several roots: loaded once compressed and once not. To the user it is one image. */
function rootsOfId(context: StoreContext, { root, entries, manifest }: Found): readonly Descriptor[] {
  const id = manifestsUnder(context, root).find(
    ({ descriptor }) => descriptor.digest === (manifest ?? root.digest),
  );
  if (id === undefined) return [root];
  const { digest } = id.parsed.manifest.config;
  const others = distinctRoots(entries).filter(
    (entry) => entry.root.digest !== root.digest && idsUnder(context, entry.root).includes(digest),
  );
  return [root, ...others.map((entry) => entry.root)];
}

function withoutRepeats(removals: readonly Removal[]): readonly Removal[] {
  const seen = new Set<string>();
  return removals.filter((removal) => {
    if (removal.action === "untagged") return true;
    return !seen.has(removal.id) && seen.add(removal.id);
  });
}

function deleteRoot(entries: readonly IndexEntry[], root: Descriptor, ids: readonly Digest[]): Step {
  return {
    entries: withoutRoot(entries, root.digest),
    removals: [
      ...namesOf(entries, root.digest).map((name): Removal => ({ action: "untagged", name })),
      ...(ids.length === 0 ? [root.digest] : ids).map((id): Removal => ({ action: "deleted", id })),
    ],
  };
}

/** Of an index, the images that nothing else leads to: the others stay. */
function idsThatGo(
  context: StoreContext,
  entries: readonly IndexEntry[],
  root: Descriptor,
  ids: readonly Digest[],
): readonly Digest[] {
  if (!isIndexMediaType(root.mediaType)) return ids;
  const others = distinctRoots(withoutRoot(entries, root.digest));
  const kept = new Set(others.flatMap((other) => idsUnder(context, other.root)));
  return ids.filter((id) => !kept.has(id));
}

/** The image IDs that go with a root. */
function idsUnder(context: StoreContext, root: Descriptor): readonly Digest[] {
  const manifests = manifestsUnder(context, root).filter(
    ({ descriptor }) => descriptor.platform?.os !== "unknown",
  );
  return [...new Set(manifests.map(({ parsed }) => parsed.manifest.config.digest))];
}

export function usersOf(
  containers: readonly ContainerRecord[],
  root: Descriptor,
  ids: readonly Digest[],
): readonly string[] {
  return containers
    .filter(
      ({ imageId, manifestDigest }) =>
        (ids as readonly string[]).includes(imageId) || manifestDigest === root.digest,
    )
    .map(({ id }) => id);
}

function refuseWhenUsed(users: readonly string[], root: Descriptor): void {
  if (users.length === 0) return;
  const shown = users.slice(0, 3).map((id) => id.slice(0, 12));
  throw new VitrineError(
    "invalid",
    `image is used by container ${shown.join(", ")}${users.length > 3 ? ", …" : ""}`,
    {
      code: "image-in-use",
      operand: root.digest,
      hint: `vitrine rm ${shown[0]} first, or --force: the container keeps its layers`,
    },
  );
}

export async function pruneImages(context: StoreContext, options: PruneOptions): Promise<PruneResult> {
  const { removals, collected } = await locked(context, () => {
    const containers = readContainers(context);
    let entries = readIndex(context);
    const removals: Removal[] = [];
    for (const [digest, rows] of groupByRoot(listImages(context))) {
      const root = entries.find((entry) => entry.root.digest === digest)?.root;
      if (root === undefined || !rows.every((row) => isPrunable(row, options))) continue;
      const ids = idsUnder(context, root);
      if (usersOf(containers, root, ids).length > 0) continue;
      const step = deleteRoot(entries, root, ids);
      entries = step.entries;
      removals.push(...step.removals);
    }
    if (removals.length > 0) writeIndex(context, entries);
    const collected: Collected = collectLocked(context);
    return { removals, collected };
  });
  removeTrash(context, collected.trash);
  return { removals, reclaimedBytes: collected.bytes };
}

function groupByRoot(rows: readonly ImageRow[]): ReadonlyMap<Digest, readonly ImageRow[]> {
  return Map.groupBy(rows, ({ digest }) => digest);
}

function isPrunable(row: ImageRow, { all = false, until, labels = [] }: PruneOptions): boolean {
  if (!row.dangling && !all) return false;
  if (until !== undefined && row.created >= until) return false;
  return labels.every(({ key, value, negate = false }) => {
    const held = Object.hasOwn(row.labels, key) && (value === undefined || row.labels[key] === value);
    return held !== negate;
  });
}
