/**
 * A profile's rules, checked and sorted out by system call number for one ABI.
 *
 * What several rules for one call mean: each rule whose conditions hold asks for its action, and the strictest
 * action asked for is taken, as the kernel does with several filters; the default action counts only where no rule
 * holds. So the order of rules means nothing, and a rule that denies cannot be undone by one that allows.
 * (libseccomp lets the first unconditional rule win whatever others say. Docker's profile comes out the same; in
 * podman's, which both allows and denies setns, the denial counts.)
 */

import { quoted, VitrineError } from "../../base/mod.ts";
import type { Abi } from "./abi.ts";
import { actionOf, ENOSYS, ret, returnValue, strictness } from "./actions.ts";
import { multiplexed } from "./multiplexed.ts";
import {
  type SeccompArgument,
  type SeccompOperator,
  type SeccompProfile,
  seccompOperators,
} from "./profile.ts";
import { syscallNumbers } from "./syscalls.ts";

export interface Comparison {
  /** 0 to 5. */
  readonly index: number;
  readonly op: SeccompOperator;
  readonly value: bigint;
  /** The datum of SCMP_CMP_MASKED_EQ, whose mask is `value`; else 0. */
  readonly valueTwo: bigint;
}

/** Holds when all its conditions hold; none means always. */
export interface Alternative {
  readonly conditions: readonly Comparison[];
  /** SECCOMP_RET_* value. */
  readonly value: number;
}

/** A rule with its names, as the profile has it, checked. */
export interface CheckedRule {
  readonly names: readonly string[];
  readonly alternatives: readonly Alternative[];
}

export interface CheckedProfile {
  readonly defaultValue: number;
  readonly rules: readonly CheckedRule[];
  readonly warnings: string[];
}

/** What one ABI does: for a number in `calls` the first alternative that holds, else the default. */
export interface Decisions {
  readonly calls: ReadonlyMap<number, readonly Alternative[]>;
  /**
   * The highest number any rule names. Calls beyond it are newer than the profile: they end with ENOSYS where the
   * default denies, so that libc falls back to older ones instead of taking EPERM for an answer (as runc does).
   */
  readonly last: number | undefined;
}

const mask64 = 0xffff_ffff_ffff_ffffn;
const mask32 = 0xffff_ffffn;
/** Numbers from here on are arm's private calls, outside the count of system calls. */
const privateCalls = 0xf0000;

/** Throws VitrineError (kind invalid) with a code that begins with `seccomp-`. */
export function checkProfile(profile: SeccompProfile): CheckedProfile {
  const warnings: string[] = [];
  const defaultValue = returnValue(profile.defaultAction, profile.defaultErrnoRet);
  if (actionOf(defaultValue) === ret.notify) throw notifyForbidden("the default action");
  const rules = (profile.syscalls ?? []).map((rule): CheckedRule => {
    const value = returnValue(rule.action, rule.errnoRet);
    // The helper itself must still write and send the listener's descriptor after the filter is in place.
    if (actionOf(value) === ret.notify) {
      for (const name of ["write", "sendmsg"]) {
        if (rule.names.includes(name)) throw notifyForbidden(name);
      }
    }
    const conditions = (rule.args ?? []).map((argument) => checkArgument(argument, rule.names, warnings));
    return { names: rule.names, alternatives: alternativesOf(conditions, value, rule.names, warnings) };
  });
  return { defaultValue, rules, warnings };
}

function notifyForbidden(what: string): VitrineError {
  return new VitrineError("invalid", `SCMP_ACT_NOTIFY cannot be used for ${what}`, {
    code: "seccomp-notify-forbidden",
    operand: what,
    hint: "the container could not be started: the calls that hand over the listener would wait for it",
  });
}

/** Two conditions on one argument are alternatives, as in runc; conditions on different arguments must all hold. */
function alternativesOf(
  conditions: readonly Comparison[],
  value: number,
  names: readonly string[],
  warnings: string[],
): readonly Alternative[] {
  const indexes = new Set(conditions.map((condition) => condition.index));
  if (indexes.size === conditions.length) return [{ conditions, value }];
  if (indexes.size > 1) {
    warnings.push(
      `the rule for ${listOf(names)} names one argument twice, so each of its conditions counts alone`,
    );
  }
  return conditions.map((condition) => ({ conditions: [condition], value }));
}

