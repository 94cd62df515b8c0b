/** Header names of the spec, as they are sent, and the small grammars of their values. */

export const headerNames = {
  contentDigest: "Docker-Content-Digest",
  apiVersion: "Docker-Distribution-API-Version",
  uploadUuid: "Docker-Upload-UUID",
  chunkMinLength: "OCI-Chunk-Min-Length",
  subject: "OCI-Subject",
  tag: "OCI-Tag",
  filtersApplied: "OCI-Filters-Applied",
  namespace: "OCI-Namespace",
  warning: "Warning",
} as const;

/** All `Warning` headers of a response together (spec.md#warnings). */
const mostWarningBytes = 4096;

/** `299 - "text"`; control characters and what is not ASCII become `?`, quotes and backslashes are escaped. */
export function formatWarning(text: string): string {
  const safe = text.replace(/[^\x20-\x7e]/g, "?").replace(/["\\]/g, "\\$&");
  return `299 - "${safe}"`;
}

/** The values of `Warning` headers for these texts; those beyond the limit are left out. */
export function formatWarnings(texts: readonly string[]): readonly string[] {
  const values: string[] = [];
  let bytes = 0;
  for (const text of texts) {
    const value = formatWarning(text);
    bytes += value.length;
    if (bytes > mostWarningBytes) break;
    values.push(value);
  }
  return values;
}

/** The texts of `Warning` header values of code 299; others are not the registry's (RFC 7234 section 5.5). */
export function parseWarnings(value: string): readonly string[] {
  return [...value.slice(0, mostWarningBytes).matchAll(/(?:^|,)\s*299 - "((?:[^"\\]|\\.)*)"/g)].map((match) =>
    match[1]!.replace(/\\(.)/g, "$1"),
  );
}

/** A media type without its parameters, lower case: what `Content-Type` of a manifest counts for. */
export function withoutParameters(contentType: string): string {
  const semicolon = contentType.indexOf(";");
  return (semicolon === -1 ? contentType : contentType.slice(0, semicolon)).trim();
}

/** Whether `If-None-Match` (RFC 9110 section 13.1.2) names this entity tag, which is given with its quotes. */
export function matchesEntityTag(header: string, entityTag: string): boolean {
  return header
    .split(",")
    .map((part) => part.trim().replace(/^W\//, ""))
    .some((part) => part === "*" || part === entityTag || `"${part}"` === entityTag);
}
