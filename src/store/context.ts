/** What every part of the store works with: the options, the paths of ARCHITECTURE.md, and the errors of a disk. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, hashHex, VitrineError, withLock } from "../base/mod.ts";
import { blobPath, layoutHeaderBytes } from "../image/mod.ts";
import type { Digest } from "../oci/mod.ts";
import type { StoreIds, StoreOptions } from "./types.ts";

export interface StoreContext extends StoreOptions {
  readonly layout: string;
  readonly indexFile: string;
  readonly temporary: string;
  readonly lockFile: string;
  readonly containers: string;
  /** ROOT/layers/MAP and ROOT/chains/MAP: files on disk have the owners of one id map. */
  readonly layers: string;
  readonly chains: string;
  readonly mapName: string;
}

export function makeContext(options: StoreOptions): StoreContext {
  const root = path.resolve(options.root);
  const mapName = nameOfMap(options.ids);
  return {
    ...options,
    root,
    runroot: path.resolve(options.runroot),
    layout: path.join(root, "oci"),
    indexFile: path.join(root, "oci/index.json"),
    temporary: path.join(root, "tmp"),
    lockFile: path.join(root, "lock.db"),
    containers: path.join(root, "containers"),
    layers: path.join(root, "layers", mapName),
    chains: path.join(root, "chains", mapName),
    mapName,
  };
}

function nameOfMap(ids: StoreIds): string {
  if (ids.kind === "none") return "host";
  return `${ids.kind}-${hashHex("sha256", Buffer.from(JSON.stringify([ids.uids, ids.gids]))).slice(0, 12)}`;
}

export function blobFile(context: Pick<StoreContext, "layout">, digest: Digest): string {
  return path.join(context.layout, blobPath(digest));
}

export const formatVersion = "1";

/** Makes the directories and the empty layout; checks the version of a store that is there. */
export function initialize(context: StoreContext): void {
  guarded(context, () => {
    const versionFile = path.join(context.root, "version");
    const found = readIfThere(versionFile);
    if (found === undefined) {
      fs.mkdirSync(context.root, { recursive: true, mode: 0o700 });
      fs.mkdirSync(context.temporary, { recursive: true, mode: 0o700 });
      fs.mkdirSync(path.join(context.layout, "blobs/sha256"), { recursive: true, mode: 0o755 });
      fs.writeFileSync(path.join(context.layout, "oci-layout"), layoutHeaderBytes());
      fs.writeFileSync(versionFile, `${formatVersion}\n`);
    } else if (found.trim() !== formatVersion) {
      // `prepareStore` tells which.
      throw new VitrineError("unsupported", `store ${context.root} has version ${found.trim()}`, {
        code: "store-version-unsupported",
        operand: context.root,
        hint: "it was written by another vitrine: use that one, or another --root",
      });
    }
  });
}

function readIfThere(file: string): string | undefined {
  try {
    return fs.readFileSync(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Runs `fn` while no other command changes index.json, leases or what they keep. */
export async function locked<T>(context: StoreContext, fn: () => T | Promise<T>): Promise<T> {
  initialize(context);
  // The lock's own error would speak of a database.
  guarded(context, () => fs.accessSync(context.root, fs.constants.W_OK));
  return guardedAsync(context, () => withLock(context.lockFile, fn));
}

/** Errors of the disk under the store, said as what they mean for the user. */
export function guarded<T>(context: StoreContext, fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    throw diskError(context, error);
  }
}

export async function guardedAsync<T>(context: StoreContext, fn: () => Promise<T>): Promise<T> {
  try {
    return await fn();
  } catch (error) {
    throw diskError(context, error);
  }
}

export function diskError(context: StoreContext, error: unknown): unknown {
  if (error instanceof VitrineError) return error;
  const errno = errnoOf(error);
  const { root } = context;
  switch (errno) {
    case "ENOSPC":
    case "EDQUOT":
      return new VitrineError("unavailable", `no space left for the store in ${root}`, {
        code: "disk-full",
        operand: root,
        hint: "vitrine image prune; vitrine system df shows what takes space",
        cause: error,
      });
    case "EROFS":
      return new VitrineError("unavailable", `the store in ${root} is read-only`, {
        code: "store-read-only",
        operand: root,
        hint: "use another one with --root DIR",
        cause: error,
      });
    case "EACCES":
    case "EPERM":
      return new VitrineError("denied", `no permission to change the store in ${root}`, {
        code: "store-denied",
        operand: root,
        hint: "it may belong to another user: use your own with --root DIR",
        cause: error,
      });
    default:
      return error;
  }
}
