import { VitrineError } from "../errors.ts";
import { decodeText } from "../text.ts";
import type { TarType } from "./entry.ts";

/** Everything in a tar archive comes in blocks of this many bytes. */
export const blockBytes = 512;

/** Bytes after `size` up to the next block. */
export function paddingOf(size: number): number {
  const over = size % blockBytes;
  return over === 0 ? 0 : blockBytes - over;
}

/** Codes of the typeflag byte (POSIX pax, "ustar Interchange Format"; GNU tar, "Basic Tar Format"). */
export const typeflag = {
  oldFile: 0x00,
  file: 0x30,
  hardlink: 0x31,
  symlink: 0x32,
  char: 0x33,
  block: 0x34,
  directory: 0x35,
  fifo: 0x36,
  contiguous: 0x37,
  paxLocal: 0x78, // x
  paxLocalSolaris: 0x58, // X
  paxGlobal: 0x67, // g
  gnuLongName: 0x4c, // L
  gnuLongLink: 0x4b, // K
  gnuSparse: 0x53, // S
  gnuVolume: 0x56, // V
} as const;

/** The typeflag that is written for a member of each type. */
export const typeflagOf: Readonly<Record<TarType, number>> = {
  file: typeflag.file,
  hardlink: typeflag.hardlink,
  symlink: typeflag.symlink,
  char: typeflag.char,
  block: typeflag.block,
  directory: typeflag.directory,
  fifo: typeflag.fifo,
};

/** A header block as it stands, before pax records and GNU long names are applied. */
export interface RawHeader {
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly type: number;
  readonly linkName: string;
  readonly devMajor: number;
  readonly devMinor: number;
}

/** Where an error lies. */
export interface Place {
  /** Name of the archive. */
  readonly archive: string | undefined;
  /** Byte offset of the block in it. */
  readonly offset: number;
}

export function tarError(code: string, message: string, place: Place): VitrineError {
  const kind =
    code === "tar-unsupported" ? "unsupported" : code.startsWith("tar-limit-") ? "invalid" : "corrupt";
  return new VitrineError(kind, `tar archive: ${message} (at byte ${place.offset})`, {
    code,
    operand: place.archive,
    hint: kind === "corrupt" ? "the archive is damaged or incomplete: make or fetch it again" : undefined,
  });
}

/** Where not even the first header holds, the input is something else. */
export function notTar(code: string, place: Place): VitrineError {
  return new VitrineError("corrupt", "this is not a tar archive", {
    code,
    operand: place.archive,
    hint: "expected is a tar archive, plain or compressed with gzip, zstd, xz or bzip2",
  });
}

function badChecksum(place: Place): VitrineError {
  if (place.offset === 0) return notTar("tar-checksum", place);
  return tarError("tar-checksum", "checksum of a header does not match", place);
}

export function isZeroBlock(bytes: Uint8Array, at: number): boolean {
  for (let index = at; index < at + blockBytes; index++) {
    if (bytes[index] !== 0) return false;
  }
  return true;
}

/** Reads the header at `at` of `bytes`, 512 bytes. Errors: `tar-checksum`, `tar-invalid-header`. */
export function parseHeader(bytes: Buffer, at: number, place: Place): RawHeader {
  verifyChecksum(bytes, at, place);
  const type = bytes[at + 156]!;
  const isDevice = type === typeflag.char || type === typeflag.block;
  const prefix = readPrefix(bytes, at);
  const name = readText(bytes, at, 100);
  return {
    name: prefix === "" ? name : `${prefix}/${name}`,
    // Some archivers put the whole st_mode here.
    mode: readNumber(bytes, at + 100, 8, "mode", place) % 0o10000,
    uid: readNumber(bytes, at + 108, 8, "uid", place),
    gid: readNumber(bytes, at + 116, 8, "gid", place),
    size: readNumber(bytes, at + 124, 12, "size", place),
    mtime: readNumber(bytes, at + 136, 12, "mtime", place),
    type,
    linkName: bytes[at + 157] === 0 ? "" : readText(bytes, at + 157, 100),
    // Other members may have anything in these fields.
    devMajor: isDevice ? readNumber(bytes, at + 329, 8, "devmajor", place) : 0,
    devMinor: isDevice ? readNumber(bytes, at + 337, 8, "devminor", place) : 0,
  };
}

