/** A launch record as bytes: docs/launch-record.md has the format, native/launch_walk.c reads it. */
import { captureKinds } from "./captures.ts";
import type { Note } from "./notes.ts";
import { type Part, type SlotFinder, slotCodes } from "./slots.ts";

export const recordBytesMost = 512 * 1024;
const headerBytes = 256;
/** In the header: what this start had in the slots that a caller may choose. */
const namesAt = 32;
/** `VLRC`, little endian. */
const magic = 0x4352_4c56;
const version = 3;

const codes: Readonly<Record<Note["kind"], number>> = {
  access: 1,
  stat: 2,
  content: 3,
  link: 4,
  realPath: 5,
  monitors: 6,
  temporaries: 7,
  process: 8,
  ended: 9,
  ids: 10,
  fileKind: 11,
  namespaces: 12,
  answer: 13,
  makeDirectory: 16,
  open: 17,
  below: 18,
  write: 19,
  sync: 20,
  close: 21,
  rename: 22,
  symlink: 23,
  mode: 24,
  owner: 25,
  times: 26,
  print: 27,
  execute: 28,
  remove: 29,
  exit: 30,
};

/** Words that names are made of, and how long this start's name is; 0: it has none that was made up. */
export interface Names {
  readonly length: number;
  readonly adjectives: readonly string[];
  readonly surnames: readonly string[];
}

/** All but the header and the values. Same notes, same bytes. */
export function encodeBody(notes: readonly Note[], names: Names, slots: SlotFinder): Uint8Array {
  const writer = new Writer(slots);
  // Filled in at the end.
  writer.u32(0);
  writer.u32(names.length);
  writer.plain(names.adjectives.join(" "));
  writer.plain(names.surnames.join(" "));
  /** Since the last step. What captures something comes first; of the others the order does not matter. */
  let facts: { readonly bytes: Uint8Array; readonly own: boolean }[] = [];
  const flush = (): void => {
    const others = facts.filter(({ own }) => !own).map(({ bytes }) => bytes);
    for (const { bytes, own } of facts) if (own) writer.append(bytes);
    // What is looked at twice is noted once.
    const sorted = others.sort(Buffer.compare);
    for (const [at, bytes] of sorted.entries()) {
      if (at === 0 || Buffer.compare(bytes, sorted[at - 1]!) !== 0) writer.append(bytes);
    }
    facts = [];
  };
  for (const note of notes) {
    const isFact = codes[note.kind] < codes.makeDirectory;
    if (!isFact) flush();
    const start = writer.length;
    writer.note(note);
    if (isFact) {
      facts.push({ bytes: writer.cut(start), own: note.kind === "content" && note.own });
    }
  }
  flush();
  writer.setFirst(slots.temporaryLength());
  return writer.bytes();
}

export interface Confirmation {
  /** Two starts gave the same body, so that nothing in it is chance. */
  readonly confirmed: boolean;
  /** They had different ids and names: it is known where these are. */
  readonly anyId: boolean;
  /** `ID` or `ID NAME`. */
  readonly names: string;
  /** Of the captures, by index. */
  readonly values: readonly SeenValue[];
}

export interface SeenValue {
  /** Two starts had different ones, and gave the same body. */
  readonly any: boolean;
  /** Bytes as latin1. */
  readonly value: string;
}

/** Header, values and body. */
export function encodeRecord(body: Uint8Array, confirmation: Confirmation): Uint8Array {
  const rest = Buffer.concat([encodeValues(confirmation.values), body]);
  return Buffer.concat([encodeHeader(rest, confirmation), rest]);
}

function encodeValues(values: readonly SeenValue[]): Uint8Array {
  const writer = new Writer(undefined);
  writer.u32(values.length);
  for (const { any, value } of values) {
    writer.u8(any ? 1 : 0);
    writer.plain(Buffer.from(value, "latin1"));
  }
  return writer.bytes();
}

function encodeHeader(body: Uint8Array, { confirmed, anyId, names }: Confirmation): Uint8Array {
  const header = new Uint8Array(headerBytes);
  const view = new DataView(header.buffer);
  const [first, second] = checksum(body);
  const numbers = [magic, version, confirmed ? 1 : 0, body.length, first, second, anyId ? 1 : 0];
  for (const [i, value] of numbers.entries()) view.setUint32(4 * i, value, true);
  // A null stays at the end.
  header.set(Buffer.from(names).subarray(0, headerBytes - namesAt - 1), namesAt);
  return header;
}

