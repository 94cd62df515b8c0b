/** Names in the paths of the API (spec.md#pulling-manifests). */
import { type Digest, isDigest, parseDigest } from "../../oci/mod.ts";

/** The spec's expression has the ambiguous `[a-z0-9]+` repeated; this one accepts the same and never backtracks far. */
const component = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const repositoryGrammar = new RegExp(`^${component}(?:/${component})*$`);
const tagGrammar = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** As most clients have it for host and name together (spec.md, implementers' note). */
const longestRepositoryName = 255;

/** `library/alpine`. No component can be `..` or begin with `_` or a dot. */
export function isRepositoryName(text: string): boolean {
  return text.length <= longestRepositoryName && repositoryGrammar.test(text);
}

export function isTag(text: string): boolean {
  return tagGrammar.test(text);
}

/** The `<tag-or-digest>` of a path. Exactly one of the two. */
export type ManifestReference =
  | { readonly tag: string; readonly digest?: undefined }
  | { readonly digest: Digest; readonly tag?: undefined };

/**
 * Reads `<tag-or-digest>`; undefined when it is neither. What has a colon can only be a digest.
 * Errors: those of `parseDigest` for something with a colon.
 */
export function parseManifestReference(text: string): ManifestReference | undefined {
  if (text.includes(":")) return { digest: parseDigest(text) };
  return isTag(text) ? { tag: text } : undefined;
}

/** Longest parts of a referrers tag (spec.md#referrers-tag-schema). */
const longestTagAlgorithm = 32;
const longestTagEncoded = 64;

/** The tag that lists the referrers of `digest` on registries without the referrers API: `sha256-…`. */
export function referrersTag(digest: string): string {
  const colon = digest.indexOf(":");
  const algorithm = digest.slice(0, colon).slice(0, longestTagAlgorithm);
  const encoded = digest.slice(colon + 1).slice(0, longestTagEncoded);
  return `${algorithm}-${encoded}`.replace(/[^a-zA-Z0-9._-]/g, "-");
}

/** The digest a referrers tag stands for, where nothing was cut off (sha256); else undefined. */
export function digestOfReferrersTag(tag: string): Digest | undefined {
  const digest = tag.replace("-", ":");
  return isDigest(digest) ? digest : undefined;
}
