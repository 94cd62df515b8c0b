/**
 * A pull-through cache: what is missing here is fetched from one upstream registry, verified, stored, and given to those
 * who wait for it while it arrives. Tags are looked up again after a while; when the upstream cannot be reached, what is
 * here is served.
 */
import * as fs from "node:fs/promises";
import {
  type Descriptor,
  type Digest,
  digestOf,
  isIndexMediaType,
  isManifestMediaType,
  mediaTypes,
  splitDigest,
} from "../../../oci/mod.ts";
import { headerNames, withoutParameters } from "../../protocol/headers.ts";
import { paths } from "../../protocol/paths.ts";
import { BoundedCache } from "../bounded-cache.ts";
import { RegistryError } from "../errors.ts";
import type { Metrics } from "../observe/metrics.ts";
import { acceptManifest } from "../repositories/accept-manifest.ts";
import type { Repositories } from "../repositories/repositories.ts";
import { statedSize } from "../repositories/stated-size.ts";
import type { Upstream } from "../service.ts";
import type { Upload, UploadArea } from "../uploads.ts";
import { type GrowingBlob, GrowingFile } from "./growing-file.ts";
import { UpstreamLists } from "./lists.ts";
import { type UpstreamAnswer, UpstreamConnection, type UpstreamOptions, unusable } from "./upstream.ts";

export interface MirrorOptions extends UpstreamOptions {
  /** How long a tag is served without asking again; default 60 seconds. */
  readonly tagSeconds?: number;
}

export interface MirrorParts {
  readonly repositories: Repositories;
  readonly uploads: UploadArea;
  readonly metrics: Metrics;
  readonly manifestBytes: number;
  readonly blobBytes: number;
  readonly now: () => number;
}

const manifestTypes = [
  mediaTypes.index,
  mediaTypes.manifest,
  mediaTypes.dockerManifestList,
  mediaTypes.dockerManifest,
].join(", ");
const rememberedChecks = 100_000;

export function startMirror(options: MirrorOptions, parts: MirrorParts): Upstream {
  return new Mirror(options, parts);
}

class Mirror implements Upstream {
  private readonly options: MirrorOptions;
  private readonly parts: MirrorParts;
  private readonly checks = new BoundedCache<number>(rememberedChecks);
  private readonly upstream: UpstreamConnection;
  /** What is being fetched: those who want the same share it. */
  private readonly manifests = new Map<string, Promise<void>>();
  private readonly blobs = new Map<string, Promise<GrowingFile | undefined>>();

  private readonly lists: UpstreamLists;

  constructor(options: MirrorOptions, parts: MirrorParts) {
    this.options = options;
    this.parts = parts;
    this.upstream = new UpstreamConnection(options);
    this.lists = new UpstreamLists(
      (name, target, mostBytes) => this.document(name, target, mostBytes),
      parts.now,
      (options.tagSeconds ?? 60) * 1000,
    );
  }

  close(): void {
    this.upstream.close();
  }

  tags(name: string): Promise<readonly string[] | undefined> {
    return this.lists.tags(name);
  }

  referrers(name: string, digest: Digest): Promise<readonly Descriptor[]> {
    return this.lists.referrers(name, digest);
  }

  private async document(
    name: string,
    target: string,
    mostBytes: number,
  ): Promise<{ readonly body: Uint8Array; readonly link: string | undefined } | undefined> {
    const answer = await this.upstream.ask(name, target, { accept: "application/json, */*" });
    if (answer.status === 404) {
      await answer.discard();
      return undefined;
    }
    await answer.requireOk();
    return { body: await answer.all(mostBytes), link: answer.header("link") };
  }

  async manifest(
    name: string,
    reference: { readonly tag?: string; readonly digest?: Digest },
  ): Promise<void> {
    const { repositories } = this.parts;
    const text = reference.digest ?? reference.tag!;
    const local = reference.digest ?? (await repositories.tag(name, text))?.digest;
    const present = local !== undefined && (await repositories.manifest(name, local)) !== undefined;
    if (present && (reference.digest !== undefined || this.isFresh(name, text))) return;
    const key = `${name} ${text}`;
    let running = this.manifests.get(key);
    if (running === undefined) {
      running = this.fetchManifest(name, reference, present ? local : undefined).finally(() =>
        this.manifests.delete(key),
      );
      this.manifests.set(key, running);
    }
    try {
      await running;
    } catch (error) {
      // Better what was there a while ago than nothing.
      if (!present) throw error;
    }
  }

  private isFresh(name: string, tag: string): boolean {
    const checked = this.checks.get(`${name}:${tag}`);
    return checked !== undefined && this.parts.now() - checked < (this.options.tagSeconds ?? 60) * 1000;
  }

  private async fetchManifest(
    name: string,
    reference: { readonly tag?: string; readonly digest?: Digest },
    local: Digest | undefined,
  ): Promise<void> {
    const target = paths.manifest(name, reference.digest ?? reference.tag!);
    const accept = manifestTypes;
    if (local !== undefined) {
      const head = await this.upstream.ask(name, target, { method: "HEAD", accept });
      if (head.status === 404) {
        await this.parts.repositories.exclusively(name, () =>
          this.parts.repositories.deleteTag(name, reference.tag!),
        );
        return;
      }
      if (head.ok && head.header(headerNames.contentDigest) === local) {
        this.checks.set(`${name}:${reference.tag}`, this.parts.now());
        return;
      }
    }
    const answer = await this.upstream.ask(name, target, { accept });
    if (answer.status === 404) {
      await answer.discard();
      return;
    }
    await answer.requireOk();
    const bytes = await answer.all(this.parts.manifestBytes);
    const stated = withoutParameters(answer.header("content-type") ?? "");
    // What a proxy before the upstream made of the type is no reason to fail.
    const isType = isManifestMediaType(stated) || isIndexMediaType(stated);
    await this.storeManifest(name, reference, bytes, isType ? stated : undefined);
  }

