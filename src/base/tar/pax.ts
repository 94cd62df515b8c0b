import { limits } from "../limits.ts";
import { decodeText } from "../text.ts";
import { type Place, tarError } from "./header.ts";

/** Runs of a pax sparse map, still as the numbers of the records: offset, length, offset, length, … */
export type SparseNumbers = readonly number[];

/** What pax records say about a member. An empty value in the archive takes an earlier (global) value back: it is absent here. */
export interface PaxRecords {
  readonly values: ReadonlyMap<string, string>;
  /** Values of SCHILY.xattr.NAME and LIBARCHIVE.xattr.NAME; the first wins. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /** GNU.sparse.offset and .numbytes records of format 0.0, in order. */
  readonly sparseNumbers: SparseNumbers;
}

export const noPaxRecords: PaxRecords = { values: new Map(), xattrs: new Map(), sparseNumbers: [] };

const schily = "SCHILY.xattr.";
const libarchive = "LIBARCHIVE.xattr.";

/**
 * Parses a pax extended header (POSIX pax, "pax Header Block"): records `LENGTH KEY=VALUE\n`, LENGTH in decimal for the whole
 * record. `base` are the records in force before (global ones). Errors: `tar-invalid-pax`, `tar-limit-xattrs`.
 */
export function parsePax(bytes: Buffer, base: PaxRecords, place: Place): PaxRecords {
  const values = new Map(base.values);
  const xattrs = new Map(base.xattrs);
  const fromLibarchive = new Map<string, Uint8Array>();
  const sparseNumbers: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    // A header padded with NULs is tolerated, as GNU tar does.
    if (bytes[at] === 0) break;
    const { key, valueStart, end } = readRecord(bytes, at, place);
    at = end + 1;
    if (key.startsWith(schily)) {
      const name = key.slice(schily.length);
      setXattr(xattrs, name, bytes.subarray(valueStart, end), place);
      continue;
    }
    if (key.startsWith(libarchive)) {
      const { name, value } = decodeLibarchive(key, bytes.toString("latin1", valueStart, end), place);
      setXattr(fromLibarchive, name, value, place);
      continue;
    }
    const value = decodeText(bytes.subarray(valueStart, end));
    if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
      const expectsOffset = sparseNumbers.length % 2 === 0;
      if (expectsOffset !== (key === "GNU.sparse.offset")) {
        throw tarError("tar-invalid-sparse", "offsets and lengths of the sparse map do not alternate", place);
      }
      sparseNumbers.push(parseDecimal(value, key, place));
      if (sparseNumbers.length > 2 * limits.tarSparseRuns) {
        throw tarError("tar-limit-sparse", "too many runs in a sparse map", place);
      }
    } else if (value === "") {
      values.delete(key);
    } else {
      values.set(key, value);
    }
  }
  for (const [name, value] of fromLibarchive) {
    if (!xattrs.has(name)) setXattr(xattrs, name, value, place);
  }
  return { values, xattrs, sparseNumbers };
}

interface Record {
  readonly key: string;
  /** The value is `valueStart` up to `end`, where the newline is. */
  readonly valueStart: number;
  readonly end: number;
}

function readRecord(bytes: Buffer, at: number, place: Place): Record {
  let length = 0;
  let index = at;
  for (; index < bytes.length && index < at + 10; index++) {
    const digit = bytes[index]! - 0x30;
    if (digit < 0 || digit > 9) break;
    length = length * 10 + digit;
  }
  const end = at + length - 1;
  if (index === at || bytes[index] !== 0x20 || end <= index || end >= bytes.length || bytes[end] !== 0x0a) {
    throw tarError("tar-invalid-pax", "an extended header holds a malformed record", place);
  }
  const equals = bytes.indexOf(0x3d, index + 1);
  if (equals === -1 || equals >= end || equals === index + 1) {
    throw tarError("tar-invalid-pax", "an extended header holds a record without a key", place);
  }
  return { key: decodeText(bytes.subarray(index + 1, equals)), valueStart: equals + 1, end };
}

function setXattr(xattrs: Map<string, Uint8Array>, name: string, value: Uint8Array, place: Place): void {
  if (name === "" || name.includes("\0")) {
    throw tarError("tar-invalid-pax", "an extended attribute has an invalid name", place);
  }
  if (value.length > limits.xattrBytes) {
    throw tarError("tar-limit-xattrs", `an extended attribute exceeds ${limits.xattrBytes} bytes`, place);
  }
  // A copy: the value outlives the block it was read from.
  xattrs.set(name, Uint8Array.from(value));
  if (xattrs.size > limits.xattrsPerEntry) {
    throw tarError(
      "tar-limit-xattrs",
      `a member has more than ${limits.xattrsPerEntry} extended attributes`,
      place,
    );
  }
}

/** libarchive writes the name URL-encoded and the value in base64. */
function decodeLibarchive(key: string, value: string, place: Place): { name: string; value: Uint8Array } {
  const encoded = key.slice(libarchive.length);
  const bytes: number[] = [];
  for (let index = 0; index < encoded.length; index++) {
    const code = encoded.charCodeAt(index);
    if (code === 0x25 && /^[0-9a-fA-F]{2}$/.test(encoded.slice(index + 1, index + 3))) {
      bytes.push(Number.parseInt(encoded.slice(index + 1, index + 3), 16));
      index += 2;
    } else if (code < 0x80) {
      bytes.push(code);
    } else {
      throw tarError("tar-invalid-pax", "an extended attribute has an invalid name", place);
    }
  }
  return { name: decodeText(Uint8Array.from(bytes)), value: Buffer.from(value, "base64") };
}

/** A non-negative decimal number of a record, a safe integer. */
export function parseDecimal(text: string, key: string, place: Place): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw tarError("tar-invalid-pax", `${key} is not a number in range`, place);
  }
  return value;
}

/** Decimal seconds with an optional sign and fraction, as whole seconds rounded down and nanoseconds. */
export function parseTime(
  text: string,
  key: string,
  place: Place,
): { readonly seconds: number; readonly nanoseconds: number } {
  const match = /^(-?)([0-9]{1,16})(?:\.([0-9]*))?$/.exec(text);
  const whole = Number(match?.[2]);
  if (match === null || !Number.isSafeInteger(whole)) {
    throw tarError("tar-invalid-pax", `${key} is not a time in range`, place);
  }
  const fraction = match[3] ?? "";
  const digits = Number(fraction.slice(0, 9).padEnd(9, "0"));
  if (match[1] !== "-") return { seconds: whole, nanoseconds: digits };
  // Rounded down: -1.5 is -2 seconds and 500000000 nanoseconds. Digits beyond the ninth round away from zero here.
  const nanoseconds = digits + (/[1-9]/.test(fraction.slice(9)) ? 1 : 0);
  return nanoseconds === 0
    ? { seconds: whole === 0 ? 0 : -whole, nanoseconds: 0 }
    : { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}
