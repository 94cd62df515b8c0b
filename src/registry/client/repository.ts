/** The API of one repository (spec.md#endpoints) over a session. */
import { type ByteStream, collect, limits, VitrineError, verified } from "../../base/mod.ts";
import { expectedContent } from "../../image/mod.ts";
import {
  type Descriptor,
  type Digest,
  digestOf,
  isDigest,
  type ParsedIndex,
  type ParsedManifest,
  parseManifestOrIndex,
  splitDigest,
} from "../../oci/mod.ts";
import { type AccessScope, headerNames, paths, withoutParameters } from "../protocol/mod.ts";
import { acceptedManifests } from "./accept.ts";
import { downloadFrom } from "./download.ts";
import { documentTooLarge, responseError } from "./failures.ts";
import type { HttpResponse, Method } from "./http.ts";
import { fetchLists, listOfTexts } from "./lists.ts";
import { addReferrer, listReferrers, removeReferrer } from "./referrers.ts";
import type { Session } from "./session.ts";
import type {
  BlobOutcome,
  FetchedManifest,
  ManifestTarget,
  OutgoingBlob,
  OutgoingManifest,
  Repository,
  Timing,
} from "./types.ts";
import { uploadBlob } from "./upload.ts";

export interface RepositoryOptions {
  readonly session: Session;
  readonly name: string;
  /** The host in the reference, where this is a mirror for it (spec.md#registry-proxying). */
  readonly namespace?: string;
  readonly timing: Timing;
  readonly onNote: (text: string) => void;
}

/** The spec asks for ten at least (spec.md#pushing-manifests). */
const tagsAtOnce = 10;

export function openRepository(options: RepositoryOptions): Repository {
  return new RemoteRepository(options);
}

class RemoteRepository implements Repository {
  readonly #options: RepositoryOptions;
  readonly #session: Session;
  readonly registry: string;
  readonly name: string;

  constructor(options: RepositoryOptions) {
    this.#options = options;
    this.#session = options.session;
    this.registry = options.session.registry;
    this.name = options.name;
  }

