/** For the tests of this folder. */
import { type ArgType, type Op, type OpName, opTable } from "../kernel/mod.ts";

/** The least interesting value of each argument type. */
const blank: Readonly<Record<ArgType, unknown>> = {
  bool: false,
  u32: 0,
  i32: 0,
  u64: 0n,
  i64: 0n,
  str: "",
  raw: "",
  bytes: new Uint8Array(),
  strs: [],
  u32s: [],
  path: { base: "root", path: "/x" },
  maps: [],
};

export function blankOp(name: OpName): Op {
  const args = Object.entries(opTable[name].args).map(([arg, type]) => [arg, blank[type as ArgType]]);
  return { op: name, ...Object.fromEntries(args) } as Op;
}
