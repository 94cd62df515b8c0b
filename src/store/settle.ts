/** After a power cut: what a large pull had not flushed yet (unflushed.ts) is verified, and what the disk has lost goes. */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, sweepDead, temporaryName, VitrineError } from "../base/mod.ts";
import { type Digest, splitDigest } from "../oci/mod.ts";
import { applySync } from "./apply.ts";
import { hasBlob, isIntact, namesIn } from "./blobs.ts";
import { dropIncompleteImages } from "./check.ts";
import { blobFile, locked, makeContext, type StoreContext } from "./context.ts";
import { ensureDriver } from "./driver.ts";
import { removeOwnedTree } from "./trees.ts";
import { bootID, isNote, isOrphan, leaveFlusher, type Note, notesIn } from "./unflushed.ts";
import { unpackLayers } from "./unpack.ts";
import { unflushedDirectory } from "./version.ts";

/** A note of this boot that is older was left by a helper that did not end well. */
const patienceMilliseconds = 60_000;

/** To be called where ROOT/unflushed is there. Errors: those of the disk. */
export async function settleUnflushed(context: StoreContext): Promise<void> {
  const boot = bootID();
  if (boot === undefined) return;
  const isLost = (file: string): boolean => !path.basename(file).startsWith(`${boot}.`);
  const notes = notesIn(context);
  if (notes.some(isLost)) {
    // Others wait meanwhile: nobody is to start what may not be whole.
    await locked(context, async () => {
      for (const file of notesIn(context).filter(isLost)) await recover(context, file);
    });
  } else if (notes.length > 0) {
    const old = notes.filter((file) => isOrphan(file) && ageOf(file) > patienceMilliseconds);
    if (old.length > 0 && fs.existsSync(context.helperPath)) leaveFlusher(context, old);
    return;
  }
  const directory = unflushedDirectory(context.root);
  // Notes that were never whole.
  sweepDead(directory, { remove: (file) => isNote(file) || fs.rmSync(file, { force: true }) });
  try {
    fs.rmdirSync(directory);
  } catch (error) {
    const errno = errnoOf(error) ?? "";
    if (!["ENOENT", "ENOTEMPTY", "EEXIST", "EACCES", "EROFS"].includes(errno)) throw error;
  }
}

/** Each step can be made again: the note goes last. */
async function recover(context: StoreContext, file: string): Promise<void> {
  const note = readNote(file);
  if (note !== undefined) {
    for (const blob of note.blobs) {
      if (!(await isIntact(context, blob))) fs.rmSync(blobFile(context, blob.digest), { force: true });
    }
    dropLayers(context, note.layers);
    await dropIncompleteImages(context);
    await unpackAgain(makeContext({ ...context, ids: note.ids }), note);
    if (fs.existsSync(context.helperPath))
      applySync(context, [{ op: "syncTree", path: { base: "host", path: context.root } }], { kind: "none" });
  }
  fs.rmSync(file, { force: true });
}

function readNote(file: string): Note | undefined {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8")) as Note;
  } catch {
    // It was flushed before anything that it names was begun.
    return undefined;
  }
}

/** Files of which the disk may have anything: they are not verified, but made again. */
function dropLayers(context: StoreContext, diffIDs: readonly Digest[]): void {
  const wanted = new Set(diffIDs.map((diffID) => splitDigest(diffID).hex));
  const all = path.join(context.root, "layers");
  for (const map of namesIn(all)) {
    for (const name of namesIn(path.join(all, map))) {
      if (!wanted.has(name.split(".")[0]!)) continue;
      const trash = path.join(context.temporary, temporaryName("trash"));
      fs.renameSync(path.join(all, map, name), trash);
      removeOwnedTree(context, trash);
    }
  }
}

/** A container may have been made of them: it finds its layers again where their blobs are whole. */
async function unpackAgain(context: StoreContext, { stack }: Note): Promise<void> {
  if (stack.length === 0 || !stack.every(({ descriptor }) => hasBlob(context, descriptor))) return;
  try {
    const choice = ensureDriver(context);
    if (choice.driver === "overlay") await unpackLayers(context, { layers: stack }, choice);
  } catch (error) {
    // Whoever needs them is told.
    if (!(error instanceof VitrineError)) throw error;
  }
}

function ageOf(file: string): number {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? 0 : Date.now() - stat.mtimeMs;
}
