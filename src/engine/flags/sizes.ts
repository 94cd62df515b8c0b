/** Numbers with units, as docker's and podman's flags take them. */
import type { DeviceRate, DeviceWeight } from "../options.ts";
import { badValue } from "./bad-flag.ts";

const units: Readonly<Record<string, bigint>> = {
  "": 1n,
  b: 1n,
  k: 1n << 10n,
  m: 1n << 20n,
  g: 1n << 30n,
  t: 1n << 40n,
  p: 1n << 50n,
};

const largest = (1n << 63n) - 1n;

/** `64m`, `1.5g`, `512KiB`, `1024`: bytes, powers of 1024 as in go-units' RAMInBytes. */
export function parseBytes(flag: string, text: string): bigint {
  const match = /^(\d+)(?:\.(\d+))?\s?([bkmgtp]?)(?:i?b)?$/i.exec(text.trim());
  const unit = match === null ? undefined : units[match[3]!.toLowerCase()];
  if (match === null || unit === undefined) {
    throw badValue(flag, text, "expected a size", "give a number of bytes or a unit: 64m, 1g, 512k");
  }
  const fraction = match[2] ?? "";
  const bytes = (BigInt(match[1]! + fraction) * unit) / 10n ** BigInt(fraction.length);
  if (bytes > largest) throw badValue(flag, text, "the size is too large");
  return bytes;
}

/** As `parseBytes`, with -1 for no limit. */
export function parseBytesOrUnlimited(flag: string, text: string): bigint {
  return text.trim() === "-1" ? -1n : parseBytes(flag, text);
}

/** `1.5`: CPUs in billionths, as docker's --cpus. */
export function parseNanoCpus(flag: string, text: string): bigint {
  const match = /^(\d{1,9})(?:\.(\d{1,9}))?$|^\.(\d{1,9})$/.exec(text);
  if (match === null) throw badValue(flag, text, "expected a number of CPUs", "for example 0.5 or 2");
  const fraction = match[2] ?? match[3] ?? "";
  return BigInt(match[1] ?? "0") * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
}

export interface IntegerRange {
  readonly minimum?: bigint;
  readonly maximum?: bigint;
}

/** A decimal integer within bounds. */
export function parseInteger(flag: string, text: string, range: IntegerRange = {}): bigint {
  const { minimum = -largest - 1n, maximum = largest } = range;
  if (!/^[+-]?\d{1,20}$/.test(text)) throw badValue(flag, text, "expected an integer");
  const value = BigInt(text.startsWith("+") ? text.slice(1) : text);
  if (value < minimum || value > maximum) {
    throw badValue(flag, text, `expected a number from ${minimum} to ${maximum}`);
  }
  return value;
}

/** A list of CPUs or memory nodes: `0-3,7`. */
export function parseNumberList(flag: string, text: string): string {
  const parts = text.split(",");
  for (const part of parts) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    if (match === null || (match[2] !== undefined && Number(match[2]) < Number(match[1]))) {
      throw badValue(flag, text, "expected numbers and ranges", "for example 0-3,7");
    }
  }
  return text;
}

/** `0022`, `22`: an octal file mode. */
export function parseOctal(flag: string, text: string, maximum = 0o7777): number {
  const value = /^(0o)?[0-7]{1,5}$/.test(text) ? Number.parseInt(text.replace("0o", ""), 8) : Number.NaN;
  if (!(value <= maximum)) throw badValue(flag, text, "expected an octal mode", "for example 0022");
  return value;
}

/** `/dev/sda:1mb`, and for operations `/dev/sda:100`. */
export function parseDeviceRate(flag: string, text: string): DeviceRate {
  const { path, rest } = deviceAnd(flag, text, "/dev/sda:1mb");
  const rate = flag.endsWith("bps") ? parseBytes(flag, rest) : parseInteger(flag, rest, { minimum: 0n });
  return { path, rate };
}

/** `/dev/sda:500`. */
export function parseDeviceWeight(text: string): DeviceWeight {
  const flag = "--blkio-weight-device";
  const { path, rest } = deviceAnd(flag, text, "/dev/sda:500");
  const weight = Number(parseInteger(flag, rest, { minimum: 0n, maximum: 1000n }));
  if (weight > 0 && weight < 10) throw badValue(flag, text, "expected a weight from 10 to 1000");
  return { path, weight };
}

function deviceAnd(flag: string, text: string, example: string): { path: string; rest: string } {
  const at = text.lastIndexOf(":");
  const path = text.slice(0, Math.max(at, 0));
  if (!path.startsWith("/") || path.includes("\0") || at === text.length - 1) {
    throw badValue(flag, text, "expected a device of the host and a number", `for example ${example}`);
  }
  return { path, rest: text.slice(at + 1) };
}

/** `memory.high=64M`: the name of a file of cgroup v2 and what is written there. */
export function parseCgroupSetting(text: string): readonly [file: string, value: string] {
  const match = /^([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)+)=([^\0]+)$/s.exec(text);
  if (match === null) {
    throw badValue("--cgroup-conf", text, "expected FILE=VALUE", "for example memory.high=67108864");
  }
  return [match[1]!, match[2]!];
}
