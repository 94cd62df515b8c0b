/** Documents as files below a directory: a key is its path. */
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { errnoOf } from "../../../base/mod.ts";
import type { DurableFiles } from "./file-writes.ts";
import { checkKey } from "./keys.ts";
import type { Documents } from "./types.ts";

export class FileDocuments implements Documents {
  private readonly root: string;
  private readonly files: DurableFiles;

  constructor(root: string, files: DurableFiles) {
    this.root = root;
    this.files = files;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    try {
      return await fs.readFile(this.pathOf(key));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  put(key: string, bytes: Uint8Array): Promise<void> {
    return this.files.write(this.pathOf(key), bytes);
  }

  async delete(key: string): Promise<boolean> {
    const file = this.pathOf(key);
    if (!(await this.files.remove(file))) return false;
    await this.removeEmpty(path.dirname(file));
    return true;
  }

  async list(prefix: string): Promise<readonly string[]> {
    try {
      const entries = await fs.readdir(this.pathOf(prefix.slice(0, -1)), { withFileTypes: true });
      return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort();
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  private pathOf(key: string): string {
    return path.join(this.root, checkKey(key));
  }

  private async removeEmpty(directory: string): Promise<void> {
    for (let at = directory; at.length > this.root.length; at = path.dirname(at)) {
      try {
        await fs.rmdir(at);
      } catch {
        // Not empty, or somebody else was first.
        return;
      }
    }
  }
}

/** ENOTDIR: a repository's name begins with the name of what is a file here. */
function isMissing(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === "ENOENT" || errno === "ENOTDIR";
}
