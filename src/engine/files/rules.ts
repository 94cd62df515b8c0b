/**
 * Where a copy goes and what it is called there: docker's rules of SRC_PATH and DEST_PATH, which are those of `cp -a` with
 * two cases of its own: `/.` means the content of a directory, and a directory is never written over a file.
 */
import { quoted, VitrineError } from "../../base/mod.ts";

/** A path as the user typed it. */
export interface CopyPath {
  readonly text: string;
  /** The last component, lexically; "" of a root. */
  readonly base: string;
  /** `dir/.`, or a root: the content of it. */
  readonly content: boolean;
  /** It ends in `/` or `/.`: only a directory can be meant, and a link at its end is followed. */
  readonly directory: boolean;
}

export function readCopyPath(text: string): CopyPath {
  const dot = text === "." || text.endsWith("/.");
  const up = text === ".." || text.endsWith("/..");
  const parts: string[] = [];
  for (const part of text.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else parts.push(part);
  }
  const base = parts.at(-1) ?? "";
  return {
    text,
    base: base === ".." ? "" : base,
    content: dot || base === "" || base === "..",
    directory: dot || up || text.endsWith("/"),
  };
}

export interface CopySource extends CopyPath {
  readonly isDirectory: boolean;
}

export interface CopyTarget extends CopyPath {
  /** What is there now, links followed. */
  readonly kind: "directory" | "other" | "missing";
  /** Free of links: of a directory that is there itself, else the directory that it is to be in. */
  readonly parent: string;
  /** What it is called there: where a link leads that nothing is at, its text's last component. */
  readonly name: string;
}

export interface CopyPlan {
  /** The directory that the copy is made in. */
  readonly into: string;
  /** What it is called; "" for a directory's content. */
  readonly name: string;
  /** The directory's own entry comes first. */
  readonly top: boolean;
}

/** Errors: `copy-not-a-directory`, `copy-directory-over-file`, `copy-target-missing`. */
export function planCopy(source: CopySource, target: CopyTarget): CopyPlan {
  if (source.directory && !source.isDirectory) throw notADirectory(source.text);
  if (target.kind === "directory") {
    return source.content
      ? { into: target.parent, name: "", top: false }
      : { into: target.parent, name: source.base, top: true };
  }
  if (target.kind === "other" && target.directory) throw notADirectory(target.text);
  if (target.kind === "other" && source.isDirectory) {
    throw new VitrineError(
      "invalid",
      `${quoted(target.text)} is a file: a directory cannot be copied over it`,
      {
        code: "copy-directory-over-file",
        operand: target.text,
        hint: "name a directory, or something that is not there yet",
      },
    );
  }
  if (target.kind === "missing" && target.directory && !source.isDirectory) {
    throw new VitrineError("not-found", `there is no directory ${quoted(target.text)}`, {
      code: "copy-target-missing",
      operand: target.text,
      hint: "leave the slash at its end out to copy to a file of that name",
    });
  }
  return { into: target.parent, name: target.name, top: true };
}

export function notADirectory(path: string): VitrineError {
  return new VitrineError("invalid", `${quoted(path)} is not a directory`, {
    code: "copy-not-a-directory",
    operand: path,
    hint: "a path that ends in / or /. names a directory",
  });
}

/** `CONTAINER:PATH`, `PATH` or `-`. A path with a colon is written ./a:b or /x/a:b. */
export type CopyPlace =
  | { readonly kind: "container"; readonly container: string; readonly path: string }
  | { readonly kind: "local"; readonly path: string }
  | { readonly kind: "stream" };

export function readCopyPlace(text: string): CopyPlace {
  if (text === "-") return { kind: "stream" };
  const colon = text.indexOf(":");
  if (text.startsWith("/") || text.startsWith(".") || colon < 0) return { kind: "local", path: text };
  return { kind: "container", container: text.slice(0, colon), path: text.slice(colon + 1) };
}
