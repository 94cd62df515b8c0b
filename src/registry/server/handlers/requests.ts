/** Reading what requests name: digests, pages, algorithms. Each error is the protocol's. */
import { VitrineError } from "../../../base/mod.ts";
import { type Digest, type DigestAlgorithm, digestAlgorithms, parseDigest } from "../../../oci/mod.ts";
import { type ManifestReference, parseManifestReference } from "../../protocol/names.ts";
import { RegistryError } from "../errors.ts";
import type { Exchange } from "../http/exchange.ts";

/** Error: 400 DIGEST_INVALID. */
export function readDigest(text: string): Digest {
  try {
    return parseDigest(text);
  } catch (error) {
    throw digestInvalid(error);
  }
}

/** Errors: 400 DIGEST_INVALID; 404 MANIFEST_UNKNOWN for a tag that cannot exist, or 400 when it is to be made. */
export function readReference(text: string, toMake: boolean): ManifestReference {
  let reference: ManifestReference | undefined;
  try {
    reference = parseManifestReference(text);
  } catch (error) {
    throw digestInvalid(error);
  }
  if (reference !== undefined) return reference;
  if (toMake) throw new RegistryError(400, "MANIFEST_INVALID", { message: "not a tag and not a digest" });
  throw new RegistryError(404, "MANIFEST_UNKNOWN");
}

function digestInvalid(error: unknown): unknown {
  return error instanceof VitrineError
    ? new RegistryError(400, "DIGEST_INVALID", { message: error.message, cause: error })
    : error;
}

/** `digest-algorithm` of a new upload. Error: 400 DIGEST_INVALID. */
export function readAlgorithm(exchange: Exchange): DigestAlgorithm {
  const text = exchange.query.get("digest-algorithm") ?? "sha256";
  if (Object.hasOwn(digestAlgorithms, text)) return text as DigestAlgorithm;
  throw new RegistryError(400, "DIGEST_INVALID", {
    message: `unsupported digest algorithm; supported: ${Object.keys(digestAlgorithms).join(", ")}`,
  });
}

export interface Page {
  /** How many are wanted; undefined for all. */
  readonly count: number | undefined;
  /** Only what comes after it in byte order. */
  readonly last: string | undefined;
}

/** Error: 400 UNSUPPORTED for an `n` that is no count. */
export function readPage(exchange: Exchange): Page {
  const count = exchange.query.get("n");
  const last = exchange.query.get("last") ?? undefined;
  if (count === null || count === "") return { count: undefined, last };
  if (!/^\d+$/.test(count)) {
    throw new RegistryError(400, "UNSUPPORTED", { message: "n must be a whole number" });
  }
  return { count: Math.min(Number(count), Number.MAX_SAFE_INTEGER), last };
}

/** The entries of a page of a sorted list, and whether more follow. `most` bounds one that asks for all or for more. */
export function cutPage(
  entries: readonly string[],
  page: Page,
  most: number,
): { readonly entries: readonly string[]; readonly more: boolean } {
  const start = page.last === undefined ? 0 : firstAfter(entries, page.last);
  const end = start + Math.min(page.count ?? most, most);
  return { entries: entries.slice(start, end), more: end < entries.length && end > start };
}

function firstAfter(sorted: readonly string[], last: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= last) low = middle + 1;
    else high = middle;
  }
  return low;
}
