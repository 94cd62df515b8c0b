import { limits } from "../limits.ts";
import type { SparseRun } from "./entry.ts";
import { blockBytes, type Place, readNumber, tarError } from "./header.ts";
import { type PaxRecords, parseDecimal } from "./pax.ts";

/** The map of a sparse member: the size it has when extracted, and its runs of data. */
export interface SparseMap {
  readonly size: number;
  readonly runs: readonly SparseRun[];
}

/** Checks what every format of map must hold: ascending runs inside `size`, and as many bytes as are stored. */
export function checkSparse(
  numbers: readonly number[],
  size: number,
  stored: number,
  place: Place,
): SparseMap {
  if (size > limits.tarFileBytes) throw tarError("tar-limit-size", "a sparse file is too large", place);
  if (numbers.length % 2 !== 0) throw tarError("tar-invalid-sparse", "a sparse map ends inside a run", place);
  const runs: SparseRun[] = [];
  let end = 0;
  let total = 0;
  for (let index = 0; index < numbers.length; index += 2) {
    const offset = numbers[index]!;
    const length = numbers[index + 1]!;
    if (offset < end || length < 0 || offset + length > size) {
      throw tarError("tar-invalid-sparse", "the runs of a sparse map overlap or exceed the file", place);
    }
    end = offset + length;
    total += length;
    // A run of no bytes marks the end of the file.
    if (length > 0) runs.push({ offset, length });
  }
  if (total !== stored) {
    throw tarError("tar-invalid-sparse", `a sparse map names ${total} bytes, ${stored} are stored`, place);
  }
  return { size, runs };
}

/** GNU's old format (type S): four runs in the header, 21 in each extension block (GNU tar, "Old GNU Format"). */
export class OldSparseMap {
  readonly size: number;
  readonly numbers: number[] = [];
  /** Whether an extension block follows. */
  isExtended: boolean;

  constructor(header: Buffer, at: number, place: Place) {
    this.size = readNumber(header, at + 483, 12, "realsize", place);
    this.isExtended = header[at + 482] !== 0;
    this.readRuns(header, at + 386, 4, place);
  }

  extend(block: Buffer, at: number, place: Place): void {
    this.readRuns(block, at, 21, place);
    this.isExtended = block[at + 504] !== 0;
  }

  private readRuns(block: Buffer, at: number, count: number, place: Place): void {
    for (let index = 0; index < count; index++) {
      const run = at + index * 24;
      if (block[run] === 0 || block[run + 12] === 0) return;
      this.numbers.push(readNumber(block, run, 12, "sparse offset", place));
      this.numbers.push(readNumber(block, run + 12, 12, "sparse length", place));
    }
    if (this.numbers.length > 2 * limits.tarSparseRuns) {
      throw tarError("tar-limit-sparse", "too many runs in a sparse map", place);
    }
  }
}

/** What pax records say about sparseness: a whole map (formats 0.0, 0.1), or that it begins the body (1.0). */
export type PaxSparse =
  | { readonly size: number; readonly numbers: readonly number[] }
  | { readonly size: number; readonly numbers: undefined };

/** Undefined for a member that is not sparse. GNU tar, "PAX Format: sparse". */
export function paxSparse(records: PaxRecords, place: Place): PaxSparse | undefined {
  const { values } = records;
  const major = values.get("GNU.sparse.major");
  const minor = values.get("GNU.sparse.minor");
  if (major === "1" && minor === "0") {
    return { size: required(values, "GNU.sparse.realsize", place), numbers: undefined };
  }
  if (major !== undefined && !(major === "0" && (minor === "0" || minor === "1"))) {
    throw tarError("tar-unsupported", "a sparse format is not known", place);
  }
  const map = values.get("GNU.sparse.map");
  if (map !== undefined) {
    const numbers = map.split(",").map((text) => parseDecimal(text, "GNU.sparse.map", place));
    return { size: required(values, "GNU.sparse.size", place), numbers };
  }
  if (records.sparseNumbers.length > 0 || values.has("GNU.sparse.numblocks")) {
    return { size: required(values, "GNU.sparse.size", place), numbers: records.sparseNumbers };
  }
  return undefined;
}

function required(values: ReadonlyMap<string, string>, key: string, place: Place): number {
  const value = values.get(key);
  if (value === undefined) throw tarError("tar-invalid-sparse", `${key} is missing`, place);
  return parseDecimal(value, key, place);
}

/**
 * The map at the start of a body in pax format 1.0: decimal numbers, each with a newline: the count of runs, then offset and
 * length of each; padded to a block. Fed block by block.
 */
export class BodySparseMap {
  readonly numbers: number[] = [];
  /** Bytes of the body that the map has taken so far. */
  taken = 0;
  private count: number | undefined;
  private digits = "";

  /** Takes one block; true when the map is complete. */
  feed(block: Buffer, at: number, place: Place): boolean {
    this.taken += blockBytes;
    for (let index = at; index < at + blockBytes; index++) {
      const byte = block[index]!;
      if (byte === 0x0a) {
        this.take(parseDecimal(this.digits, "sparse map", place), place);
        this.digits = "";
        if (this.count !== undefined && this.numbers.length === 2 * this.count) return true;
      } else if (byte >= 0x30 && byte <= 0x39 && this.digits.length < 16) {
        this.digits += String.fromCharCode(byte);
      } else {
        throw tarError("tar-invalid-sparse", "a sparse map holds something else than numbers", place);
      }
    }
    return false;
  }

  private take(value: number, place: Place): void {
    if (this.count !== undefined) {
      this.numbers.push(value);
      return;
    }
    if (value > limits.tarSparseRuns)
      throw tarError("tar-limit-sparse", "too many runs in a sparse map", place);
    this.count = value;
  }
}