function checkArgument(argument: SeccompArgument, names: readonly string[], warnings: string[]): Comparison {
  const op = seccompOperators.find((each) => each === argument.op);
  if (op === undefined) {
    throw new VitrineError("invalid", `unknown seccomp operator ${quoted(argument.op)}`, {
      code: "seccomp-operator-unknown",
      operand: argument.op,
      hint: `use one of ${seccompOperators.join(", ")}`,
    });
  }
  if (!Number.isInteger(argument.index) || argument.index < 0 || argument.index > 5) {
    throw new VitrineError("invalid", `seccomp argument index ${argument.index} is out of range`, {
      code: "seccomp-argument-index",
      operand: String(argument.index),
      hint: "a system call has the arguments 0 to 5",
    });
  }
  const value = checkValue(argument.value);
  const valueTwo = op === "SCMP_CMP_MASKED_EQ" ? checkValue(argument.valueTwo ?? 0) : 0n;
  if ((valueTwo & ~value) !== 0n && op === "SCMP_CMP_MASKED_EQ") {
    warnings.push(
      `a condition of the rule for ${listOf(names)} never holds: valueTwo has bits that value masks out`,
    );
  }
  return { index: argument.index, op, value, valueTwo };
}

/** JSON readers without big integers turn 2^64-1 into 2^64; nothing else can be meant by that. */
function checkValue(value: number | bigint): bigint {
  if (typeof value === "bigint" ? value >= 0n && value <= mask64 : Number.isInteger(value) && value >= 0) {
    const wide = BigInt(value);
    if (wide <= mask64) return wide;
    if (wide === mask64 + 1n) return mask64;
  }
  throw new VitrineError("invalid", `seccomp argument value ${value} is not an unsigned 64-bit number`, {
    code: "seccomp-argument-value",
    operand: String(value),
    hint: "write a negative number as its two's complement, 18446744073709551615 for -1",
  });
}

/** The rules of `profile` as they concern one ABI. */
export function decisionsFor(profile: CheckedProfile, abi: Abi): Decisions {
  const numbers = syscallNumbers(abi.table);
  const calls = new Map<number, Alternative[]>();
  let last: number | undefined;
  const add = (number: number, alternatives: readonly Alternative[]): void => {
    const known = calls.get(number);
    if (known === undefined) calls.set(number, [...alternatives]);
    else known.push(...alternatives);
    if (number < privateCalls && (last === undefined || number > last)) last = number;
  };
  for (const rule of profile.rules) {
    const alternatives = abi.narrow ? rule.alternatives.map(narrowed) : rule.alternatives;
    for (const name of rule.names) {
      const number = numbers.get(name);
      if (number !== undefined) add(number, alternatives);
      if (abi.table !== "x86") continue;
      const behind = multiplexed(name);
      if (behind === undefined) continue;
      // The arguments lie in memory, where a filter cannot look: only a rule without conditions carries over.
      const selector: Comparison = { index: 0, op: "SCMP_CMP_EQ", value: behind.selector, valueTwo: 0n };
      const carried = alternatives
        .filter((alternative) => alternative.conditions.length === 0)
        .map(({ value }) => ({ conditions: [selector], value }));
      if (carried.length > 0) add(numbers.get(behind.call)!, carried);
    }
  }
  const sorted = new Map<number, readonly Alternative[]>();
  for (const [number, alternatives] of calls) sorted.set(number, strictestFirst(alternatives));
  return { calls: sorted, last };
}

/** What follows an unconditional alternative is never reached. The sort is stable: among equals the profile's order. */
function strictestFirst(alternatives: readonly Alternative[]): readonly Alternative[] {
  const sorted = alternatives.toSorted((a, b) => strictness(a.value) - strictness(b.value));
  const always = sorted.findIndex((alternative) => alternative.conditions.length === 0);
  return always < 0 ? sorted : sorted.slice(0, always + 1);
}

function narrowed(alternative: Alternative): Alternative {
  return {
    value: alternative.value,
    conditions: alternative.conditions.map((condition) => ({
      ...condition,
      value: condition.value & mask32,
      valueTwo: condition.valueTwo & mask32,
    })),
  };
}

/** What calls beyond `Decisions.last` get. Tracers and logs are to see them; a default of ENOSYS needs no help. */
export function newerCallsValue(defaultValue: number): number {
  const action = actionOf(defaultValue);
  const passes = action === ret.allow || action === ret.log || action === ret.trace;
  return passes ? defaultValue : ret.errno | ENOSYS;
}

function listOf(names: readonly string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(", ")} …` : names.join(", ");
}
