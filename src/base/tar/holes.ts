import type { TarEntry } from "./entry.ts";

const zeros = new Uint8Array(64 * 1024);

/** The whole file of `entry` from its runs of data: zeros before, between and after them. */
export async function* filled(
  entry: Pick<TarEntry, "size">,
  runs: AsyncIterable<{ readonly offset: number; readonly chunk: Uint8Array }>,
): AsyncGenerator<Uint8Array, void> {
  let at = 0;
  for await (const { offset, chunk } of runs) {
    yield* hole(offset - at);
    yield chunk;
    at = offset + chunk.length;
  }
  yield* hole(entry.size - at);
}

function* hole(length: number): Generator<Uint8Array, void> {
  for (let left = length; left > 0; left -= zeros.length) {
    // A copy: a chunk belongs to whoever receives it.
    yield zeros.slice(0, Math.min(left, zeros.length));
  }
}
