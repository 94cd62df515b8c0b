/** Small files of a root filesystem, read from outside it. */
import * as fs from "node:fs";
import * as path from "node:path";
import { fileKind, openFileKind } from "./noting.ts";

const linkLimit = 40;
const readLimit = 1024 * 1024;

/**
 * A regular file of a root filesystem, at most 1 MiB, its links resolved as inside that root. Whoever may
 * write there can change a link meanwhile, so the result is used for looking up names alone.
 */
export function readBeneath(root: string, file: string): Uint8Array | undefined {
  const pending = file.split("/").filter((part) => part !== "" && part !== ".");
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.shift()!;
    if (part === "..") {
      resolved.pop();
      continue;
    }
    const here = path.join(root, ...resolved, part);
    let target: string | undefined;
    try {
      const kind = fileKind(here, { follow: false });
      if (kind === "missing") return undefined;
      if (kind === "link") target = fs.readlinkSync(here);
      // A device does something when it is opened.
      else if (kind !== "directory" && kind !== "file") return undefined;
    } catch {
      return undefined;
    }
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    links += 1;
    if (links > linkLimit) return undefined;
    if (target.startsWith("/")) resolved.length = 0;
    pending.unshift(...target.split("/").filter((step) => step !== "" && step !== "."));
  }
  return readRegular(path.join(root, ...resolved));
}

function readRegular(file: string): Uint8Array | undefined {
  let descriptor: number;
  try {
    // Not blocking: a FIFO in place of the file would hold us for ever.
    descriptor = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const { kind, size } = openFileKind(descriptor, file);
    if (kind !== "file") return undefined;
    if (size <= readLimit) return fs.readFileSync(descriptor);
    // That it is too large is a decision.
    fs.fstatSync(descriptor);
    return undefined;
  } finally {
    fs.closeSync(descriptor);
  }
}
