/**
 * What the registry knows of each repository, as records (JSON documents):
 * ```
 * repositories/NAME/_tags/TAG                          TagRecord
 * repositories/NAME/_manifests/ALG/HEX                 ManifestRecord
 * repositories/NAME/_blobs/ALG/HEX                     BlobRecord: the repository may serve this blob
 * repositories/NAME/_referrers/ALG/HEX/ALG/HEX         Descriptor of the second, whose subject is the first
 * ```
 * A name of a repository never begins with `_`, so that these cannot be mistaken for repositories.
 *
 * Order of writes, so that a crash between any two loses nothing acknowledged and shows nothing half done: content before
 * the records that name it, a referrer before its manifest (a referrer without manifest is not shown), manifests before
 * their tags. Removals go the other way round.
 */
import { VitrineError } from "../../../base/mod.ts";
import { type Descriptor, type Digest, digestOf, isDigest, splitDigest } from "../../../oci/mod.ts";
import { BoundedCache } from "../bounded-cache.ts";
import type { RegistryStorage } from "../storage/types.ts";
import { Locks } from "./locks.ts";
import { Records } from "./records.ts";

export interface TagRecord {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  /** Milliseconds since 1970 of the push. */
  readonly pushed: number;
}

export interface ManifestRecord {
  readonly mediaType: string;
  readonly size: number;
  readonly pushed: number;
  readonly subject?: Digest;
}

export interface BlobRecord {
  readonly size: number;
  /** Milliseconds since 1970: the grace age of an unused link counts from here. */
  readonly linked: number;
}

/** A manifest that has passed validation. */
export interface AcceptedManifest {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly subject?: Digest;
  /** As the referrers list shows it (spec.md#listing-referrers). */
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

const manifestCacheBytes = 32 * 1024 * 1024;
/** Of what clients asked for lately; a collection leaves it alone. */
const mostRecent = 200_000;
const parallelReads = 16;
/** A link is made young again when it is so old: much less than any grace age. */
const renewMilliseconds = 15 * 60_000;

export class Repositories {
  readonly storage: RegistryStorage;
  readonly records: Records;
  private readonly locks = new Locks();
  private readonly bytes = new BoundedCache<Uint8Array>(manifestCacheBytes);
  /** How many store this content now. */
  private readonly arriving = new Map<Digest, number>();
  /** What was stored since the first of the sweeps under way began. */
  private arrived: Set<Digest> | undefined;
  private sweeps = 0;
  private readonly seen = new BoundedCache<number>(mostRecent);
  private readonly now: () => number;
  private known: readonly string[] | undefined;

  constructor(storage: RegistryStorage, now: () => number = Date.now) {
    this.storage = storage;
    this.now = now;
    this.records = new Records(storage.documents, { remember: storage.exclusive });
  }

  /** Runs `body` alone among those that change or collect this repository. Not reentrant. */
  exclusively<T>(name: string, body: () => Promise<T>): Promise<T> {
    return this.locks.run(name, body);
  }

  /** Runs `body`, which only adds what nobody else counts, beside others of its kind. */
  together<T>(name: string, body: () => Promise<T>): Promise<T> {
    return this.locks.together(name, body);
  }

  /**
   * Runs `body`, which stores or removes these bytes, alone among those that do: a collection must not remove what was
   * stored again between its look and its removal.
   */
  exclusivelyBlob<T>(digest: Digest, body: () => Promise<T>): Promise<T> {
    return this.locks.run(digest, body);
  }

  /**
   * Runs `body`, which stores the bytes of a digest, or finds them here, and then links them: no sweep takes them away between the
   * two, however old they look.
   */
  async arrival<T>(digest: Digest, body: () => Promise<T>): Promise<T> {
    this.arriving.set(digest, (this.arriving.get(digest) ?? 0) + 1);
    try {
      return await body();
    } finally {
      const others = this.arriving.get(digest)! - 1;
      if (others === 0) this.arriving.delete(digest);
      else this.arriving.set(digest, others);
      this.arrived?.add(digest);
    }
  }

  /** Runs `body`, which looks for all links and then removes bytes that have none, but for those that `hasArrived`. */
  async sweeping<T>(body: () => Promise<T>): Promise<T> {
    this.sweeps += 1;
    this.arrived ??= new Set();
    try {
      return await body();
    } finally {
      this.sweeps -= 1;
      if (this.sweeps === 0) this.arrived = undefined;
    }
  }

