import * as fs from "node:fs";
import { errnoOf } from "./errors.ts";
import { noting } from "./noting.ts";

/**
 * Writes all of `data` to a descriptor, however the other end behaves: short writes go on, a full non-blocking pipe
 * is waited for. Returns false when nobody reads any more (EPIPE): the caller ends quietly. Other errors are thrown.
 */
export function writeAll(fd: number, data: string | Uint8Array): boolean {
  const bytes = typeof data === "string" ? Buffer.from(data) : data;
  let at = 0;
  let pauseMilliseconds = 1;
  while (at < bytes.length) {
    try {
      at += fs.writeSync(fd, bytes, at, bytes.length - at);
      pauseMilliseconds = 1;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EPIPE") return false;
      if (errno !== "EAGAIN" && errno !== "EINTR") throw error;
      pause(pauseMilliseconds);
      pauseMilliseconds = Math.min(pauseMilliseconds * 2, 50);
    }
  }
  return true;
}

/** Blocks the thread: there is no poll(2) in JavaScript, and output must not depend on the event loop at exit. */
function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

export function isTerminal(fd: number): boolean {
  // The module takes a millisecond to load, a twentieth of a first start. Who takes notes knows of no descriptors that he did not see opened.
  if (noting.noter === undefined && !mayBeTerminal(fd)) return false;
  return process.getBuiltinModule("node:tty").isatty(fd);
}

/** A terminal that can take back what stands there. */
export function canRedraw(fd: number): boolean {
  return process.env["TERM"] !== "dumb" && isTerminal(fd);
}

/** Memory devices: /dev/null, /dev/zero, … */
const memoryMajor = 1;

function mayBeTerminal(fd: number): boolean {
  try {
    const { mode, rdev } = fs.fstatSync(fd);
    return (mode & fs.constants.S_IFMT) === fs.constants.S_IFCHR && Math.floor(rdev / 256) !== memoryMajor;
  } catch {
    return false;
  }
}

/** Control (Cc), format and bidi (Cf), surrogates (Cs), line and paragraph separators (Zl, Zp). */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const unprintableInLines = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const shortEscapes: Readonly<Record<string, string>> = {
  "\n": "\\n",
  "\t": "\\t",
  "\r": "\\r",
  "\x1b": "\\e",
};

/**
 * Untrusted text made safe for a terminal: whatever moves the cursor, changes colours, reorders or hides text is shown
 * escaped (`\e`, `\x9b`, `\u{202e}`). `lines` lets newline and tab through.
 */
export function printable(text: string, options: { readonly lines?: boolean } = {}): string {
  if (!/[^ -~]/.test(text)) return text;
  return text.replace(options.lines === true ? unprintableInLines : unprintable, (character) => {
    const short = shortEscapes[character];
    if (short !== undefined) return short;
    const point = character.codePointAt(0)!;
    // The escape of a byte that is not UTF-8 (see text.ts) is shown as that byte.
    if (point >= 0xdc80 && point <= 0xdcff) return `\\x${(point - 0xdc00).toString(16)}`;
    return point < 0x100 ? `\\x${point.toString(16).padStart(2, "0")}` : `\\u{${point.toString(16)}}`;
  });
}

export type Environment = Readonly<Record<string, string | undefined>>;
export type Style = (text: string) => string;
export interface Styles {
  readonly bold: Style;
  readonly dim: Style;
  readonly red: Style;
  readonly green: Style;
  readonly yellow: Style;
  readonly blue: Style;
  readonly magenta: Style;
  readonly cyan: Style;
}

/** Styles for output to a terminal or not; NO_COLOR (no-color.org) and TERM=dumb switch them off, CLICOLOR_FORCE on. */
export function styles(env: Environment, terminal: boolean): Styles {
  const forced = (env.CLICOLOR_FORCE ?? "0") !== "0" && env.CLICOLOR_FORCE !== "";
  const refused = (env.NO_COLOR ?? "") !== "" || env.TERM === "dumb";
  const on = !refused && (terminal || forced);
  const style = (begin: number, end: number): Style =>
    on ? (text) => `\x1b[${begin}m${text}\x1b[${end}m` : (text) => text;
  return {
    bold: style(1, 22),
    dim: style(2, 22),
    red: style(31, 39),
    green: style(32, 39),
    yellow: style(33, 39),
    blue: style(34, 39),
    magenta: style(35, 39),
    cyan: style(36, 39),
  };
}

/** 1536 → "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`;
}

export interface ProgressOptions {
  readonly fd: number;
  /** Already printable. */
  readonly label: string;
  /** Bytes expected; undefined shows a count without a bar. */
  readonly total?: number;
  /** Default: whether `fd` is a terminal. */
  readonly enabled?: boolean;
  /** Milliseconds, any origin; default performance.now. */
  readonly now?: () => number;
}

const redrawMilliseconds = 100;
const barWidth = 24;

/** A progress line that redraws itself at most ten times a second, and writes nothing where there is no terminal. */
export class Progress {
  private readonly options: ProgressOptions;
  private readonly enabled: boolean;
  private readonly now: () => number;
  private done = 0;
  private drawnAt = Number.NEGATIVE_INFINITY;
  private drawn = false;

  constructor(options: ProgressOptions) {
    this.options = options;
    this.enabled = options.enabled ?? canRedraw(options.fd);
    this.now = options.now ?? (() => performance.now());
  }

  /** Adds bytes that were done. */
  add(bytes: number): void {
    this.done += bytes;
    if (!this.enabled) return;
    const now = this.now();
    if (now - this.drawnAt < redrawMilliseconds) return;
    this.drawnAt = now;
    this.draw();
  }

  /** Removes the line; the caller prints what it wants in its place. */
  clear(): void {
    if (this.drawn) writeAll(this.options.fd, "\r\x1b[K");
    this.drawn = false;
  }

  private draw(): void {
    const { fd, label, total } = this.options;
    this.drawn = true;
    if (total === undefined || total <= 0) {
      writeAll(fd, `\r\x1b[K${label} ${formatBytes(this.done)}`);
      return;
    }
    const share = Math.min(this.done / total, 1);
    const filled = Math.round(share * barWidth);
    const bar = "#".repeat(filled) + "-".repeat(barWidth - filled);
    const percent = String(Math.floor(share * 100)).padStart(3);
    writeAll(fd, `\r\x1b[K${label} [${bar}] ${percent}% of ${formatBytes(total)}`);
  }
}
