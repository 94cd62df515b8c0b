/**
 * Rules about device nodes as an eBPF program of type BPF_PROG_TYPE_CGROUP_DEVICE: what the controller `devices` is in
 * cgroup v1, for v2.
 *
 * The rules mean what they mean to the v1 controller, so that a container may do the same on both: an open for reading and
 * writing needs one rule that allows both, rules of the same devices add up, and a denial of any part denies. A denial
 * that takes a part out of a wider permission, which v1 passes over without a word, holds here.
 */
import { encodeInstructions, type Instruction, opcodes } from "./abi.ts";

export interface DeviceRule {
  readonly allow: boolean;
  readonly type: "c" | "b";
  /** undefined: all. */
  readonly major: number | undefined;
  readonly minor: number | undefined;
  /** Some of `rwm`. */
  readonly access: string;
}

export interface DevicePolicy {
  /** What becomes of a device that no rule is about. */
  readonly allow: boolean;
  /** A later one wins. */
  readonly rules: readonly DeviceRule[];
}

/** BPF_DEVCG_DEV_* and BPF_DEVCG_ACC_* of linux/bpf.h. */
const types = { b: 1, c: 2 } as const;
const mknod = 1;
const read = 2;
const write = 4;
const everything = mknod | read | write;

interface Entry extends Omit<DeviceRule, "access"> {
  readonly bits: number;
}

/** The program, as BPF_PROG_LOAD takes it. */
export function compileDeviceProgram(policy: DevicePolicy): Uint8Array {
  return encodeInstructions(assemble(simplify(policy), policy.allow));
}

function bitsOf(access: string): number {
  return (
    (access.includes("m") ? mknod : 0) |
    (access.includes("r") ? read : 0) |
    (access.includes("w") ? write : 0)
  );
}

/** The same policy in as few entries as can be: what is overruled goes, permissions of the same devices become one. */
function simplify(policy: DevicePolicy): readonly Entry[] {
  let entries: Entry[] = [];
  for (const { access, ...rule } of policy.rules) {
    const bits = bitsOf(access);
    if (bits === 0) continue;
    const added: Entry = { ...rule, bits };
    // Whatever said the opposite of these devices, or of fewer, says it no more.
    entries = entries.flatMap((entry) => {
      if (entry.allow === added.allow || !covers(added, entry)) return [entry];
      const left = entry.bits & ~bits;
      return left === 0 ? [] : [{ ...entry, bits: left }];
    });
    const opposed = entries.some((entry) => entry.allow !== added.allow && contends(entry, added));
    // Where nothing says the opposite, the default says the same.
    if (added.allow === policy.allow && !opposed) continue;
    const same = entries.findIndex(
      (entry, at) =>
        entry.allow === added.allow &&
        covers(entry, added) &&
        covers(added, entry) &&
        !entries
          .slice(at)
          .some((later) => later.allow !== added.allow && contends(later, union(entry, added))),
    );
    if (same < 0) entries.push(added);
    else entries[same] = union(entries[same]!, added);
  }
  return entries;
}

function union(entry: Entry, { bits }: Entry): Entry {
  return { ...entry, bits: entry.bits | bits };
}

/** `whole` is about every device that `part` is about. */
function covers(whole: Omit<Entry, "allow">, part: Omit<Entry, "allow">): boolean {
  return (
    whole.type === part.type &&
    (whole.major === undefined || whole.major === part.major) &&
    (whole.minor === undefined || whole.minor === part.minor)
  );
}

/** There is a device and an access that both are about. */
function contends(one: Entry, other: Entry): boolean {
  const meet = (a: number | undefined, b: number | undefined) =>
    a === undefined || b === undefined || a === b;
  return (
    one.type === other.type &&
    meet(one.major, other.major) &&
    meet(one.minor, other.minor) &&
    (one.bits & other.bits) !== 0
  );
}

/** Registers: r1 scratch, r2 type, r3 access, r4 major, r5 minor (struct bpf_cgroup_dev_ctx). */
function assemble(entries: readonly Entry[], allow: boolean): readonly Instruction[] {
  return [
    { code: opcodes.loadWord, dst: 2, src: 1, offset: 0 },
    { code: opcodes.andImmediate, dst: 2, immediate: 0xffff },
    { code: opcodes.loadWord, dst: 3, src: 1, offset: 0 },
    { code: opcodes.shiftRightImmediate, dst: 3, immediate: 16 },
    { code: opcodes.loadWord, dst: 4, src: 1, offset: 4 },
    { code: opcodes.loadWord, dst: 5, src: 1, offset: 8 },
    ...[...entries].reverse().flatMap(blockOf),
    ...verdict(allow),
  ];
}

/** If the request is this entry's: its verdict. Else on to the next block. */
function blockOf({ allow, type, major, minor, bits }: Entry): readonly Instruction[] {
  const tests: Instruction[] = [{ code: opcodes.jumpIfNotEqualImmediate, dst: 2, immediate: types[type] }];
  if (major !== undefined) tests.push({ code: opcodes.jumpIfNotEqualImmediate, dst: 4, immediate: major });
  if (minor !== undefined) tests.push({ code: opcodes.jumpIfNotEqualImmediate, dst: 5, immediate: minor });
  if (bits !== everything) {
    tests.push(
      { code: opcodes.move, dst: 1, src: 3 },
      { code: opcodes.andImmediate, dst: 1, immediate: bits },
    );
    // Allowed is a request of nothing else; denied is one of any of it.
    tests.push(
      allow
        ? { code: opcodes.jumpIfNotEqual, dst: 1, src: 3 }
        : { code: opcodes.jumpIfEqualImmediate, dst: 1, immediate: 0 },
    );
  }
  const end = verdict(allow);
  const length = tests.length + end.length;
  const jumps: readonly number[] = [
    opcodes.jumpIfEqualImmediate,
    opcodes.jumpIfNotEqualImmediate,
    opcodes.jumpIfNotEqual,
  ];
  return [
    ...tests.map((test, at) => (jumps.includes(test.code) ? { ...test, offset: length - at - 1 } : test)),
    ...end,
  ];
}

function verdict(allow: boolean): readonly Instruction[] {
  return [{ code: opcodes.moveImmediate, dst: 0, immediate: allow ? 1 : 0 }, { code: opcodes.exit }];
}
