/**
 * Compiles a seccomp profile to a classic BPF program (seccomp(2), runtime-spec config-linux.md#seccomp).
 *
 * Shape: the audit arch selects a section; a section is a binary tree over the system call numbers, cut into ranges
 * that end alike (a run of allowed calls is one range, a gap between them another); the leaves are return
 * instructions and, for calls with conditions, the comparisons of their arguments.
 */

import { quoted, VitrineError } from "../../base/mod.ts";
import { type Abi, abisFor, isArchitectureName, type SeccompMachine, x32Bit } from "./abi.ts";
import { ret } from "./actions.ts";
import { Assembler, bpf, type Label } from "./assembler.ts";
import { emitAlternatives } from "./comparisons.ts";
import type { SeccompFilter, SeccompProfile } from "./profile.ts";
import { type Alternative, checkProfile, type Decisions, decisionsFor, newerCallsValue } from "./rules.ts";
import { isSyscallName, syscallNumbers } from "./syscalls.ts";

/** Offsets in struct seccomp_data, <linux/seccomp.h>. */
const numberOffset = 0;
const archOffset = 4;

/** SECCOMP_FILTER_FLAG_*, <linux/seccomp.h>. */
const filterFlags: Readonly<Record<string, number>> = {
  // The filter is put on before the program starts its threads: there is nobody to synchronise with, and with a
  // listener the kernel takes the flag only together with another.
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 32,
};
const newListener = 8;

/** A foreign ABI's numbers mean other calls, so a filter that does not know it must not let it in. */
const unknownAbi = ret.killProcess;

/**
 * Throws VitrineError (kind invalid) with a code that begins with `seccomp-`. What a profile names and this machine
 * does not have (a system call, an architecture) is left out with a warning, as runc and crun do.
 */
export function compileSeccomp(profile: SeccompProfile, machine: SeccompMachine): SeccompFilter {
  const checked = checkProfile(profile);
  checkArchitectures(profile.architectures ?? []);
  const abis = abisFor(machine, profile.architectures ?? []);
  const unknown = unknownCalls(profile, abis);
  const warnings =
    unknown.length === 0
      ? checked.warnings
      : [...checked.warnings, `unknown system calls left out: ${unknown.join(", ")}`];
  const assembler = new Assembler();
  const emitted = new Map<string, Label>();
  // Backwards: what is emitted last is reached first, and that is to be the native ABI.
  let dispatch = assembler.return(unknownAbi);
  for (const arch of [...new Set(abis.map((abi) => abi.auditArch))].reverse()) {
    const sharing = abis.filter((abi) => abi.auditArch === arch);
    const ranges = sharing.flatMap((abi) => rangesOf(decisionsFor(checked, abi), abi, checked.defaultValue));
    if (machine === "x86_64" && arch === abis[0]!.auditArch && sharing.length === 1) {
      // x32 left out. -1 is not one of its calls: a tracer writes it to skip a call.
      ranges.push({ start: x32Bit, outcome: returning(unknownAbi) });
      ranges.push({ start: 0xffff_ffff, outcome: returning(newerCallsValue(checked.defaultValue)) });
    }
    const section = assembler.before(bpf.load, numberOffset, emitTree(assembler, ranges, emitted));
    dispatch = assembler.branch(bpf.jumpEqual, arch, section, dispatch);
  }
  const entry = assembler.before(bpf.load, archOffset, dispatch);
  const notifies = checked.rules.some((rule) => rule.alternatives.some(({ value }) => value === ret.notify));
  const filter = { program: assembler.finish(entry), flags: flagsOf(profile, notifies), warnings };
  return unknown.length === 0 ? filter : { ...filter, unknown };
}

/** A range of numbers from `start` to the next range's. */
interface Range {
  readonly start: number;
  readonly outcome: Outcome;
}

interface Outcome {
  /** Alternatives in order; after the last, `otherwise`. */
  readonly alternatives: readonly Alternative[];
  readonly otherwise: number;
  readonly narrow: boolean;
}

function returning(value: number): Outcome {
  return { alternatives: [], otherwise: value, narrow: false };
}

