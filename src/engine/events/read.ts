/** Reading ROOT/events, once or as it grows. */
import * as fs from "node:fs";
import { parseJson } from "../../base/mod.ts";
import type { EnginePaths } from "../containers/record.ts";
import { type EngineEvent, eventFile } from "./record.ts";

export interface RecordedEvent extends EngineEvent {
  /** Nanoseconds since 1970. */
  readonly time: bigint;
  readonly attributes: Readonly<Record<string, string>>;
}

const longestLine = 1024 * 1024;

/** undefined: not what a command or a monitor writes, as when a disk was full in the middle of a line. */
export function parseEvent(line: string): RecordedEvent | undefined {
  try {
    // The time does not fit into a double.
    const time = /^\{"timeNano":(\d{1,19}),/.exec(line)?.[1];
    const value = parseJson(new TextEncoder().encode(line), { maxBytes: longestLine }) as unknown as {
      readonly action: unknown;
      readonly type: unknown;
      readonly id: unknown;
      readonly attributes?: Readonly<Record<string, unknown>>;
      readonly add?: Readonly<Record<string, unknown>>;
    };
    const { action, type, id } = value;
    if (
      time === undefined ||
      typeof action !== "string" ||
      typeof type !== "string" ||
      typeof id !== "string"
    ) {
      return undefined;
    }
    const attributes = Object.create(null) as Record<string, string>;
    for (const [key, text] of [
      ...Object.entries(value.attributes ?? {}),
      ...Object.entries(value.add ?? {}),
    ]) {
      attributes[key] = String(text);
    }
    return { time: BigInt(time), action, type: type as EngineEvent["type"], id, attributes };
  } catch {
    return undefined;
  }
}

/** First all that is there, then at each call what came since. */
export class EventReader {
  readonly #path: string;
  #fd = -1;
  #inode = -1;
  #rest = "";
  #begun = false;

  constructor(paths: Pick<EnginePaths, "root">) {
    this.#path = eventFile(paths);
  }

  *read(): Generator<RecordedEvent, void> {
    if (!this.#begun) {
      this.#begun = true;
      if (this.#open(`${this.#path}.1`)) yield* this.#readOpen();
      this.close();
    }
    if (this.#fd < 0 && !this.#open(this.#path)) return;
    yield* this.#readOpen();
    const now = fs.statSync(this.#path, { throwIfNoEntry: false });
    if (now === undefined || now.ino === this.#inode) return;
    // The old file was renamed after our last read: what was appended before that comes first.
    yield* this.#readOpen();
    this.close();
    if (this.#open(this.#path)) yield* this.#readOpen();
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
    this.#fd = -1;
  }

  #open(path: string): boolean {
    try {
      this.#fd = fs.openSync(path, "r");
    } catch {
      return false;
    }
    this.#inode = fs.fstatSync(this.#fd).ino;
    this.#rest = "";
    return true;
  }

  *#readOpen(): Generator<RecordedEvent, void> {
    const chunk = Buffer.alloc(64 * 1024);
    // Bytes, and only then text: a chunk may end within a character.
    let bytes: Buffer = Buffer.from(this.#rest, "latin1");
    for (;;) {
      const got = fs.readSync(this.#fd, chunk);
      if (got === 0) break;
      bytes = Buffer.concat([bytes, chunk.subarray(0, got)]);
      let at = 0;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, at)) {
        const event = parseEvent(bytes.subarray(at, end).toString("utf8"));
        if (event !== undefined) yield event;
        at = end + 1;
      }
      bytes = bytes.subarray(at);
      if (bytes.length > longestLine) bytes = Buffer.alloc(0);
    }
    this.#rest = bytes.toString("latin1");
  }
}