  /** Whether it got a link since the sweep began, or will have one soon. To be asked where the digest is held exclusively. */
  hasArrived(digest: Digest): boolean {
    return this.arriving.has(digest) || this.arrived?.has(digest) === true;
  }

  /** All names, in byte order. */
  async names(): Promise<readonly string[]> {
    if (this.known !== undefined) return this.known;
    const names: string[] = [];
    const visit = async (prefix: string): Promise<void> => {
      const entries = await this.records.names(`repositories/${prefix}`);
      if (entries.some((entry) => entry.startsWith("_"))) names.push(prefix.slice(0, -1));
      for (const entry of entries) {
        if (entry.endsWith("/") && !entry.startsWith("_")) await visit(`${prefix}${entry}`);
      }
    };
    await visit("");
    names.sort();
    if (this.storage.exclusive) this.known = names;
    return names;
  }

  async exists(name: string): Promise<boolean> {
    const entries = await this.records.names(`repositories/${name}/`);
    return entries.some((entry) => entry.startsWith("_"));
  }

  /** Tags in byte order. */
  tags(name: string): Promise<readonly string[]> {
    return this.records.names(`${root(name)}_tags/`);
  }

  tag(name: string, tag: string): Promise<TagRecord | undefined> {
    return this.read<TagRecord>(tagKey(name, tag));
  }

  manifest(name: string, digest: Digest): Promise<ManifestRecord | undefined> {
    return this.read<ManifestRecord>(manifestKey(name, digest));
  }

  manifests(name: string): Promise<readonly Digest[]> {
    return this.digests(`${root(name)}_manifests/`);
  }

  blob(name: string, digest: Digest): Promise<BlobRecord | undefined> {
    return this.read<BlobRecord>(blobKey(name, digest));
  }

  blobs(name: string): Promise<readonly Digest[]> {
    return this.digests(`${root(name)}_blobs/`);
  }

  /** What an index.json shows of a repository: a descriptor for each tag. */
  async tagDescriptors(name: string): Promise<readonly Descriptor[]> {
    const tags = await this.tags(name);
    const records = await inParallel(tags, (tag) => this.tag(name, tag));
    return tags.flatMap((tag, index) => {
      const record = records[index];
      if (record === undefined) return [];
      const { digest, mediaType, size } = record;
      return [
        { mediaType, digest, size, annotations: { "org.opencontainers.image.ref.name": `${name}:${tag}` } },
      ];
    });
  }

  /** Descriptors of the manifests whose subject is `digest`, in order of their digests. */
  async referrers(name: string, digest: Digest): Promise<readonly Descriptor[]> {
    const prefix = `${root(name)}_referrers/${pathOf(digest)}/`;
    const referrers = await this.digests(prefix);
    const found = await inParallel(referrers, async (referrer) => {
      const descriptor = await this.read<Descriptor>(`${prefix}${pathOf(referrer)}`);
      return descriptor !== undefined && (await this.manifest(name, referrer)) ? descriptor : undefined;
    });
    return found.filter((descriptor) => descriptor !== undefined);
  }

  /** Whether the repository's manifest is remembered; see `Records.peek`. */
  peekTag(name: string, tag: string): TagRecord | undefined {
    return this.records.peek(tagKey(name, tag))?.value as TagRecord | undefined;
  }

  peekManifest(name: string, digest: Digest): ManifestRecord | undefined {
    return this.records.peek(manifestKey(name, digest))?.value as ManifestRecord | undefined;
  }

  peekManifestBytes(digest: Digest): Uint8Array | undefined {
    return this.bytes.get(digest);
  }

  /**
   * The bytes of a manifest of any repository, verified when they come from the storage.
   * Error: `registry-blob-corrupt` (missing or rotten).
   */
  async manifestBytes(digest: Digest, size: number): Promise<Uint8Array> {
    const known = this.bytes.get(digest);
    if (known !== undefined) return known;
    const reader = await this.storage.blobs.open(digest);
    if (reader === undefined) throw corrupt(digest, "is missing");
    try {
      const chunks: Uint8Array[] = [];
      for await (const chunk of reader.stream(0, Math.min(reader.size, size))) chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      if (digestOf(bytes, splitDigest(digest).algorithm) !== digest) throw corrupt(digest, "is damaged");
      this.bytes.set(digest, bytes, bytes.length);
      return bytes;
    } finally {
      await reader.close();
    }
  }

