import type { Transform } from "node:stream";
import type { ByteStream } from "./streams.ts";

/** Chunks that wait for the consumer before the transform is paused: it works ahead by as much, on its own thread. */
const readAhead = 3;

/**
 * Sends a stream through a node transform (zlib works on another thread). Output chunks come as the transform made them, not
 * joined as by its own iterator. An error of `source` is thrown as it is, one of the transform through `explain`.
 * When this ends, `source` was read to its end.
 */
export async function* throughTransform(
  source: ByteStream,
  transform: Transform,
  explain: (error: unknown) => Error,
): AsyncGenerator<Uint8Array, void> {
  const output = new OutputQueue(transform);
  const feeding = feed(source, transform).then(
    () => undefined,
    (error: unknown) => {
      output.fail(error);
    },
  );
  transform.on("error", (error) => output.fail(explain(error)));
  try {
    for (let chunk = await output.next(); chunk !== undefined; chunk = await output.next()) yield chunk;
    await feeding;
    output.check();
  } finally {
    transform.destroy();
    await feeding;
  }
}

async function feed(source: ByteStream, transform: Transform): Promise<void> {
  for await (const chunk of source) {
    // Destroyed while the source was waited for.
    if (transform.destroyed) return;
    if (!transform.write(chunk)) await drained(transform);
    if (transform.destroyed) return;
  }
  if (!transform.destroyed) transform.end();
}

function drained(transform: Transform): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      transform.off("drain", done);
      transform.off("close", done);
      resolve();
    };
    transform.on("drain", done);
    // A destroyed transform never drains.
    transform.on("close", done);
    if (transform.destroyed) done();
  });
}

/** What a transform has made and nobody took yet. */
class OutputQueue {
  private readonly chunks: Uint8Array[] = [];
  private readonly transform: Transform;
  private ended = false;
  private failure: { readonly error: unknown } | undefined;
  private wake: (() => void) | undefined;

  constructor(transform: Transform) {
    this.transform = transform;
    transform.on("data", (chunk: Uint8Array) => {
      this.chunks.push(chunk);
      if (this.chunks.length >= readAhead) transform.pause();
      this.wake?.();
    });
    transform.once("end", () => {
      this.ended = true;
      this.wake?.();
    });
  }

  fail(error: unknown): void {
    this.failure ??= { error };
    this.wake?.();
  }

  /** Throws the failure, if there was one. */
  check(): void {
    if (this.failure !== undefined) throw this.failure.error;
  }

  /** The next chunk in order; undefined at the end. A failure comes before chunks made earlier: they are worth nothing. */
  async next(): Promise<Uint8Array | undefined> {
    while (true) {
      this.check();
      const chunk = this.chunks.shift();
      if (chunk !== undefined) {
        if (this.chunks.length < readAhead) this.transform.resume();
        return chunk;
      }
      if (this.ended) return undefined;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = undefined;
    }
  }
}
