/**
 * Events that a receiver has not taken yet, on disk, so that no end of the process loses them:
 * ```
 * DIRECTORY/KEY.log   a line for each: its number, a space, the event
 * DIRECTORY/KEY.at    the number of the last one that is done with
 * ```
 * A line is in the file before what it tells of is acknowledged; within a second it is on the disk as well. What was taken just
 * before a crash may be sent again.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { writeAll, writeFileAtomically } from "../../../base/mod.ts";

export interface JournalEntry {
  readonly number: number;
  /** One line. */
  readonly event: string;
}

const flushMilliseconds = 1000;
/** So much of what is done with is kept before the file is written anew. */
const compactBytes = 4 * 1024 * 1024;
const numberDigits = 16;

export class EventJournal implements Disposable {
  /** What the last process left, oldest first. */
  readonly left: readonly JournalEntry[];
  private readonly file: string;
  private fd: number;
  private readonly at: number;
  private last: number;
  private doneWith: number;
  private bytes: number;
  /** Lengths of the lines that are waiting, by number. */
  private readonly waiting = new Map<number, number>();
  private waitingBytes = 0;
  private flushing: NodeJS.Timeout | undefined;

  constructor(directory: string, key: string) {
    this.file = path.join(directory, `${key}.log`);
    this.at = fs.openSync(
      path.join(directory, `${key}.at`),
      fs.constants.O_RDWR | fs.constants.O_CREAT,
      0o600,
    );
    this.doneWith = Number(fs.readFileSync(this.at, "utf8").trim()) || 0;
    this.fd = fs.openSync(this.file, "a+", 0o600);
    const text = fs.readFileSync(this.file);
    // A line that was cut off by a crash was acknowledged by nobody.
    this.bytes = text.lastIndexOf(0x0a) + 1;
    if (this.bytes < text.length) fs.ftruncateSync(this.fd, this.bytes);
    const entries = text.toString("utf8", 0, this.bytes).split("\n").flatMap(entryOf);
    this.last = entries.reduce((most, { number }) => Math.max(most, number), this.doneWith);
    this.left = entries.filter(({ number }) => number > this.doneWith);
    for (const entry of this.left) this.note(entry.number, lineOf(entry).length);
  }

  /** Throws what the disk says. */
  append(event: string): number {
    const number = this.last + 1;
    const line = lineOf({ number, event });
    try {
      writeAll(this.fd, line);
    } catch (error) {
      // What got there of it would spoil the next line.
      fs.ftruncateSync(this.fd, this.bytes);
      throw error;
    }
    this.last = number;
    this.bytes += line.length;
    this.note(number, line.length);
    this.flushing ??= setTimeout(() => this.flush(), flushMilliseconds).unref();
    return number;
  }

  /** It was taken, or given up. They end in the order of their numbers. */
  done(number: number): void {
    const length = this.waiting.get(number) ?? 0;
    this.waiting.delete(number);
    this.waitingBytes -= length;
    this.doneWith = number;
    fs.writeSync(this.at, String(number).padStart(numberDigits, "0"), 0);
    if (this.waiting.size === 0) {
      fs.ftruncateSync(this.fd, 0);
      this.bytes = 0;
    } else if (this.bytes - this.waitingBytes > compactBytes + this.waitingBytes) this.compact();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.flushing);
    fs.fdatasyncSync(this.fd);
    fs.closeSync(this.fd);
    fs.closeSync(this.at);
  }

  private note(number: number, length: number): void {
    this.waiting.set(number, length);
    this.waitingBytes += length;
  }

  private flush(): void {
    this.flushing = undefined;
    // Its failure is the disk's: the event is delivered all the same as long as this process lives.
    fs.fdatasync(this.fd, () => undefined);
  }

  private compact(): void {
    const kept = fs.readFileSync(this.file).subarray(this.bytes - this.waitingBytes, this.bytes);
    writeFileAtomically(this.file, kept, { mode: 0o600, sync: false });
    fs.closeSync(this.fd);
    this.fd = fs.openSync(this.file, "a+", 0o600);
    this.bytes = kept.length;
  }
}

function lineOf({ number, event }: JournalEntry): Buffer {
  return Buffer.from(`${number} ${event}\n`);
}

function entryOf(line: string): readonly JournalEntry[] {
  const match = /^(\d{1,16}) (\{.*\})$/.exec(line);
  return match === null ? [] : [{ number: Number(match[1]), event: match[2]! }];
}
