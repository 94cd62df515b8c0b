/**
 * The storage engine for one disk:
 * ```
 * ROOT/oci-layout, index.json, blobs/ALG/HEX    an OCI image layout that other tools read (index.json is a view, see index-view.ts)
 * ROOT/repositories/NAME/_tags/TAG, …           the documents of `../repositories.ts`, which count
 * ROOT/uploads/ID/                              uploads under way
 * ROOT/tmp/                                     files before their rename; emptied at start
 * ROOT/lock                                     held by the one process that serves it
 * ```
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { makePrivateDirectory, removeTree, VitrineError, withLock } from "../../../base/mod.ts";
import { layoutHeaderBytes } from "../../../image/mod.ts";
import { FileBlobs } from "./file-blobs.ts";
import { FileDocuments } from "./file-documents.ts";
import { DurableFiles } from "./file-writes.ts";
import { type IndexSource, IndexView } from "./index-view.ts";
import type { RegistryStorage } from "./types.ts";

export interface FilesystemStorage extends RegistryStorage {
  /** Where the tags come from that index.json shows; without it, index.json is not written. */
  serveIndex(source: IndexSource): void;
  /** Writes index.json now. */
  flushIndex(): Promise<void>;
}

/**
 * Opens ROOT, making it when it is missing (mode 0700), and holds its lock until disposed.
 * Errors: `registry-root-in-use` (another process serves it), `directory-not-private`, `registry-root-foreign`.
 */
export async function openFilesystemStorage(directory: string): Promise<FilesystemStorage> {
  const root = path.resolve(directory);
  makeRoot(root);
  const release = await holdRoot(path.join(root, "lock"), root);
  try {
    const temporary = path.join(root, "tmp");
    removeTree(temporary);
    for (const directory of [temporary, "blobs/sha256", "blobs/sha512", "repositories", "uploads"]) {
      fs.mkdirSync(path.resolve(root, directory), { recursive: true });
    }
    const files = new DurableFiles(temporary);
    // On a full disk what is there can still be served and checked.
    const header = path.join(root, "oci-layout");
    if (!fs.existsSync(header)) await files.write(header, layoutHeaderBytes());
    return assemble(root, files, release);
  } catch (error) {
    await release();
    throw error;
  }
}

function assemble(root: string, files: DurableFiles, release: () => Promise<void>): FilesystemStorage {
  let view: IndexView | undefined;
  return {
    name: root,
    exclusive: true,
    uploadDirectory: path.join(root, "uploads"),
    blobs: new FileBlobs(path.join(root, "blobs"), files),
    documents: new FileDocuments(root, files),
    serveIndex(source) {
      const file = path.join(root, "index.json");
      view = new IndexView(source, (bytes) => files.write(file, bytes));
      // A crash may have left it behind; and a new layout needs one at once.
      if (fs.existsSync(file)) view.changed("");
      else view.flush().catch(() => undefined);
    },
    // A directory that was unmounted or removed has no documents, as an empty one.
    probe: () => fs.promises.access(path.join(root, "oci-layout")),
    tagsChanged: (repository) => view?.changed(repository),
    flushIndex: async () => view?.flush(),
    async [Symbol.asyncDispose]() {
      try {
        await view?.close();
      } finally {
        await release();
      }
    },
  };
}

/** A directory that is neither empty nor ours is not written into. */
function makeRoot(root: string): void {
  makePrivateDirectory(root);
  const names = fs.readdirSync(root);
  const ours = names.length === 0 || names.includes("repositories") || names.includes("lock");
  if (ours) return;
  throw new VitrineError("invalid", `${root} holds something that is no registry`, {
    code: "registry-root-foreign",
    operand: root,
    hint: "name an empty or a new directory with --root",
  });
}

/** Takes the lock of a registry's directory and returns what gives it back. Error: `registry-root-in-use`. */
export async function holdRoot(file: string, root: string): Promise<() => Promise<void>> {
  const held = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const done = withLock(
    file,
    () => {
      held.resolve();
      return ended.promise;
    },
    { timeoutMs: 0 },
  );
  done.catch((error: unknown) => held.reject(error));
  try {
    await held.promise;
  } catch (cause) {
    if (cause instanceof VitrineError && cause.code === "lock-timeout") {
      throw new VitrineError("unavailable", `another process serves ${root}`, {
        code: "registry-root-in-use",
        operand: root,
        hint: "stop it first, or use another --root",
        cause,
      });
    }
    throw cause;
  }
  return async () => {
    ended.resolve();
    await done;
  };
}
