/**
 * Artifacts of this machine: ROOT/artifacts, an OCI layout of its own, since what lists and runs images has no use for them. One
 * manifest a name. What is added is made beside and moved in under a lock; what nothing leads to any more goes under it.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { quoted, removeTree, sweepDead, temporaryName, VitrineError, withLock } from "../base/mod.ts";
import {
  addToLayout,
  blobPath,
  directoryContent,
  formatReference,
  type ImageSource,
  parseReference,
  sourceOf,
  withoutName,
} from "../image/mod.ts";
import { type Descriptor, isDigest, isManifestMediaType, type Manifest } from "../oci/mod.ts";
import {
  type ArtifactUsage,
  measure,
  readArtifact,
  readEntries,
  unreferenced,
  writeEntries,
} from "./artifact-layout.ts";
import { listBlobs } from "./blobs.ts";

export interface StoredArtifact {
  /** `docker.io/library/notes:latest` */
  readonly name: string;
  readonly root: Descriptor;
  readonly manifest: Manifest;
}

export interface ArtifactStore {
  /** In the order in which they came. */
  list(): readonly StoredArtifact[];
  /** By name, digest, or the beginning of the digest. Errors: `artifact-not-found`, `artifact-ambiguous`. */
  find(text: string): StoredArtifact;
  source(artifact: StoredArtifact): ImageSource;
  /** Errors: `artifact-exists` without `replace`, `artifact-is-index`, those of the source. */
  put(source: ImageSource, name: string, options: { readonly replace: boolean }): Promise<void>;
  remove(artifacts: readonly StoredArtifact[]): Promise<void>;
  usage(): ArtifactUsage;
  /** Removes what no artifact leads to, which killed commands leave; returns the bytes freed. */
  prune(): Promise<number>;
}

/** Nothing is read or made until a method is called. `root` is ROOT. */
export function openArtifacts(root: string): ArtifactStore {
  const layout = path.join(root, "artifacts");
  const content = directoryContent(layout);
  const list = (): readonly StoredArtifact[] =>
    readEntries(layout).map((entry) => ({ ...entry, manifest: readArtifact(layout, entry) }));
  const locked = async <T>(body: () => T): Promise<T> => {
    fs.mkdirSync(layout, { recursive: true, mode: 0o700 });
    return withLock(path.join(layout, "lock.db"), body);
  };
  return {
    list,
    find: (text) => findIn(list(), text),
    source: ({ root: descriptor, name }) => sourceOf(content, descriptor, [name]),
    async put(source, name, { replace }) {
      const wanted = nameOf(name);
      if (!isManifestMediaType(source.root.mediaType)) throw isIndex(name);
      if (!replace) requireNew(layout, wanted);
      fs.mkdirSync(layout, { recursive: true, mode: 0o700 });
      const made = path.join(layout, temporaryName("incoming"));
      try {
        await addToLayout(source, made, wanted);
        await locked(() => {
          if (!replace) requireNew(layout, wanted);
          moveBlobs(made, layout);
          const others = readEntries(layout).filter((entry) => entry.name !== wanted);
          writeEntries(layout, [...others, { name: wanted, root: withoutName(source.root) }]);
          collect(layout);
        });
      } finally {
        removeTree(made);
      }
    },
    async remove(artifacts) {
      const names = new Set(artifacts.map(({ name }) => name));
      await locked(() => {
        writeEntries(
          layout,
          readEntries(layout).filter(({ name }) => !names.has(name)),
        );
        collect(layout);
      });
    },
    usage: () => measure(layout),
    prune: async () => (fs.existsSync(layout) ? locked(() => collect(layout)) : 0),
  };
}

function nameOf(text: string): string {
  const reference = parseReference(text);
  if (reference.digest === undefined) return formatReference(reference);
  throw new VitrineError("invalid", `a digest cannot be given as a name: ${text}`, {
    code: "name-has-digest",
    operand: text,
    hint: "give a name and a tag, such as notes:1.0",
  });
}

function requireNew(layout: string, name: string): void {
  if (!readEntries(layout).some((entry) => entry.name === name)) return;
  throw new VitrineError("exists", `there is an artifact ${name} already`, {
    code: "artifact-exists",
    operand: name,
    hint: "--replace puts this one in its place, --append adds to it",
  });
}

function isIndex(name: string): VitrineError {
  return new VitrineError("invalid", `${name} is an index, not one artifact`, {
    code: "artifact-is-index",
    operand: name,
    hint: "name one of its manifests by digest; 'vitrine manifest inspect' shows them",
  });
}

function findIn(all: readonly StoredArtifact[], text: string): StoredArtifact {
  const hex = text.replace(/^sha\d+:/, "");
  const byDigest =
    isDigest(text) || /^[0-9a-f]{6,128}$/.test(hex)
      ? all.filter(({ root }) => root.digest === text || root.digest.split(":")[1]!.startsWith(hex))
      : [];
  const found = all.find(({ name }) => name === nameUnlessWrong(text));
  if (found !== undefined) return found;
  const digests = new Set(byDigest.map(({ root }) => root.digest));
  if (digests.size > 1) {
    throw new VitrineError("invalid", `${text} is the beginning of ${digests.size} artifacts' digests`, {
      code: "artifact-ambiguous",
      operand: text,
    });
  }
  if (byDigest[0] !== undefined) return byDigest[0];
  throw new VitrineError("not-found", `there is no artifact ${quoted(text)}`, {
    code: "artifact-not-found",
    operand: text,
    hint: "vitrine artifact ls lists what there is; vitrine artifact pull fetches one",
  });
}

/** `NAME@DIGEST` names what `find` knows by the digest. */
function nameUnlessWrong(text: string): string | undefined {
  try {
    return formatReference(parseReference(text));
  } catch {
    return undefined;
  }
}

function moveBlobs(from: string, to: string): void {
  for (const digest of listBlobs({ layout: from }).keys()) {
    const file = blobPath(digest);
    const target = path.join(to, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.renameSync(path.join(from, file), target);
  }
}

/** Under the lock; returns the bytes freed. */
function collect(layout: string): number {
  sweepDead(layout);
  let bytes = 0;
  for (const { digest, size } of unreferenced(layout)) {
    fs.rmSync(path.join(layout, blobPath(digest)), { force: true });
    bytes += size;
  }
  return bytes;
}
