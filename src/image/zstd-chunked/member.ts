/**
 * One member of a tar as the table of contents of zstd:chunked tells it. Who pulls by that table holds it against the tar's own
 * headers, read by Go's archive/tar: here a member is what that reader makes of it, to the letter (the raw mode, `./` before a
 * name, a slash after it), and what readers understand in more than one way is not a member at all.
 */
import { limits } from "../../base/mod.ts";
import type { ByteReader } from "./byte-reader.ts";

export type MemberType = "reg" | "hardlink" | "symlink" | "char" | "block" | "dir" | "fifo";

export interface Member {
  readonly type: MemberType;
  readonly name: string;
  readonly linkName: string;
  readonly mode: number;
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
  /** RFC 3339 with nanoseconds. */
  readonly modified: string;
  readonly accessed: string | undefined;
  readonly changed: string | undefined;
  readonly devMajor: number;
  readonly devMinor: number;
  /** Values in base64. */
  readonly xattrs: Readonly<Record<string, string>>;
}

/** What comes before a member's content, byte for byte, and the member; without one the archive ends or is not understood. */
export interface Header {
  readonly raw: Buffer;
  readonly member?: Member;
  readonly isEnd: boolean;
}

const block = 512;
const types: Readonly<Record<string, MemberType>> = {
  "0": "reg",
  "1": "hardlink",
  "2": "symlink",
  "3": "char",
  "4": "block",
  "5": "dir",
  "6": "fifo",
};
const xattrPrefix = "SCHILY.xattr.";

export async function readHeader(reader: ByteReader): Promise<Header> {
  const raw: Buffer[] = [];
  const take = async (length: number): Promise<Buffer> => {
    const bytes = await reader.exactly(length);
    raw.push(bytes);
    return bytes;
  };
  const result = (isEnd: boolean, member?: Member): Header => ({
    raw: Buffer.concat(raw),
    isEnd,
    ...(member !== undefined && { member }),
  });
  try {
    let records: ReadonlyMap<string, Buffer> | undefined;
    const long: { name?: string; link?: string } = {};
    while (true) {
      const header = await take(block);
      const isBare = records === undefined && long.name === undefined && long.link === undefined;
      if (header.length === 0) return result(isBare);
      if (isZero(header)) return result(isBare && isZero(await take(block)));
      verifySum(header);
      const flag = header.toString("latin1", 156, 157);
      if (flag !== "x" && flag !== "L" && flag !== "K") {
        return result(false, memberOf(header, flag, records ?? new Map(), long));
      }
      const size = number(header, 124, 12);
      if (size > limits.tarExtendedHeaderBytes) throw new NotUnderstood();
      const body = (await take(size)).subarray(0, size);
      await take(padding(size));
      if (body.length < size) throw new NotUnderstood();
      if (flag === "x") records = readRecords(body);
      else long[flag === "L" ? "name" : "link"] = text(body, 0, body.length);
    }
  } catch (error) {
    if (error instanceof NotUnderstood) return result(false);
    throw error;
  }
}

export function padding(size: number): number {
  return (block - (size % block)) % block;
}

class NotUnderstood extends Error {}

function memberOf(
  header: Buffer,
  flag: string,
  records: ReadonlyMap<string, Buffer>,
  long: { readonly name?: string; readonly link?: string },
): Member {
  const format = formatOf(header);
  // Two ways to say one thing: readers differ in which one counts.
  if (records.size > 0 && (long.name !== undefined || long.link !== undefined)) throw new NotUnderstood();
  const record = (key: string): string | undefined => {
    const value = records.get(key);
    return value === undefined || value.length === 0 ? undefined : wholeText(value);
  };
  const count = (key: string, at: number, length: number): number => {
    const said = record(key);
    if (said === undefined) return number(header, at, length);
    if (!/^\d{1,15}$/.test(said)) throw new NotUnderstood();
    return Number(said);
  };
  const prefix = format === "ustar" ? text(header, 345, 155) : "";
  const short = text(header, 0, 100);
  const name = long.name ?? record("path") ?? (prefix === "" ? short : `${prefix}/${short}`);
  const linkName = long.link ?? record("linkpath") ?? text(header, 157, 100);
  const type = flag === "\0" ? (name.endsWith("/") ? "dir" : "reg") : types[flag];
  const size = count("size", 124, 12);
  if (type === undefined || name === "" || (type !== "reg" && size !== 0)) throw new NotUnderstood();
  if ([...records.keys()].some((key) => key.startsWith("GNU.sparse."))) throw new NotUnderstood();
  const hasDevice = format !== "v7";
  return {
    type,
    name,
    linkName,
    mode: number(header, 100, 8),
    size,
    uid: count("uid", 108, 8),
    gid: count("gid", 116, 8),
    modified: time(record("mtime") ?? String(number(header, 136, 12))),
    accessed: optionalTime(record("atime")),
    changed: optionalTime(record("ctime")),
    devMajor: hasDevice ? number(header, 329, 8) : 0,
    devMinor: hasDevice ? number(header, 337, 8) : 0,
    xattrs: xattrsOf(records),
  };
}

