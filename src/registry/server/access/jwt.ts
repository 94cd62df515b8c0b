/** Signed tokens: JWT (RFC 7519) with RS256 or ES256 (RFC 7518), and what Docker puts in them. */
import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type JsonValue, parseJson, VitrineError } from "../../../base/mod.ts";
import type { AccessScope } from "../../protocol/challenge.ts";

const longestToken = 16 * 1024;
/** How far clocks may be apart. */
const leewaySeconds = 60;

export interface VerificationKey {
  readonly key: KeyObject;
  readonly id: string | undefined;
}

export interface Claims {
  readonly subject: string | undefined;
  readonly access: readonly AccessScope[];
}

export interface TokenExpectation {
  readonly keys: readonly VerificationKey[];
  readonly issuer: string;
  /** What `aud` must name. */
  readonly service: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * Keys from a file: PEM public keys and certificates, one after the other, or a JWK set (RFC 7517). RSA of 2048 bits or
 * more and P-256. Error: `token-key-invalid`.
 */
export function parseKeys(text: string, name: string): readonly VerificationKey[] {
  try {
    const keys = text.trimStart().startsWith("{") ? fromJwks(text) : fromPem(text);
    if (keys.length > 0 && keys.every(({ key }) => algorithmOf(key) !== undefined)) return keys;
  } catch (cause) {
    throw keyInvalid(name, cause);
  }
  throw keyInvalid(name);
}

function fromPem(text: string): readonly VerificationKey[] {
  const blocks = text.match(/-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----/g) ?? [];
  return blocks.map((block) => ({ key: createPublicKey(block), id: undefined }));
}

function fromJwks(text: string): readonly VerificationKey[] {
  const value: unknown = JSON.parse(text);
  const keys = typeof value === "object" && value !== null && "keys" in value ? value.keys : undefined;
  if (!Array.isArray(keys)) return [];
  return (keys as readonly Readonly<Record<string, string>>[]).map((key) => ({
    key: createPublicKey({ key, format: "jwk" }),
    id: typeof key["kid"] === "string" ? key["kid"] : undefined,
  }));
}

function keyInvalid(name: string, cause?: unknown): VitrineError {
  return new VitrineError("invalid", `${name} holds no keys for tokens`, {
    code: "token-key-invalid",
    operand: name,
    hint: "give PEM public keys or certificates, or a JWK set: RSA of 2048 bits or more, or P-256",
    cause,
  });
}

type Algorithm = "RS256" | "ES256";

/** By the key, never by what the token says of itself: a public key must not become a secret. */
function algorithmOf(key: KeyObject): Algorithm | undefined {
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa" && (modulusLength ?? 0) >= 2048) return "RS256";
  return key.asymmetricKeyType === "ec" && namedCurve === "prime256v1" ? "ES256" : undefined;
}

/** The claims of a token that holds; a text that says why when it does not. */
export function verifyToken(token: string, expected: TokenExpectation): Claims | string {
  if (token.length > longestToken) return "the token is too long";
  const [header, payload, signature, ...rest] = token.split(".");
  if (header === undefined || payload === undefined || signature === undefined || rest.length > 0) {
    return "the token is malformed";
  }
  const head = decode(header);
  const body = decode(payload);
  if (head === undefined || body === undefined) return "the token is malformed";
  const signed = Buffer.from(`${header}.${payload}`);
  const bytes = Buffer.from(signature, "base64url");
  const candidates = expected.keys.filter(
    ({ key, id }) =>
      algorithmOf(key) === head["alg"] &&
      (id === undefined || head["kid"] === undefined || id === head["kid"]),
  );
  if (!candidates.some(({ key }) => holds(key, signed, bytes))) return "the token's signature does not hold";
  return checkClaims(body, expected);
}

function holds(key: KeyObject, signed: Buffer, signature: Buffer): boolean {
  try {
    return verify("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, signature);
  } catch {
    return false;
  }
}

type Members = Readonly<Record<string, JsonValue | undefined>>;

function decode(part: string): Members | undefined {
  try {
    const value = parseJson(Buffer.from(part, "base64url"), { maxBytes: longestToken, maxDepth: 8 });
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Members)
      : undefined;
  } catch {
    return undefined;
  }
}

function checkClaims(body: Members, expected: TokenExpectation): Claims | string {
  const now = expected.now / 1000;
  const { exp, nbf, iss, aud, sub, access } = body;
  if (typeof exp !== "number" || exp + leewaySeconds < now) return "the token has expired";
  if (typeof nbf === "number" && nbf - leewaySeconds > now) return "the token is not valid yet";
  if (iss !== expected.issuer) return "the token is of another issuer";
  const audience = Array.isArray(aud) ? aud : [aud];
  if (!audience.includes(expected.service)) return "the token is for another service";
  const grants: AccessScope[] = [];
  for (const entry of Array.isArray(access) ? (access as readonly JsonValue[]) : []) {
    if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return "the token is malformed";
    const { type, name, actions } = entry as Members;
    if (typeof type !== "string" || typeof name !== "string" || !Array.isArray(actions)) {
      return "the token is malformed";
    }
    grants.push({ type, name, actions: actions.filter((action) => typeof action === "string") });
  }
  return { subject: typeof sub === "string" && sub !== "" ? sub : undefined, access: grants };
}

/** A token of ours, ES256. */
export function signToken(key: KeyObject, id: string, claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ typ: "JWT", alg: "ES256", kid: id })}.${part(claims)}`;
  const signature = sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${signature.toString("base64url")}`;
}
