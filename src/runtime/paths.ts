/** Paths of the container and of the host, without asking either. */
import { posix } from "node:path";

/** Absolute and without `.`, `..` or doubled slashes: `base` is where a relative one begins. */
export function absolute(path: string, base = "/"): string {
  // Nearly all are clean already, and a start-up is counted in microseconds.
  return path.startsWith("/") && isClean(path) ? path : posix.resolve(base, path);
}

function isClean(path: string): boolean {
  return path === "/" || !(path.endsWith("/") || path.includes("//") || path.includes("/."));
}
