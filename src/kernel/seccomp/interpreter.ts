/**
 * An interpreter of the BPF programs seccomp(2) takes, as strict as the kernel's checker (seccomp_check_filter,
 * bpf_check_classic): for tests, and for answering what a filter does with a call.
 */

export interface SyscallData {
  readonly number: number;
  readonly auditArch: number;
  /** Six unsigned 64-bit values. */
  readonly args: readonly bigint[];
}

export interface Verdict {
  /** SECCOMP_RET_* value. */
  readonly value: number;
  /** Instructions executed. */
  readonly steps: number;
}

/** Throws RangeError on a program that the kernel would refuse to load, wherever the fault is. */
export function verifyProgram(program: Uint8Array): void {
  const instructions = decode(program);
  if (instructions.length === 0 || instructions.length > 4096) throw new RangeError("program length");
  instructions.forEach(({ code, jt, jf, k }, index) => {
    const left = instructions.length - index - 1;
    const at = `instruction ${index}`;
    if (code === 0x20) {
      if (k % 4 !== 0 || k > 60) throw new RangeError(`${at}: load outside seccomp_data`);
    } else if (code === 0x05) {
      if (k >= left) throw new RangeError(`${at}: jump out of the program`);
    } else if (code === 0x15 || code === 0x25 || code === 0x35 || code === 0x45) {
      if (jt >= left || jf >= left) throw new RangeError(`${at}: jump out of the program`);
    } else if (code !== 0x54 && code !== 0x06) {
      throw new RangeError(`${at}: opcode ${code}`);
    }
  });
  if (instructions.at(-1)!.code !== 0x06) throw new RangeError("the program does not end with a return");
}

export function runProgram(program: Uint8Array, data: SyscallData): Verdict {
  const words = dataWords(data);
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  let accumulator = 0;
  let steps = 0;
  for (let index = 0; ; index++) {
    const at = index * 8;
    if (at >= program.length) throw new RangeError("ran past the end");
    const code = view.getUint16(at, true);
    const k = view.getUint32(at + 4, true);
    steps++;
    if (code === 0x06) return { value: k, steps };
    if (code === 0x20) accumulator = words[k / 4]!;
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x05) index += k;
    else index += view.getUint8(holds(code, accumulator, k) ? at + 2 : at + 3);
  }
}

function holds(code: number, accumulator: number, k: number): boolean {
  switch (code) {
    case 0x15:
      return accumulator === k;
    case 0x25:
      return accumulator > k;
    case 0x35:
      return accumulator >= k;
    case 0x45:
      return (accumulator & k) !== 0;
    default:
      throw new RangeError(`opcode ${code}`);
  }
}

/** struct seccomp_data as little-endian words: nr, arch, instruction_pointer, args[6]. */
function dataWords({ number, auditArch, args }: SyscallData): Uint32Array {
  const words = new Uint32Array(16);
  words[0] = number;
  words[1] = auditArch;
  args.forEach((value, index) => {
    words[4 + 2 * index] = Number(value & 0xffff_ffffn);
    words[5 + 2 * index] = Number(value >> 32n);
  });
  return words;
}

interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

function decode(program: Uint8Array): readonly Instruction[] {
  if (program.length % 8 !== 0) throw new RangeError("program length");
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  return Array.from({ length: program.length / 8 }, (_, index) => ({
    code: view.getUint16(index * 8, true),
    jt: view.getUint8(index * 8 + 2),
    jf: view.getUint8(index * 8 + 3),
    k: view.getUint32(index * 8 + 4, true),
  }));
}
