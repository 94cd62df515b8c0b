/**
 * A pull-through cache: what is missing here is fetched from one upstream registry, verified, stored, and given to those
 * who wait for it while it arrives. Tags are looked up again after a while; when the upstream cannot be reached, what is
 * here is served.
 */
import * as fs from "node:fs/promises";
import { type Descriptor, type Digest, digestOf, mediaTypes, splitDigest } from "../../oci/mod.ts";
import { parseChallenges } from "../protocol/challenge.ts";
import { headerNames } from "../protocol/headers.ts";
import { paths } from "../protocol/paths.ts";
import { acceptManifest } from "./accept-manifest.ts";
import { BoundedCache } from "./bounded-cache.ts";
import { RegistryError } from "./errors.ts";
import { GrowingFile } from "./growing-file.ts";
import type { Metrics } from "./metrics.ts";
import { UpstreamLists } from "./mirror-lists.ts";
import type { Repositories } from "./repositories.ts";
import type { Upstream } from "./service.ts";
import type { BlobReader } from "./storage/types.ts";
import type { Upload, UploadArea } from "./uploads.ts";

export interface MirrorOptions {
  /** `https://registry-1.docker.io` */
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
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
/** For an answer's headers; bodies may take as long as they move. */
const answerMilliseconds = 30_000;
const rememberedChecks = 100_000;

export function startMirror(options: MirrorOptions, parts: MirrorParts): Upstream {
  return new Mirror(options, parts);
}

class Mirror implements Upstream {
  private readonly options: MirrorOptions;
  private readonly parts: MirrorParts;
  private readonly checks = new BoundedCache<number>(rememberedChecks);
  private readonly tokens = new BoundedCache<string>(1000);
  /** What is being fetched: those who want the same share it. */
  private readonly manifests = new Map<string, Promise<void>>();
  private readonly blobs = new Map<string, Promise<GrowingFile | undefined>>();

  private readonly lists: UpstreamLists;

  constructor(options: MirrorOptions, parts: MirrorParts) {
    this.options = options;
    this.parts = parts;
    this.lists = new UpstreamLists(
      (name, target, mostBytes) => this.document(name, target, mostBytes),
      parts.now,
      (options.tagSeconds ?? 60) * 1000,
    );
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
  ): Promise<{ readonly body: Uint8Array; readonly link: string | null } | undefined> {
    const answer = await this.ask(name, target, { headers: { Accept: "application/json, */*" } });
    if (answer.status === 404) {
      await answer.body?.cancel();
      return undefined;
    }
    await requireOk(answer);
    return { body: await readAll(answer, mostBytes), link: answer.headers.get("link") };
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
    const accept = { Accept: manifestTypes };
    if (local !== undefined) {
      const head = await this.ask(name, target, { method: "HEAD", headers: accept });
      if (head.status === 404) {
        await this.parts.repositories.exclusively(name, () =>
          this.parts.repositories.deleteTag(name, reference.tag!),
        );
        return;
      }
      if (head.ok && head.headers.get(headerNames.contentDigest) === local) {
        this.checks.set(`${name}:${reference.tag}`, this.parts.now());
        return;
      }
    }
    const answer = await this.ask(name, target, { headers: accept });
    if (answer.status === 404) {
      await answer.body?.cancel();
      return;
    }
    await requireOk(answer);
    const bytes = await readAll(answer, this.parts.manifestBytes);
    await this.storeManifest(name, reference, bytes, answer.headers.get("content-type") ?? undefined);
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

  async blobSize(name: string, digest: Digest): Promise<number | undefined> {
    const answer = await this.ask(name, paths.blob(name, digest), { method: "HEAD" });
    if (answer.status === 404) return undefined;
    await requireOk(answer);
    return contentLength(answer);
  }

  async blob(name: string, digest: Digest): Promise<BlobReader | undefined> {
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
    return (await running)?.open();
  }

  private async beginBlob(name: string, digest: Digest, ended: () => void): Promise<GrowingFile | undefined> {
    const answer = await this.ask(name, paths.blob(name, digest), {});
    if (answer.status === 404) {
      await answer.body?.cancel();
      return undefined;
    }
    await requireOk(answer);
    const size = contentLength(answer);
    if (size === undefined || size > this.parts.blobBytes || answer.body === null) {
      await answer.body?.cancel();
      throw unusable("the upstream does not tell the blob's size, or it is too large");
    }
    const upload = await this.parts.uploads.create(name, splitDigest(digest).algorithm);
    const file = new GrowingFile(await fs.open(upload.path, "r"), size);
    // Goes on when the one who asked has left: the next one finds it.
    this.receive(name, digest, upload, answer.body, file)
      .then(
        () => file.end(),
        (error: unknown) => file.end(error),
      )
      .finally(ended);
    return file;
  }

  private async receive(
    name: string,
    digest: Digest,
    upload: Upload,
    body: AsyncIterable<Uint8Array>,
    file: GrowingFile,
  ): Promise<void> {
    const { repositories, metrics } = this.parts;
    try {
      await upload.append(body, file.size, (bytes) => file.grow(bytes));
      if (upload.size !== file.size) throw unusable("the upstream's answer ended early");
      const actual = await upload.digest(splitDigest(digest).algorithm);
      if (actual !== digest) throw unusable(`the upstream sent ${actual} for ${digest}`);
      const { size } = upload;
      await upload.release();
      await repositories.exclusivelyBlob(digest, () => repositories.storage.blobs.adopt(digest, upload.path));
      await repositories.exclusively(name, () => repositories.linkBlob(name, digest, size));
      metrics.add("vitrine_registry_upstream_fetches_total");
    } finally {
      await upload.discard();
    }
  }

  /** One request to the upstream, once more with a token when it asks for one. */
  private async ask(name: string, target: string, init: RequestInit): Promise<Response> {
    const first = await this.send(target, init, this.tokens.get(name));
    if (first.status !== 401) return first;
    await first.body?.cancel();
    const authorization = await this.authorize(name, first.headers.get("www-authenticate") ?? "");
    if (authorization === undefined) throw unusable("the upstream does not let us in");
    this.tokens.set(name, authorization);
    return this.send(target, init, authorization);
  }

  private async send(
    target: string,
    init: RequestInit,
    authorization: string | undefined,
  ): Promise<Response> {
    const headers: Record<string, string> = {
      "Accept-Encoding": "identity",
      "User-Agent": "vitrine-registry",
      ...(init.headers as Record<string, string> | undefined),
      ...(authorization !== undefined && { Authorization: authorization }),
    };
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), answerMilliseconds);
    try {
      return await fetch(new URL(target, this.options.url), { ...init, headers, signal: patience.signal });
    } catch (cause) {
      throw unusable("the upstream registry cannot be reached", cause);
    } finally {
      clearTimeout(timer);
    }
  }

