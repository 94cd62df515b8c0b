/** A container's log, as the monitor writes it (native/log.c): `TIME stdout|stderr F|P TEXT`, P: the line goes on. */
import * as fs from "node:fs";

export interface LogEntry {
  /** As it stands: RFC 3339 in UTC with nanoseconds. */
  readonly time: string;
  readonly stream: "stdout" | "stderr";
  /** Without the newline. */
  readonly text: Uint8Array;
  /** False: the next entry of the stream goes on with the same line. */
  readonly whole: boolean;
}

const newline = 10;
const space = 32;
const ascii = new TextDecoder("latin1");

/** One line of the file without its newline; undefined: it is not what the monitor writes. */
export function parseLogLine(line: Uint8Array): LogEntry | undefined {
  const first = line.indexOf(space);
  const second = line.indexOf(space, first + 1);
  const third = line.indexOf(space, second + 1);
  if (first < 20 || second < 0 || third !== second + 2) return undefined;
  const stream = ascii.decode(line.subarray(first + 1, second));
  const tag = line[second + 1];
  if ((stream !== "stdout" && stream !== "stderr") || (tag !== 0x46 && tag !== 0x50)) return undefined;
  return {
    time: ascii.decode(line.subarray(0, first)),
    stream,
    text: line.subarray(third + 1),
    whole: tag === 0x46,
  };
}

/** Nanoseconds since 1970 of an entry's time. */
export function logTime({ time }: LogEntry): bigint {
  const milliseconds = Date.parse(`${time.slice(0, 19)}Z`);
  const fraction = time.slice(20, -1).padEnd(9, "0");
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction);
}

const chunkBytes = 64 * 1024;

/** A log that may grow and may be begun anew while it is read. */
export class LogReader {
  readonly #path: string;
  #fd = -1;
  #inode = -1;
  #rest: Uint8Array = new Uint8Array();

  constructor(path: string) {
    this.#path = path;
  }

  /** Everything that came since the last call, a piece at a time. */
  *read(): Generator<LogEntry, void> {
    if (this.#fd < 0 && !this.#open()) return;
    yield* this.#readOpen();
    // A rotated log has a new file at its place; the old one was read to its end.
    if (this.#replaced()) {
      fs.closeSync(this.#fd);
      this.#fd = -1;
      if (this.#open()) yield* this.#readOpen();
    }
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
    this.#fd = -1;
  }

  #open(): boolean {
    try {
      this.#fd = fs.openSync(this.#path, "r");
    } catch {
      return false;
    }
    this.#inode = fs.fstatSync(this.#fd).ino;
    this.#rest = new Uint8Array();
    return true;
  }

  #replaced(): boolean {
    const now = fs.statSync(this.#path, { throwIfNoEntry: false });
    return now !== undefined && now.ino !== this.#inode;
  }

  *#readOpen(): Generator<LogEntry, void> {
    const chunk = new Uint8Array(chunkBytes);
    for (;;) {
      const got = fs.readSync(this.#fd, chunk);
      if (got === 0) return;
      const bytes = new Uint8Array(this.#rest.length + got);
      bytes.set(this.#rest);
      bytes.set(chunk.subarray(0, got), this.#rest.length);
      let at = 0;
      for (;;) {
        const end = bytes.indexOf(newline, at);
        if (end < 0) break;
        const entry = parseLogLine(bytes.subarray(at, end));
        if (entry !== undefined) yield entry;
        at = end + 1;
      }
      this.#rest = bytes.subarray(at);
    }
  }
}
