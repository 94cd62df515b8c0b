import type { ByteStream } from "../streams.ts";
import type { TarEntry } from "./entry.ts";

/** Receives an archive in order: onEntry, its onData calls, onEnd; then the next entry. Exceptions pass through `push`. */
export interface TarHandler {
  onEntry(entry: TarEntry): void;
  /** `chunk` are bytes of the file at `offset` (holes of a sparse file are skipped); a view, valid as long as the pushed chunk. */
  onData(offset: number, chunk: Uint8Array): void;
  /** The entry is complete. Called for every entry, also those without data. */
  onEnd(): void;
}

export declare class TarParser {
  constructor(handler: TarHandler, options?: { readonly name?: string; readonly maxEntries?: number });
  /** Parses the next bytes of the archive. Synchronous: no promise per entry. */
  push(chunk: Uint8Array): void;
  /** The archive ended. Throws `tar-truncated` when it ended inside a member. */
  finish(): void;
}

export interface TarMember {
  readonly entry: TarEntry;
  /** The data, holes filled with zeros. May be left unread; not valid once the next member was asked for. */
  readonly body: ByteStream;
}

export declare function readTar(source: ByteStream): AsyncGenerator<TarMember, void>;