function xattrsOf(records: ReadonlyMap<string, Buffer>): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [key, value] of records) {
    if (key.startsWith(xattrPrefix)) found[key.slice(xattrPrefix.length)] = value.toString("base64");
  }
  return found;
}

function formatOf(header: Buffer): "v7" | "ustar" | "gnu" {
  const magic = header.toString("latin1", 257, 265);
  // GNU's own fields, and star's, lie where ustar has its prefix: times that few writers write.
  if (magic === "ustar  \0") {
    if (header.subarray(345, 512).some((byte) => byte !== 0)) throw new NotUnderstood();
    return "gnu";
  }
  if (!magic.startsWith("ustar\0")) return "v7";
  if (header.toString("latin1", 508, 512) === "tar\0") throw new NotUnderstood();
  return "ustar";
}

/** POSIX pax, "pax Header Block": `LENGTH KEY=VALUE\n`; the last of a key counts. */
function readRecords(body: Buffer): ReadonlyMap<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < body.length; ) {
    const match = /^(\d{1,8}) /.exec(body.toString("latin1", at, at + 10));
    const end = at + Number(match?.[1]);
    const equals = match === null ? -1 : body.indexOf("=", at + match[0].length);
    if (match === null || end > body.length || equals === -1 || equals >= end - 1) throw new NotUnderstood();
    if (body[end - 1] !== 0x0a) throw new NotUnderstood();
    const key = wholeText(body.subarray(at + match[0].length, equals));
    if (key === "") throw new NotUnderstood();
    records.set(key, body.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.length === block && bytes.every((byte) => byte === 0);
}

function verifySum(header: Buffer): void {
  if (header.length < block) throw new NotUnderstood();
  let sum = 8 * 0x20;
  for (let at = 0; at < block; at++) if (at < 148 || at >= 156) sum += header[at]!;
  if (sum !== number(header, 148, 8)) throw new NotUnderstood();
}

/** Octal, or base 256 where the first bit is set. */
function number(header: Buffer, at: number, length: number): number {
  if (header[at]! >= 0x80) {
    let value = header[at]! & 0x7f;
    for (let index = at + 1; index < at + length; index++) value = value * 256 + header[index]!;
    if ((header[at]! & 0x40) !== 0 || !Number.isSafeInteger(value)) throw new NotUnderstood();
    return value;
  }
  const digits = /^[ \0]*([0-7]*)[ \0]*(?:\0.*)?$/s.exec(header.toString("latin1", at, at + length))?.[1];
  if (digits === undefined) throw new NotUnderstood();
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function text(bytes: Buffer, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return wholeText(end === -1 ? field : field.subarray(0, end));
}

/** JSON can hold no other names. */
function wholeText(bytes: Uint8Array): string {
  try {
    const decoded = utf8.decode(bytes);
    if (!decoded.includes("\0")) return decoded;
  } catch {
    // Not UTF-8.
  }
  throw new NotUnderstood();
}

function optionalTime(seconds: string | undefined): string | undefined {
  return seconds === undefined ? undefined : time(seconds);
}

/** Years of four digits alone: RFC 3339 has no others. */
const lastSecond = 253_402_300_799;

function time(seconds: string): string {
  const match = /^(\d{1,12})(?:\.(\d*))?$/.exec(seconds);
  if (match === null || Number(match[1]) > lastSecond) throw new NotUnderstood();
  const whole = new Date(Number(match[1]) * 1000).toISOString().slice(0, 19);
  const fraction = (match[2] ?? "").slice(0, 9).replace(/0+$/, "");
  return `${whole}${fraction === "" ? "" : `.${fraction}`}Z`;
}
