/** The format of a store, in ROOT/version: an older one is upgraded when it is opened, a newer one is refused. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, VitrineError } from "../base/mod.ts";
import { formatVersion, makeContext } from "./context.ts";
import type { StoreOptions } from "./types.ts";

/**
 * Brings the store to the format of this vitrine, and to what it was before the power went. To be called before `openStore`; of
 * a store of that format it reads one file. Error: `store-version-unsupported`.
 */
export async function prepareStore(options: StoreOptions): Promise<void> {
  const version = versionOf(options.root);
  if (version === undefined) return;
  if (version !== formatVersion) {
    requireKnown(options.root);
    await (await import("./upgrade.ts")).upgradeStore(makeContext(options));
  }
  if (fs.existsSync(unflushedDirectory(options.root)))
    await (await import("./settle.ts")).settleUnflushed(makeContext(options));
}

/** Notes of what the disk may not have yet: there only for a moment after a large pull, or after a power cut. */
export function unflushedDirectory(root: string): string {
  return path.join(root, "unflushed");
}

/** Error: `store-version-unsupported` for a store that a newer vitrine wrote, or nobody. */
export function requireKnown(root: string): void {
  const version = versionOf(root);
  if (version === undefined || (/^\d+$/.test(version) && Number(version) <= Number(formatVersion))) return;
  const newer = /^\d+$/.test(version);
  throw new VitrineError(
    "unsupported",
    newer
      ? `the store in ${root} has format ${version}, and this vitrine knows none above ${formatVersion}`
      : `the store in ${root} does not say what its format is`,
    {
      code: "store-version-unsupported",
      operand: root,
      hint: newer
        ? "a newer vitrine wrote it: use that one, or another store with --root DIR"
        : `vitrine system check --repair, or another store with --root DIR`,
    },
  );
}

/** undefined: there is no store yet. */
export function versionOf(root: string): string | undefined {
  try {
    return fs.readFileSync(path.join(root, "version"), "latin1").trim();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