  /** Notes that a client was told this content is here, so that a collection leaves it for the grace age. */
  noteSeen(digest: Digest): void {
    this.seen.set(digest, this.now());
  }

  lastSeen(digest: Digest): number {
    return this.seen.get(digest) ?? 0;
  }

  /**
   * For a push that relies on a blob which the repository has: where another process may collect garbage, that one does not know
   * who was asked for what, so the link says it. Only for those who hold `exclusively`. False: the bytes are gone.
   */
  async rely(name: string, digest: Digest, { linked, size }: BlobRecord): Promise<boolean> {
    const { sharing, blobs } = this.storage;
    if (sharing === undefined || this.now() - linked < renewMilliseconds) return true;
    if (!(await this.exclusivelyBlob(digest, () => blobs.touch(digest)))) return false;
    await this.linkBlob(name, digest, size);
    return true;
  }

  /** The same for those who do not hold it. */
  async promise(name: string, digest: Digest, record: BlobRecord): Promise<boolean> {
    if (this.storage.sharing === undefined || this.now() - record.linked < renewMilliseconds) return true;
    return this.exclusively(name, async () => {
      const current = await this.blob(name, digest);
      return current !== undefined && this.rely(name, digest, current);
    });
  }

  /** After writes to a repository: `mend` writes again what somebody who collects garbage removed at the same moment. */
  private async settle(name: string, mend: () => Promise<void>): Promise<void> {
    while (await this.storage.sharing?.settle(`repositories/${name}`)) await mend();
  }

  /**
   * Stores a manifest and points the tags to it. `recheck` throws when what the manifest names was removed in the meantime, which
   * others can do where there are others.
   */
  putManifest(
    name: string,
    digest: Digest,
    accepted: AcceptedManifest,
    tags: readonly string[],
    recheck?: () => Promise<void>,
  ): Promise<void> {
    return this.arrival(digest, () => this.storeManifest(name, digest, accepted, tags, recheck));
  }

  private async storeManifest(
    name: string,
    digest: Digest,
    accepted: AcceptedManifest,
    tags: readonly string[],
    recheck?: () => Promise<void>,
  ): Promise<void> {
    const { bytes, mediaType, subject } = accepted;
    const size = bytes.length;
    const pushed = this.now();
    await this.exclusivelyBlob(digest, () => this.storage.blobs.put(digest, bytes));
    this.bytes.set(digest, bytes, size);
    const shared = this.storage.sharing !== undefined;
    const isNew = shared && (await this.manifest(name, digest)) === undefined;
    const putRecord = async (): Promise<void> => {
      if (subject !== undefined) {
        await this.write(name, referrerKey(name, subject, digest), {
          mediaType,
          digest,
          size,
          artifactType: accepted.artifactType,
          annotations: accepted.annotations,
        });
      }
      await this.write(name, manifestKey(name, digest), { mediaType, size, pushed, subject });
    };
    const mendRecord = async (): Promise<void> => {
      if ((await this.manifest(name, digest)) === undefined) await putRecord();
    };
    await putRecord();
    if (shared) {
      await this.settle(name, mendRecord);
      try {
        await recheck?.();
      } catch (error) {
        if (isNew) await this.deleteManifest(name, digest);
        throw error;
      }
    }
    const putTag = (tag: string): Promise<void> =>
      this.write(name, tagKey(name, tag), { digest, mediaType, size, pushed } satisfies TagRecord);
    for (const tag of tags) await putTag(tag);
    if (tags.length > 0) {
      await this.settle(name, async () => {
        await mendRecord();
        for (const tag of tags) if ((await this.tag(name, tag)) === undefined) await putTag(tag);
      });
    }
    if (tags.length > 0) this.storage.tagsChanged?.(name);
  }

  async deleteTag(name: string, tag: string): Promise<boolean> {
    const removed = await this.remove(tagKey(name, tag));
    if (removed) this.storage.tagsChanged?.(name);
    return removed;
  }

