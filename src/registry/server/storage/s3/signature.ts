/** AWS Signature Version 4 for S3: the `Authorization` header of a request whose body's hash is known. */
import { createHash, createHmac } from "node:crypto";

export interface S3Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly sessionToken?: string;
}

export interface SignedRequest {
  readonly method: string;
  /** `host[:port]` as it is sent. */
  readonly host: string;
  /** Encoded, as it is sent. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Names in lower case; all are signed. */
  readonly headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body, hex. */
  readonly payloadHash: string;
}

export interface SigningContext {
  readonly credentials: S3Credentials;
  readonly region: string;
  readonly service?: string;
  readonly now: Date;
}

/** All headers to send: those given, with date, payload hash and signature. */
export function signRequest(request: SignedRequest, context: SigningContext): Record<string, string> {
  const { credentials } = context;
  const headers: Record<string, string> = {
    ...request.headers,
    host: request.host,
    "x-amz-content-sha256": request.payloadHash,
    "x-amz-date": timeOf(context),
    ...(credentials.sessionToken !== undefined && { "x-amz-security-token": credentials.sessionToken }),
  };
  const signature = sign({ ...request, headers }, context);
  headers["authorization"] =
    `AWS4-HMAC-SHA256 Credential=${credentials.accessKey}/${scopeOf(context)}, SignedHeaders=${namesOf(headers).join(";")}, Signature=${signature}`;
  return headers;
}

/**
 * The query that signs a request for others, or for a time: whatever body, no header but `host`, taken for `seconds` (a week at
 * most) from `context.now`.
 */
export function presign(
  request: Pick<SignedRequest, "method" | "host" | "path" | "query">,
  context: SigningContext,
  seconds: number,
): Record<string, string> {
  const { credentials } = context;
  const query: Record<string, string> = {
    ...request.query,
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": `${credentials.accessKey}/${scopeOf(context)}`,
    "X-Amz-Date": timeOf(context),
    "X-Amz-Expires": String(seconds),
    "X-Amz-SignedHeaders": "host",
    ...(credentials.sessionToken !== undefined && { "X-Amz-Security-Token": credentials.sessionToken }),
  };
  const headers = { host: request.host };
  return {
    ...query,
    "X-Amz-Signature": sign({ ...request, query, headers, payloadHash: "UNSIGNED-PAYLOAD" }, context),
  };
}

function sign(request: SignedRequest, context: SigningContext): string {
  const names = namesOf(request.headers);
  const canonical = [
    request.method,
    request.path,
    canonicalQuery(request.query),
    ...names.map((name) => `${name}:${request.headers[name]!.trim().replace(/ +/g, " ")}`),
    "",
    names.join(";"),
    request.payloadHash,
  ].join("\n");
  const scope = scopeOf(context);
  const text = ["AWS4-HMAC-SHA256", timeOf(context), scope, sha256Hex(canonical)].join("\n");
  const key = scope
    .split("/")
    .reduce<Buffer>(
      (secret, part) => hmac(secret, part),
      Buffer.from(`AWS4${context.credentials.secretKey}`),
    );
  return hmac(key, text).toString("hex");
}

function namesOf(headers: Readonly<Record<string, string>>): readonly string[] {
  return Object.keys(headers).sort();
}

function timeOf({ now }: SigningContext): string {
  return `${now.toISOString().replace(/[-:]/g, "").slice(0, 15)}Z`;
}

function scopeOf(context: SigningContext): string {
  const { region, service = "s3" } = context;
  return `${timeOf(context).slice(0, 8)}/${region}/${service}/aws4_request`;
}

/** Sorted by encoded name; also what is sent after the `?`. */
export function canonicalQuery(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&");
}

/** RFC 3986's unreserved characters stay. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export function sha256Hex(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
