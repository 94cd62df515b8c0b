/** Where the runtime tells what happened, as engines read it: the lines of runc's log, and stderr. */
import * as fs from "node:fs";
import { printable, writeAll } from "../../base/mod.ts";

export type LogFormat = "text" | "json";

export interface RuntimeLog {
  readonly file: string | undefined;
  readonly format: LogFormat;
  debug(message: string): void;
  warning(message: string): void;
  /** The error that ends the command: to the log, and to stderr. */
  error(message: string): void;
}

export interface LogOptions {
  readonly file: string | undefined;
  readonly format: LogFormat;
  readonly debug: boolean;
  readonly now: () => number;
}

export function makeLog({ file, format, debug, now }: LogOptions): RuntimeLog {
  const write = (level: string, message: string): void => {
    // Seconds alone: some readers parse the time strictly.
    const time = `${new Date(now()).toISOString().slice(0, 19)}Z`;
    const line =
      format === "json"
        ? JSON.stringify({ level, msg: message, time })
        : `time="${time}" level=${level} msg=${JSON.stringify(message)}`;
    if (file === undefined) writeAll(2, `${printable(line)}\n`);
    else append(file, `${line}\n`);
  };
  return {
    file,
    format,
    debug(message) {
      if (debug) write("debug", message);
    },
    warning(message) {
      write("warning", message);
    },
    error(message) {
      write("error", message);
      if (file !== undefined) writeAll(2, `${printable(message, { lines: true })}\n`);
    },
  };
}

/** A log that cannot be written must not hide the error itself. */
function append(file: string, line: string): void {
  try {
    fs.appendFileSync(file, line, { mode: 0o644 });
  } catch (error) {
    writeAll(2, `cannot write ${file}: ${String(error)}\n`);
  }
}
