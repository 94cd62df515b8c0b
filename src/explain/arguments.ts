/** The arguments of an op one by one, as text: what a comparison of two ops is made of. */
import { quoted } from "../base/mod.ts";
import { type IdMapRange, type Op, type OpPath, opTable } from "../kernel/mod.ts";
import { callsOf, pathText } from "./calls.ts";
import {
  bitList,
  capabilityText,
  clearedAttributeNames,
  cloneFlagNames,
  limitText,
  modeNames,
  mountAttributeNames,
  propagationNames,
  rlimitName,
} from "./flags.ts";

/** A list stays one, so that what was added to it and taken away can be told. */
export type ArgumentText = string | readonly string[];

/** By the name of the op table. */
export function argumentsOf(op: Op): ReadonlyMap<string, ArgumentText> {
  const types = opTable[op.op].args as Readonly<Record<string, string>>;
  const values = op as unknown as Readonly<Record<string, unknown>>;
  const found = new Map<string, ArgumentText>();
  for (const [name, type] of Object.entries(types))
    found.set(name, argumentText(op, name, type, values[name]));
  return found;
}

const capabilitySets = new Set(["keep", "effective", "permitted", "inheritable", "ambient"]);

function argumentText(op: Op, name: string, type: string, value: unknown): ArgumentText {
  if (op.op === "seccomp" && name === "program") return callsOf(op).slice(1).concat(fingerprint(op.program));
  if (type === "path") return pathText(value as OpPath);
  if (type === "strs" || type === "u32s") return (value as readonly (string | number)[]).map(String);
  if (type === "maps") {
    return (value as readonly IdMapRange[]).map((one) => `${one.containerID} ${one.hostID} ${one.size}`);
  }
  if (type === "bytes") return bytesText(op, name, value as Uint8Array);
  if (type === "u64" || type === "i64") return longText(op, name, value as bigint);
  if (type === "u32" || type === "i32") return numberText(op, name, value as number);
  return String(value);
}

function bytesText(op: Op, name: string, data: Uint8Array): string {
  if (op.op === "cpuAffinity" || name === "nodes") return bitList(data);
  const text = new TextDecoder().decode(data);
  return text.length > 1000 || text.includes("\ufffd") ? fingerprint(data) : text;
}

function longText(op: Op, name: string, value: bigint): ArgumentText {
  if (capabilitySets.has(name)) {
    const names = capabilityText(value);
    return names === "none" ? [] : names.split(", ");
  }
  if (op.op === "clone" || op.op === "unshareNamespaces") return cloneFlagNames(value).split(" | ");
  if (name === "attributes" || name === "set") return mountAttributeNames(value).split(" | ");
  if (name === "clear") return clearedAttributeNames(value).split(" | ");
  return op.op === "setRlimit" ? limitText(value) : String(value);
}

function numberText(op: Op, name: string, value: number): string {
  if (name === "propagation") return propagationNames(value);
  if (op.op === "setRlimit") return rlimitName(value);
  if (op.op === "joinNamespace") return cloneFlagNames(value);
  return name === "mode" || name === "mask" ? modeNames(value) : String(value);
}

/** Of bytes that say nothing to people: equal ones have equal texts (FNV-1a, not for secrets). */
function fingerprint(data: Uint8Array): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of data) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return `${data.length} bytes, ${hash.toString(16).padStart(16, "0")}`;
}

/** For one line. */
export function argumentLine(value: ArgumentText): string {
  return typeof value === "string" ? quoted(value, 300) : value.map((one) => quoted(one, 200)).join(" ");
}
