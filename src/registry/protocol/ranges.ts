/** Byte ranges: those of HTTP (RFC 9110 section 14) and those of chunked uploads (spec.md#pushing-a-blob-in-chunks). */

/** First and last byte, both included, as the headers count. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** More digits than a file can have bytes. */
const digits = "\\d{1,15}";
const singleRange = new RegExp(`^bytes=\\s*(${digits})?-(${digits})?\\s*$`, "i");
const uploadRange = new RegExp(`^(?:bytes[ =])?(${digits})-(${digits})(?:/(?:\\*|${digits}))?$`);
const contentRange = new RegExp(`^bytes (${digits})-(${digits})/(\\*|${digits})$`, "i");
const unsatisfied = new RegExp(`^bytes \\*/(${digits})$`, "i");

/**
 * The range a `Range` header asks of content of `size` bytes. `undefined`: answer with all of it (no range, one that is
 * malformed, or several, which a server may decline). `"unsatisfiable"`: 416.
 */
export function resolveRange(
  header: string | undefined,
  size: number,
): ByteRange | "unsatisfiable" | undefined {
  const match = header === undefined ? null : singleRange.exec(header);
  if (match === null) return undefined;
  const [, from, to] = match;
  if (from === undefined) {
    if (to === undefined) return undefined;
    const suffix = Number(to);
    if (suffix === 0 || size === 0) return "unsatisfiable";
    return { first: Math.max(0, size - suffix), last: size - 1 };
  }
  const first = Number(from);
  // The first may also be ignored; but who gets all that he did not ask for learns nothing (RFC 9110 section 14.2).
  if ((to !== undefined && Number(to) < first) || first >= size) return "unsatisfiable";
  return { first, last: Math.min(to === undefined ? size - 1 : Number(to), size - 1) };
}

/** `bytes 0-99/1000` */
export function formatContentRange(range: ByteRange, size: number): string {
  return `bytes ${range.first}-${range.last}/${size}`;
}

/** `bytes 0-99/1000` of a 206; `size` is undefined for `*`. Undefined when malformed. */
export function parseContentRange(header: string): (ByteRange & { readonly size?: number }) | undefined {
  const match = contentRange.exec(header);
  if (match === null) return undefined;
  const range = { first: Number(match[1]), last: Number(match[2]) };
  if (range.last < range.first) return undefined;
  return match[3] === "*" ? range : { ...range, size: Number(match[3]) };
}

/** `bytes * /1000` of a 416: the size of the content. */
export function parseUnsatisfiedRange(header: string): number | undefined {
  const match = unsatisfied.exec(header);
  return match === null ? undefined : Number(match[1]);
}

/** `Content-Range` of a chunk: `0-99`, and the `bytes 0-99/…` that some clients send. Undefined when malformed. */
export function parseUploadRange(header: string): ByteRange | undefined {
  const match = uploadRange.exec(header.trim());
  if (match === null) return undefined;
  const range = { first: Number(match[1]), last: Number(match[2]) };
  return range.last < range.first ? undefined : range;
}

/** `Range` of an upload that holds `size` bytes: `0-99`; without any it is `0-0`, as docker-registry has it. */
export function formatUploadRange(size: number): string {
  return `0-${Math.max(0, size - 1)}`;
}

/** How many bytes an upload holds by its `Range` header; undefined when malformed. `0-0` can be none or one. */
export function parseUploadedRange(header: string): number | undefined {
  const match = uploadRange.exec(header.trim());
  if (match === null || match[1] !== "0") return undefined;
  return Number(match[2]) + 1;
}
