/** What the monitor says of a container's health (native/health.c). */
import * as fs from "node:fs";
import { type Container, type EnginePaths, healthFile } from "./record.ts";

export interface HealthResult {
  /** Nanoseconds since 1970. */
  readonly began: bigint;
  readonly ended: bigint;
  /** -1: it took too long, or could not be run. */
  readonly exitCode: number;
  /** At most 4096 bytes. */
  readonly output: string;
}

export interface Health {
  readonly status: "starting" | "healthy" | "unhealthy";
  /** Failures in a row. */
  readonly failingStreak: number;
  /** The last five, the oldest first. */
  readonly log: readonly HealthResult[];
}

/** undefined: it has no health check, or was not started yet. */
export function readHealth(paths: EnginePaths, container: Container): Health | undefined {
  if (container.healthcheck !== true) return undefined;
  try {
    return parseHealthFile(fs.readFileSync(healthFile(paths, container.id)));
  } catch {
    return undefined;
  }
}

/** `STATUS STREAK`, then for each result `BEGIN_NS END_NS CODE BYTES`, the output and a newline. */
export function parseHealthFile(bytes: Uint8Array): Health | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const first = /^(starting|healthy|unhealthy) (\d{1,10})$/.exec(lineAt(buffer, 0));
  if (first === null) return undefined;
  const log: HealthResult[] = [];
  for (let at = first[0].length + 1; at < buffer.length; ) {
    const line = lineAt(buffer, at);
    const match = /^(\d{1,19}) (\d{1,19}) (-?\d{1,3}) (\d{1,4})$/.exec(line);
    if (match === null) break;
    const start = at + line.length + 1;
    const end = start + Number(match[4]);
    const output = buffer.subarray(start, end).toString("utf8");
    log.push({ began: BigInt(match[1]!), ended: BigInt(match[2]!), exitCode: Number(match[3]), output });
    at = end + 1;
  }
  return { status: first[1] as Health["status"], failingStreak: Number(first[2]), log };
}

function lineAt(buffer: Buffer, at: number): string {
  const end = buffer.indexOf(10, at);
  return buffer.subarray(at, end < 0 ? buffer.length : end).toString("latin1");
}
