/** eBPF instructions (Documentation/bpf/standardization/instruction-set.rst): the few that a device filter needs. */

/** Registers. A program begins with its context in r1 and ends with its verdict in r0. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5;

export const opcodes = {
  /** dst = *(u32 *)(src + offset) */
  loadWord: 0x61,
  /** 32 bits: dst &= immediate */
  andImmediate: 0x54,
  /** 32 bits: dst >>= immediate */
  shiftRightImmediate: 0x74,
  /** 32 bits: dst = src */
  move: 0xbc,
  /** dst = immediate */
  moveImmediate: 0xb7,
  /** if dst == immediate: skip offset instructions */
  jumpIfEqualImmediate: 0x15,
  jumpIfNotEqualImmediate: 0x55,
  /** if dst != src */
  jumpIfNotEqual: 0x5d,
  exit: 0x95,
} as const;

export type Opcode = (typeof opcodes)[keyof typeof opcodes];

export interface Instruction {
  readonly code: Opcode;
  readonly dst?: Register;
  readonly src?: Register;
  readonly offset?: number;
  readonly immediate?: number;
}

export const instructionBytes = 8;

/** struct bpf_insn, little endian. */
export function encodeInstructions(instructions: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * instructionBytes);
  const view = new DataView(bytes.buffer);
  for (const [index, { code, dst = 0, src = 0, offset = 0, immediate = 0 }] of instructions.entries()) {
    const at = index * instructionBytes;
    view.setUint8(at, code);
    view.setUint8(at + 1, dst | (src << 4));
    view.setInt16(at + 2, offset, true);
    view.setInt32(at + 4, immediate, true);
  }
  return bytes;
}