  private async authorize(name: string, header: string): Promise<string | undefined> {
    const { user, password } = this.options;
    const basic =
      user === undefined ? undefined : `Basic ${Buffer.from(`${user}:${password ?? ""}`).toString("base64")}`;
    const challenges = parseChallenges(header);
    const bearer = challenges.find(({ scheme }) => scheme === "bearer")?.parameters;
    if (bearer === undefined) return challenges.some(({ scheme }) => scheme === "basic") ? basic : undefined;
    const url = new URL(bearer["realm"] ?? "", this.options.url);
    if (bearer["service"] !== undefined) url.searchParams.set("service", bearer["service"]);
    url.searchParams.set("scope", `repository:${name}:pull`);
    const answer = await fetch(url, {
      headers: basic === undefined ? {} : { Authorization: basic },
      signal: AbortSignal.timeout(answerMilliseconds),
    });
    if (!answer.ok) return undefined;
    const body: unknown = await answer.json();
    const token = tokenOf(body);
    return token === undefined ? undefined : `Bearer ${token}`;
  }
}

function tokenOf(body: unknown): string | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  if ("token" in body && typeof body.token === "string") return body.token;
  return "access_token" in body && typeof body.access_token === "string" ? body.access_token : undefined;
}

async function requireOk(answer: Response): Promise<void> {
  if (answer.ok) return;
  await answer.body?.cancel();
  if (answer.status === 429) {
    throw new RegistryError(429, "TOOMANYREQUESTS", {
      message: "the upstream registry asks for patience",
      headers: {
        "Retry-After": /^\d+$/.test(answer.headers.get("retry-after") ?? "")
          ? answer.headers.get("retry-after")!
          : "60",
      },
    });
  }
  throw unusable(`the upstream registry answered ${answer.status}`);
}

async function readAll(answer: Response, most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length;
    if (bytes > most) throw unusable(`the upstream's answer has more than ${most} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function contentLength(answer: Response): number | undefined {
  const text = answer.headers.get("content-length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function unusable(message: string, cause?: unknown): RegistryError {
  return new RegistryError(502, "UNKNOWN", { message, cause });
}
