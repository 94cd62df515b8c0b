import * as fs from "node:fs";

const usual = 80;

/**
 * Columns of the controlling terminal. A tty.WriteStream makes its descriptor non-blocking, for everybody who shares it:
 * so it gets one of its own.
 */
export function terminalWidth(environment: Readonly<Record<string, string | undefined>>): number {
  const set = Number(environment["COLUMNS"]);
  if (Number.isInteger(set) && set > 0) return set;
  let fd: number;
  try {
    fd = fs.openSync("/dev/tty", "r+");
  } catch {
    return usual;
  }
  const { WriteStream } = process.getBuiltinModule("node:tty");
  const stream = new WriteStream(fd);
  const { columns } = stream;
  stream.destroy();
  return columns > 0 ? columns : usual;
}
