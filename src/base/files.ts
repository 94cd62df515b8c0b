import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, VitrineError } from "./errors.ts";
import { noting } from "./noting.ts";
import { type ByteStream, writeChunks, writeStream } from "./streams.ts";

/** Where short files are read: memory that is new for each of hundreds would cost more than the reading. */
const scratch = Buffer.allocUnsafeSlow(16 * 1024);

/**
 * The beginning of a file of a line or two (4 KiB at most), each byte a character: what is read hundreds of times, from
 * /proc and from state, is read in one call. Throws as readFileSync.
 */
export function readSmallFile(file: string): string {
  return scratch.toString("latin1", 0, readIntoScratch(file, 4096));
}

/** A whole file, as bytes that are only good until the next file is read. Throws as readFileSync. */
export function readForNow(file: string): Uint8Array {
  const count = readIntoScratch(file, scratch.length);
  return count < scratch.length ? scratch.subarray(0, count) : fs.readFileSync(file);
}

function readIntoScratch(file: string, most: number): number {
  const fd = fs.openSync(file, "r");
  try {
    return fs.readSync(fd, scratch, 0, most, null);
  } finally {
    fs.closeSync(fd);
  }
}

/** Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat), undefined when it is gone. */
export function processStartTime(pid: number): string | undefined {
  // Nothing else of the file is looked at, much of which changes all the time.
  const done = noting.noter?.startTime(pid);
  const time = processStatus(pid)?.startTime;
  done?.(time);
  return time;
}

/** Also the letter of its state (`S`, `R`, `D`, …) and its parent, as this pid namespace counts. */
export function processStatus(
  pid: number,
): { readonly state: string; readonly parent: number; readonly startTime: string } | undefined {
  let stat: string;
  try {
    stat = readSmallFile(`/proc/${pid}/stat`);
  } catch {
    return undefined;
  }
  // The command name (field 2) is in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ", 20);
  const state = fields[0] ?? "";
  // A zombie has ended: it only waits to be reaped.
  if (state === "Z" || state === "X") return undefined;
  return { state, parent: Number(fields[1]), startTime: fields[19] ?? "" };
}

function pidNamespace(): string {
  try {
    return /\d+/.exec(fs.readlinkSync("/proc/self/ns/pid"))?.[0] ?? "0";
  } catch {
    return "0";
  }
}

const temporaryPattern = /\.(\d+)-(\d+)-(\d+)-[0-9a-f]+\.tmp$/;

/**
 * A name for a temporary file or directory: `PREFIX.PID-STARTTIME-PIDNAMESPACE-RANDOM.tmp`. STARTTIME tells a reused
 * pid from the owner, PIDNAMESPACE (an inode number) tells that our /proc says nothing about the owner.
 */
export function temporaryName(prefix = ""): string {
  // As long each time: who repeats a start may put it into a plan (docs/launch-record.md).
  const random = Math.floor(Math.random() * 2 ** 48)
    .toString(16)
    .padStart(12, "0");
  return `${prefix}.${process.pid}-${processStartTime(process.pid) ?? 0}-${pidNamespace()}-${random}.tmp`;
}

/** Beyond this age the temporary of another pid namespace is taken for dead: nothing here works for that long. */
const foreignLifetimeMilliseconds = 7 * 24 * 3600 * 1000;

/**
 * Removes the temporary files and directories in `dir` whose owner is dead; a missing `dir` is empty. Returns their names.
 * `remove` replaces `removeTree` where trees hold ids that only a user namespace may touch.
 */
export function sweepDead(
  dir: string,
  options: { readonly now?: number; readonly remove?: (path: string) => void } = {},
): readonly string[] {
  const remove = options.remove ?? removeTree;
  const dead = deadIn(dir, options.now);
  for (const name of dead) remove(path.join(dir, name));
  return dead;
}