  async getManifest(reference: string): Promise<FetchedManifest> {
    const response = await this.#get("GET", paths.manifest(this.name, reference), {
      accept: acceptedManifests,
    });
    if (response.status !== 200) {
      const error = await responseError(response, this.#operand(reference), "manifest-unknown");
      if (error.code !== "manifest-unknown" || isDigest(reference)) throw error;
      throw new VitrineError(error.kind, error.message, {
        code: error.code,
        operand: error.operand,
        hint: `vitrine tags ${this.registry}/${this.name} lists what there is`,
        cause: error.cause,
      });
    }
    const bytes = await readDocument(response, this.#operand(reference));
    const digest = digestFor(reference, response, bytes);
    // Parameters do not count (spec.md#pulling-manifests); what a proxy made of the type is no reason to fail.
    const stated = withoutParameters(response.headers.get("content-type") ?? "");
    const parsed = parseAnswer(bytes, stated, this.registry, this.#operand(reference));
    return { descriptor: { mediaType: parsed.mediaType, digest, size: bytes.length }, parsed };
  }

  async headManifest(reference: string): Promise<Descriptor | undefined> {
    const response = await this.#get("HEAD", paths.manifest(this.name, reference), {
      accept: acceptedManifests,
    });
    await response.discard();
    if (response.status === 404) return undefined;
    const size = lengthOf(response);
    const digest = response.headers.get(headerNames.contentDigest) ?? (isDigest(reference) ? reference : "");
    const mediaType = withoutParameters(response.headers.get("content-type") ?? "");
    if (response.status === 200 && size !== undefined && isDigest(digest) && !genericTypes.has(mediaType)) {
      return { mediaType, digest, size };
    }
    // No digest, or no HEAD at all: the whole tells.
    try {
      return (await this.getManifest(reference)).descriptor;
    } catch (error) {
      if (error instanceof VitrineError && error.code === "manifest-unknown") return undefined;
      throw error;
    }
  }

  async putManifest(manifest: OutgoingManifest, { tags }: ManifestTarget): Promise<void> {
    const answers: HttpResponse[] = [];
    let left = tags;
    // A tag alone is filed under sha256 whatever digest the manifest was known by.
    const otherAlgorithm = !manifest.digest.startsWith("sha256:");
    if (tags.length > 0 && tags.length <= tagsAtOnce && (tags.length > 1 || otherAlgorithm)) {
      try {
        const answer = await this.#putTagged(manifest, tags);
        answers.push(answer);
        left = tags.filter((tag) => !tagsTaken(answer).includes(tag));
      } catch (error) {
        // Registries that know sha256 alone take the tag all the same.
        if (!otherAlgorithm || !(error instanceof VitrineError) || error.kind !== "invalid") throw error;
      }
    }
    if (tags.length === 0) answers.push(await this.#put(manifest, manifest.digest));
    for (const tag of left) answers.push(await this.#put(manifest, tag));
    const isReferrerKnown = answers.some(({ headers }) => headers.get(headerNames.subject) !== undefined);
    if (!isReferrerKnown) await addReferrer(this, manifest);
  }

  async deleteManifest(reference: string): Promise<void> {
    const subject = isDigest(reference) ? await subjectOf(this, reference) : undefined;
    await this.#deleteAt(paths.manifest(this.name, reference), this.#operand(reference), "manifest-unknown");
    if (subject !== undefined && isDigest(reference)) await removeReferrer(this, subject, reference);
  }

  async headBlob(digest: Digest): Promise<number | undefined> {
    const response = await this.#get("HEAD", paths.blob(this.name, digest));
    await response.discard();
    if (response.status === 200) return lengthOf(response) ?? -1;
    if (response.status === 404) return undefined;
    throw await responseError(response, this.#operand(digest), "blob-unknown");
  }

  openBlob(descriptor: Descriptor): ByteStream {
    return verified(this.openUnverifiedBlobFrom(descriptor, 0), expectedContent(descriptor));
  }

  openUnverifiedBlobFrom(descriptor: Descriptor, start: number): ByteStream {
    const { timing, onNote } = this.#options;
    const path = paths.blob(this.name, descriptor.digest);
    return downloadFrom(descriptor, start, {
      timing,
      onNote,
      request: (at) => this.#get("GET", path, at === 0 ? {} : { range: `bytes=${at}-` }),
    });
  }

  async putBlob(blob: OutgoingBlob): Promise<BlobOutcome> {
    const { timing, onNote } = this.#options;
    const { digest } = blob.descriptor;
    const present = await this.#session.send({
      method: "HEAD",
      target: paths.blob(this.name, digest),
      scopes: this.#scopes("pull", "push"),
    });
    await present.discard();
    if (present.status === 200) return "present";
    if (present.status === 401 || present.status === 403) {
      throw await responseError(present, `${this.registry}/${this.name}`);
    }
    return uploadBlob({ session: this.#session, name: this.name, timing, onNote }, blob);
  }

  deleteBlob(digest: Digest): Promise<void> {
    return this.#deleteAt(paths.blob(this.name, digest), digest, "blob-unknown");
  }

  async tags(): Promise<readonly string[]> {
    const operand = `${this.registry}/${this.name}`;
    const pages = fetchLists(this.#session, paths.tags(this.name), this.#scopes("pull"), operand);
    const tags: string[] = [];
    for await (const page of pages) tags.push(...listOfTexts(page, "tags"));
    return [...new Set(tags)];
  }

  referrers(digest: Digest, artifactType?: string): Promise<readonly Descriptor[]> {
    return listReferrers(this, this.#session, this.#scopes("pull"), digest, artifactType);
  }

  // --- one request each ---

  #scopes(...actions: readonly string[]): readonly AccessScope[] {
    return [{ type: "repository", name: this.name, actions }];
  }

  #operand(reference: string): string {
    return `${this.registry}/${this.name}${isDigest(reference) ? "@" : ":"}${reference}`;
  }

  #get(method: Method, path: string, headers: Readonly<Record<string, string>> = {}): Promise<HttpResponse> {
    const { namespace } = this.#options;
    const target = namespace === undefined ? path : `${path}?${new URLSearchParams({ ns: namespace })}`;
    return this.#session.send({ method, target, headers, scopes: this.#scopes("pull") });
  }

  async #put(manifest: OutgoingManifest, reference: string): Promise<HttpResponse> {
    const { bytes, mediaType } = manifest;
    const response = await this.#session.send({
      method: "PUT",
      target: paths.manifest(this.name, reference),
      headers: { "content-type": mediaType },
      body: { length: bytes.length, open: () => once(bytes) },
      scopes: this.#scopes("pull", "push"),
      repeatable: true,
    });
    if (response.status !== 201 && response.status !== 200 && response.status !== 202) {
      throw await responseError(response, this.#operand(reference.split("?")[0]!));
    }
    await response.discard();
    const said = response.headers.get(headerNames.contentDigest);
    if (
      said !== undefined &&
      said !== manifest.digest &&
      said.split(":")[0] === manifest.digest.split(":")[0]
    ) {
      throw new VitrineError("corrupt", `${this.registry} kept ${said} in place of ${manifest.digest}`, {
        code: "upload-digest-refused",
        operand: this.#operand(reference),
      });
    }
    return response;
  }

  /** Several tags in one request; `tagsTaken` tells which of them the registry took. */
  #putTagged(manifest: OutgoingManifest, tags: readonly string[]): Promise<HttpResponse> {
    const query = tags.map((tag) => `tag=${encodeURIComponent(tag)}`).join("&");
    return this.#put(manifest, `${manifest.digest}?${query}`);
  }

  async #deleteAt(path: string, what: string, unknown: "manifest-unknown" | "blob-unknown"): Promise<void> {
    const response = await this.#session.send({
      method: "DELETE",
      target: path,
      scopes: this.#scopes("delete", "pull", "push"),
      repeatable: true,
    });
    if (response.status === 202 || response.status === 200 || response.status === 204) {
      await response.discard();
      return;
    }
    const error = await responseError(response, what, unknown);
    if (response.status !== 400 && response.status !== 405) throw error;
    throw new VitrineError("unsupported", `${this.registry} does not let this be deleted`, {
      code: "registry-unsupported-operation",
      operand: what,
      hint: "deleting is off in many registries; some delete by digest only: vitrine delete NAME@DIGEST",
      cause: error,
    });
  }
}

