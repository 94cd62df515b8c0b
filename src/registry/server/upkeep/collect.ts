/**
 * Retention and garbage collection, while pushes go on. What a push may rely on is safe in three ways: content stored,
 * linked, mounted or asked for (HEAD) within the grace age is left alone; links are removed under the lock of their
 * repository, after another look at its manifests; bytes are removed under the lock of their digest, after another look
 * at their age.
 */
import { VitrineError } from "../../../base/mod.ts";
import type { Digest } from "../../../oci/mod.ts";
import type { EventSink } from "../observe/events.ts";
import { type Policy, type Retention, tagPattern } from "../policy.ts";
import { referencesOf } from "../repositories/accept-manifest.ts";
import type { Repositories } from "../repositories/repositories.ts";
import type { CollectLease } from "../storage/types.ts";

export interface CollectOptions {
  readonly repositories: Repositories;
  readonly policy: Policy;
  readonly events: EventSink;
  readonly now: () => number;
  /** Default 24 hours: the time between a push's first blob and its manifest. */
  readonly graceMilliseconds?: number;
  /** Only tells what would be removed. */
  readonly dryRun?: boolean;
}

export interface CollectReport {
  readonly tags: readonly { readonly repository: string; readonly tag: string }[];
  readonly manifests: readonly { readonly repository: string; readonly digest: Digest }[];
  /** Links of blobs that no manifest of their repository names. */
  readonly links: number;
  /** Blobs that no repository links. */
  readonly blobs: number;
  readonly bytes: number;
  /** Repositories that were left alone, since what their manifests name could not be read. */
  readonly damaged: readonly { readonly repository: string; readonly message: string }[];
  /** Several processes share the storage, and it cannot tell which of them was the first to collect. */
  readonly unguarded: boolean;
}

const defaultGrace = 24 * 3600 * 1000;
const dayMilliseconds = 24 * 3600 * 1000;

export async function collectGarbage(options: CollectOptions): Promise<CollectReport> {
  await using lease = options.dryRun ? undefined : await options.repositories.storage.sharing?.lease();
  const run = new Collection(options, lease);
  for (const name of await options.repositories.names()) {
    try {
      await run.collectRepository(name);
    } catch (error) {
      run.leaveAlone(name, error);
    }
  }
  await options.repositories.sweeping(() => run.sweep());
  return run.report();
}

class Collection {
  private readonly options: CollectOptions;
  private readonly lease: CollectLease | undefined;
  private readonly repositories: Repositories;
  private readonly before: number;
  private readonly dry: boolean;
  private readonly tags: { repository: string; tag: string }[] = [];
  private readonly manifests: { repository: string; digest: Digest }[] = [];
  private links = 0;
  private blobs = 0;
  private bytes = 0;
  private readonly damaged: { repository: string; message: string }[] = [];
  /** What a dry run would have removed, so that what depends on it counts too. */
  private readonly pretended = new Set<string>();

  constructor(options: CollectOptions, lease: CollectLease | undefined) {
    this.options = options;
    this.lease = lease;
    this.repositories = options.repositories;
    this.dry = options.dryRun ?? false;
    this.before = options.now() - (options.graceMilliseconds ?? defaultGrace);
  }

  report(): CollectReport {
    const { tags, manifests, links, blobs, bytes, damaged } = this;
    return { tags, manifests, links, blobs, bytes, damaged, unguarded: this.lease?.exclusive === false };
  }

  /**
   * A manifest that cannot be read any more: what it named is not known, and must not be removed for that. Its links stay, so
   * that the sweep leaves their bytes as well; the other repositories are collected all the same.
   */
  leaveAlone(name: string, error: unknown): void {
    if (!(error instanceof VitrineError) || error.kind !== "corrupt") throw error;
    this.damaged.push({ repository: name, message: error.message });
  }

  async collectRepository(name: string): Promise<void> {
    const retention = this.options.policy.ruleFor(name)?.retention;
    if (retention !== undefined) {
      await this.alone(name, async () => {
        await this.retainTags(name, retention);
        if (retention.untaggedDays !== undefined) await this.removeUntagged(name, retention.untaggedDays);
      });
    }
    // The long part without the lock; under it only what was pushed meanwhile is read.
    const references = new Map<Digest, readonly Digest[]>();
    await this.mark(name, references);
    await this.alone(name, async () => {
      await this.mark(name, references);
      await this.unlink(name, references);
      if (!this.dry) await this.repositories.removeDanglingReferrers(name);
    });
  }

  /** Among those of this process, and of others that share the storage. */
  private alone(name: string, body: () => Promise<void>): Promise<void> {
    return this.repositories.exclusively(name, () =>
      this.lease === undefined ? body() : this.lease.announce(`repositories/${name}`, body),
    );
  }