/** Whether the process that a temporary name speaks of lives; of another pid namespace it is not known, so it does. */
export function hasOwner(name: string): boolean {
  const match = temporaryPattern.exec(name);
  if (match === null) return false;
  const [, pid, startTime, namespace] = match;
  return namespace !== pidNamespace() || processStartTime(Number(pid)) === startTime;
}

/** Whether `sweepDead` would find anything. */
export function hasDead(dir: string): boolean {
  return deadIn(dir).length > 0;
}

function deadIn(dir: string, now = Date.now()): readonly string[] {
  const done = noting.noter?.temporaries(dir);
  try {
    return lookForDead(dir, now);
  } finally {
    done?.();
  }
}

function lookForDead(dir: string, now: number): readonly string[] {
  let names: string[];
  try {
    names = fs.readdirSync(dir);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
  const namespace = pidNamespace();
  return names.filter((name) => {
    const match = temporaryPattern.exec(name);
    if (match === null) return false;
    const [, pid, startTime, itsNamespace] = match;
    if (itsNamespace === namespace) return processStartTime(Number(pid)) !== startTime;
    const stat = fs.lstatSync(path.join(dir, name), { throwIfNoEntry: false });
    return stat !== undefined && now - stat.mtimeMs > foreignLifetimeMilliseconds;
  });
}

/** Makes the names in a directory survive a power cut. */
export function syncDirectory(dir: string): void {
  const fd = fs.openSync(dir, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

export interface AtomicWriteOptions {
  /** Default 0644 less the umask. */
  readonly mode?: number;
  /** Default true; false for state that need not survive a power cut (on a tmpfs, or rebuilt). */
  readonly sync?: boolean;
}

/** Writes a whole file so that readers and crashes see the old one or the new one, never a part. */
export function writeFileAtomically(
  target: string,
  data: Uint8Array | string,
  options: AtomicWriteOptions = {},
): void {
  const { mode = 0o644, sync = true } = options;
  const dir = path.dirname(target);
  const temporary = path.join(dir, temporaryName(path.basename(target)));
  const fd = fs.openSync(temporary, "wx", mode);
  try {
    try {
      const bytes = typeof data === "string" ? Buffer.from(data) : data;
      for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at, bytes.length - at);
      if (sync) fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  if (sync) syncDirectory(dir);
}

/**
 * Makes a directory of mode 0700 (parents too), or checks the one that is there: a directory and no link, owned by us,
 * not writable by group or others. Otherwise `directory-not-private` (kind denied).
 */
export function makePrivateDirectory(dir: string): void {
  try {
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    // Something else is there: the check below says what.
    if (errnoOf(error) !== "EEXIST") throw error;
  }
  const problem = privacyProblem(fs.lstatSync(dir));
  if (problem === undefined) return;
  throw new VitrineError("denied", `${dir} ${problem}`, {
    code: "directory-not-private",
    operand: dir,
    hint: `move it away, or: chown ${process.geteuid?.() ?? 0} ${dir} && chmod 700 ${dir}`,
  });
}

function privacyProblem(stat: fs.Stats): string | undefined {
  if (stat.isSymbolicLink()) return "is a symbolic link";
  if (!stat.isDirectory()) return "is not a directory";
  const uid = process.geteuid?.() ?? 0;
  if (stat.uid !== uid) return `belongs to user ${stat.uid}, not to user ${uid}`;
  if ((stat.mode & 0o022) !== 0) return "is writable by other users";
  return undefined;
}

/**
 * Removes `target` and all below it without following a link; a directory of ours that we cannot read is opened up first. Missing
 * is success, and so is what another process removes meanwhile. Only for trees that nobody else writes to: it walks by path. A container's root filesystem is removed by
 * the helper.
 */
export function removeTree(target: string): void {
  removeEntry(Buffer.from(target));
}

/** Paths are bytes here: names below may not be UTF-8. */
function removeEntry(target: Buffer): void {
  const stat = fs.lstatSync(target, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isDirectory()) {
    fs.rmSync(target, { force: true });
    return;
  }
  if ((stat.mode & 0o700) !== 0o700) {
    try {
      fs.chmodSync(target, 0o700);
    } catch {
      // Not ours: the calls below give the error.
    }
  }
  try {
    for (const name of fs.readdirSync(target, { encoding: "buffer" })) {
      removeEntry(Buffer.concat([target, Buffer.from("/"), name]));
    }
    fs.rmdirSync(target);
  } catch (error) {
    // A monitor that ends removes the same tree.
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** A file being written in `dir` under a temporary name; it disappears unless `commit`ted. */
export class TemporaryFile {
  readonly path: string;
  private readonly file: fs.promises.FileHandle;
  private open = true;
  private flushed: Promise<void> = Promise.resolve();
  private flushing = false;

  private constructor(file: fs.promises.FileHandle, filePath: string) {
    this.file = file;
    this.path = filePath;
  }

  static async create(dir: string, prefix = "file"): Promise<TemporaryFile> {
    const filePath = path.join(dir, temporaryName(prefix));
    return new TemporaryFile(await fs.promises.open(filePath, "wx", 0o600), filePath);
  }

  /** Takes over a file of the same filesystem, to append to it; from then on it has a temporary name in `dir`. */
  static async adopt(existing: string, dir: string, prefix = "file"): Promise<TemporaryFile> {
    const filePath = path.join(dir, temporaryName(prefix));
    await fs.promises.rename(existing, filePath);
    return new TemporaryFile(await fs.promises.open(filePath, "a", 0o600), filePath);
  }

  /** Appends a stream; returns the number of bytes. */
  write(source: ByteStream): Promise<number> {
    return writeStream(this.file, source);
  }

  /** Appends chunks with one call where the system takes them. */
  append(chunks: readonly Uint8Array[]): Promise<void> {
    return writeChunks(this.file, chunks);
  }

  /**
   * Begins to flush what was written, beside what comes: the disk works while the rest is still on its way, and `commit` has
   * less to wait for. Its error is thrown by `commit`.
   */
  flushEarly(): void {
    if (this.flushing) return;
    this.flushing = true;
    this.flushed = this.flushed
      .then(() => this.file.datasync())
      .finally(() => {
        this.flushing = false;
      });
    this.flushed.catch(() => undefined);
  }

  /** Closes it and gives it another name as it is, for a later `adopt`. */
  async keepAs(target: string): Promise<void> {
    await this.close();
    await fs.promises.rename(this.path, target);
  }

  /** Gives it its mode, flushes it and renames it to `target` (same filesystem), then flushes the directory. */
  async commit(target: string, options: AtomicWriteOptions = {}): Promise<void> {
    const { mode = 0o644, sync = true } = options;
    try {
      await this.file.chmod(mode);
      // The system tells an error of the disk once: to whoever flushed first.
      await this.flushed;
      if (sync) await this.file.datasync();
      await this.close();
      await fs.promises.rename(this.path, target);
    } catch (error) {
      await this.discard();
      throw error;
    }
    if (sync) syncDirectory(path.dirname(target));
  }

  /** Closes and removes it; does nothing after `commit`. */
  async discard(): Promise<void> {
    if (this.open) await this.close();
    await fs.promises.rm(this.path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.discard();
  }

  private async close(): Promise<void> {
    this.open = false;
    await this.flushed.catch(() => undefined);
    await this.file.close();
  }
}

/** The status of every file below a directory, directories left out. What the caller may not read is left out as well. */
export function* filesBelow(directory: string): Generator<fs.Stats, void> {
  let entries: fs.Dirent[];
  try {
    entries = fs.readdirSync(directory, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) {
    const full = `${directory}/${entry.name}`;
    if (entry.isDirectory()) {
      yield* filesBelow(full);
      continue;
    }
    const stat = fs.lstatSync(full, { throwIfNoEntry: false });
    if (stat !== undefined) yield stat;
  }
}
