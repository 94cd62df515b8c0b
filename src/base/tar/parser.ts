import { limits } from "../limits.ts";
import { decodeText } from "../text.ts";
import type { SparseRun, TarEntry } from "./entry.ts";
import {
  blockBytes,
  isZeroBlock,
  notTar,
  type Place,
  paddingOf,
  parseHeader,
  type RawHeader,
  tarError,
  typeflag,
} from "./header.ts";
import { describeMember, type Member, typeOf } from "./member.ts";
import { noPaxRecords, type PaxRecords, parseDecimal, parsePax } from "./pax.ts";
import { BodySparseMap, checkSparse, OldSparseMap, paxSparse, type SparseMap } from "./sparse.ts";

/** Receives an archive in order: onEntry, its onData calls, onEnd; then the next entry. Exceptions pass through `push`. */
export interface TarHandler {
  onEntry(entry: TarEntry): void;
  /** `chunk` are bytes of the file at `offset` (holes of a sparse file are skipped); a view, valid as long as the pushed chunk. */
  onData(offset: number, chunk: Uint8Array): void;
  /** The entry is complete. Called for every entry, also those without data. */
  onEnd(): void;
}

export interface TarOptions {
  /** Names the archive in errors. */
  readonly name?: string;
  /** Default `limits.tarEntriesPerLayer`. */
  readonly maxEntries?: number;
}

const noBytes: Buffer = Buffer.alloc(0);

/**
 * What the next bytes are.
 * - `header`: a block. - `extended`: the body of a pax or GNU long-name header. - `oldSparse`: extension blocks of type S.
 * - `bodySparse`: the sparse map at the start of a body. - `body`: data. - `padding`: to the next block. - `ended`: whatever
 * follows the end of the archive.
 */
type State = "header" | "extended" | "oldSparse" | "bodySparse" | "body" | "padding" | "ended";

/**
 * A push parser for tar: v7, ustar, star, pax and GNU, with sparse files of all formats. Where parsers differ on hostile
 * archives: a pax `size` always rules the body's length (CVE-2025-62518), members that can have no body have none whatever
 * their size says, the archive ends at two zero blocks, and what is not understood is an error.
 *
 * Errors are VitrineErrors: `tar-truncated`, `tar-checksum`, `tar-invalid-header`, `tar-invalid-pax`, `tar-invalid-sparse`
 * (corrupt), `tar-unsupported`, and `tar-limit-*` (invalid).
 */
export class TarParser {
  private readonly handler: TarHandler;
  private readonly archive: string | undefined;
  private readonly maxEntries: number;
  private entries = 0;

  private state: State = "header";
  /** Archive offset of the next byte. */
  private offset = 0;
  private zeroBlocks = 0;
  /** Bytes of the current state still to come: extended, body, padding. */
  private remaining = 0;
  private padding = 0;

  /** A block cut by the end of a chunk. */
  private readonly block = Buffer.alloc(blockBytes);
  private blockFill = 0;

  private extendedType = 0;
  private extendedBody: Buffer = noBytes;
  private extendedFill = 0;

  private globalRecords: PaxRecords = noPaxRecords;
  private localRecords: PaxRecords | undefined;
  private longName: string | undefined;
  private longLink: string | undefined;

  private pending: Member | undefined;
  private oldSparse: OldSparseMap | undefined;
  private bodySparse: BodySparseMap | undefined;

  /** Data goes here, undefined where it is dropped (a v7 directory with a body). */
  private deliver = true;
  private fileOffset = 0;
  private runs: readonly SparseRun[] | undefined;
  private run = 0;

  constructor(handler: TarHandler, options: TarOptions = {}) {
    this.handler = handler;
    this.archive = options.name;
    this.maxEntries = options.maxEntries ?? limits.tarEntriesPerLayer;
  }

  /** Parses the next bytes of the archive. Synchronous: no promise per entry. */
  push(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    while (at < chunk.length) {
      switch (this.state) {
        case "body":
          at += this.takeBody(chunk, at);
          break;
        case "padding":
          at += this.takePadding(chunk.length - at);
          break;
        case "extended":
          at += this.takeExtended(chunk, at);
          break;
        case "ended":
          this.offset += chunk.length - at;
          return;
        default:
          at += this.takeBlock(chunk, at);
      }
    }
  }

  /** The archive ended. Throws `tar-truncated` when it ended inside a member. A missing end marker is tolerated, as by Docker. */
  finish(): void {
    if (this.state === "ended") return;
    const isBetweenMembers = this.state === "header" && this.blockFill === 0;
    // The padding of the last member may be missing as well.
    if ((isBetweenMembers || this.state === "padding") && !this.expectsMember()) return;
    if (this.offset < blockBytes) throw notTar("tar-truncated", this.here());
    throw tarError("tar-truncated", "the archive ends inside a member", this.here());
  }

  /** Bytes of the current body still to come. */
  get bodyRemaining(): number {
    return this.state === "body" ? this.remaining : 0;
  }

