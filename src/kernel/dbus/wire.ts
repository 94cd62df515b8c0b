/** D-Bus messages (dbus-specification, "Type System" and "Message Protocol"), little endian both ways. */
import { VitrineError } from "../../base/mod.ts";

/** What a signature says: `u` number, `x` `t` bigint, `s` `o` `g` string, `b` boolean, `a…` array, `(…)` array, `v` Variant. */
export type DbusValue = number | bigint | string | boolean | Uint8Array | Variant | readonly DbusValue[];

export interface Variant {
  readonly signature: string;
  readonly value: DbusValue;
}

export const messageTypes = { call: 1, reply: 2, error: 3, signal: 4 } as const;

export interface Message {
  readonly type: number;
  readonly serial: number;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  readonly replySerial?: number;
  readonly destination?: string;
  readonly sender?: string;
  readonly signature?: string;
  readonly body: readonly DbusValue[];
}

/** Header fields: code, key and type. */
const fields = [
  [1, "path", "o"],
  [2, "interface", "s"],
  [3, "member", "s"],
  [4, "errorName", "s"],
  [5, "replySerial", "u"],
  [6, "destination", "s"],
  [7, "sender", "s"],
  [8, "signature", "g"],
] as const;

const littleEndian = "l".charCodeAt(0);
const headerBytes = 16;
/** The specification's limit is 128 MiB; systemd's answers are a few KiB. */
const messageBytesMax = 16 * 1024 * 1024;
const depthMax = 32;

const alignments: Readonly<Record<string, number>> = {
  ...{ y: 1, b: 4, n: 2, q: 2, i: 4, u: 4, x: 8, t: 8, d: 8, s: 4, o: 4, g: 1, v: 1, a: 4 },
  "(": 8,
  "{": 8,
};

/** The complete types of a signature: `sa(sv)` is `s` and `a(sv)`. */
export function splitSignature(signature: string): readonly string[] {
  const types: string[] = [];
  for (let at = 0; at < signature.length; ) {
    const end = endOfType(signature, at, 0);
    types.push(signature.slice(at, end));
    at = end;
  }
  return types;
}

function endOfType(signature: string, at: number, depth: number): number {
  const code = signature[at];
  if (code === undefined || depth > depthMax) throw malformed(`the signature ${JSON.stringify(signature)}`);
  if (code === "a") return endOfType(signature, at + 1, depth + 1);
  if (code !== "(" && code !== "{") {
    if (alignments[code] === undefined) throw malformed(`the type ${JSON.stringify(code)}`);
    return at + 1;
  }
  const close = code === "(" ? ")" : "}";
  let next = at + 1;
  while (signature[next] !== close) next = endOfType(signature, next, depth + 1);
  return next + 1;
}

export function encodeMessage(message: Message): Uint8Array {
  const body = new Writer();
  for (const [index, type] of splitSignature(message.signature ?? "").entries()) {
    body.value(type, message.body[index]!);
  }
  const head = new Writer();
  head.byte(littleEndian);
  head.byte(message.type);
  head.byte(0);
  head.byte(1);
  head.u32(body.length);
  head.u32(message.serial);
  const set: DbusValue[] = fields.flatMap(([code, key, signature]) => {
    const value = message[key];
    return value === undefined ? [] : [[code, { signature, value }]];
  });
  head.value("a(yv)", set);
  head.align(8);
  head.bytes(body.finish());
  return head.finish();
}

/** The bytes of a message that begins there, as far as its first 16 tell; undefined: they are not all there yet. */
export function messageLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < headerBytes) return undefined;
  if (bytes[0] !== littleEndian) throw malformed("the byte order");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const fieldBytes = view.getUint32(12, true);
  const length = headerBytes + fieldBytes + ((8 - (fieldBytes % 8)) % 8) + view.getUint32(4, true);
  if (length > messageBytesMax) throw malformed(`a message of ${length} bytes`);
  return length;
}

export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new Reader(bytes);
  reader.skip(1);
  const type = reader.byte();
  reader.skip(6);
  const serial = reader.u32();
  const found: Record<string, DbusValue> = {};
  for (const field of reader.value("a(yv)", 0) as readonly (readonly [number, Variant])[]) {
    const known = fields.find(([code]) => code === field[0]);
    if (known !== undefined) found[known[1]] = field[1].value;
  }
  reader.align(8);
  const signature = String(found["signature"] ?? "");
  const body = splitSignature(signature).map((each) => reader.value(each, 0));
  return { ...found, type, serial, body } as Message;
}

