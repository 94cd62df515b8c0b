/**
 * Looks into an unpacked image without mounting it: a path is resolved component by component over the layers, topmost first,
 * as overlayfs would show it. Links are followed in here and never by the kernel, so nothing outside the layers is reached.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { errnoOf, VitrineError } from "../base/mod.ts";
import type { Digest } from "../oci/mod.ts";
import type { StoreContext } from "./context.ts";
import { findChain, findLayers, readOpaque, type UnpackedLayer } from "./layers/rows.ts";

const largestFile = 1024 * 1024;
const mostLinks = 40;

/** A directory of one layer. */
export interface Part {
  readonly directory: string;
  /** Its path from the root of the layer, `` for the root. */
  readonly inside: string;
  /** The layer's opaque directories, as `inside`. */
  readonly opaque: ReadonlySet<string>;
}

/** What stands at a path: for a directory every layer that has a part in it, topmost first. */
export type Seen =
  | { readonly kind: "directory"; readonly parts: readonly Part[] }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "file"; readonly file: string; readonly stat: fs.Stats }
  | { readonly kind: "special" }
  /** A directory on the way belongs to a mapped id and lets nobody else in. */
  | { readonly kind: "denied" };

/** The roots of an image's layers, topmost first; undefined when it is not unpacked. */
export function treesOf(context: StoreContext, diffIDs: readonly Digest[]): readonly Part[] | undefined {
  const layers = findLayers(context, diffIDs);
  if (layers !== undefined) return layers.map(partOf).reverse();
  const chain = findChain(context, diffIDs);
  return chain === undefined
    ? undefined
    : [{ directory: path.join(chain.directory, "fs"), inside: "", opaque: none }];
}

const none: ReadonlySet<string> = new Set();

function partOf({ directory, row }: UnpackedLayer): Part {
  const opaque = row.opaques === 0 ? none : new Set(readOpaque(directory));
  return { directory: path.join(directory, "fs"), inside: "", opaque };
}

/** See `Store.readImageFile`. */
export function readFileOf(trees: readonly Part[], file: string): Uint8Array | undefined {
  const seen = lookUp(trees, file, true);
  if (seen?.kind === "denied") throw denied(file);
  if (seen?.kind !== "file") return undefined;
  if (seen.stat.size > largestFile) {
    throw new VitrineError("invalid", `${file} of the image has ${seen.stat.size} bytes`, {
      code: "image-file-too-large",
      operand: file,
      hint: `at most ${largestFile} bytes are read`,
    });
  }
  // A layer does not change once it is there; O_NOFOLLOW all the same.
  let fd: number;
  try {
    fd = fs.openSync(seen.file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === "EACCES") throw denied(file);
    throw error;
  }
  try {
    return fs.readFileSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function denied(file: string): VitrineError {
  return new VitrineError("denied", `${file} of the image can only be read by its owner`, {
    code: "image-file-denied",
    operand: file,
    hint: "its owner in the image is another user id here",
  });
}

/** What the merged trees show at a path; undefined when nothing. `followLast` as stat, else as lstat. */
export function lookUp(trees: readonly Part[], file: string, followLast: boolean): Seen | undefined {
  const stack: { readonly parts: readonly Part[] }[] = [{ parts: trees }];
  const todo = file.split("/").reverse();
  let links = 0;
  let last: Seen = { kind: "directory", parts: trees };
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    if (name === "" || name === ".") continue;
    if (last.kind !== "directory") return undefined;
    if (name === "..") {
      if (stack.length > 1) stack.pop();
      last = { kind: "directory", parts: stack.at(-1)!.parts };
      continue;
    }
    const seen = childOf(last.parts, name);
    if (seen === undefined || seen.kind === "denied") return seen;
    if (seen.kind === "link") {
      const isLast = todo.every((rest) => rest === "" || rest === ".");
      if (isLast && !followLast) return seen;
      links += 1;
      if (links > mostLinks) return undefined;
      if (seen.target.startsWith("/")) stack.length = 1;
      todo.push(...seen.target.split("/").reverse());
      last = { kind: "directory", parts: stack.at(-1)!.parts };
      continue;
    }
    if (seen.kind === "directory") stack.push({ parts: seen.parts });
    last = seen;
  }
  return last;
}

/**
 * One name in a merged directory. The topmost layer that has it decides; a directory goes on below until a layer has
 * something else there, a whiteout or an opaque directory. (Node reads no extended attributes, so the opaque ones were noted.)
 */
function childOf(parts: readonly Part[], name: string): Seen | undefined {
  const found: Part[] = [];
  for (const part of parts) {
    const here = path.join(part.directory, name);
    const stat = lstat(here);
    if (stat === undefined) continue;
    if (stat === "denied") return { kind: "denied" };
    if (!stat.isDirectory()) {
      if (found.length > 0 || isWhiteout(stat)) break;
      if (stat.isSymbolicLink()) return { kind: "link", target: fs.readlinkSync(here) };
      return stat.isFile() ? { kind: "file", file: here, stat } : { kind: "special" };
    }
    const inside = part.inside === "" ? name : `${part.inside}/${name}`;
    found.push({ directory: here, inside, opaque: part.opaque });
    if (part.opaque.has(inside)) break;
  }
  return found.length === 0 ? undefined : { kind: "directory", parts: found };
}

function lstat(file: string): fs.Stats | "denied" | undefined {
  try {
    return fs.lstatSync(file);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ENAMETOOLONG") return undefined;
    if (errno === "EACCES") return "denied";
    throw error;
  }
}

function isWhiteout(stat: fs.Stats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}
