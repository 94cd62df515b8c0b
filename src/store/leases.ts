/**
 * A lease says: somebody is writing or reading content that index.json does not lead to yet. While one is held nothing is
 * collected; the collection is put off, not forgotten.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { sweepDead, temporaryName } from "../base/mod.ts";
import { namesIn } from "./blobs.ts";
import { diskError, locked, type StoreContext } from "./context.ts";
import { dropOldPartials, keepPartial } from "./partials.ts";
import { removeOwnedTree } from "./trees.ts";

const prefix = "lease";
/** Present when a collection was put off. */
const owedName = "collect-later";

/**
 * Runs `fn` under a lease. It is taken under the lock, so that a collection either ended before or sees it; the lock
 * itself is not held while `fn` runs.
 */
export async function withLease<T>(
  context: StoreContext,
  collect: () => Promise<unknown>,
  fn: () => Promise<T>,
): Promise<T> {
  const file = path.join(context.temporary, temporaryName(prefix));
  await locked(context, () => {
    sweepTemporary(context);
    fs.writeFileSync(file, "");
  });
  let failed = true;
  try {
    const result = await fn();
    failed = false;
    return result;
  } catch (error) {
    throw diskError(context, error);
  } finally {
    fs.rmSync(file, { force: true });
    // What a failed load wrote is garbage now.
    if (failed || isOwed(context)) await collect().catch(() => undefined);
  }
}

/** Only under the lock, after `sweepDead`. */
export function anyLease(context: StoreContext): boolean {
  return namesIn(context.temporary).some((name) => name.startsWith(`${prefix}.`));
}

export function oweCollection(context: StoreContext): void {
  fs.writeFileSync(path.join(context.temporary, owedName), "");
}

export function collectionDone(context: StoreContext): void {
  fs.rmSync(path.join(context.temporary, owedName), { force: true });
}

function isOwed(context: StoreContext): boolean {
  return fs.existsSync(path.join(context.temporary, owedName));
}

/** Removes what dead processes left in ROOT/tmp. Only under the lock: two sweeps would trip over each other. */
export function sweepTemporary(context: StoreContext): void {
  sweepDead(context.temporary, {
    remove: (tree) => {
      if (!keepPartial(context, tree)) removeOwnedTree(context, tree);
    },
  });
  dropOldPartials(context);
}
