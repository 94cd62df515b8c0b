/** What the helper's reading ops write: entries and bytes of files, as values. */
import * as fs from "node:fs";
import { decodeText, encodeText, VitrineError } from "../base/mod.ts";
import type { ApplySession } from "./apply.ts";
import { decodeOp, frameBytesMax, frameHeaderBytes } from "./encode.ts";
import { type Op, type OpPath, opTable } from "./ops.ts";

export type LayerEntry = Extract<Op, { op: "layerEntry" }>;

export type ReadEvent =
  | { readonly kind: "entry"; readonly entry: LayerEntry }
  /** `bytes` are valid until the next event is asked for. */
  | { readonly kind: "data"; readonly offset: number; readonly bytes: Uint8Array };

export interface FoundEntry {
  /** Absolute below the base, free of links, in the form of `decodeText`. */
  readonly path: string;
  readonly entry: LayerEntry;
}

/** As the op readTree. Absent: not followed, called `name`, with content, as it is, nothing excluded. */
export interface ReadRequest {
  readonly path: OpPath;
  readonly name: string;
  readonly follow?: boolean;
  readonly top?: boolean;
  readonly content?: boolean;
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly exclude?: readonly string[];
}

/** The op of a request. */
export function readTreeOp(request: ReadRequest, answered: boolean): Op {
  const { path, name, follow = false, top = true, content = true, owner, exclude = [] } = request;
  return {
    op: "readTree",
    path,
    follow,
    name: rawText(name),
    top,
    content,
    owned: owner !== undefined,
    uid: owner?.uid ?? 0,
    gid: owner?.gid ?? 0,
    exclude,
    answered,
  };
}

/** Names are bytes: those that are no UTF-8 travel as such. */
export function rawText(text: string): string | Uint8Array {
  return text.isWellFormed() ? text : encodeText(text);
}

const bufferBytes = 2 * 1024 * 1024;
const dataHeaderBytes = frameHeaderBytes + 12;

/** Asks one helper, one question at a time. Errors of all: those of `ApplySession`. */
export class FileReader {
  readonly session: ApplySession;
  #fd: number | undefined;
  #buffer: Buffer<ArrayBuffer> = Buffer.allocUnsafe(bufferBytes);
  #at = 0;
  #end = 0;

  /** `session` has the output `pipe`. */
  constructor(session: ApplySession) {
    this.session = session;
  }

  /** An entry, or the name of the errno that stands in its way (`ENOENT`). */
  async entry(path: OpPath, follow: boolean): Promise<FoundEntry | string> {
    await this.#ask({ op: "readEntry", path, follow });
    let entry: LayerEntry | undefined;
    for (;;) {
      const op = await this.#next();
      if (op.op === "layerEntry") entry = op;
      if (op.op !== "answer") continue;
      if (op.error !== 0 || entry === undefined) return errnoName(op.error);
      return { path: textOf(entry.path), entry };
    }
  }

  /** Error: `read-failed`, its operand the errno's name and its cause naming it as `code`. */
  async *tree(request: ReadRequest): AsyncGenerator<ReadEvent, void> {
    await this.#ask(readTreeOp(request, true));
    for (;;) {
      const op = await this.#next();
      if (op.op === "layerEntry") yield { kind: "entry", entry: op };
      else if (op.op === "layerData") yield { kind: "data", offset: Number(op.offset), bytes: op.data };
      else if (op.op === "answer") {
        if (op.error === 0) return;
        throw readFailed(op.error, textOf(op.text));
      }
    }
  }

  close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd);
    this.#fd = undefined;
  }

  async #ask(op: Op): Promise<void> {
    this.#fd ??= await this.session.output();
    this.session.op(op);
    await this.session.flush();
  }

  async #next(): Promise<Op> {
    await this.#fill(frameHeaderBytes);
    const code = this.#buffer.readUInt16LE(this.#at);
    const length = this.#buffer.readUInt32LE(this.#at + 8);
    if (length > frameBytesMax)
      throw new VitrineError("internal", "the helper's output is damaged", { code: "read-corrupt" });
    await this.#fill(frameHeaderBytes + length);
    const start = this.#at;
    this.#at += frameHeaderBytes + length;
    if (code === opTable.layerData.code) {
      const offset = this.#buffer.readBigUInt64LE(start + frameHeaderBytes);
      return { op: "layerData", offset, data: this.#buffer.subarray(start + dataHeaderBytes, this.#at) };
    }
    return decodeOp(this.#buffer.subarray(start, this.#at));
  }

  /** Until so many unread bytes are there. */
  async #fill(count: number): Promise<void> {
    if (this.#end - this.#at >= count) return;
    if (this.#at + count > this.#buffer.length) {
      const target = count > this.#buffer.length ? Buffer.allocUnsafe(count + bufferBytes) : this.#buffer;
      this.#buffer.copy(target, 0, this.#at, this.#end);
      this.#end -= this.#at;
      this.#at = 0;
      this.#buffer = target;
    }
    while (this.#end - this.#at < count) {
      const got = await this.#read();
      if (got === 0) {
        // It ended before its answer: it says why.
        await this.session.end();
        throw new VitrineError("internal", "the helper ended without an answer", { code: "read-corrupt" });
      }
      this.#end += got;
    }
  }

  #read(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.#fd!, this.#buffer, this.#end, this.#buffer.length - this.#end, null, (error, count) => {
        if (error === null) resolve(count);
        else reject(error);
      });
    });
  }
}

export function textOf(raw: string | Uint8Array): string {
  return typeof raw === "string" ? raw : decodeText(raw);
}

function errnoName(number: number): string {
  const { constants } = process.getBuiltinModule("node:os");
  return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`;
}

function readFailed(errno: number, path: string): VitrineError {
  const name = errnoName(errno);
  const denied = name === "EACCES" || name === "EPERM";
  return new VitrineError(
    denied ? "denied" : name === "ENOENT" ? "not-found" : "unavailable",
    `cannot read ${JSON.stringify(path)}: ${name}`,
    {
      code: "read-failed",
      operand: name,
      ...(denied ? { hint: "its permissions keep you from reading it" } : {}),
      cause: Object.assign(new Error(name), { code: name }),
    },
  );
}
