import { VitrineError } from "../errors.ts";
import { type ByteStream, chunkBytes } from "../streams.ts";
import { encodeText } from "../text.ts";
import type { TarType } from "./entry.ts";
import { blockBytes, paddingOf, typeflag, typeflagOf } from "./header.ts";

/** A member to write; what is left out is 0, empty or, for `mode`, 0755 of directories and 0644 of the rest. */
export interface TarInput {
  /** In the form of `decodeText`. Directories get a slash at the end. */
  readonly path: string;
  readonly type: TarType;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtimeSeconds?: number;
  readonly mtimeNanoseconds?: number;
  readonly linkTarget?: string;
  readonly devMajor?: number;
  readonly devMinor?: number;
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
  /** Needed when `body` is a stream. */
  readonly size?: number;
  /** A stream of another length than `size` is `tar-body-size`. */
  readonly body?: Uint8Array | ByteStream;
}

const endOfArchive = 2 * blockBytes;

/**
 * A deterministic archive: the same members give the same bytes. ustar, with a pax header only where ustar cannot say it
 * (long or non-ASCII names, large numbers, times with nanoseconds or before 1970, xattrs). Small members are gathered into chunks
 * of about 1 MiB; large bodies pass through without a copy.
 */
export async function* writeTar(
  members: Iterable<TarInput> | AsyncIterable<TarInput>,
): AsyncGenerator<Uint8Array, void> {
  const gathered = new Gatherer();
  for await (const member of members) {
    const body = member.body;
    const size =
      member.type === "file" ? (member.size ?? (body instanceof Uint8Array ? body.length : undefined)) : 0;
    if (size === undefined && body !== undefined) {
      throw new VitrineError("internal", `size of ${member.path} is not given`, { code: "tar-body-size" });
    }
    gathered.add(encodeHeader(member, size ?? 0));
    let written = 0;
    for await (const chunk of chunksOf(body)) {
      written += chunk.length;
      if (written > (size ?? 0)) break;
      if (gathered.add(chunk)) yield* gathered.drain();
    }
    if (written !== (size ?? 0)) {
      throw new VitrineError("corrupt", `${member.path} has not the ${size} bytes it should have`, {
        code: "tar-body-size",
        operand: member.path,
      });
    }
    if (gathered.add(new Uint8Array(paddingOf(written)))) yield* gathered.drain();
  }
  gathered.add(new Uint8Array(endOfArchive));
  yield* gathered.drain();
}

function chunksOf(body: TarInput["body"]): ByteStream | Iterable<Uint8Array> {
  if (body === undefined) return [];
  return body instanceof Uint8Array ? [body] : body;
}

/** Collects small pieces so that consumers see few chunks. */
class Gatherer {
  private pieces: Uint8Array[] = [];
  private bytes = 0;

  /** True when it is time to `drain`. */
  add(piece: Uint8Array): boolean {
    if (piece.length > 0) this.pieces.push(piece);
    this.bytes += piece.length;
    return this.bytes >= chunkBytes;
  }

  *drain(): Generator<Uint8Array, void> {
    const { pieces } = this;
    this.pieces = [];
    this.bytes = 0;
    let small: Uint8Array[] = [];
    for (const piece of pieces) {
      if (piece.length < chunkBytes / 4) {
        small.push(piece);
        continue;
      }
      if (small.length > 0) yield Buffer.concat(small);
      small = [];
      yield piece;
    }
    if (small.length > 0) yield Buffer.concat(small);
  }
}

const maxOctal7 = 0o7777777;
const maxOctal11 = 0o77777777777;

