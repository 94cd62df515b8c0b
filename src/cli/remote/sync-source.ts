/** What `sync` copies without a list: a name in a registry, or what an earlier sync wrote below a directory. */
import * as fs from "node:fs";
import * as path from "node:path";
import { quoted, VitrineError } from "../../base/mod.ts";
import { parseReference } from "../../image/mod.ts";
import type { SyncRegistry } from "./sync-list.ts";

/** All tags of `HOST/NAME`, or the one of `HOST/NAME:TAG`. */
export function listOfName(text: string): SyncRegistry {
  const name = text.replace(/^docker:\/\//, "");
  const { domain, path: repository, tag, digest } = parseReference(name);
  const isWhole = digest === undefined && !name.slice(name.lastIndexOf("/")).includes(":");
  return {
    registry: domain,
    tlsVerify: undefined,
    certificateDirectory: undefined,
    credentials: undefined,
    repositories: [
      {
        path: repository,
        digests: digest === undefined ? [] : [digest],
        tags: isWhole || digest !== undefined || tag === undefined ? [] : [tag],
        choose: isWhole ? (all) => all : undefined,
      },
    ],
  };
}

export interface ImageDirectory {
  readonly directory: string;
  /** `NAME:TAG`, with `scoped` below its directories. */
  readonly name: string;
}

const deepest = 16;

/** Every dir: image below a directory, or that directory itself. Error: `sync-source-empty`. */
export function imagesBelow(text: string, scoped: boolean): readonly ImageDirectory[] {
  const top = path.resolve(text.replace(/^dir:/, ""));
  const found: string[] = [];
  const walk = (directory: string, depth: number): void => {
    if (fs.existsSync(path.join(directory, "manifest.json"))) found.push(directory);
    else if (depth < deepest) {
      for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
        if (entry.isDirectory()) walk(path.join(directory, entry.name), depth + 1);
      }
    }
  };
  if (fs.statSync(top, { throwIfNoEntry: false })?.isDirectory()) walk(top, 0);
  if (found.length === 0) {
    throw new VitrineError("not-found", `there is no image below ${quoted(text)}`, {
      code: "sync-source-empty",
      operand: text,
      hint: "'vitrine sync LIST dir:DIRECTORY' writes them",
    });
  }
  return found.sort().map((directory) => {
    const below = path.relative(top, directory) || path.basename(top);
    return { directory, name: scoped ? below : path.basename(below) };
  });
}
