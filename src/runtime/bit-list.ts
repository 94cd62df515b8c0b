/** Lists of CPUs or memory nodes as the kernel writes them: `0-3,7`. */
import { invalid } from "./draft.ts";

/** The most that CONFIG_NR_CPUS allows. */
const bitLimit = 8192;

/** A bit mask, little endian, whole 64-bit words. Errors: `bit-list-invalid`. */
export function parseBitList(list: string, pointer: string): Uint8Array {
  const bits: number[] = [];
  for (const part of list.split(",")) {
    const text = part.trim();
    if (text === "") {
      continue;
    }
    const dash = text.indexOf("-");
    const first = numberOf(dash < 0 ? text : text.slice(0, dash), pointer, list);
    const last = dash < 0 ? first : numberOf(text.slice(dash + 1), pointer, list);
    if (last < first) {
      throw notAList(pointer, list);
    }
    for (let bit = first; bit <= last; bit++) {
      bits.push(bit);
    }
  }
  const highest = bits.reduce((a, b) => Math.max(a, b), -1);
  const mask = new Uint8Array(Math.ceil((highest + 1) / 64) * 8);
  for (const bit of bits) {
    mask[bit >> 3] = (mask[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  return mask;
}

function numberOf(text: string, pointer: string, list: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : bitLimit;
  if (number >= bitLimit) {
    throw notAList(pointer, list);
  }
  return number;
}

function notAList(pointer: string, list: string): Error {
  return invalid("bit-list-invalid", pointer, `${JSON.stringify(list)} is not a list like 0-3,7`);
}