/** The header blocks of one member, its pax header included, for a body of `size` bytes that the caller adds and pads. */
export function encodeHeader(member: TarInput, size: number): Uint8Array {
  const path = encodeText(
    member.type === "directory" && !member.path.endsWith("/") ? `${member.path}/` : member.path,
  );
  const link = encodeText(member.linkTarget ?? "");
  for (const name of [path, link]) {
    if (name.includes(0)) throw unwritable(member, "a name holds a NUL");
  }
  if (path.length === 0) throw unwritable(member, "its name is empty");

  const seconds = member.mtimeSeconds ?? 0;
  const nanoseconds = member.mtimeNanoseconds ?? 0;
  const uid = member.uid ?? 0;
  const gid = member.gid ?? 0;
  checkRange(member, seconds, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  checkRange(member, nanoseconds, 0, 999_999_999);
  for (const number of [uid, gid, size]) checkRange(member, number, 0, Number.MAX_SAFE_INTEGER);
  for (const number of [member.devMajor ?? 0, member.devMinor ?? 0]) checkRange(member, number, 0, maxOctal7);
  const split = splitPath(path);
  const pax = new PaxBuilder();
  if (split === undefined || !isAscii(path)) pax.add("path", path);
  if (link.length > 100 || !isAscii(link)) pax.add("linkpath", link);
  if (uid > maxOctal7) pax.add("uid", encodeText(`${uid}`));
  if (gid > maxOctal7) pax.add("gid", encodeText(`${gid}`));
  if (size > maxOctal11) pax.add("size", encodeText(`${size}`));
  if (nanoseconds !== 0 || seconds < 0 || seconds > maxOctal11) {
    pax.add("mtime", encodeText(formatTime(seconds, nanoseconds)));
  }
  for (const name of [...(member.xattrs?.keys() ?? [])].sort()) {
    if (name.includes("=") || name === "") throw unwritable(member, `xattr name "${name}" cannot be written`);
    pax.add(`SCHILY.xattr.${name}`, member.xattrs!.get(name)!);
  }

  const header = encodeBlock({
    name: split?.name ?? path.subarray(0, 100),
    prefix: split?.prefix ?? new Uint8Array(0),
    link: link.subarray(0, 100),
    mode: member.mode ?? (member.type === "directory" ? 0o755 : 0o644),
    uid: Math.min(uid, maxOctal7),
    gid: Math.min(gid, maxOctal7),
    size: Math.min(size, maxOctal11),
    mtime: Math.min(Math.max(seconds, 0), maxOctal11),
    type: typeflagOf[member.type],
    devMajor: member.devMajor ?? 0,
    devMinor: member.devMinor ?? 0,
  });
  return pax.isEmpty ? header : Buffer.concat([pax.encode(isUtf8(path) && isUtf8(link)), header]);
}

function unwritable(member: TarInput, message: string): VitrineError {
  return new VitrineError("invalid", `cannot write ${member.path} to a tar archive: ${message}`, {
    code: "tar-unwritable",
    operand: member.path,
  });
}

function checkRange(member: TarInput, number: number, min: number, max: number): void {
  if (!Number.isSafeInteger(number) || number < min || number > max) {
    throw unwritable(member, `number ${number} is out of range`);
  }
}

function isAscii(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte < 0x80);
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Splits at a slash into 155 bytes of prefix and 100 of name; undefined where that is not possible. */
function splitPath(path: Uint8Array): { readonly prefix: Uint8Array; readonly name: Uint8Array } | undefined {
  if (path.length <= 100) return { prefix: new Uint8Array(0), name: path };
  if (path.length > 256) return undefined;
  // The slash itself is not written, and the name must not be empty: a directory's last slash does not count.
  for (let at = Math.min(155, path.length - 2); at > 0 && path.length - at - 1 <= 100; at--) {
    if (path[at] === 0x2f) return { prefix: path.subarray(0, at), name: path.subarray(at + 1) };
  }
  return undefined;
}

/** Seconds rounded down plus nanoseconds, as a decimal number without trailing zeros. */
function formatTime(seconds: number, nanoseconds: number): string {
  const negative = seconds < 0 && nanoseconds !== 0;
  const whole = negative ? seconds + 1 : seconds;
  const digits = negative ? 1_000_000_000 - nanoseconds : nanoseconds;
  const fraction = digits === 0 ? "" : `.${String(digits).padStart(9, "0").replace(/0+$/, "")}`;
  return `${negative && whole === 0 ? "-" : ""}${whole}${fraction}`;
}

class PaxBuilder {
  private readonly records: Uint8Array[] = [];

  get isEmpty(): boolean {
    return this.records.length === 0;
  }

  add(key: string, value: Uint8Array): void {
    const rest = Buffer.concat([encodeText(` ${key}=`), value, Buffer.from("\n")]);
    // The length counts its own digits.
    let length = rest.length + 1;
    while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length;
    this.records.push(Buffer.from(`${length}`), rest);
  }

  encode(isUtf8: boolean): Uint8Array {
    // POSIX pax: without this record all values are UTF-8.
    const first = isUtf8 ? [] : [Buffer.from("21 hdrcharset=BINARY\n")];
    const body = Buffer.concat([...first, ...this.records]);
    const header = encodeBlock({
      name: Buffer.from("PaxHeaders/0"),
      prefix: new Uint8Array(0),
      link: new Uint8Array(0),
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: body.length,
      mtime: 0,
      type: typeflag.paxLocal,
      devMajor: 0,
      devMinor: 0,
    });
    return Buffer.concat([header, body, new Uint8Array(paddingOf(body.length))]);
  }
}

interface Block {
  readonly name: Uint8Array;
  readonly prefix: Uint8Array;
  readonly link: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly type: number;
  readonly devMajor: number;
  readonly devMinor: number;
}

function encodeBlock(fields: Block): Uint8Array {
  const block = Buffer.alloc(blockBytes);
  const octal = (at: number, length: number, value: number): void => {
    block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  };
  block.set(fields.name, 0);
  octal(100, 8, fields.mode & 0o7777);
  octal(108, 8, fields.uid);
  octal(116, 8, fields.gid);
  octal(124, 12, fields.size);
  octal(136, 12, fields.mtime);
  block.write("        ", 148, "latin1");
  block[156] = fields.type;
  block.set(fields.link, 157);
  block.write("ustar\x0000", 257, "latin1");
  octal(329, 8, fields.devMajor);
  octal(337, 8, fields.devMinor);
  block.set(fields.prefix, 345);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
