/**
 * Ctrl-C in the middle of a copy: the stream throws, so that everything above it cleans up (temporary files, locks),
 * and the command ends with 128 + the signal.
 */
import type { ByteStream } from "../../base/mod.ts";

export class Interrupted extends Error {
  readonly status: number;

  constructor(signal: "SIGINT" | "SIGTERM" | "SIGHUP") {
    super("interrupted");
    this.name = "Interrupted";
    this.status = 128 + { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }[signal];
  }
}

export interface Interruptible {
  /** Passes chunks on until a signal comes, then throws Interrupted; a read that waits is left. */
  guard(stream: ByteStream): ByteStream;
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs `body` with the signals caught. A second signal ends the process at once, as if none were caught. */
export async function interruptible<T>(body: (guard: Interruptible) => Promise<T>): Promise<T> {
  let caught: Interrupted | undefined;
  /** Those who wait for a chunk now. Not one promise that all race with: it would keep every chunk that ever won. */
  const waiting = new Set<(reason: Interrupted) => void>();
  const orInterrupted = <R>(promise: Promise<R>): Promise<R> =>
    new Promise<R>((resolve, reject) => {
      waiting.add(reject);
      promise.then(resolve, reject).finally(() => waiting.delete(reject));
    });
  const handlers = signals.map((signal) => {
    const handler = (): void => {
      if (caught !== undefined) process.exit(caught.status);
      caught = new Interrupted(signal);
      for (const reject of waiting) reject(caught);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  async function* guard(stream: ByteStream): AsyncGenerator<Uint8Array, void> {
    const iterator = stream[Symbol.asyncIterator]();
    try {
      while (true) {
        if (caught !== undefined) throw caught;
        const next = await orInterrupted(iterator.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      // Not awaited: a read from a silent pipe would hold us here.
      iterator.return?.()?.then(
        () => undefined,
        () => undefined,
      );
    }
  }
  try {
    return await body({ guard });
  } finally {
    for (const { signal, handler } of handlers) process.off(signal, handler);
  }
}
