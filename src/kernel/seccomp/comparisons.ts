/** Argument comparisons in BPF: 64-bit values as two 32-bit words, upper word first. */

import { type Assembler, bpf, type Label } from "./assembler.ts";
import type { Alternative, Comparison } from "./rules.ts";

/** seccomp_data.args[index], little endian: lower word, upper word. */
function wordOffset(index: number, upper: boolean): number {
  return 16 + 8 * index + (upper ? 4 : 0);
}

/** The first alternative that holds returns its value; when none does, control goes to `otherwise`. */
export function emitAlternatives(
  assembler: Assembler,
  alternatives: readonly Alternative[],
  otherwise: Label,
  narrow: boolean,
): Label {
  let next = otherwise;
  for (const alternative of alternatives.toReversed()) {
    let label = assembler.return(alternative.value);
    for (const condition of alternative.conditions.toReversed()) {
      label = emitComparison(assembler, condition, label, next, narrow);
    }
    next = label;
  }
  return next;
}

function emitComparison(
  assembler: Assembler,
  { index, op, value, valueTwo }: Comparison,
  yes: Label,
  no: Label,
  narrow: boolean,
): Label {
  const words: Words = { index, lower: Number(value & 0xffff_ffffn), upper: Number(value >> 32n), narrow };
  switch (op) {
    case "SCMP_CMP_EQ":
      return equal(assembler, words, yes, no);
    case "SCMP_CMP_NE":
      return equal(assembler, words, no, yes);
    case "SCMP_CMP_GT":
      return greater(assembler, words, bpf.jumpGreater, yes, no);
    case "SCMP_CMP_LE":
      return greater(assembler, words, bpf.jumpGreater, no, yes);
    case "SCMP_CMP_GE":
      return greater(assembler, words, bpf.jumpGreaterOrEqual, yes, no);
    case "SCMP_CMP_LT":
      return greater(assembler, words, bpf.jumpGreaterOrEqual, no, yes);
    case "SCMP_CMP_MASKED_EQ":
      return maskedEqual(assembler, words, valueTwo, yes, no);
  }
}

interface Words {
  readonly index: number;
  readonly lower: number;
  readonly upper: number;
  readonly narrow: boolean;
}

function equal(assembler: Assembler, words: Words, yes: Label, no: Label): Label {
  const lower = testWord(assembler, wordOffset(words.index, false), bpf.jumpEqual, words.lower, yes, no);
  if (words.narrow) return lower;
  return testWord(assembler, wordOffset(words.index, true), bpf.jumpEqual, words.upper, lower, no);
}

function greater(
  assembler: Assembler,
  words: Words,
  condition: typeof bpf.jumpGreater | typeof bpf.jumpGreaterOrEqual,
  yes: Label,
  no: Label,
): Label {
  const lower = testWord(assembler, wordOffset(words.index, false), condition, words.lower, yes, no);
  if (words.narrow) return lower;
  const same = assembler.branch(bpf.jumpEqual, words.upper, lower, no);
  return testWord(assembler, wordOffset(words.index, true), bpf.jumpGreater, words.upper, yes, same);
}

/** A half that the mask leaves out entirely needs no look: it is 0, which the datum's half is or is not. */
function maskedEqual(assembler: Assembler, words: Words, datum: bigint, yes: Label, no: Label): Label {
  const lower = maskedWord(
    assembler,
    wordOffset(words.index, false),
    words.lower,
    Number(datum & 0xffff_ffffn),
    yes,
    no,
  );
  if (words.narrow) return lower;
  return maskedWord(assembler, wordOffset(words.index, true), words.upper, Number(datum >> 32n), lower, no);
}

function maskedWord(
  assembler: Assembler,
  offset: number,
  mask: number,
  datum: number,
  yes: Label,
  no: Label,
): Label {
  if ((datum & ~mask) !== 0) return no;
  if (mask === 0) return yes;
  if (mask === 0xffff_ffff) return testWord(assembler, offset, bpf.jumpEqual, datum, yes, no);
  // One instruction less where no bit of the mask may be set.
  if (datum === 0) return testWord(assembler, offset, bpf.jumpAnyBit, mask, no, yes);
  const test = assembler.branch(bpf.jumpEqual, datum, yes, no);
  return assembler.before(bpf.load, offset, assembler.before(bpf.and, mask, test));
}

function testWord(
  assembler: Assembler,
  offset: number,
  condition: Parameters<Assembler["branch"]>[0],
  k: number,
  yes: Label,
  no: Label,
): Label {
  if (yes === no) return yes;
  return assembler.before(bpf.load, offset, assembler.branch(condition, k, yes, no));
}
