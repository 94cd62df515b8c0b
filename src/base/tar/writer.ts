import type { ByteStream } from "../streams.ts";
import type { TarType } from "./entry.ts";

/** A member to write; what is left out is 0, empty or, for `mode`, 0755 of directories and 0644 of the rest. */
export interface TarInput {
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
  readonly userName?: string;
  readonly groupName?: string;
  /** Needed when `body` is a stream; a stream of another length is `tar-body-size`. */
  readonly size?: number;
  readonly body?: Uint8Array | ByteStream;
}

/** A deterministic archive: the same inputs give the same bytes. ustar, with a pax header only where ustar cannot say it. */
export declare function writeTar(
  members: Iterable<TarInput> | AsyncIterable<TarInput>,
): AsyncGenerator<Uint8Array, void>;
/** The header blocks of one member (pax included), for archives assembled by hand. */
export declare function encodeHeader(member: TarInput, size: number): Uint8Array;