  private async storeManifest(
    name: string,
    reference: { readonly tag?: string; readonly digest?: Digest },
    bytes: Uint8Array,
    contentType: string | undefined,
  ): Promise<void> {
    const { repositories, metrics, manifestBytes } = this.parts;
    const digest = digestOf(
      bytes,
      reference.digest === undefined ? "sha256" : splitDigest(reference.digest).algorithm,
    );
    if (reference.digest !== undefined && digest !== reference.digest) {
      throw unusable(`the upstream sent ${digest} for ${reference.digest}`);
    }
    await repositories.exclusively(name, async () => {
      const accepted = await acceptManifest(repositories, name, bytes, contentType, {
        maxBytes: manifestBytes,
        // Its blobs are fetched when somebody asks for them.
        missingContent: "accept",
      }).catch((cause: unknown) => {
        throw cause instanceof RegistryError
          ? unusable(`the upstream's manifest cannot be read: ${cause.message}`, cause)
          : cause;
      });
      await repositories.putManifest(
        name,
        digest,
        accepted,
        reference.tag === undefined ? [] : [reference.tag],
      );
    });
    metrics.add("vitrine_registry_upstream_fetches_total");
    if (reference.tag !== undefined) this.checks.set(`${name}:${reference.tag}`, this.parts.now());
  }

  async blobSize(name: string, digest: Digest): Promise<{ readonly size: number | undefined } | undefined> {
    const answer = await this.upstream.ask(name, paths.blob(name, digest), { method: "HEAD" });
    if (answer.status === 404) return undefined;
    await answer.requireOk();
    return { size: await this.sizeOf(answer, name, digest) };
  }

  async blob(name: string, digest: Digest): Promise<GrowingBlob | undefined> {
    const key = `${name}@${digest}`;
    let running = this.blobs.get(key);
    if (running === undefined) {
      running = this.beginBlob(name, digest, () => this.blobs.delete(key));
      this.blobs.set(key, running);
      running.then(
        (file) => file === undefined && this.blobs.delete(key),
        () => this.blobs.delete(key),
      );
    }
    const file = await running;
    if (file === undefined) return undefined;
    // It may have come to its end meanwhile: then it is in the storage, unless it failed.
    const opened = file.open() ?? (await this.parts.repositories.storage.blobs.open(digest));
    if (opened === undefined) throw unusable("the upstream sent another blob than was asked for");
    return opened;
  }

  private async beginBlob(name: string, digest: Digest, ended: () => void): Promise<GrowingFile | undefined> {
    const answer = await this.upstream.ask(name, paths.blob(name, digest));
    if (answer.status === 404) {
      await answer.discard();
      return undefined;
    }
    await answer.requireOk();
    const size = await this.sizeOf(answer, name, digest);
    const upload = await this.parts.uploads.create(name, splitDigest(digest).algorithm);
    const begun = Promise.withResolvers<GrowingFile>();
    // Goes on when the one who asked has left: the next one finds it.
    upload
      .use(
        () => undefined,
        async () => {
          const file = new GrowingFile(await fs.open(upload.path, "r"), size);
          begun.resolve(file);
          await this.receive(name, digest, upload, answer, file).then(
            () => file.end(),
            (error: unknown) => file.end(error),
          );
        },
      )
      .catch(begun.reject)
      .finally(ended);
    return begun.promise;
  }

  /** What the upstream says, else what the manifests that name the blob say; undefined where nobody does. */
  private async sizeOf(answer: UpstreamAnswer, name: string, digest: Digest): Promise<number | undefined> {
    const size = answer.contentLength ?? (await statedSize(this.parts.repositories, name, digest));
    if (size === undefined || size <= this.parts.blobBytes) return size;
    await answer.discard();
    throw unusable(`the blob has ${size} bytes, more than are kept here`);
  }

  private async receive(
    name: string,
    digest: Digest,
    upload: Upload,
    answer: UpstreamAnswer,
    file: GrowingFile,
  ): Promise<void> {
    const { repositories, metrics } = this.parts;
    try {
      const expected = file.size;
      await upload.append(answer.body(), expected ?? this.parts.blobBytes, (bytes) => file.grow(bytes));
      if (expected !== undefined && upload.size !== expected) {
        throw unusable("the upstream's answer ended early");
      }
      const actual = await upload.digest(splitDigest(digest).algorithm);
      if (actual !== digest) throw unusable(`the upstream sent ${actual} for ${digest}`);
      const { size } = upload;
      await upload.release();
      await repositories.arrival(digest, async () => {
        await repositories.exclusivelyBlob(digest, () =>
          repositories.storage.blobs.adopt(digest, upload.path),
        );
        await repositories.together(name, () => repositories.linkBlob(name, digest, size));
      });
      metrics.add("vitrine_registry_upstream_fetches_total");
    } finally {
      await upload.discard();
    }
  }
}
