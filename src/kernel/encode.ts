/**
 * A plan as bytes and back: the wire format of ARCHITECTURE.md, driven by the op table.
 *
 * The writer keeps one growing buffer: `run` encodes some hundred ops in well under a millisecond, and a layer's
 * hundred thousand entries reuse the same memory.
 */
import { VitrineError } from "../base/mod.ts";
import type { ArgType, IdMapRange, Op, OpName, OpPath, PathBase } from "./ops.ts";
import { opTable, pathBases } from "./ops.ts";
import type { Plan, Stage, ToleratedErrno } from "./plan.ts";
import { stages, toleratedErrnos } from "./plan.ts";

/** `VPLN`, little endian. */
const magic = 0x4e4c5056;
const version = 1;
const planHeaderBytes = 16;
export const frameHeaderBytes = 12;
/** The helper refuses longer frames in stage `apply`, and longer plans (`native/wire.h` holds the same numbers). */
export const frameBytesMax = 4 * 1024 * 1024;
const planBytesMax = 16 * 1024 * 1024;

/** An op as the wire carries it: without the reasons a plan has. */
export interface WireOp {
  readonly stage: Stage;
  readonly tolerate: readonly ToleratedErrno[];
  readonly op: Op;
}

interface Shape {
  readonly code: number;
  readonly args: readonly (readonly [name: string, type: ArgType])[];
}

/** Of the ops that were met: a plan has a third of the table. */
const shapes = new Map<string, Shape>();

function shapeOf(name: string): Shape | undefined {
  const known = shapes.get(name);
  if (known !== undefined || !Object.hasOwn(opTable, name)) return known;
  const { code, args } = opTable[name as OpName];
  const shape = { code, args: Object.entries(args) as [string, ArgType][] };
  shapes.set(name, shape);
  return shape;
}

const namesByCode = new Map<number, OpName>();

function nameOf(code: number): OpName | undefined {
  if (namesByCode.size === 0) {
    for (const name of Object.keys(opTable) as OpName[]) namesByCode.set(opTable[name].code, name);
  }
  return namesByCode.get(code);
}

const stageCodes = new Map(stages.map((stage, code) => [stage, code]));
const baseCodes = new Map(pathBases.map((base, code) => [base, code]));
const errnoBits = new Map(toleratedErrnos.map((name, bit) => [name, bit]));
const encoder = new TextEncoder();
/** Characters from which on the encoder beats a loop. */
const longText = 24;
// A name may begin with U+FEFF: it is no byte order mark here.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

function invalid(op: string, arg: string, problem: string): VitrineError {
  return new VitrineError("invalid", `${op}.${arg} ${problem}`, { code: "op-argument-invalid", operand: op });
}