/** Neighbours that end alike are one range. Starts with the ABI's number 0. */
function rangesOf(decisions: Decisions, abi: Abi, defaultValue: number): Range[] {
  const ranges: Range[] = [];
  const add = (start: number, outcome: Outcome): void => {
    const before = ranges.at(-1);
    if (before !== undefined && sameReturn(before.outcome, outcome)) return;
    ranges.push({ start: abi.offset + start, outcome });
  };
  const rest = returning(defaultValue);
  const newer = decisions.last === undefined ? rest : returning(newerCallsValue(defaultValue));
  let next = 0;
  const gap = (until: number): void => {
    if (next <= (decisions.last ?? -1) && next < until) add(next, rest);
    const beyond = Math.max(next, (decisions.last ?? -1) + 1);
    if (beyond < until) add(beyond, newer);
  };
  for (const number of [...decisions.calls.keys()].sort((a, b) => a - b)) {
    gap(number);
    add(number, outcomeOf(decisions.calls.get(number)!, abi, defaultValue));
    next = number + 1;
  }
  gap(Number.POSITIVE_INFINITY);
  return ranges;
}

function outcomeOf(alternatives: readonly Alternative[], abi: Abi, defaultValue: number): Outcome {
  const last = alternatives.at(-1)!;
  return last.conditions.length === 0
    ? { alternatives: alternatives.slice(0, -1), otherwise: last.value, narrow: abi.narrow }
    : { alternatives, otherwise: defaultValue, narrow: abi.narrow };
}

function sameReturn(a: Outcome, b: Outcome): boolean {
  return a.alternatives.length === 0 && b.alternatives.length === 0 && a.otherwise === b.otherwise;
}

/** With the number in A, finds the range it lies in. `ranges` is sorted and begins with 0. */
function emitTree(assembler: Assembler, ranges: readonly Range[], emitted: Map<string, Label>): Label {
  const middle = ranges.length >> 1;
  if (middle === 0) return emitOutcome(assembler, ranges[0]!.outcome, emitted);
  const above = emitTree(assembler, ranges.slice(middle), emitted);
  const below = emitTree(assembler, ranges.slice(0, middle), emitted);
  return assembler.branch(bpf.jumpGreaterOrEqual, ranges[middle]!.start, above, below);
}

/** Rules often name many calls, and ABIs share them: the same comparisons are emitted once. */
function emitOutcome(assembler: Assembler, outcome: Outcome, emitted: Map<string, Label>): Label {
  const { alternatives, otherwise, narrow } = outcome;
  if (alternatives.length === 0) return assembler.return(otherwise);
  const key = keyOf(outcome);
  const known = emitted.get(key);
  if (known !== undefined) return known;
  const label = emitAlternatives(assembler, alternatives, assembler.return(otherwise), narrow);
  emitted.set(key, label);
  return label;
}

function keyOf({ alternatives, otherwise, narrow }: Outcome): string {
  const rows = alternatives.map(({ conditions, value }) => [
    value,
    ...conditions.map(({ index, op, value: first, valueTwo }) => `${index} ${op} ${first} ${valueTwo}`),
  ]);
  return JSON.stringify([narrow, otherwise, rows]);
}

function flagsOf(profile: SeccompProfile, notifies: boolean): number {
  let flags = notifies ? newListener : 0;
  // As runc: without a word in the profile, no speculative store bypass mitigation, which kernels from 5.16 on
  // leave off for seccomp anyway and which slows down every program.
  for (const name of profile.flags ?? ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]) {
    const flag = filterFlags[name];
    if (flag === undefined) {
      throw new VitrineError("invalid", `unknown seccomp flag ${quoted(name)}`, {
        code: "seccomp-flag-unknown",
        operand: name,
        hint: `use one of ${Object.keys(filterFlags).join(", ")}`,
      });
    }
    // The kernel refuses this one where there is no listener.
    if (flag !== 32 || notifies) flags |= flag;
  }
  return flags;
}

function checkArchitectures(names: readonly string[]): void {
  const unknown = names.find((name) => !isArchitectureName(name));
  if (unknown === undefined) return;
  throw new VitrineError("invalid", `unknown seccomp architecture ${quoted(unknown)}`, {
    code: "seccomp-architecture-unknown",
    operand: unknown,
    hint: "the runtime spec lists the names, such as SCMP_ARCH_X86_64",
  });
}

/** Misspelt names, and calls newer than the table. A call that only other machines have is no reason to speak. */
function unknownCalls(profile: SeccompProfile, abis: readonly Abi[]): readonly string[] {
  const tables = abis.map((abi) => syscallNumbers(abi.table));
  const unknown = new Set<string>();
  for (const rule of profile.syscalls ?? []) {
    for (const name of rule.names) {
      if (!tables.some((table) => table.has(name)) && !isSyscallName(name)) unknown.add(name);
    }
  }
  return [...unknown];
}