  /**
   * Goes past up to `most` bytes of the current body as if they had been pushed: `place` hears where in the file they belong instead of
   * `onData`, with the same rules. Returns how many were passed; 0 outside a body. For archives whose bytes are somewhere else.
   */
  passBody(most: number, place: (offset: number, length: number) => void): number {
    return this.state === "body" ? this.takeBodyBytes(most, place) : 0;
  }

  /**
   * Goes past the rest of the current body and its padding as if they had been pushed, without data calls; returns how many
   * bytes the caller leaves out. For archives that can be read at any place.
   */
  skipBody(): number {
    const before = this.offset;
    if (this.state === "body") {
      this.offset += this.remaining;
      this.remaining = 0;
      this.endBody();
    }
    if (this.state === "padding") this.takePadding(this.remaining);
    return this.offset - before;
  }

  /** Whether the end of the archive was seen. */
  get ended(): boolean {
    return this.state === "ended";
  }

  private here(): Place {
    return { archive: this.archive, offset: this.offset };
  }

  /** Whether extended headers wait for the member they describe. */
  private expectsMember(): boolean {
    return this.localRecords !== undefined || this.longName !== undefined || this.longLink !== undefined;
  }

  private takeBody(chunk: Buffer, at: number): number {
    return this.takeBodyBytes(chunk.length - at, (offset, length) => {
      this.handler.onData(offset, chunk.subarray(at, at + length));
    });
  }

  private takeBodyBytes(available: number, place: (offset: number, length: number) => void): number {
    let count = Math.min(this.remaining, available);
    if (this.runs !== undefined && this.deliver) {
      const run = this.runs[this.run]!;
      count = Math.min(count, run.offset + run.length - this.fileOffset);
    }
    if (this.deliver) place(this.fileOffset, count);
    this.fileOffset += count;
    this.offset += count;
    this.remaining -= count;
    if (this.remaining === 0) {
      this.endBody();
    } else if (this.runs !== undefined) {
      const run = this.runs[this.run]!;
      if (this.fileOffset === run.offset + run.length) {
        this.run += 1;
        this.fileOffset = this.runs[this.run]!.offset;
      }
    }
    return count;
  }

  private endBody(): void {
    this.handler.onEnd();
    this.remaining = this.padding;
    this.state = this.padding === 0 ? "header" : "padding";
  }

  private takePadding(available: number): number {
    const count = Math.min(this.remaining, available);
    this.remaining -= count;
    this.offset += count;
    if (this.remaining === 0) this.state = "header";
    return count;
  }

  private takeExtended(chunk: Buffer, at: number): number {
    const count = Math.min(this.remaining, chunk.length - at);
    chunk.copy(this.extendedBody, this.extendedFill, at, at + count);
    this.extendedFill += count;
    this.remaining -= count;
    if (this.remaining === 0) {
      this.endExtended();
      this.remaining = this.padding;
      this.state = this.padding === 0 ? "header" : "padding";
    }
    this.offset += count;
    return count;
  }

  private takeBlock(chunk: Buffer, at: number): number {
    if (this.blockFill === 0 && chunk.length - at >= blockBytes) {
      this.offset += blockBytes;
      this.onBlock(chunk, at);
      return blockBytes;
    }
    const count = Math.min(blockBytes - this.blockFill, chunk.length - at);
    chunk.copy(this.block, this.blockFill, at, at + count);
    this.blockFill += count;
    this.offset += count;
    if (this.blockFill === blockBytes) {
      this.blockFill = 0;
      this.onBlock(this.block, 0);
    }
    return count;
  }

  /** `offset` is already past the block. */
  private onBlock(bytes: Buffer, at: number): void {
    if (this.state === "oldSparse") this.onOldSparse(bytes, at);
    else if (this.state === "bodySparse") this.onBodySparse(bytes, at);
    else this.onHeader(bytes, at);
  }

  private onHeader(bytes: Buffer, at: number): void {
    const place: Place = { archive: this.archive, offset: this.offset - blockBytes };
    if (bytes[at] === 0 && isZeroBlock(bytes, at)) {
      this.zeroBlocks += 1;
      if (this.expectsMember()) {
        throw tarError("tar-invalid-header", "an extended header has no member", place);
      }
      if (this.zeroBlocks === 2) this.state = "ended";
      return;
    }
    if (this.zeroBlocks > 0) {
      throw tarError("tar-invalid-header", "data follows a lone zero block", place);
    }
    const raw = parseHeader(bytes, at, place);
    switch (raw.type) {
      case typeflag.paxLocal:
      case typeflag.paxLocalSolaris:
      case typeflag.paxGlobal:
      case typeflag.gnuLongName:
      case typeflag.gnuLongLink:
        this.beginExtended(raw, place);
        break;
      case typeflag.gnuVolume:
        // A label, not a member.
        this.remaining = Math.max(raw.size, 0) + paddingOf(Math.max(raw.size, 0));
        if (this.remaining > 0) this.state = "padding";
        break;
      default:
        this.beginMember(raw, bytes, at, place);
    }
  }