class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.length++] = value;
  }

  bytes(value: Uint8Array): void {
    this.#room(value.length);
    this.#bytes.set(value, this.length);
    this.length += value.length;
  }

  u32(value: number): void {
    this.align(4);
    this.#room(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  align(to: number): void {
    while (this.length % to !== 0) this.byte(0);
  }

  value(type: string, value: DbusValue): void {
    const code = type[0]!;
    this.align(alignments[code]!);
    switch (code) {
      case "y":
        this.byte(Number(value));
        return;
      case "b":
        this.u32(value === true ? 1 : 0);
        return;
      case "u":
        this.u32(Number(value));
        return;
      case "i":
        this.u32(Number(value) >>> 0);
        return;
      case "n":
      case "q":
        this.#room(2);
        this.#view.setUint16(this.length, Number(value) & 0xffff, true);
        this.length += 2;
        return;
      case "x":
      case "t":
        this.#room(8);
        this.#view.setBigUint64(this.length, BigInt.asUintN(64, BigInt(value as bigint)), true);
        this.length += 8;
        return;
      case "d":
        this.#room(8);
        this.#view.setFloat64(this.length, Number(value), true);
        this.length += 8;
        return;
      case "s":
      case "o":
        this.#text(String(value), (length) => this.u32(length));
        return;
      case "g":
        this.#text(String(value), (length) => this.byte(length));
        return;
      case "v": {
        const variant = value as Variant;
        this.value("g", variant.signature);
        this.value(variant.signature, variant.value);
        return;
      }
      case "a":
        this.#array(type.slice(1), value);
        return;
      default: {
        const members = splitSignature(type.slice(1, -1));
        for (const [index, member] of members.entries())
          this.value(member, (value as readonly DbusValue[])[index]!);
      }
    }
  }

  #text(text: string, length: (bytes: number) => void): void {
    const bytes = new TextEncoder().encode(text);
    length(bytes.length);
    this.bytes(bytes);
    this.byte(0);
  }

  #array(type: string, value: DbusValue): void {
    this.u32(0);
    const at = this.length;
    this.align(alignments[type[0]!]!);
    const start = this.length;
    if (value instanceof Uint8Array) this.bytes(value);
    else for (const each of value as readonly DbusValue[]) this.value(type, each);
    this.#view.setUint32(at - 4, this.length - start, true);
  }

  #room(count: number): void {
    if (this.length + count <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + count));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  skip(count: number): void {
    this.#take(count);
  }

  byte(): number {
    return this.#bytes[this.#take(1)]!;
  }

  u32(): number {
    this.align(4);
    return this.#view.getUint32(this.#take(4), true);
  }

  align(to: number): void {
    this.#take((to - (this.#at % to)) % to);
  }

  value(type: string, depth: number): DbusValue {
    const code = type[0]!;
    if (depth > depthMax) throw malformed("the depth of a value");
    this.align(alignments[code]!);
    switch (code) {
      case "y":
        return this.byte();
      case "b":
        return this.u32() !== 0;
      case "u":
        return this.u32();
      case "i":
        return this.u32() | 0;
      case "n":
        return this.#view.getInt16(this.#take(2), true);
      case "q":
        return this.#view.getUint16(this.#take(2), true);
      case "x":
        return this.#view.getBigInt64(this.#take(8), true);
      case "t":
        return this.#view.getBigUint64(this.#take(8), true);
      case "d":
        return this.#view.getFloat64(this.#take(8), true);
      case "s":
      case "o":
        return this.#text(this.u32());
      case "g":
        return this.#text(this.byte());
      case "v": {
        const signature = this.#text(this.byte());
        const [only, ...more] = splitSignature(signature);
        if (only === undefined || more.length > 0) throw malformed("a variant");
        return { signature, value: this.value(only, depth + 1) };
      }
      case "a":
        return this.#array(type.slice(1), depth);
      default:
        return splitSignature(type.slice(1, -1)).map((member) => this.value(member, depth + 1));
    }
  }

  #text(length: number): string {
    const at = this.#take(length + 1);
    return new TextDecoder().decode(this.#bytes.subarray(at, at + length));
  }

  #array(type: string, depth: number): DbusValue {
    const length = this.u32();
    this.align(alignments[type[0]!]!);
    const end = this.#at + length;
    if (end > this.#bytes.length) throw malformed("an array");
    if (type === "y") return this.#bytes.slice(this.#take(length), end);
    const values: DbusValue[] = [];
    while (this.#at < end) values.push(this.value(type, depth + 1));
    return values;
  }

  #take(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw malformed("the end");
    this.#at += count;
    return at;
  }
}

function malformed(what: string): VitrineError {
  return new VitrineError("corrupt", `a D-Bus message is not one: ${what} is wrong`, {
    code: "dbus-malformed",
  });
}
