/** Errors on the wire (spec.md#error-codes). */
import { type JsonValue, limits, parseJson } from "../../base/mod.ts";

/** The codes of the spec, with its descriptions. `UNKNOWN` and `RANGE_INVALID` are docker-registry's; only 5xx has the first. */
export const errorCodes = {
  BLOB_UNKNOWN: "blob unknown to registry",
  BLOB_UPLOAD_INVALID: "blob upload invalid",
  BLOB_UPLOAD_UNKNOWN: "blob upload unknown to registry",
  DIGEST_INVALID: "provided digest did not match uploaded content",
  MANIFEST_BLOB_UNKNOWN: "manifest references a manifest or blob unknown to registry",
  MANIFEST_INVALID: "manifest invalid",
  MANIFEST_UNKNOWN: "manifest unknown to registry",
  NAME_INVALID: "invalid repository name",
  NAME_UNKNOWN: "repository name not known to registry",
  SIZE_INVALID: "provided length did not match content length",
  UNAUTHORIZED: "authentication required",
  DENIED: "requested access to the resource is denied",
  UNSUPPORTED: "the operation is unsupported",
  TOOMANYREQUESTS: "too many requests",
  UNKNOWN: "unknown error",
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** One element of `errors`. */
export interface WireError {
  /** A server may send codes that the spec does not know. */
  readonly code: string;
  readonly message?: string;
  readonly detail?: unknown;
}

/** The JSON body of an error response. */
export function encodeErrors(errors: readonly WireError[]): string {
  return `${JSON.stringify({ errors })}\n`;
}

/** No more of an error body is read than this. */
const mostErrorBytes = 64 * 1024;
const mostErrors = 64;

/** What an error body says; empty when it is not one of the spec's (it may have any format). Never throws. */
export function parseErrors(body: Uint8Array): readonly WireError[] {
  let value: JsonValue;
  try {
    value = parseJson(body, { maxBytes: mostErrorBytes, maxDepth: limits.jsonDepth, name: "error body" });
  } catch {
    return [];
  }
  const errors = property(value, "errors");
  if (!Array.isArray(errors)) return [];
  const list: WireError[] = [];
  for (const entry of errors.slice(0, mostErrors) as readonly JsonValue[]) {
    const code = property(entry, "code");
    const message = property(entry, "message");
    if (typeof code !== "string") continue;
    list.push({
      code,
      ...(typeof message === "string" && { message }),
      ...(property(entry, "detail") !== undefined && { detail: property(entry, "detail") }),
    });
  }
  return list;
}

function property(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, JsonValue | undefined>>)[name]
    : undefined;
}