/** ustar has 155 bytes of prefix, star 131; v7 and GNU have other things in its place. */
function readPrefix(bytes: Buffer, at: number): string {
  // "ustar\0": with GNU's "ustar " the area holds times and the sparse map.
  if (bytes[at + 345] === 0 || bytes[at + 257] !== 0x75 || bytes[at + 262] !== 0) return "";
  if (bytes.toString("latin1", at + 257, at + 262) !== "ustar") return "";
  const isStar = bytes.toString("latin1", at + 508, at + 512) === "tar\0";
  return readText(bytes, at + 345, isStar ? 131 : 155);
}

function verifyChecksum(bytes: Buffer, at: number, place: Place): void {
  const stored = readChecksum(bytes, at, place);
  // The checksum field itself counts as eight spaces.
  let sum = 8 * 0x20;
  for (let index = at; index < at + 148; index++) sum += bytes[index]!;
  for (let index = at + 156; index < at + blockBytes; index++) sum += bytes[index]!;
  if (sum === stored) return;
  // Old archivers summed signed characters.
  let signed = sum;
  for (let index = at; index < at + blockBytes; index++) {
    if (bytes[index]! >= 0x80 && (index < at + 148 || index >= at + 156)) signed -= 256;
  }
  if (signed !== stored) {
    throw badChecksum(place);
  }
}

function readChecksum(bytes: Buffer, at: number, place: Place): number {
  try {
    return readNumber(bytes, at + 148, 8, "checksum", place);
  } catch {
    throw badChecksum(place);
  }
}

/** Text up to a NUL or the field's end. */
function readText(bytes: Buffer, at: number, length: number): string {
  let end = at;
  let ascii = true;
  for (; end < at + length; end++) {
    const byte = bytes[end]!;
    if (byte === 0) break;
    if (byte >= 0x80) ascii = false;
  }
  return ascii ? bytes.toString("latin1", at, end) : decodeText(bytes.subarray(at, end));
}

/**
 * A number field: octal digits with spaces or NULs around them, or, with the top bit set, a big-endian two's complement
 * number of the field's other bits (GNU base-256). An empty field is 0. Always a safe integer, may be negative.
 */
export function readNumber(bytes: Buffer, at: number, length: number, field: string, place: Place): number {
  if (bytes[at]! >= 0x80) return readBase256(bytes, at, length, field, place);
  const end = at + length;
  let index = at;
  while (index < end && (bytes[index] === 0x20 || bytes[index] === 0)) index++;
  let value = 0;
  for (; index < end; index++) {
    const byte = bytes[index]!;
    if (byte < 0x30 || byte > 0x37) break;
    value = value * 8 + (byte - 0x30);
  }
  // Digits end with a NUL, whatever follows, or with spaces to the end.
  while (index < end && bytes[index] === 0x20) index++;
  if (index < end && bytes[index] !== 0) {
    throw tarError("tar-invalid-header", `field ${field} is not an octal number`, place);
  }
  return value;
}

function readBase256(bytes: Buffer, at: number, length: number, field: string, place: Place): number {
  const negative = (bytes[at]! & 0x40) !== 0;
  let value = negative ? (bytes[at]! & 0x7f) - 0x80 : bytes[at]! & 0x7f;
  for (let index = at + 1; index < at + length; index++) {
    // Doubles are exact until here; past 2^53 the result is refused anyway.
    value = value * 256 + bytes[index]!;
  }
  if (!Number.isSafeInteger(value)) {
    throw tarError("tar-invalid-header", `field ${field} is out of range`, place);
  }
  return value;
}
