/** Durable writes of files: temporary → flush → rename → flush of the directory, without blocking the event loop. */
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { errnoOf, temporaryName } from "../../../base/mod.ts";

/** Flushes under way, so that many renames into one directory share them. */
interface Flush {
  readonly running: Promise<void>;
  /** Begins after `running`: covers every rename that was done before it begins. */
  next?: Promise<void>;
}

export class DurableFiles {
  private readonly temporary: string;
  private readonly flushes = new Map<string, Flush>();

  /** `temporary`: a directory on the same filesystem as every target. */
  constructor(temporary: string) {
    this.temporary = temporary;
  }

  /** Writes a whole file: readers and crashes see the old one or the new one. */
  async write(target: string, bytes: Uint8Array): Promise<void> {
    const file = path.join(this.temporary, temporaryName("write"));
    try {
      const handle = await fs.open(file, "wx", 0o644);
      try {
        await handle.writeFile(bytes);
        await handle.datasync();
      } finally {
        await handle.close();
      }
      await this.move(file, target);
    } catch (error) {
      await fs.rm(file, { force: true });
      throw error;
    }
  }

  /** Moves a file that is flushed already to its place, making the directories above it. */
  async move(file: string, target: string): Promise<void> {
    const directory = path.dirname(target);
    for (let attempt = 0; ; attempt++) {
      try {
        await fs.rename(file, target);
        break;
      } catch (error) {
        // Missing, or removed as empty between our mkdir and our rename.
        if (errnoOf(error) !== "ENOENT" || attempt === 8) throw error;
        await this.makeDirectory(directory);
      }
    }
    await this.flushDirectory(directory);
  }

  /** Removes a file; false when there is none. */
  async remove(target: string): Promise<boolean> {
    try {
      await fs.unlink(target);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw error;
    }
    await this.flushDirectory(path.dirname(target));
    return true;
  }

  private async makeDirectory(directory: string): Promise<void> {
    const first = await fs.mkdir(directory, { recursive: true });
    if (first === undefined) return;
    // The names of new directories must survive as well.
    for (let at = directory; at.length >= first.length; at = path.dirname(at)) {
      await this.flushDirectory(path.dirname(at));
    }
  }

  private flushDirectory(directory: string): Promise<void> {
    const flush = this.flushes.get(directory);
    if (flush === undefined) return this.beginFlush(directory);
    flush.next ??= flush.running.then(
      () => this.beginFlush(directory),
      () => this.beginFlush(directory),
    );
    return flush.next;
  }

  private beginFlush(directory: string): Promise<void> {
    const running = syncDirectory(directory).finally(() => {
      if (
        this.flushes.get(directory)?.running === running &&
        this.flushes.get(directory)?.next === undefined
      ) {
        this.flushes.delete(directory);
      }
    });
    this.flushes.set(directory, { running });
    return running;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  let handle: fs.FileHandle;
  try {
    handle = await fs.open(directory, "r");
  } catch (error) {
    // Removed as empty meanwhile: then there is no name in it to keep.
    if (errnoOf(error) === "ENOENT") return;
    throw error;
  }
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
