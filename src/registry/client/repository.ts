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
import type { FetchedManifest, ManifestTarget, OutgoingManifest, Repository, Timing } from "./types.ts";
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
  const { session, name, namespace } = options;
  const scopes = (...actions: string[]): readonly AccessScope[] => [{ type: "repository", name, actions }];
  const pull = scopes("pull");
  const write = scopes("pull", "push");
  const remove = scopes("delete", "pull", "push");

  const get = (
    method: Method,
    path: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<HttpResponse> => {
    const target = namespace === undefined ? path : `${path}?${new URLSearchParams({ ns: namespace })}`;
    return session.send({ method, target, headers, scopes: pull });
  };

  const operand = (reference: string): string =>
    `${session.registry}/${name}${isDigest(reference) ? "@" : ":"}${reference}`;

  const getManifest = async (reference: string): Promise<FetchedManifest> => {
    const response = await get("GET", paths.manifest(name, reference), { accept: acceptedManifests });
    if (response.status !== 200) {
      const error = await responseError(response, operand(reference), "manifest-unknown");
      if (error.code !== "manifest-unknown" || isDigest(reference)) throw error;
      throw new VitrineError(error.kind, error.message, {
        code: error.code,
        operand: error.operand,
        hint: `vitrine tags ${session.registry}/${name} lists what there is`,
        cause: error.cause,
      });
    }
    const bytes = await readDocument(response, operand(reference));
    const digest = digestFor(reference, response, bytes);
    // Parameters do not count (spec.md#pulling-manifests); what a proxy made of the type is no reason to fail.
    const stated = withoutParameters(response.headers.get("content-type") ?? "");
    const parsed = parseAnswer(bytes, stated, session.registry, operand(reference));
    return { descriptor: { mediaType: parsed.mediaType, digest, size: bytes.length }, parsed };
  };

  const headManifest = async (reference: string): Promise<Descriptor | undefined> => {
    const response = await get("HEAD", paths.manifest(name, reference), { accept: acceptedManifests });
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
      return (await getManifest(reference)).descriptor;
    } catch (error) {
      if (error instanceof VitrineError && error.code === "manifest-unknown") return undefined;
      throw error;
    }
  };

  const put = async (manifest: OutgoingManifest, reference: string): Promise<HttpResponse> => {
    const { bytes, mediaType } = manifest;
    const response = await session.send({
      method: "PUT",
      target: paths.manifest(name, reference),
      headers: { "content-type": mediaType },
      body: { length: bytes.length, open: () => once(bytes) },
      scopes: write,
      repeatable: true,
    });
    if (response.status !== 201 && response.status !== 200 && response.status !== 202) {
      throw await responseError(response, operand(reference.split("?")[0]!));
    }
    await response.discard();
    const said = response.headers.get(headerNames.contentDigest);
    if (
      said !== undefined &&
      said !== manifest.digest &&
      said.split(":")[0] === manifest.digest.split(":")[0]
    ) {
      throw new VitrineError("corrupt", `${session.registry} kept ${said} in place of ${manifest.digest}`, {
        code: "upload-digest-refused",
        operand: operand(reference),
      });
    }
    return response;
  };

  /** Several tags in one request, where the registry says that it took them. Returns those it did not. */
  const putTagged = async (
    manifest: OutgoingManifest,
    tags: readonly string[],
  ): Promise<readonly string[]> => {
    const query = tags.map((tag) => `tag=${encodeURIComponent(tag)}`).join("&");
    const response = await put(manifest, `${manifest.digest}?${query}`);
    noteSubject(response);
    const taken = response.headers
      .all(headerNames.tag)
      .flatMap((value) => value.split(",").map((tag) => tag.trim()));
    return tags.filter((tag) => !taken.includes(tag));
  };

  let subjectTaken = false;
  const noteSubject = (response: HttpResponse): void => {
    subjectTaken ||= response.headers.get(headerNames.subject) !== undefined;
  };

  const putManifest = async (manifest: OutgoingManifest, { tags }: ManifestTarget): Promise<void> => {
    subjectTaken = false;
    let left = tags;
    // A tag alone is filed under sha256 whatever digest the manifest was known by.
    const otherAlgorithm = !manifest.digest.startsWith("sha256:");
    if (tags.length > 0 && tags.length <= tagsAtOnce && (tags.length > 1 || otherAlgorithm)) {
      left = await putTagged(manifest, tags).catch((error: unknown) => {
        // Registries that know sha256 alone take the tag all the same.
        if (otherAlgorithm && error instanceof VitrineError && error.kind === "invalid") return tags;
        throw error;
      });
    }
    if (tags.length === 0) noteSubject(await put(manifest, manifest.digest));
    for (const tag of left) noteSubject(await put(manifest, tag));
    if (!subjectTaken) await addReferrer(repository, manifest);
  };

  const deleteAt = async (path: string, what: string, unknown: "manifest-unknown" | "blob-unknown") => {
    const response = await session.send({ method: "DELETE", target: path, scopes: remove, repeatable: true });
    if (response.status === 202 || response.status === 200 || response.status === 204) {
      await response.discard();
      return;
    }
    const error = await responseError(response, what, unknown);
    if (response.status !== 400 && response.status !== 405) throw error;
    throw new VitrineError("unsupported", `${session.registry} does not let this be deleted`, {
      code: "registry-unsupported-operation",
      operand: what,
      hint: "deleting is off in many registries; some delete by digest only: vitrine delete NAME@DIGEST",
      cause: error,
    });
  };

  const unverifiedFrom = (descriptor: Descriptor, start: number): ByteStream =>
    downloadFrom(descriptor, start, {
      timing: options.timing,
      onNote: options.onNote,
      request: (at) =>
        get("GET", paths.blob(name, descriptor.digest), at === 0 ? {} : { range: `bytes=${at}-` }),
    });

  const repository: Repository = {
    registry: session.registry,
    name,
    getManifest,
    headManifest,
    putManifest,
    async deleteManifest(reference) {
      const subject = isDigest(reference) ? await subjectOf(repository, reference) : undefined;
      await deleteAt(paths.manifest(name, reference), operand(reference), "manifest-unknown");
      if (subject !== undefined && isDigest(reference)) await removeReferrer(repository, subject, reference);
    },
    async headBlob(digest) {
      const response = await get("HEAD", paths.blob(name, digest));
      await response.discard();
      if (response.status === 200) return lengthOf(response) ?? -1;
      if (response.status === 404) return undefined;
      throw await responseError(response, `${session.registry}/${name}@${digest}`, "blob-unknown");
    },
    openBlob: (descriptor) => verified(unverifiedFrom(descriptor, 0), expectedContent(descriptor)),
    openUnverifiedBlobFrom: unverifiedFrom,
    async putBlob(blob) {
      const { digest } = blob.descriptor;
      const present = await session.send({ method: "HEAD", target: paths.blob(name, digest), scopes: write });
      await present.discard();
      if (present.status === 200) return "present";
      if (present.status === 401 || present.status === 403) {
        throw await responseError(present, `${session.registry}/${name}`);
      }
      return uploadBlob({ session, name, timing: options.timing, onNote: options.onNote }, blob);
    },
    deleteBlob: (digest) => deleteAt(paths.blob(name, digest), digest, "blob-unknown"),
    async tags() {
      const pages = fetchLists(session, paths.tags(name), pull, `${session.registry}/${name}`);
      const tags: string[] = [];
      for await (const page of pages) tags.push(...listOfTexts(page, "tags"));
      return [...new Set(tags)];
    },
    referrers: (digest, artifactType) => listReferrers(repository, session, pull, digest, artifactType),
  };
  return repository;
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
