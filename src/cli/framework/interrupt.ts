/**
 * Ctrl-C in the middle of a copy: the stream throws, so that everything above it cleans up (temporary files, locks),
 * and the command ends with 128 + the signal.
 */
import { type ByteStream, VitrineError } from "../../base/mod.ts";

/** Milliseconds in which a stream that was stopped may be cleaned up after, and those for whatever has no stream: a registry that is silent. */
const cleaning = 5000;
const silence = 300;
/** A terminal signals the whole process group: how long after the end of a helper our own signal may come. */
const helperAhead = 100;

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
  /** Streams that are read: whoever has a chunk of one in hand hears of the signal at the next. */
  let streams = 0;
  const orInterrupted = <R>(promise: Promise<R>): Promise<R> =>
    new Promise<R>((resolve, reject) => {
      waiting.add(reject);
      promise.then(resolve, reject).finally(() => waiting.delete(reject));
    });
  let timer: NodeJS.Timeout | undefined;
  let giveUp: (reason: Interrupted) => void = () => undefined;
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = reject;
  });
  const handlers = signals.map((signal) => {
    const handler = (): void => {
      if (caught !== undefined) process.exit(caught.status);
      const reason = new Interrupted(signal);
      caught = reason;
      timer = setTimeout(() => giveUp(reason), waiting.size + streams > 0 ? cleaning : silence);
      for (const reject of waiting) reject(reason);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  async function* guard(stream: ByteStream): AsyncGenerator<Uint8Array, void> {
    const iterator = stream[Symbol.asyncIterator]();
    streams += 1;
    try {
      while (true) {
        if (caught !== undefined) throw caught;
        const next = await orInterrupted(iterator.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      streams -= 1;
      // Not awaited: a read from a silent pipe would hold us here.
      iterator.return?.()?.then(
        () => undefined,
        () => undefined,
      );
    }
  }
  try {
    return await Promise.race([body({ guard }), givenUp]);
  } catch (error) {
    if (error instanceof VitrineError && error.code === "apply-failed") {
      await new Promise((resolve) => setTimeout(resolve, helperAhead));
    }
    throw caught ?? error;
  } finally {
    clearTimeout(timer);
    for (const { signal, handler } of handlers) process.off(signal, handler);
  }
}
