/** Blobs of which a part came: kept under their digest in ROOT/tmp/partials, so that the next pull goes on from there. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, TemporaryFile } from "../base/mod.ts";
import { type Descriptor, type Digest, splitDigest } from "../oci/mod.ts";
import type { StoreContext } from "./context.ts";

const prefix = "partial-";
const heir = /^partial-((?:sha256|sha512)-[0-9a-f]+)\./;
/** Whoever did not come back for it in this time will not. */
const lifetimeMilliseconds = 3 * 24 * 3600 * 1000;
/** Less is fetched again as fast as it is found. */
const leastBytes = 64 * 1024;

function directoryOf(context: StoreContext): string {
  return path.join(context.temporary, "partials");
}

function nameOf(digest: Digest): string {
  const { algorithm, hex } = splitDigest(digest);
  return `${algorithm}-${hex}`;
}

/** A file for a blob; `held` bytes of it are there. Whoever renames a kept one first has it. */
export async function openPartial(
  context: StoreContext,
  { digest, size }: Descriptor,
  resume: boolean,
): Promise<{ readonly file: TemporaryFile; readonly held: number }> {
  const name = nameOf(digest);
  const kept = path.join(directoryOf(context), name);
  const found = resume ? fs.statSync(kept, { throwIfNoEntry: false })?.size : undefined;
  // All of it may be there: of a process that was killed before it could verify it.
  if (found !== undefined && found <= size) {
    try {
      const file = await TemporaryFile.adopt(kept, context.temporary, prefix + name);
      return { file, held: fs.statSync(file.path).size };
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
    }
  }
  return { file: await TemporaryFile.create(context.temporary, prefix + name), held: 0 };
}

/** Keeps the file of a blob whose transfer broke off; it has `bytes` of it. */
export async function closePartial(
  context: StoreContext,
  digest: Digest,
  file: TemporaryFile,
  bytes: number,
): Promise<void> {
  if (bytes < leastBytes) {
    await file.discard();
    return;
  }
  fs.mkdirSync(directoryOf(context), { recursive: true, mode: 0o700 });
  await file.keepAs(path.join(directoryOf(context), nameOf(digest)));
}

/** What a dead process left of a blob is kept as well. Returns whether `file` was one. Only under the lock. */
export function keepPartial(context: StoreContext, file: string): boolean {
  const name = heir.exec(path.basename(file))?.[1];
  if (name === undefined) return false;
  fs.mkdirSync(directoryOf(context), { recursive: true, mode: 0o700 });
  fs.renameSync(file, path.join(directoryOf(context), name));
  return true;
}

/** Only under the lock. */
export function dropOldPartials(context: StoreContext): void {
  let names: readonly string[];
  try {
    names = fs.readdirSync(directoryOf(context));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  for (const name of names) {
    const file = path.join(directoryOf(context), name);
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (stat !== undefined && context.now() - stat.mtimeMs > lifetimeMilliseconds)
      fs.rmSync(file, { force: true });
  }
}