  private async retainTags(name: string, retention: Retention): Promise<void> {
    const { keepTags, maxAgeDays } = retention;
    if (keepTags === undefined && maxAgeDays === undefined) return;
    const except = (retention.exceptTags ?? []).map(tagPattern);
    const entries: { readonly tag: string; readonly pushed: number }[] = [];
    for (const tag of await this.repositories.tags(name)) {
      if (except.some((pattern) => pattern.test(tag)) || this.options.policy.isImmutable(name, tag)) continue;
      const record = await this.repositories.tag(name, tag);
      if (record !== undefined) entries.push({ tag, pushed: record.pushed });
    }
    entries.sort((left, right) => right.pushed - left.pushed || (left.tag < right.tag ? 1 : -1));
    const oldest = maxAgeDays === undefined ? undefined : this.options.now() - maxAgeDays * dayMilliseconds;
    for (const [index, { tag, pushed }] of entries.entries()) {
      const tooMany = keepTags !== undefined && index >= keepTags;
      const tooOld = oldest !== undefined && pushed < oldest;
      if (!tooMany && !tooOld) continue;
      this.tags.push({ repository: name, tag });
      if (this.dry) this.pretended.add(`${name}:${tag}`);
      else await this.repositories.deleteTag(name, tag);
      if (!this.dry) this.options.events.emit({ type: "delete", what: "tag", repository: name, tags: [tag] });
    }
  }

  /** Removes manifests that no tag reaches: neither itself, nor through an index, nor as a referrer of what is reached. */
  private async removeUntagged(name: string, days: number): Promise<void> {
    const all = await this.repositories.manifests(name);
    const children = new Map<Digest, readonly Digest[]>();
    const referrersOf = new Map<Digest, Digest[]>();
    for (const digest of all) {
      const record = await this.repositories.manifest(name, digest);
      if (record === undefined) continue;
      children.set(digest, await this.referencesOf(digest, record));
      if (record.subject === undefined) continue;
      referrersOf.set(record.subject, [...(referrersOf.get(record.subject) ?? []), digest]);
    }
    const reached = new Set<Digest>();
    const queue: Digest[] = [];
    for (const tag of await this.repositories.tags(name)) {
      const record = await this.repositories.tag(name, tag);
      if (record !== undefined && !this.pretended.has(`${name}:${tag}`)) queue.push(record.digest);
    }
    for (let digest = queue.pop(); digest !== undefined; digest = queue.pop()) {
      if (reached.has(digest)) continue;
      reached.add(digest);
      queue.push(...(children.get(digest) ?? []), ...(referrersOf.get(digest) ?? []));
    }
    const before = Math.min(this.options.now() - days * dayMilliseconds, this.before);
    for (const digest of all) {
      const record = await this.repositories.manifest(name, digest);
      if (reached.has(digest) || record === undefined || record.pushed > before) continue;
      if (this.repositories.lastSeen(digest) > this.before) continue;
      this.manifests.push({ repository: name, digest });
      if (this.dry) this.pretended.add(`${name}@${digest}`);
      else await this.repositories.deleteManifest(name, digest);
      if (!this.dry) this.options.events.emit({ type: "delete", what: "manifest", repository: name, digest });
    }
  }

  /** Reads the manifests of a repository that are not in `references` yet, and drops those that are gone. */
  private async mark(name: string, references: Map<Digest, readonly Digest[]>): Promise<void> {
    const current = new Set<Digest>();
    for (const digest of await this.repositories.manifests(name)) {
      if (this.pretended.has(`${name}@${digest}`)) continue;
      current.add(digest);
      if (references.has(digest)) continue;
      const record = await this.repositories.manifest(name, digest);
      if (record !== undefined) references.set(digest, await this.referencesOf(digest, record));
    }
    for (const digest of references.keys()) if (!current.has(digest)) references.delete(digest);
  }

  private async referencesOf(
    digest: Digest,
    record: { readonly size: number; readonly mediaType: string },
  ): Promise<readonly Digest[]> {
    return referencesOf(await this.repositories.manifestBytes(digest, record.size), record.mediaType);
  }

  private async unlink(name: string, references: ReadonlyMap<Digest, readonly Digest[]>): Promise<void> {
    const named = new Set([...references.values()].flat());
    for (const digest of await this.repositories.blobs(name)) {
      if (named.has(digest) || this.repositories.lastSeen(digest) > this.before) continue;
      const record = await this.repositories.blob(name, digest);
      if (record === undefined || record.linked > this.before) continue;
      this.links += 1;
      if (this.dry) this.pretended.add(`${name}@${digest}`);
      else await this.repositories.unlinkBlob(name, digest);
    }
  }

  /** Removes the bytes that no repository names. */
  async sweep(): Promise<void> {
    const named = new Set<Digest>();
    for (const name of await this.repositories.names()) {
      const all = [...(await this.repositories.blobs(name)), ...(await this.repositories.manifests(name))];
      for (const digest of all) if (!this.pretended.has(`${name}@${digest}`)) named.add(digest);
    }
    const { blobs } = this.repositories.storage;
    if (!this.dry) await blobs.removeUnfinished?.(this.before);
    for await (const { digest, modified, size } of blobs.list()) {
      if (named.has(digest) || modified > this.before) continue;
      const remove = async (): Promise<boolean> => {
        const stat = await blobs.stat(digest);
        if (stat === undefined || stat.modified > this.before) return false;
        // Whatever the grace age: a push may link what was stored before this began.
        if (this.repositories.hasArrived(digest)) return false;
        return this.dry || blobs.delete(digest);
      };
      const removed = await this.repositories.exclusivelyBlob(digest, () =>
        this.lease === undefined ? remove() : this.lease.announce(digest, remove),
      );
      if (!removed) continue;
      this.blobs += 1;
      this.bytes += size;
    }
  }
}
