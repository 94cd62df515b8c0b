/** For the tests of this folder. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { VitrineError } from "./errors.ts";
import type { ByteStream } from "./streams.ts";

/** A generator of numbers below `below` that is the same in every run (mulberry32). */
export function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

export function randomBytes(random: (below: number) => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}

/** Cuts bytes into chunks of 0 to `longest` bytes. */
export function* randomChunks(
  bytes: Uint8Array,
  random: (below: number) => number,
  longest: number,
): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const length = random(longest + 1);
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

export async function* streamed(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  yield* chunks;
}

export async function gather(source: ByteStream): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** For assert.throws and assert.rejects: a VitrineError of that code. */
export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof VitrineError && error.code === code) return true;
    throw new Error(`expected a VitrineError ${code}`, { cause: error });
  };
}

/** Runs `use` with a fresh directory that is removed afterwards. */
export async function withDirectory(use: (dir: string) => Promise<void> | void): Promise<void> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "vitrine-base-"));
  try {
    await use(dir);
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}
