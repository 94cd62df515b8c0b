/**
 * Image references as people write them, by the rules of Docker's `reference` grammar: `alpine` is
 * `docker.io/library/alpine:latest`, `host:5000/team/app:1.2@sha256:…` is itself.
 */
import { quoted, VitrineError } from "../base/mod.ts";
import { type Digest, parseDigest } from "../oci/mod.ts";

/** Normalised: every part explicit. A reference has a tag, a digest or both. */
export interface ImageReference {
  /** `docker.io`, `localhost`, `host:5000`, `[::1]:5000`. */
  readonly domain: string;
  /** `library/alpine` */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

const defaultDomain = "docker.io";
/** The name Docker Hub had first; old files still hold it. */
const legacyDomain = "index.docker.io";
const officialPrefix = "library/";
const defaultTag = "latest";

const longestPath = 255;
const longestDomain = 255;
const longestReference = 1024;

const label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domainGrammar = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const pathGrammar = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/;
const tagGrammar = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const fullId = /^[a-f0-9]{64}$/;

/**
 * Parses and normalises. Without tag and digest the tag is `latest`.
 * Errors (invalid): `reference-invalid`, `reference-uppercase`, `reference-too-long`, `reference-tag-invalid`,
 * `reference-is-id`, `digest-invalid`; (unsupported) `digest-algorithm-unsupported`.
 */
export function parseReference(text: string): ImageReference {
  if (text.length > longestReference) {
    throw problem("reference-too-long", text, `reference is longer than ${longestReference} characters`);
  }
  if (text === "") {
    throw problem("reference-invalid", text, "image reference is empty");
  }
  if (fullId.test(text)) {
    throw problem("reference-is-id", text, "64 hexadecimal digits are an image ID, not a name");
  }
  const at = text.indexOf("@");
  const named = at === -1 ? text : text.slice(0, at);
  const digest = at === -1 ? undefined : parseDigest(text.slice(at + 1), `reference ${quoted(text)}`);
  const { domain, rest } = splitDomain(named);
  const colon = rest.indexOf(":");
  const path = colon === -1 ? rest : rest.slice(0, colon);
  const tag = colon === -1 ? undefined : rest.slice(colon + 1);
  checkName(text, domain, path);
  if (tag !== undefined && !tagGrammar.test(tag)) {
    throw problem(
      "reference-tag-invalid",
      text,
      `invalid tag ${quoted(tag)}`,
      "a tag has letters, digits, '_', '.' and '-', starts with none of the last two, and has at most 128 characters",
    );
  }
  if (digest === undefined) return { domain, path, tag: tag ?? defaultTag };
  return tag === undefined ? { domain, path, digest } : { domain, path, tag, digest };
}

/** `docker.io/library/alpine:latest`: the form that index.json and records hold. */
export function formatReference(reference: ImageReference): string {
  return repositoryName(reference) + suffix(reference);
}

/** `docker.io/library/alpine` */
export function repositoryName(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The short form that people know, for display: `alpine:latest`, `user/app@sha256:…`. */
export function familiarReference(reference: ImageReference): string {
  return familiarName(reference) + suffix(reference);
}

/** The short form of the repository: `alpine`, `user/app`, `quay.io/team/app`. */
export function familiarName(reference: ImageReference): string {
  if (reference.domain !== defaultDomain) return repositoryName(reference);
  const short = reference.path.slice(officialPrefix.length);
  return reference.path.startsWith(officialPrefix) && !short.includes("/") ? short : reference.path;
}

/**
 * The hex digits of an image ID or a prefix of one, or undefined when `text` cannot be one: 4 to 64 lower-case digits,
 * alone or after `sha256:`. A short prefix can be a name as well (`cafe`): names go first, as in Docker.
 */
export function imageIdPrefix(text: string): string | undefined {
  return /^(?:sha256:)?([a-f0-9]{4,64})$/.exec(text)?.[1];
}

/** Whether it can be nothing but an image ID: 64 digits, or `sha256:` and 64 digits. */
export function isFullImageId(text: string): boolean {
  return imageIdPrefix(text)?.length === 64;
}

function suffix(reference: ImageReference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  return reference.digest === undefined ? tag : `${tag}@${reference.digest}`;
}

/**
 * The first component is a registry if it cannot be part of a Docker Hub name: it has a dot, a colon or capitals, or is
 * `localhost`.
 */
function splitDomain(text: string): { domain: string; rest: string } {
  const slash = text.indexOf("/");
  const first = text.slice(0, Math.max(slash, 0));
  const isDomain =
    slash !== -1 && (first === "localhost" || /[.:]/.test(first) || first.toLowerCase() !== first);
  const domain = !isDomain || first === legacyDomain ? defaultDomain : first;
  const rest = isDomain ? text.slice(slash + 1) : text;
  const colon = rest.indexOf(":");
  const path = colon === -1 ? rest : rest.slice(0, colon);
  return { domain, rest: domain === defaultDomain && !path.includes("/") ? officialPrefix + rest : rest };
}

function checkName(text: string, domain: string, path: string): void {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text);
  if (scheme !== null) {
    throw problem(
      "reference-invalid",
      text,
      "a reference has no URL scheme",
      `leave ${scheme[1]}:// out: ${quoted(text.slice(scheme[0].length))}`,
    );
  }
  if (!domainGrammar.test(domain) || domain.length > longestDomain) {
    throw problem("reference-invalid", text, `invalid registry name ${quoted(domain)}`);
  }
  if (path.length > longestPath) {
    throw problem(
      "reference-too-long",
      text,
      `repository name must not be more than ${longestPath} characters`,
    );
  }
  const shown = path.startsWith(officialPrefix) ? path.slice(officialPrefix.length) : path;
  if (path.toLowerCase() !== path && pathGrammar.test(path.toLowerCase())) {
    throw problem(
      "reference-uppercase",
      text,
      `repository name ${quoted(shown)} must be lowercase`,
      `did you mean ${quoted(text.replace(shown, shown.toLowerCase()))}?`,
    );
  }
  if (!pathGrammar.test(path)) {
    throw problem(
      "reference-invalid",
      text,
      `invalid repository name ${quoted(shown)}`,
      "a name is [HOST[:PORT]/]NAME[:TAG][@DIGEST]; each part of NAME has lowercase letters and digits, separated by '.', '_', '__' or '-'",
    );
  }
}

function problem(code: string, text: string, message: string, hint?: string): VitrineError {
  return new VitrineError("invalid", `invalid reference ${quoted(text)}: ${message}`, {
    code,
    operand: text.slice(0, longestReference),
    hint,
  });
}
