/**
 * An OCI image layout as it stands, served without a copy: vitrine's own store, or any other. Read-only. What the registry keeps
 * as documents is read out of index.json, again whenever that file was replaced.
 *
 * An image `docker.io/library/alpine:3` is found as `library/alpine:3`, and with its registry in front,
 * `docker.io/library/alpine:3`. Where two registries have the same path, the short name is Docker Hub's, else the first one's.
 */
import * as fs from "node:fs/promises";
import * as path from "node:path";
import { errnoOf, limits, removeTree, temporaryName, VitrineError } from "../../../base/mod.ts";
import {
  directoryContent,
  type ImageSource,
  layoutEntries,
  parseReference,
  sourceOf,
  type Walk,
  walkImage,
} from "../../../image/mod.ts";
import { annotationKeys, type Descriptor, mediaTypes, parseIndex } from "../../../oci/mod.ts";
import { isRepositoryName, isTag } from "../../protocol/mod.ts";
import { FileBlobs } from "./file-blobs.ts";
import type { BlobStore, Documents, RegistryStorage } from "./types.ts";

/** Errors: those of `parseIndex`, with the first request. */
export async function openLayoutStorage(
  directory: string,
  temporaryDirectory: string,
): Promise<RegistryStorage> {
  const root = path.resolve(directory);
  const uploadDirectory = path.join(temporaryDirectory, temporaryName("registry"));
  await fs.mkdir(uploadDirectory, { recursive: true, mode: 0o700 });
  return {
    name: root,
    exclusive: false,
    uploadDirectory,
    blobs: new LayoutBlobs(path.join(root, "blobs")),
    documents: new LayoutDocuments(root),
    async [Symbol.asyncDispose]() {
      removeTree(uploadDirectory);
    },
  };
}

function readOnly(): VitrineError {
  return new VitrineError("denied", "the layout is served read-only", { code: "registry-read-only" });
}

/** Reads as any directory of blobs; nothing gets in or out. */
class LayoutBlobs implements BlobStore {
  readonly #files: FileBlobs;

  constructor(directory: string) {
    const nobody = {
      write: () => Promise.reject(readOnly()),
      move: () => Promise.reject(readOnly()),
      remove: () => Promise.reject(readOnly()),
    };
    this.#files = new FileBlobs(directory, nobody);
  }

  stat: BlobStore["stat"] = (digest) => this.#files.stat(digest);
  open: BlobStore["open"] = (digest) => this.#files.open(digest);
  list: BlobStore["list"] = () => this.#files.list();
  put: BlobStore["put"] = () => Promise.reject(readOnly());
  adopt: BlobStore["adopt"] = () => Promise.reject(readOnly());
  delete: BlobStore["delete"] = () => Promise.reject(readOnly());
  /** Nothing here is collected by the registry. */
  touch: BlobStore["touch"] = async (digest) => (await this.#files.stat(digest)) !== undefined;
}

/** Key → JSON text. */
type Tree = ReadonlyMap<string, string>;

class LayoutDocuments implements Documents {
  readonly #root: string;
  #tree: Tree = new Map();
  /** The index.json that `#tree` was made of. */
  #version = "";
  #reading: Promise<Tree> | undefined;

  constructor(root: string) {
    this.#root = root;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const text = (await this.#current()).get(key);
    return text === undefined ? undefined : Buffer.from(text);
  }