/** What a record's header says, where its body is `body`; undefined: it is another. */
export function readConfirmation(record: Uint8Array, body: Uint8Array): Confirmation | undefined {
  if (record.length < headerBytes + 4 || record.length < body.length + headerBytes + 4) return undefined;
  const bodyAt = record.length - body.length;
  if (Buffer.compare(record.subarray(bodyAt), body) !== 0) return undefined;
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const values = readValues(view, bodyAt);
  if (view.getUint32(4, true) !== version || values === undefined) return undefined;
  const names = Buffer.from(record.subarray(namesAt, headerBytes)).toString("utf8").replace(/\0+$/, "");
  return { confirmed: view.getUint32(8, true) > 0, anyId: view.getUint32(24, true) === 1, names, values };
}

/** undefined: they do not end where the body begins. */
function readValues(view: DataView, end: number): readonly SeenValue[] | undefined {
  const values: SeenValue[] = [];
  let at = headerBytes + 4;
  for (let count = view.getUint32(headerBytes, true); count > 0 && at + 5 <= end; count--) {
    const size = view.getUint32(at + 1, true);
    const bytes = Buffer.from(view.buffer, view.byteOffset + at + 5, Math.min(size, end - at - 5));
    values.push({ any: view.getUint8(at) === 1, value: bytes.toString("latin1") });
    at += 5 + size;
  }
  return at === end && values.length === view.getUint32(headerBytes, true) ? values : undefined;
}

/** Against damage, not against people: whoever may write the record may do all that it says. */
function checksum(body: Uint8Array): readonly [number, number] {
  let first = 0x811c_9dc5;
  let second = 0x9747_b28c;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const whole = body.length & ~3;
  const mix = (word: number): void => {
    first = Math.imul(first ^ word, 0x0100_0193);
    first ^= first >>> 15;
    second = Math.imul(second + word, 0x85eb_ca6b);
    second = (second << 13) | (second >>> 19);
  };
  for (let at = 0; at < whole; at += 4) mix(view.getUint32(at, true));
  let last = 0;
  for (let at = whole; at < body.length; at++) last |= body[at]! << (8 * (at - whole));
  mix(last);
  return [first >>> 0, second >>> 0];
}

class Writer {
  #bytes = new Uint8Array(128 * 1024);
  #view = new DataView(this.#bytes.buffer);
  readonly #slots: SlotFinder | undefined;
  length = 0;