  private beginExtended(raw: RawHeader, place: Place): void {
    if (raw.size < 0 || raw.size > limits.tarExtendedHeaderBytes) {
      throw tarError(
        "tar-limit-header",
        `an extended header exceeds ${limits.tarExtendedHeaderBytes} bytes`,
        place,
      );
    }
    this.extendedType = raw.type;
    this.extendedBody = Buffer.allocUnsafe(raw.size);
    this.extendedFill = 0;
    this.remaining = raw.size;
    this.padding = paddingOf(raw.size);
    this.state = "extended";
    if (raw.size === 0) {
      this.endExtended();
      this.state = "header";
    }
  }

  private endExtended(): void {
    const body = this.extendedBody;
    const place = this.here();
    this.extendedBody = noBytes;
    switch (this.extendedType) {
      case typeflag.paxGlobal:
        this.globalRecords = parsePax(body, this.globalRecords, place);
        break;
      case typeflag.gnuLongName:
        this.longName = untilNul(body);
        break;
      case typeflag.gnuLongLink:
        this.longLink = untilNul(body);
        break;
      default:
        this.localRecords = parsePax(body, this.globalRecords, place);
    }
  }

  private beginMember(raw: RawHeader, bytes: Buffer, at: number, place: Place): void {
    if (typeOf(raw) === undefined) {
      const shown = raw.type > 0x20 && raw.type < 0x7f ? `'${String.fromCharCode(raw.type)}'` : `${raw.type}`;
      throw tarError("tar-unsupported", `members of type ${shown} are not supported`, place);
    }
    this.entries += 1;
    if (this.entries > this.maxEntries) {
      throw tarError("tar-limit-entries", `more than ${this.maxEntries} members`, place);
    }
    const records = this.localRecords ?? this.globalRecords;
    const size = records.values.get("size");
    const stored = size === undefined ? raw.size : parseDecimal(size, "size", place);
    if (stored < 0) throw tarError("tar-invalid-header", "field size is negative", place);
    const { longName, longLink } = this;
    const pending: Member = { raw, records, longName, longLink, stored, place };
    this.localRecords = undefined;
    this.longName = undefined;
    this.longLink = undefined;

    if (typeOf(raw) !== "file") {
      this.emit(pending, undefined);
      return;
    }
    if (raw.type === typeflag.gnuSparse) {
      this.pending = pending;
      this.oldSparse = new OldSparseMap(bytes, at, place);
      this.state = "oldSparse";
      this.continueOldSparse();
      return;
    }
    const sparse = records === noPaxRecords ? undefined : paxSparse(records, place);
    if (sparse === undefined) {
      this.emit(pending, undefined);
    } else if (sparse.numbers !== undefined) {
      this.emit(pending, checkSparse(sparse.numbers, sparse.size, stored, place));
    } else {
      this.pending = pending;
      this.bodySparse = new BodySparseMap();
      this.state = "bodySparse";
    }
  }

  private onOldSparse(bytes: Buffer, at: number): void {
    this.oldSparse!.extend(bytes, at, this.here());
    this.continueOldSparse();
  }

  private continueOldSparse(): void {
    const map = this.oldSparse!;
    if (map.isExtended) return;
    const pending = this.pending!;
    this.emit(pending, checkSparse(map.numbers, map.size, pending.stored, pending.place));
  }

  private onBodySparse(bytes: Buffer, at: number): void {
    const map = this.bodySparse!;
    const pending = this.pending!;
    if (map.taken + blockBytes > pending.stored) {
      throw tarError("tar-invalid-sparse", "a sparse map exceeds its member", pending.place);
    }
    if (!map.feed(bytes, at, pending.place)) return;
    const stored = pending.stored - map.taken;
    const size = parseDecimal(
      pending.records.values.get("GNU.sparse.realsize") ?? "",
      "GNU.sparse.realsize",
      pending.place,
    );
    this.emit({ ...pending, stored }, checkSparse(map.numbers, size, stored, pending.place));
  }

  /** Hands the member out and expects its body. */
  private emit(pending: Member, sparse: SparseMap | undefined): void {
    const { raw, stored, place } = pending;
    const entry = describeMember(pending, sparse, this.offset);
    this.pending = undefined;
    this.oldSparse = undefined;
    this.bodySparse = undefined;
    this.runs = sparse?.runs;
    this.run = 0;
    this.fileOffset = sparse?.runs[0]?.offset ?? 0;
    // A v7 "directory" is a file with a slash: it may have a body, which is none of a directory's.
    const isFile = typeOf(raw) === "file";
    this.handler.onEntry(entry);
    this.beginBodyOf(isFile ? stored : 0, place, entry.type === "file");
  }

  private beginBodyOf(stored: number, place: Place, deliver: boolean): void {
    if (!Number.isSafeInteger(this.offset + stored)) {
      throw tarError("tar-limit-size", "a member is too large", place);
    }
    this.deliver = deliver;
    this.remaining = stored;
    this.padding = paddingOf(stored);
    this.state = "body";
    if (stored === 0) this.endBody();
  }
}

/** The value of a GNU long-name header, which ends with a NUL. */
function untilNul(body: Buffer): string {
  const end = body.indexOf(0);
  return decodeText(end === -1 ? body : body.subarray(0, end));
}
