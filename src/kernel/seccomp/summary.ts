/** What a compiled filter does, told from its instructions alone: for people who look at a plan. */

import { abisFor, type SeccompMachine } from "./abi.ts";
import { actionOf, ret } from "./actions.ts";
import { syscallNumbers } from "./syscalls.ts";

export interface FilterSummary {
  readonly instructions: number;
  /** The machine whose native calls are counted below. */
  readonly machine: SeccompMachine;
  /** Calls of the native ABI by what they end with, most frequent first: `["ALLOW", 330]`, `["ERRNO(EPERM)", 40]`. */
  readonly outcomes: readonly (readonly [outcome: string, calls: number])[];
  /** Calls whose outcome depends on arguments. */
  readonly conditional: readonly string[];
  /** What a call ends with that no kernel has yet. */
  readonly unknown: string;
}

/** undefined: the program knows neither of our machines, or is no BPF program. */
export function summarizeFilter(program: Uint8Array): FilterSummary | undefined {
  if (program.length === 0 || program.length % 8 !== 0) return undefined;
  const machine = (["x86_64", "aarch64"] as const).find((each) => knows(program, each));
  if (machine === undefined) return undefined;
  const native = abisFor(machine, [])[0]!;
  const counts = new Map<string, number>();
  const conditional: string[] = [];
  for (const [name, number] of syscallNumbers(native.table)) {
    const values = outcomesOf(program, number, native.auditArch);
    if (values.size > 1) conditional.push(name);
    else for (const value of values) count(counts, outcomeName(value));
  }
  const unknown = [...outcomesOf(program, 0x3fff_0000, native.auditArch)].map(outcomeName);
  return {
    instructions: program.length / 8,
    machine,
    outcomes: [...counts].sort((a, b) => b[1] - a[1]),
    conditional,
    unknown: unknown.join(" or "),
  };
}

/** `ERRNO(EPERM)`, `ALLOW`, `KILL_PROCESS` of a SECCOMP_RET_* value. */
function outcomeName(value: number): string {
  const action = actionOf(value);
  const name = names.find(([each]) => each === action)?.[1] ?? `0x${action.toString(16)}`;
  const data = value & 0xffff;
  if (action === ret.errno) return `ERRNO(${data === 1 ? "EPERM" : data === 38 ? "ENOSYS" : data})`;
  return action === ret.trace ? `TRACE(${data})` : name;
}

const names: readonly (readonly [number, string])[] = [
  [ret.killProcess, "KILL_PROCESS"],
  [ret.killThread, "KILL_THREAD"],
  [ret.trap, "TRAP"],
  [ret.notify, "NOTIFY"],
  [ret.log, "LOG"],
  [ret.allow, "ALLOW"],
];

/** A filter of another machine kills every call of this one. */
function knows(program: Uint8Array, machine: SeccompMachine): boolean {
  const { table, auditArch } = abisFor(machine, [])[0]!;
  const killed = ([value]: Set<number>): boolean => value === ret.killProcess || value === ret.killThread;
  return [...syscallNumbers(table).values()].some(
    (number) => !killed(outcomesOf(program, number, auditArch)),
  );
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Runs the program with number and arch known and arguments unknown: a test of an argument goes both ways. */
function outcomesOf(program: Uint8Array, number: number, auditArch: number): Set<number> {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const values = new Set<number>();
  const seen = new Set<number>();
  const walk = (start: number, known: number | undefined): void => {
    let accumulator = known;
    for (let index = start; index * 8 < program.length; index++) {
      const at = index * 8;
      const code = view.getUint16(at, true);
      const k = view.getUint32(at + 4, true);
      if (code === 0x06) {
        values.add(k);
        return;
      }
      if (code === 0x20) accumulator = k === 0 ? number : k === 4 ? auditArch : undefined;
      else if (code === 0x54) accumulator = accumulator === undefined ? undefined : (accumulator & k) >>> 0;
      else if (code === 0x05) index += k;
      else {
        const yes = index + 1 + view.getUint8(at + 2);
        const no = index + 1 + view.getUint8(at + 3);
        if (accumulator === undefined) {
          // Where an argument is tested, all that came before is known: once is enough.
          if (seen.has(index)) return;
          seen.add(index);
          walk(yes, undefined);
          walk(no, undefined);
          return;
        }
        index = (test(code, accumulator, k) ? yes : no) - 1;
      }
    }
  };
  walk(0, undefined);
  return values;
}

function test(code: number, accumulator: number, k: number): boolean {
  if (code === 0x15) return accumulator === k;
  if (code === 0x25) return accumulator > k;
  if (code === 0x35) return accumulator >= k;
  return (accumulator & k) !== 0;
}
