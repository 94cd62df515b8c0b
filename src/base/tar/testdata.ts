/** Archives by hand, for tests: also what our own writer never writes. */
import { paddingOf } from "./header.ts";

export interface Fields {
  readonly name: string | Uint8Array;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly mtime?: number;
  /** One character. */
  readonly type?: string;
  readonly linkName?: string;
  /** Default "ustar\0" and version "00". */
  readonly magic?: string;
  readonly devMajor?: number;
  readonly devMinor?: number;
  readonly prefix?: string;
  /** Numbers as GNU base-256. */
  readonly base256?: boolean;
  readonly signedChecksum?: boolean;
}

export const zeroBlocks: Buffer = Buffer.alloc(1024);

export function padded(body: Uint8Array): Buffer {
  return Buffer.concat([body, Buffer.alloc(paddingOf(body.length))]);
}

/** A header of these fields; a block is taken as it is and gets its checksum. */
export function headerBlock(fields: Fields | Buffer): Buffer {
  if (Buffer.isBuffer(fields)) return withChecksum(fields, false);
  const block = Buffer.alloc(512);
  const put = (at: number, length: number, value = 0): void => {
    const isLarge = value < 0 || value.toString(8).length >= length;
    if (fields.base256 === true && isLarge) {
      let rest = BigInt(value);
      for (let index = at + length - 1; index >= at; index--) {
        block[index] = Number(rest & 0xffn);
        rest >>= 8n;
      }
      block[at]! |= 0x80;
    } else {
      block.write(`${value.toString(8).padStart(length - 1, "0")}\0`.slice(-length), at, "latin1");
    }
  };
  block.set(typeof fields.name === "string" ? Buffer.from(fields.name) : fields.name, 0);
  put(100, 8, fields.mode ?? 0o644);
  put(108, 8, fields.uid);
  put(116, 8, fields.gid);
  put(124, 12, fields.size);
  put(136, 12, fields.mtime);
  block.write(fields.type ?? "0", 156, "latin1");
  block.write(fields.linkName ?? "", 157);
  block.write(fields.magic ?? "ustar\x0000", 257, "latin1");
  put(329, 8, fields.devMajor);
  put(337, 8, fields.devMinor);
  block.write(fields.prefix ?? "", 345);
  return withChecksum(block, fields.signedChecksum === true);
}

export function withChecksum(block: Buffer, signed: boolean): Buffer {
  block.write("        ", 148, "latin1");
  let sum = 0;
  for (const byte of block) sum += signed && byte >= 0x80 ? byte - 256 : byte;
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** A pax header, type x or g. */
export function paxBlocks(records: readonly (readonly [string, string | Uint8Array])[], type = "x"): Buffer {
  const parts: Uint8Array[] = [];
  for (const [key, value] of records) {
    const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
    let length = rest.length + 1;
    while (rest.length + `${length}`.length !== length) length += 1;
    parts.push(Buffer.from(`${length}`), rest);
  }
  const body = Buffer.concat(parts);
  return Buffer.concat([headerBlock({ name: "pax", type, size: body.length }), padded(body)]);
}

/** A GNU long name (L) or long link (K). */
export function gnuLong(type: "L" | "K", name: string | Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(name), Buffer.of(0)]);
  return Buffer.concat([
    headerBlock({ name: "././@LongLink", type, size: body.length, magic: "ustar  \0" }),
    padded(body),
  ]);
}