  /** Removes a manifest with the tags that point to it. Referrers to it stay: they are found again when it comes back. */
  async deleteManifest(name: string, digest: Digest): Promise<boolean> {
    const record = await this.manifest(name, digest);
    if (record === undefined) return false;
    for (const tag of await this.tagsOf(name, digest)) await this.deleteTag(name, tag);
    const removed = await this.remove(manifestKey(name, digest));
    if (record.subject !== undefined) await this.remove(referrerKey(name, record.subject, digest));
    return removed;
  }

  async tagsOf(name: string, digest: Digest): Promise<readonly string[]> {
    const tags = await this.tags(name);
    const records = await inParallel(tags, (tag) => this.tag(name, tag));
    return tags.filter((_, index) => records[index]?.digest === digest);
  }

  /** Lets the repository serve a blob that is in the storage. */
  async linkBlob(name: string, digest: Digest, size: number): Promise<void> {
    this.noteSeen(digest);
    const put = (): Promise<void> =>
      this.write(name, blobKey(name, digest), { size, linked: this.now() } satisfies BlobRecord);
    await put();
    await this.settle(name, async () => {
      if ((await this.blob(name, digest)) === undefined) await put();
    });
  }

  /** Forgets a referrer whose manifest is gone: what a crash in the middle of a push or a delete leaves. */
  async removeDanglingReferrers(name: string): Promise<number> {
    const base = `${root(name)}_referrers/`;
    let removed = 0;
    for (const subject of await this.digests(base)) {
      for (const referrer of await this.digests(`${base}${pathOf(subject)}/`)) {
        if ((await this.manifest(name, referrer)) !== undefined) continue;
        await this.remove(referrerKey(name, subject, referrer));
        removed += 1;
      }
    }
    return removed;
  }

  unlinkBlob(name: string, digest: Digest): Promise<boolean> {
    return this.remove(blobKey(name, digest));
  }

  private async read<T extends object>(key: string): Promise<T | undefined> {
    const value = await this.records.read(key);
    if (value === undefined) return undefined;
    if (typeof value === "object" && value !== null) return value as T;
    throw new VitrineError("corrupt", `registry record ${key} is no object`, {
      code: "registry-record-corrupt",
      operand: key,
    });
  }

  private async write(name: string, key: string, value: object): Promise<void> {
    await this.records.write(key, value);
    if (this.known?.includes(name) === false) this.known = undefined;
  }

  private remove(key: string): Promise<boolean> {
    // It may have been the last of its repository.
    this.known = undefined;
    return this.records.remove(key).finally(() => {
      this.known = undefined;
    });
  }

  private async digests(prefix: string): Promise<readonly Digest[]> {
    const digests: Digest[] = [];
    for (const algorithm of await this.records.names(prefix)) {
      if (!algorithm.endsWith("/")) continue;
      for (const entry of await this.records.names(`${prefix}${algorithm}`)) {
        const digest = `${algorithm.slice(0, -1)}:${entry.replace(/\/$/, "")}`;
        if (isDigest(digest)) digests.push(digest);
      }
    }
    return digests;
  }
}

function root(name: string): string {
  return `repositories/${name}/`;
}
function pathOf(digest: Digest): string {
  return digest.replace(":", "/");
}
function tagKey(name: string, tag: string): string {
  return `${root(name)}_tags/${tag}`;
}
function manifestKey(name: string, digest: Digest): string {
  return `${root(name)}_manifests/${pathOf(digest)}`;
}
function blobKey(name: string, digest: Digest): string {
  return `${root(name)}_blobs/${pathOf(digest)}`;
}
function referrerKey(name: string, subject: Digest, referrer: Digest): string {
  return `${root(name)}_referrers/${pathOf(subject)}/${pathOf(referrer)}`;
}

function corrupt(digest: Digest, what: string): VitrineError {
  return new VitrineError("corrupt", `stored manifest ${digest} ${what}`, {
    code: "registry-blob-corrupt",
    operand: digest,
    hint: "push it again; see what else is damaged: vitrine registry check",
  });
}

/** Maps with a few at a time: a repository can have many tags. */
export async function inParallel<T, R>(items: readonly T[], body: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await body(items[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallelReads, items.length) }, worker));
  return results;
}