  /** undefined: what is written has no slots. */
  constructor(slots: SlotFinder | undefined) {
    this.#slots = slots;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** Takes back what was written since `start`. */
  cut(start: number): Uint8Array {
    const bytes = this.#bytes.slice(start, this.length);
    this.length = start;
    return bytes;
  }

  append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  note(note: Note): void {
    this.u8(codes[note.kind]);
    switch (note.kind) {
      case "access":
        this.u8(note.mode);
        this.#i32(note.errno);
        this.#text(note.path);
        break;
      case "stat": {
        const none = {
          dev: 0n,
          ino: 0n,
          mode: 0n,
          uid: 0n,
          gid: 0n,
          rdev: 0n,
          size: 0n,
          mtime: 0n,
          ctime: 0n,
        };
        const { dev, ino, mode, uid, gid, rdev, size, mtime, ctime } = note.identity ?? none;
        this.u8(note.follow ? 1 : 0);
        this.#i32(note.errno);
        this.#text(note.path);
        for (const value of [dev, ino, mode, uid, gid, rdev, size, mtime, ctime]) this.#u64(value);
        break;
      }
      case "content":
        this.#i32(note.errno);
        this.u8(note.prefix ? 1 : 0);
        this.#text(note.path);
        this.u8(note.words.length);
        for (const word of note.words) this.plain(word);
        if (note.own && this.#slots !== undefined) this.#parts(this.#slots.templateOf(note.bytes));
        else this.#found(note.bytes);
        break;
      case "link":
        this.#i32(note.errno);
        this.#text(note.path);
        this.#found(note.text);
        break;
      case "realPath":
        this.#text(note.path);
        this.#found(note.text);
        break;
      case "fileKind":
        this.u8(note.follow ? 1 : 0);
        this.#i32(note.errno);
        this.u32(note.type);
        this.#text(note.path);
        break;
      case "monitors":
        this.#text(note.path);
        this.u32(note.most);
        break;
      case "temporaries":
      case "ended":
        this.#text(note.path);
        break;
      case "ids":
        this.#text(note.path);
        this.#found(note.prefix);
        this.#found(note.id);
        break;
      case "process":
        this.#process(note.path, note.time);
        break;
      case "namespaces":
        this.#text(note.path);
        this.u32(note.foreign);
        break;
      case "answer":
        this.#text(note.path);
        this.plain(note.request);
        this.u8(note.headers.length);
        for (const text of note.headers.flat()) this.plain(text);
        break;
      default:
        this.#step(note);
    }
  }

  #step(note: Note): void {
    switch (note.kind) {
      case "makeDirectory":
        this.u32(note.mode);
        this.u8(note.existed ? 1 : 0);
        this.#text(note.path);
        break;
      case "open":
        this.u32(note.flags);
        this.u32(note.mode);
        this.#text(note.path);
        break;
      case "below":
        this.#u64(BigInt(note.bytes));
        break;
      case "write":
        this.#text(note.bytes);
        break;
      case "rename":
        this.#text(note.from);
        this.#text(note.to);
        break;
      case "remove":
        this.#text(note.path);
        break;
      case "symlink":
        this.#text(note.text);
        this.#text(note.path);
        break;
      case "mode":
        this.u32(note.mode);
        this.#text(note.path);
        break;
      case "owner":
        this.u8(note.follow ? 1 : 0);
        this.u32(note.uid);
        this.u32(note.gid);
        this.#text(note.path);
        break;
      case "times":
        this.#u64(note.atime);
        this.#u64(note.mtime);
        this.#text(note.path);
        break;
      case "print":
        this.u8(note.descriptor);
        this.#text(note.bytes);
        break;
      case "execute":
        this.#text(note.path);
        this.#u64(BigInt(note.openFiles));
        this.#texts(note.argv);
        this.#texts(note.env);
        break;
    }
  }

  setFirst(value: number): void {
    this.#view.setUint32(0, value, true);
  }

  /** Bytes without slots, after their number. */
  plain(text: string | Uint8Array): void {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    this.u32(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  #texts(texts: readonly string[]): void {
    this.u32(texts.length);
    for (const text of texts) this.#text(text);
  }

  #text(text: string | Uint8Array): void {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    this.#parts(this.#slots?.partsOf(bytes) ?? [{ kind: "literal", bytes }]);
  }

  #found(text: string | Uint8Array): void {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    this.#parts(this.#slots?.foundOf(bytes) ?? [{ kind: "literal", bytes }]);
  }

  #process(pid: string, time: string): void {
    const literal = (text: string) => [{ kind: "literal", bytes: Buffer.from(text) }] as const;
    for (const parts of this.#slots?.processOf(pid, time) ?? [literal(pid), literal(time)])
      this.#parts(parts);
  }

  /** The codes are those of native/launch_text.c. */
  #parts(parts: readonly Part[]): void {
    this.u32(parts.length);
    for (const part of parts) {
      switch (part.kind) {
        case "literal":
          this.u8(0);
          this.plain(part.bytes);
          break;
        case "slot":
          this.u8(slotCodes[part.slot]);
          break;
        case "captured":
          this.u8(32);
          this.u8(part.index);
          break;
        case "padded":
          this.u8(35);
          this.u8(part.index);
          break;
        case "fresh":
          this.u8(33);
          this.u8(part.index);
          this.u8(part.capture.kind);
          this.u32(part.capture.kind === captureKinds.digits ? part.capture.value.length : 0);
          break;
        case "order":
          this.u8(34);
          this.u8(part.index);
          this.u8(part.items.length);
          this.plain(part.between);
          for (const item of part.items) this.#parts(item);
          break;
      }
    }
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  #i32(value: number): void {
    this.u32(value >>> 0);
  }

  #u64(value: bigint): void {
    this.#reserve(8);
    this.#view.setBigUint64(this.length, BigInt.asUintN(64, value), true);
    this.length += 8;
  }

  #reserve(count: number): void {
    if (this.length + count <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.max(this.length + count, 2 * this.#bytes.length));
    bytes.set(this.#bytes.subarray(0, this.length));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
