/** Digests (descriptor.md#digests): `algorithm:encoded`. A value of type `Digest` has passed `parseDigest`. */
import { hashHex, quoted, VitrineError } from "../base/mod.ts";

declare const digestBrand: unique symbol;
/** `sha256:` + 64 or `sha512:` + 128 lower-case hex digits: safe as a path component once split. */
export type Digest = string & { readonly [digestBrand]: true };

/** Registered algorithms of the spec that we verify, with the length of the hex form. */
export const digestAlgorithms = { sha256: 64, sha512: 128 } as const;
export type DigestAlgorithm = keyof typeof digestAlgorithms;

export interface DigestParts {
  readonly algorithm: DigestAlgorithm;
  readonly hex: string;
}

/** The grammar of the spec; what matches but is not registered is `unsupported`, not `invalid`. */
const grammar = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;
const longest = 160;

/**
 * Checks a digest from untrusted text. `where` names it in the message (a JSON pointer, a flag).
 * Errors: `digest-invalid` (grammar, length or case), `digest-algorithm-unsupported`.
 */
export function parseDigest(text: string, where = "digest"): Digest {
  if (isDigest(text)) {
    return text;
  }
  const shown = quoted(text, longest);
  if (text.length > longest || !grammar.test(text)) {
    throw new VitrineError("invalid", `${where}: ${shown} is not a digest`, {
      code: "digest-invalid",
      operand: shown,
      hint: "a digest is written ALGORITHM:HEX, for example sha256: and 64 hex digits",
    });
  }
  const algorithm = text.slice(0, text.indexOf(":"));
  const length = lengthOf(algorithm);
  if (length === undefined) {
    throw new VitrineError("unsupported", `${where}: digest algorithm ${algorithm} is not supported`, {
      code: "digest-algorithm-unsupported",
      operand: text,
      hint: `vitrine verifies ${Object.keys(digestAlgorithms).join(" and ")}`,
    });
  }
  throw new VitrineError("invalid", `${where}: ${shown} is not ${length} lower-case hex digits`, {
    code: "digest-invalid",
    operand: text,
  });
}

export function isDigest(text: string): text is Digest {
  const colon = text.indexOf(":");
  return (
    lengthOf(text.slice(0, colon)) === text.length - colon - 1 && /^[a-f0-9]+$/.test(text.slice(colon + 1))
  );
}

export function splitDigest(digest: Digest): DigestParts {
  const colon = digest.indexOf(":");
  const algorithm = digest.slice(0, colon) === "sha512" ? "sha512" : "sha256";
  return { algorithm, hex: digest.slice(colon + 1) };
}

/** The digest of bytes in memory. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Digest {
  return formatDigest(algorithm, hashHex(algorithm, bytes));
}

/** From a hash that was computed here. */
export function formatDigest(algorithm: DigestAlgorithm, hex: string): Digest {
  return parseDigest(`${algorithm}:${hex}`);
}

function lengthOf(algorithm: string): number | undefined {
  return Object.hasOwn(digestAlgorithms, algorithm)
    ? digestAlgorithms[algorithm as DigestAlgorithm]
    : undefined;
}