  async list(prefix: string): Promise<readonly string[]> {
    const names = new Set<string>();
    for (const key of (await this.#current()).keys()) {
      if (!key.startsWith(prefix)) continue;
      const rest = key.slice(prefix.length);
      const slash = rest.indexOf("/");
      names.add(slash < 0 ? rest : rest.slice(0, slash + 1));
    }
    return [...names].sort();
  }

  put(): Promise<void> {
    return Promise.reject(readOnly());
  }

  delete(): Promise<boolean> {
    return Promise.reject(readOnly());
  }

  async #current(): Promise<Tree> {
    const version = await this.#versionNow();
    if (version === this.#version) return this.#tree;
    this.#reading ??= this.#read(version).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** index.json is replaced, never written into: a new one is another file. */
  async #versionNow(): Promise<string> {
    try {
      const { ino, mtimeNs, size } = await fs.stat(path.join(this.#root, "index.json"), { bigint: true });
      return `${ino} ${mtimeNs} ${size}`;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return "none";
      throw error;
    }
  }

  async #read(version: string): Promise<Tree> {
    const tree = version === "none" ? new Map<string, string>() : await treeOf(this.#root);
    this.#tree = tree;
    this.#version = version;
    return tree;
  }
}

async function treeOf(root: string): Promise<Tree> {
  const { index } = parseIndex(await fs.readFile(path.join(root, "index.json")), mediaTypes.index, {
    maxBytes: limits.layoutIndexBytes,
    maxManifests: layoutEntries,
  });
  const content = directoryContent(root);
  const walks = new Map<string, Promise<Walk | undefined>>();
  const tree = new Map<string, string>();
  for (const [repository, tags] of repositoriesOf(index.manifests)) {
    for (const [tag, descriptor] of tags) {
      let walk = walks.get(descriptor.digest);
      if (walk === undefined) {
        walk = walkOf(sourceOf(content, descriptor, []));
        walks.set(descriptor.digest, walk);
      }
      const walked = await walk;
      if (walked !== undefined) addImage(tree, repository, tag, descriptor, walked);
    }
  }
  return tree;
}

/** An image that is damaged is left out: the others are served all the same. */
async function walkOf(source: ImageSource): Promise<Walk | undefined> {
  try {
    return await walkImage(source);
  } catch (error) {
    if (error instanceof VitrineError) return undefined;
    throw error;
  }
}

function addImage(
  tree: Map<string, string>,
  repository: string,
  tag: string,
  { digest, mediaType, size }: Descriptor,
  { manifests, indexes, blobs }: Walk,
): void {
  const base = `repositories/${repository}/`;
  const add = (kind: string, of: Descriptor, value: object): void => {
    tree.set(`${base}${kind}/${of.digest.replace(":", "/")}`, JSON.stringify(value));
  };
  tree.set(`${base}_tags/${tag}`, JSON.stringify({ digest, mediaType, size, pushed: 0 }));
  for (const { descriptor } of [...manifests, ...indexes]) {
    add("_manifests", descriptor, { mediaType: descriptor.mediaType, size: descriptor.size, pushed: 0 });
  }
  for (const blob of blobs) add("_blobs", blob, { size: blob.size, linked: 0 });
}

type Tags = Map<string, Descriptor>;

/** The names of the registry's side, and where each of their tags leads. */
function repositoriesOf(manifests: readonly Descriptor[]): ReadonlyMap<string, Tags> {
  const short = new Map<string, { readonly domain: string; readonly tags: Tags }>();
  const whole = new Map<string, Tags>();
  for (const { annotations, ...descriptor } of manifests) {
    const name = referenceOf(annotations?.[annotationKeys.refName]);
    if (name === undefined) continue;
    const { domain, path: repository, tag = "latest" } = name;
    if (!isTag(tag) || !isRepositoryName(repository)) continue;
    const known = short.get(repository);
    if (known === undefined || (domain === "docker.io" && known.domain !== domain)) {
      short.set(repository, { domain, tags: new Map([[tag, descriptor]]) });
    } else if (known.domain === domain) known.tags.set(tag, descriptor);
    // A port cannot stand in the name of a repository.
    const full = `${domain.replace(/:\d+$/, "")}/${repository}`;
    if (isRepositoryName(full)) whole.set(full, (whole.get(full) ?? new Map()).set(tag, descriptor));
  }
  const found = new Map(whole);
  for (const [repository, { tags }] of short) found.set(repository, tags);
  return found;
}

function referenceOf(name: string | undefined) {
  if (name === undefined) return undefined;
  try {
    return parseReference(name);
  } catch {
    return undefined;
  }
}
