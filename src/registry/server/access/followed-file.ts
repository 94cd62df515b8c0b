/** A file whose content counts as it is by now: users, keys. */
import * as fs from "node:fs";

/** Between two looks. */
const everyMilliseconds = 1000;

export class FollowedFile<T> {
  private readonly file: string;
  private readonly parse: (text: string, name: string) => T;
  private readonly now: () => number;
  private value: T;
  private stamp: string;
  private checked: number;

  /** Errors: those of `parse`; the system's when the file cannot be read. */
  constructor(file: string, parse: (text: string, name: string) => T, now: () => number) {
    this.file = file;
    this.parse = parse;
    this.now = now;
    this.stamp = stampOf(file);
    this.value = parse(fs.readFileSync(file, "utf8"), file);
    this.checked = now();
  }

  /** A changed file counts from the next second on; one that cannot be read leaves all as it was. */
  current(): T {
    const now = this.now();
    if (now - this.checked < everyMilliseconds) return this.value;
    this.checked = now;
    try {
      const stamp = stampOf(this.file);
      if (stamp !== this.stamp) {
        this.value = this.parse(fs.readFileSync(this.file, "utf8"), this.file);
        this.stamp = stamp;
      }
    } catch {
      // Half written, most likely: the next look sees it whole.
    }
    return this.value;
  }
}

function stampOf(file: string): string {
  const { mtimeMs, size, ino } = fs.statSync(file);
  return `${mtimeMs} ${size} ${ino}`;
}
