/**
 * An assembler for classic BPF that builds a program from its end to its beginning. Jumps go forward only, so every
 * target exists before the jump to it; a label is the distance from the end, which later instructions do not change.
 *
 * Conditional jumps reach 255 instructions: where a target is farther, a trampoline is put in between.
 */

import { limits, VitrineError } from "../../base/mod.ts";

/** Instructions from the end of the program. */
export type Label = number;

/** Opcodes used, <linux/bpf_common.h>. All loads are of 32-bit words. */
export const bpf = {
  /** A = word at offset k of struct seccomp_data. */
  load: 0x20,
  /** A &= k */
  and: 0x54,
  /** skip k instructions */
  jump: 0x05,
  jumpEqual: 0x15,
  jumpGreater: 0x25,
  jumpGreaterOrEqual: 0x35,
  jumpAnyBit: 0x45,
  return: 0x06,
} as const;

export type Condition =
  | typeof bpf.jumpEqual
  | typeof bpf.jumpGreater
  | typeof bpf.jumpGreaterOrEqual
  | typeof bpf.jumpAnyBit;

/** Two trampolines and the jump itself may still come between a label and who jumps to it. */
const reach = 255 - 3;

export class Assembler {
  /** Last instruction first: code, jt, jf, k each. */
  readonly #reversed: { code: number; jt: number; jf: number; k: number }[] = [];
  /** The nearest return of a value: shared by all that can reach it. */
  readonly #returns = new Map<number, Label>();

  /** A label that returns `value` (SECCOMP_RET_*). */
  return(value: number): Label {
    const known = this.#returns.get(value);
    if (known !== undefined && this.#distance(known) <= reach) return known;
    const label = this.#emit(bpf.return, value);
    this.#returns.set(value, label);
    return label;
  }

  /** An instruction that falls through to `next`. */
  before(code: typeof bpf.load | typeof bpf.and, k: number, next: Label): Label {
    // What is emitted stands before everything emitted so far, so only the latest label needs no jump.
    if (next !== this.#reversed.length - 1) this.#emit(bpf.jump, this.#distance(next));
    return this.#emit(code, k);
  }

  branch(condition: Condition, k: number, yes: Label, no: Label): Label {
    if (yes === no) return yes;
    // The farther first: its trampoline may push the other one out of reach.
    const [first, second] = yes < no ? [yes, no] : [no, yes];
    const near = new Map<Label, Label>();
    near.set(first, this.#near(first));
    near.set(second, this.#near(second));
    return this.#emit(condition, k, this.#distance(near.get(yes)!), this.#distance(near.get(no)!));
  }

  /** The program that begins at `entry`. Throws VitrineError `seccomp-program-too-long`. */
  finish(entry: Label): Uint8Array {
    if (entry !== this.#reversed.length - 1) this.#emit(bpf.jump, this.#distance(entry));
    const count = this.#reversed.length;
    if (count > limits.bpfInstructions) {
      throw new VitrineError("invalid", `the seccomp profile needs ${count} BPF instructions`, {
        code: "seccomp-program-too-long",
        hint: `the kernel takes at most ${limits.bpfInstructions}: use fewer rules with arguments`,
      });
    }
    const program = new Uint8Array(count * 8);
    const view = new DataView(program.buffer);
    for (let index = 0; index < count; index++) {
      const { code, jt, jf, k } = this.#reversed[count - 1 - index]!;
      view.setUint16(index * 8, code, true);
      view.setUint8(index * 8 + 2, jt);
      view.setUint8(index * 8 + 3, jf);
      view.setUint32(index * 8 + 4, k, true);
    }
    return program;
  }

  /** Instructions to skip from the one emitted next. */
  #distance(label: Label): number {
    return this.#reversed.length - label - 1;
  }

  /** `label`, or a trampoline to it that a conditional jump can reach. */
  #near(label: Label): Label {
    if (this.#distance(label) <= reach) return label;
    const target = this.#reversed[label]!;
    return target.code === bpf.return ? this.return(target.k) : this.#emit(bpf.jump, this.#distance(label));
  }

  #emit(code: number, k: number, jt = 0, jf = 0): Label {
    this.#reversed.push({ code, jt, jf, k: k >>> 0 });
    return this.#reversed.length - 1;
  }
}
