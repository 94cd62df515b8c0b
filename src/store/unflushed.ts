/**
 * Content that the disk may not have yet. A large pull does not wait for the disk: it says first, flushed, in
 * ROOT/unflushed what is going to come, and leaves a helper behind that flushes it and takes that note away. A note of an
 * earlier boot means that the power went before: see settle.ts.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, hasOwner, syncDirectory, temporaryName, writeFileAtomically } from "../base/mod.ts";
import { leaveApply } from "../kernel/mod.ts";
import type { Descriptor, Digest } from "../oci/mod.ts";
import { applyOptions } from "./apply.ts";
import { namesIn } from "./blobs.ts";
import type { StoreContext } from "./context.ts";
import type { StoredLayer, StoreIds } from "./types.ts";
import { unflushedDirectory } from "./version.ts";

/** What is to come. */
export interface Coming {
  readonly blobs: readonly Descriptor[];
  /** The stack that is unpacked, lowest first; empty where none is. */
  readonly stack: readonly StoredLayer[];
  /** The layers of it that are not there yet. */
  readonly layers: readonly Digest[];
}

export interface Note extends Coming {
  /** The map under which the layers are unpacked. */
  readonly ids: StoreIds;
}

/** A pull of less waits for the disk: that costs it little. */
const leastBytes = 16 * 1024 * 1024;

/** Notes what is to come. Undefined: it is to be flushed as it comes, because it is little, or nobody could do it later. */
export function noteUnflushed(context: StoreContext, coming: Coming): string | undefined {
  const bytes = coming.blobs.reduce((sum, { size }) => sum + size, 0);
  const boot = bootID();
  if (bytes < (context.flushNowBytes ?? leastBytes) || boot === undefined) return undefined;
  if (!fs.existsSync(context.helperPath)) return undefined;
  const directory = unflushedDirectory(context.root);
  const file = path.join(directory, temporaryName(boot));
  const note: Note = { ...coming, ids: context.ids };
  for (let attempt = 0; ; attempt++) {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    try {
      writeFileAtomically(file, `${JSON.stringify(note)}\n`);
      break;
    } catch (error) {
      // Whoever found it empty has taken it away.
      if (errnoOf(error) !== "ENOENT" || attempt > 2) throw error;
    }
  }
  syncDirectory(context.root);
  return file;
}

/** Leaves a helper behind that flushes the disk and takes the note away, with those that others left. */
export function flushBehind(context: StoreContext, file: string): void {
  leaveFlusher(context, [file, ...notesIn(context).filter((other) => isOrphan(other) && other !== file)]);
}

export function leaveFlusher(context: StoreContext, files: readonly string[]): void {
  const plain = applyOptions(context.helperPath, { kind: "none" });
  leaveApply(plain, path.join(context.temporary, temporaryName("flush")), [
    { op: "setWork", path: { base: "host", path: context.root } },
    { op: "syncTree", path: { base: "work", path: "." } },
    ...files.map(
      (file) =>
        ({ op: "removeTree", path: { base: "work", path: path.relative(context.root, file) } }) as const,
    ),
  ]);
}

export function notesIn(context: StoreContext): readonly string[] {
  const directory = unflushedDirectory(context.root);
  return namesIn(directory)
    .map((name) => path.join(directory, name))
    .filter(isNote);
}

/** One that is being written is none yet: its name has another one in front. */
export function isNote(file: string): boolean {
  return /^[0-9a-f-]{36}\.[0-9a-f-]+\.tmp$/.test(path.basename(file));
}

/** Whoever wrote it has ended. */
export function isOrphan(file: string): boolean {
  return !hasOwner(path.basename(file));
}

export function bootID(): string | undefined {
  try {
    const text = fs.readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    return /^[0-9a-f-]{36}$/.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}
