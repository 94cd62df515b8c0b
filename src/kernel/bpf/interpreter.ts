/** Runs a device program as the kernel does, for tests: only the instructions of `abi.ts`. */
import { instructionBytes, opcodes } from "./abi.ts";

export interface DeviceRequest {
  readonly type: "c" | "b";
  readonly major: number;
  readonly minor: number;
  /** Some of `rwm`. */
  readonly access: string;
}

/** Throws on what the verifier would not let pass: an unknown instruction, a jump back or out of the program. */
export function runDeviceProgram(program: Uint8Array, request: DeviceRequest): boolean {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const access = [...request.access].reduce((bits, letter) => bits | { m: 1, r: 2, w: 4 }[letter]!, 0);
  const context = [((access << 16) | (request.type === "b" ? 1 : 2)) >>> 0, request.major, request.minor];
  const registers = [0, 0, 0, 0, 0, 0];
  const count = program.byteLength / instructionBytes;
  for (let at = 0; at < count; at++) {
    const code = view.getUint8(at * instructionBytes);
    const names = view.getUint8(at * instructionBytes + 1);
    const [dst, src] = [names & 15, names >> 4];
    const offset = view.getInt16(at * instructionBytes + 2, true);
    const immediate = view.getInt32(at * instructionBytes + 4, true);
    const jump = (taken: boolean) => {
      if (offset < 0 || at + 1 + offset >= count) throw new Error(`a jump out of the program at ${at}`);
      if (taken) at += offset;
    };
    switch (code) {
      case opcodes.loadWord:
        if (src !== 1 || offset % 4 !== 0 || context[offset / 4] === undefined)
          throw new Error("a load out of the context");
        registers[dst] = context[offset / 4]!;
        break;
      case opcodes.andImmediate:
        registers[dst] = (registers[dst]! & immediate) >>> 0;
        break;
      case opcodes.shiftRightImmediate:
        registers[dst] = registers[dst]! >>> immediate;
        break;
      case opcodes.move:
        registers[dst] = registers[src]!;
        break;
      case opcodes.moveImmediate:
        registers[dst] = immediate;
        break;
      case opcodes.jumpIfEqualImmediate:
        jump(registers[dst] === immediate);
        break;
      case opcodes.jumpIfNotEqualImmediate:
        jump(registers[dst] !== immediate);
        break;
      case opcodes.jumpIfNotEqual:
        jump(registers[dst] !== registers[src]);
        break;
      case opcodes.exit:
        return registers[0] === 1;
      default:
        throw new Error(`unknown instruction 0x${code.toString(16)} at ${at}`);
    }
  }
  throw new Error("the program has no end");
}