function tagsTaken({ headers }: HttpResponse): readonly string[] {
  return headers.all(headerNames.tag).flatMap((value) => value.split(",").map((tag) => tag.trim()));
}

function parseAnswer(
  bytes: Uint8Array,
  stated: string,
  registry: string,
  operand: string,
): ParsedManifest | ParsedIndex {
  try {
    return parseManifestOrIndex(bytes, genericTypes.has(stated) ? undefined : stated);
  } catch (cause) {
    if (stated !== "text/html") {
      if (!(cause instanceof VitrineError)) throw cause;
      const { kind, code, message, hint } = cause;
      throw new VitrineError(kind, `${operand}: ${message}`, { code, operand, hint, cause });
    }
    throw new VitrineError("unavailable", `${registry} answers with a web page in place of a manifest`, {
      code: "registry-malformed-response",
      operand: registry,
      hint: "is this the address of a registry? The page of a proxy or of a login may stand before it",
      cause,
    });
  }
}

async function subjectOf(repository: Repository, digest: Digest): Promise<Digest | undefined> {
  try {
    const { parsed } = await repository.getManifest(digest);
    return (parsed.kind === "manifest" ? parsed.manifest : parsed.index).subject?.digest;
  } catch (error) {
    if (error instanceof VitrineError) return undefined;
    throw error;
  }
}

/** Types that say nothing of a manifest. */
const genericTypes: ReadonlySet<string> = new Set([
  "",
  "application/json",
  "application/octet-stream",
  "text/plain",
  "text/html",
]);

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

function lengthOf(response: HttpResponse): number | undefined {
  const text = response.headers.get("content-length");
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Refused by its length before a byte is read, and while reading where that lies. */
async function readDocument(response: HttpResponse, operand: string): Promise<Uint8Array> {
  const tooLarge = documentTooLarge(operand, "manifest-too-large");
  if ((lengthOf(response) ?? 0) > limits.manifestBytes) {
    await response.discard();
    throw tooLarge;
  }
  try {
    return await collect(response.body, limits.manifestBytes, operand);
  } catch (error) {
    if (error instanceof VitrineError && error.code === "bomb") throw tooLarge;
    throw error;
  }
}

/** The digest asked for, else the one that the registry says, else sha256; the first two are held against the bytes. */
function digestFor(reference: string, response: HttpResponse, bytes: Uint8Array): Digest {
  const said = response.headers.get(headerNames.contentDigest) ?? "";
  const wanted = isDigest(reference) ? reference : isDigest(said) ? said : undefined;
  if (wanted === undefined) return digestOf(bytes);
  const actual = digestOf(bytes, splitDigest(wanted).algorithm);
  if (actual === wanted) return wanted;
  throw new VitrineError("corrupt", `content digest is ${actual}, expected ${wanted}`, {
    code: "content-digest-mismatch",
    operand: wanted,
    hint: "the registry, or something on the way to it, sends other content than it names",
  });
}