/** Appends op frames to a buffer that grows. `take` hands the bytes over and starts a new buffer of the same size. */
export class FrameWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #at = 0;

  constructor(capacity = 16 * 1024) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#at;
  }

  /** The bytes so far; valid until the next write. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at);
  }

  clear(): void {
    this.#at = 0;
  }

  /** The bytes so far, owned by the caller from now on; the writer goes on in `next`. */
  take(next = new Uint8Array(this.#bytes.byteLength)): Uint8Array<ArrayBuffer> {
    const taken = this.bytes();
    this.#bytes = next;
    this.#view = new DataView(next.buffer, next.byteOffset, next.byteLength);
    this.#at = 0;
    return taken;
  }

  planHeader(): void {
    this.#reserve(planHeaderBytes);
    this.#at += planHeaderBytes;
  }

  /** Fills in the header once the number of ops and bytes is known. */
  finishPlan(count: number): void {
    this.#view.setUint32(0, magic, true);
    this.#view.setUint32(4, version, true);
    this.#view.setUint32(8, count, true);
    this.#view.setUint32(12, this.#at - planHeaderBytes, true);
  }

  /**
   * Appends one frame.
   * @throws VitrineError `op-argument-invalid`: a NUL in a string, a number out of range, an unknown op.
   */
  op(op: Op, stage: Stage, tolerate: readonly ToleratedErrno[] = []): void {
    const shape = shapeOf(op.op);
    if (shape === undefined) throw invalid(String(op.op), "op", "is not in the op table");
    const start = this.#at;
    this.#reserve(frameHeaderBytes);
    this.#at += frameHeaderBytes;
    const values = op as unknown as Readonly<Record<string, unknown>>;
    try {
      for (const [name, type] of shape.args) this.#argument(op.op, name, type, values[name]);
      let mask = 0;
      for (const name of tolerate) {
        const bit = errnoBits.get(name);
        if (bit === undefined) throw invalid(op.op, "tolerate", `holds ${name}`);
        mask |= 1 << bit;
      }
      this.#view.setUint16(start, shape.code, true);
      this.#view.setUint8(start + 2, stageCodes.get(stage) ?? 0xff);
      this.#view.setUint8(start + 3, 0);
      this.#view.setUint32(start + 4, mask >>> 0, true);
      this.#view.setUint32(start + 8, this.#at - start - frameHeaderBytes, true);
    } catch (error) {
      // Nothing of a refused op stays in the buffer.
      this.#at = start;
      throw error;
    }
  }

  /**
   * The frame of a layerData op up to its data: `length` bytes must follow, written by the caller.
   * A large chunk of a file so goes to the helper without being copied into this buffer.
   */
  layerDataHeader(offset: bigint, length: number): void {
    this.#reserve(frameHeaderBytes + 12);
    const at = this.#at;
    this.#view.setUint16(at, opTable.layerData.code, true);
    this.#view.setUint8(at + 2, stageCodes.get("apply") ?? 0xff);
    this.#view.setUint8(at + 3, 0);
    this.#view.setUint32(at + 4, 0, true);
    this.#view.setUint32(at + 8, 12 + length, true);
    this.#view.setBigUint64(at + 12, offset, true);
    this.#view.setUint32(at + 20, length, true);
    this.#at = at + 24;
  }

  #argument(op: string, name: string, type: ArgType, value: unknown): void {
    switch (type) {
      case "bool":
        if (typeof value !== "boolean") throw invalid(op, name, "is not a boolean");
        this.#reserve(1);
        this.#bytes[this.#at++] = value ? 1 : 0;
        return;
      case "u32":
        this.#u32(op, name, value);
        return;
      case "i32":
        if (typeof value !== "number" || value !== (value | 0))
          throw invalid(op, name, "does not fit 32 bits");
        this.#reserve(4);
        this.#view.setInt32(this.#at, value, true);
        this.#at += 4;
        return;
      case "u64":
        if (typeof value !== "bigint" || value !== BigInt.asUintN(64, value))
          throw invalid(op, name, "does not fit 64 bits");
        this.#reserve(8);
        this.#view.setBigUint64(this.#at, value, true);
        this.#at += 8;
        return;
      case "i64":
        if (typeof value !== "bigint" || value !== BigInt.asIntN(64, value))
          throw invalid(op, name, "does not fit 64 bits");
        this.#reserve(8);
        this.#view.setBigInt64(this.#at, value, true);
        this.#at += 8;
        return;
      case "str":
        this.#text(op, name, value);
        return;
      case "raw":
        if (value instanceof Uint8Array) this.#raw(op, name, value);
        else this.#text(op, name, value);
        return;
      case "bytes":
        if (!(value instanceof Uint8Array)) throw invalid(op, name, "is not bytes");
        this.#reserve(4 + value.length);
        this.#view.setUint32(this.#at, value.length, true);
        this.#bytes.set(value, this.#at + 4);
        this.#at += 4 + value.length;
        return;
      case "strs": {
        const items = list<string>(op, name, value);
        this.#u32(op, name, items.length);
        for (const item of items) this.#text(op, name, item);
        return;
      }
      case "u32s": {
        const items = list<number>(op, name, value);
        this.#u32(op, name, items.length);
        for (const item of items) this.#u32(op, name, item);
        return;
      }
      case "path": {
        const { base, path } = (value ?? {}) as Partial<OpPath>;
        const code = base === undefined ? undefined : baseCodes.get(base);
        if (code === undefined) throw invalid(op, name, "has no path base");
        this.#reserve(1);
        this.#bytes[this.#at++] = code;
        this.#text(op, name, path);
        return;
      }
      case "maps": {
        const ranges = list<IdMapRange>(op, name, value);
        this.#u32(op, name, ranges.length);
        for (const range of ranges) {
          this.#u32(op, name, range.containerID);
          this.#u32(op, name, range.hostID);
          this.#u32(op, name, range.size);
        }
        return;
      }
    }
  }

  #u32(op: string, name: string, value: unknown): void {
    if (typeof value !== "number" || value !== value >>> 0) throw invalid(op, name, "does not fit 32 bits");
    this.#reserve(4);
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  #raw(op: string, name: string, value: Uint8Array): void {
    if (value.includes(0)) throw invalid(op, name, "holds a NUL byte");
    this.#reserve(5 + value.length);
    this.#view.setUint32(this.#at, value.length, true);
    this.#bytes.set(value, this.#at + 4);
    this.#at += 4 + value.length;
    this.#bytes[this.#at++] = 0;
  }

  #text(op: string, name: string, value: unknown): void {
    if (typeof value !== "string") throw invalid(op, name, "is not a string");
    const length = value.length;
    // UTF-8 needs at most three bytes for a UTF-16 unit.
    this.#reserve(5 + 3 * length);
    const start = this.#at + 4;
    let at = start;
    let index = 0;
    // Most strings are short and ASCII: a loop beats the call into the encoder. (Interpreted, as in `run`, it costs 50 ns
    // a character, so not for long ones.)
    for (; index < length && length <= longText; index++) {
      const unit = value.charCodeAt(index);
      if (unit > 0x7f) break;
      if (unit === 0) throw invalid(op, name, "holds a NUL byte");
      this.#bytes[at++] = unit;
    }
    if (index < length) {
      const rest = value.slice(index);
      if (rest.includes("\0")) throw invalid(op, name, "holds a NUL byte");
      at += encoder.encodeInto(rest, this.#bytes.subarray(at)).written;
    }
    this.#view.setUint32(this.#at, at - start, true);
    this.#bytes[at++] = 0;
    this.#at = at;
  }

  #reserve(count: number): void {
    const needed = this.#at + count;
    if (needed <= this.#bytes.byteLength) return;
    const bytes = new Uint8Array(Math.max(needed, this.#bytes.byteLength * 2));
    bytes.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

function list<Item>(op: string, name: string, value: unknown): readonly Item[] {
  if (!Array.isArray(value)) throw invalid(op, name, "is not a list");
  return value as readonly Item[];
}

/**
 * The plan file's bytes.
 * @throws VitrineError `op-argument-invalid`, `plan-too-large`
 */
export function encodePlan(plan: Plan | { readonly ops: readonly WireOp[] }): Uint8Array<ArrayBuffer> {
  const writer = new FrameWriter();
  writer.planHeader();
  for (const { op, stage, tolerate } of plan.ops) writer.op(op, stage, tolerate);
  if (writer.length > planBytesMax) {
    throw new VitrineError("invalid", `the plan has ${writer.length} bytes`, {
      code: "plan-too-large",
      hint: "shorten the command line or the environment",
    });
  }
  writer.finishPlan(plan.ops.length);
  return writer.bytes();
}

/** One frame, as stage `apply` reads them; its own memory. */
export function encodeOp(op: Op, stage: Stage = "apply"): Uint8Array<ArrayBuffer> {
  const writer = new FrameWriter(256);
  writer.op(op, stage);
  return writer.bytes();
}

/** Reads frames with the checks of the helper's own decoder. */
class FrameReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;
  #end: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = at;
    this.#end = bytes.byteLength;
  }

  get done(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  frame(): WireOp {
    this.#end = this.#bytes.byteLength;
    const code = this.#view.getUint16(this.#advance(2), true);
    const stage = stages[this.#view.getUint8(this.#advance(1))];
    const zero = this.#view.getUint8(this.#advance(1));
    const mask = this.#u32();
    const length = this.#u32();
    const name = nameOf(code);
    const shape = name === undefined ? undefined : shapeOf(name);
    if (name === undefined || shape === undefined) throw corrupt(`unknown op code ${code}`);
    if (stage === undefined || zero !== 0) throw corrupt(`bad stage of ${name}`);
    if (mask >= 2 ** toleratedErrnos.length) throw corrupt(`bad tolerate mask of ${name}`);
    if (length > this.#end - this.#at) throw corrupt(`${name} is cut off`);
    this.#end = this.#at + length;
    const op: Record<string, unknown> = { op: name };
    for (const [arg, type] of shape.args) op[arg] = this.#argument(type);
    if (this.#at !== this.#end) throw corrupt(`${name} has trailing bytes`);
    const tolerate = toleratedErrnos.filter((_, bit) => (mask & (1 << bit)) !== 0);
    return { stage, tolerate, op: op as unknown as Op };
  }

  #argument(type: ArgType): unknown {
    switch (type) {
      case "bool": {
        const value = this.#view.getUint8(this.#advance(1));
        if (value > 1) throw corrupt("a boolean is neither 0 nor 1");
        return value === 1;
      }
      case "u32":
        return this.#u32();
      case "i32":
        return this.#view.getInt32(this.#advance(4), true);
      case "u64":
        return this.#view.getBigUint64(this.#advance(8), true);
      case "i64":
        return this.#view.getBigInt64(this.#advance(8), true);
      case "str":
        return this.#text();
      case "raw": {
        const bytes = this.#chars();
        const text = utf8.decode(bytes);
        return Buffer.compare(encoder.encode(text), bytes) === 0 ? text : bytes;
      }
      case "bytes": {
        const length = this.#u32();
        const at = this.#advance(length);
        return this.#bytes.slice(at, at + length);
      }
      case "strs":
        return this.#list(5, () => this.#text());
      case "u32s":
        return this.#list(4, () => this.#u32());
      case "path": {
        const base: PathBase | undefined = pathBases[this.#view.getUint8(this.#advance(1))];
        if (base === undefined) throw corrupt("unknown path base");
        return { base, path: this.#text() };
      }
      case "maps":
        return this.#list(12, () => ({
          containerID: this.#u32(),
          hostID: this.#u32(),
          size: this.#u32(),
        }));
    }
  }

  #list<Item>(least: number, item: () => Item): Item[] {
    const count = this.#u32();
    if (count * least > this.#end - this.#at) throw corrupt("a list is cut off");
    return Array.from({ length: count }, item);
  }

  #u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  #chars(): Uint8Array {
    const length = this.#u32();
    const at = this.#advance(length + 1);
    const bytes = this.#bytes.slice(at, at + length);
    if (bytes.includes(0) || this.#bytes[at + length] !== 0)
      throw corrupt("a string is not ended by its only NUL");
    return bytes;
  }

  #text(): string {
    return utf8.decode(this.#chars());
  }

  #advance(count: number): number {
    if (count > this.#end - this.#at) throw corrupt("the plan is cut off");
    const at = this.#at;
    this.#at += count;
    return at;
  }
}

/**
 * Reads one frame, whole in `bytes` from `at` on. Its values have their own memory.
 * @throws VitrineError `plan-corrupt`
 */
export function decodeOp(bytes: Uint8Array, at = 0): Op {
  return new FrameReader(bytes, at).frame().op;
}

function corrupt(problem: string): VitrineError {
  return new VitrineError("corrupt", problem, { code: "plan-corrupt" });
}

/**
 * Reads a plan file back, for `explain` and the tests.
 * @throws VitrineError `plan-corrupt`
 */
export function decodePlan(bytes: Uint8Array): { readonly ops: readonly WireOp[] } {
  if (bytes.byteLength < planHeaderBytes) throw corrupt("the plan is cut off");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic) throw corrupt("not a plan");
  if (view.getUint32(4, true) !== version) throw corrupt(`plan version ${view.getUint32(4, true)}`);
  if (view.getUint32(12, true) !== bytes.byteLength - planHeaderBytes)
    throw corrupt("the plan's length is wrong");
  const reader = new FrameReader(bytes, planHeaderBytes);
  const ops: WireOp[] = [];
  while (!reader.done) ops.push(reader.frame());
  if (ops.length !== view.getUint32(8, true)) throw corrupt("the plan's op count is wrong");
  return { ops };
}
