/** What a pushed manifest must be before it is stored (spec.md#pushing-manifests). */
import { VitrineError } from "../../../base/mod.ts";
import {
  type Descriptor,
  type Digest,
  layerMediaType,
  type ParsedIndex,
  type ParsedManifest,
  parseManifestOrIndex,
} from "../../../oci/mod.ts";
import { withoutParameters } from "../../protocol/headers.ts";
import { RegistryError } from "../errors.ts";
import { type AcceptedManifest, inParallel, type Repositories } from "./repositories.ts";

export interface AcceptOptions {
  readonly maxBytes: number;
  readonly missingContent: "refuse" | "indexes" | "accept";
}

/** More digests than this are not listed in one answer. */
const mostListed = 100;

/** What HTTP clients send when they were not told a type. */
const unspecificTypes = new Set([
  "",
  "application/json",
  "application/octet-stream",
  "application/x-www-form-urlencoded",
  "text/plain",
]);

/**
 * Parses and checks; that the content it names is in the repository is part of it, but for `subject`.
 * Errors (RegistryError 400): MANIFEST_INVALID, DIGEST_INVALID, MANIFEST_BLOB_UNKNOWN (one for each that is missing, in
 * `detail` of the first); 413 SIZE_INVALID.
 */
export async function acceptManifest(
  repositories: Repositories,
  name: string,
  bytes: Uint8Array,
  contentType: string | undefined,
  options: AcceptOptions,
): Promise<AcceptedManifest> {
  const parsed = parse(bytes, contentType, options.maxBytes);
  const missing = await missingContent(repositories, name, parsed, options.missingContent);
  if (missing.length > 0) {
    throw new RegistryError(400, "MANIFEST_BLOB_UNKNOWN", {
      message: `the repository does not have ${missing[0]}${missing.length > 1 ? ` and ${missing.length - 1} more` : ""}`,
      detail: missing.slice(0, mostListed).map((digest) => ({ digest })),
    });
  }
  const document = parsed.kind === "manifest" ? parsed.manifest : parsed.index;
  return {
    bytes,
    mediaType: parsed.mediaType,
    subject: document.subject?.digest,
    artifactType: artifactTypeOf(parsed),
    annotations: document.annotations,
  };
}

/** As the list of referrers shows it (spec.md#listing-referrers). */
function artifactTypeOf(parsed: ParsedManifest | ParsedIndex): string | undefined {
  return parsed.kind === "manifest"
    ? (parsed.manifest.artifactType ?? parsed.manifest.config.mediaType)
    : parsed.index.artifactType;
}

function parse(
  bytes: Uint8Array,
  contentType: string | undefined,
  maxBytes: number,
): ParsedManifest | ParsedIndex {
  const header = withoutParameters(contentType ?? "").toLowerCase();
  const stated = unspecificTypes.has(header) ? undefined : header;
  try {
    const parsed = parseManifestOrIndex(bytes, stated, { maxBytes });
    if (stated === undefined || parsed.mediaType === stated) return parsed;
    throw otherType(stated, parsed);
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    if (error.code === "json-too-large") {
      throw new RegistryError(413, "SIZE_INVALID", { message: error.message, cause: error });
    }
    const own = stated !== undefined && parsedAlone(bytes, maxBytes);
    if (own && own.mediaType !== stated) throw otherType(stated, own);
    const isDigest = error.code.startsWith("digest-");
    throw new RegistryError(400, isDigest ? "DIGEST_INVALID" : "MANIFEST_INVALID", {
      message: error.message,
      detail: { reason: error.code, ...(error.hint !== undefined && { hint: error.hint }) },
      cause: error,
    });
  }
}

/** What the document is where nobody says what it should be; undefined where it is none at all. */
function parsedAlone(bytes: Uint8Array, maxBytes: number): ParsedManifest | ParsedIndex | undefined {
  try {
    return parseManifestOrIndex(bytes, undefined, { maxBytes });
  } catch {
    return undefined;
  }
}

/** The header and the document disagree: they must say the same (spec.md#pushing-manifests), as readers choose by either. */
function otherType(stated: string, parsed: ParsedManifest | ParsedIndex): RegistryError {
  const { mediaType, kind } = parsed;
  const document = kind === "manifest" ? parsed.manifest : parsed.index;
  const its =
    document.mediaType === undefined
      ? `it has the members of ${kind === "index" ? "an index" : "an image manifest"}`
      : `its mediaType is ${document.mediaType}`;
  return new RegistryError(400, "MANIFEST_INVALID", {
    message: `the manifest was sent with the Content-Type ${stated}, but ${its}: send it with Content-Type: ${mediaType}`,
    detail: { reason: "manifest-media-type-mismatch", contentType: stated, mediaType },
  });
}

async function missingContent(
  repositories: Repositories,
  name: string,
  parsed: ParsedManifest | ParsedIndex,
  policy: AcceptOptions["missingContent"],
): Promise<readonly string[]> {
  if (policy === "accept") return [];
  if (parsed.kind === "index") {
    if (policy === "indexes") return [];
    const missing: string[] = [...parsed.unverifiable];
    for (const { digest } of parsed.index.manifests) {
      // An index may name a blob as well (artifacts do): both are content of the repository.
      if (await repositories.manifest(name, digest)) continue;
      if (!(await hasBlob(repositories, name, digest))) missing.push(digest);
    }
    return missing;
  }
  const { config, layers } = parsed.manifest;
  const named = new Set([config, ...layers.filter(mustBeHere)].map(({ digest }) => digest));
  const missing: string[] = [];
  await inParallel([...named], async (digest) => {
    if (!(await hasBlob(repositories, name, digest))) missing.push(digest);
  });
  return missing;
}

async function hasBlob(repositories: Repositories, name: string, digest: Digest): Promise<boolean> {
  const record = await repositories.blob(name, digest);
  return record !== undefined && (await repositories.rely(name, digest, record));
}

/** Nondistributable layers come from their own urls. */
function mustBeHere(layer: Descriptor): boolean {
  return layerMediaType(layer.mediaType)?.nondistributable !== true;
}

/** Every digest a stored manifest keeps alive: its blobs and the manifests of an index, not its subject. */
export function referencesOf(bytes: Uint8Array, mediaType: string): readonly Digest[] {
  const parsed = parseManifestOrIndex(bytes, mediaType, { maxBytes: bytes.length });
  return parsed.kind === "manifest"
    ? [parsed.manifest.config.digest, ...parsed.manifest.layers.map(({ digest }) => digest)]
    : parsed.index.manifests.map(({ digest }) => digest);
}
