import type { Plan } from "../kernel/mod.ts";
import type { CompileInput } from "./types.ts";

/** config.json + host facts → plan. Pure. Errors: kind invalid or unsupported, with the JSON pointer as operand. */
export function compile(_input: CompileInput): Plan {
  return { ops: [] };
}
