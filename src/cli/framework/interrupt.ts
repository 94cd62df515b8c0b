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
  let interrupt: (reason: Interrupted) => void = () => undefined;
  let caught: Interrupted | undefined;
  const interrupted = new Promise<never>((_resolve, reject) => {
    interrupt = reject;
  });
  // Without a race that waits for it, the rejection is nobody's.
  interrupted.catch(() => undefined);
  const handlers = signals.map((signal) => {
    const handler = (): void => {
      if (caught !== undefined) process.exit(caught.status);
      caught = new Interrupted(signal);
      interrupt(caught);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  async function* guard(stream: ByteStream): AsyncGenerator<Uint8Array, void> {
    const iterator = stream[Symbol.asyncIterator]();
    try {
      while (true) {
        if (caught !== undefined) throw caught;
        const next = await Promise.race([iterator.next(), interrupted]);
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
