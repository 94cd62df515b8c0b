import { observed, Progress, printable } from "../../base/mod.ts";
import type { ImageSource } from "../../image/mod.ts";
import type { Interruptible } from "../framework/interrupt.ts";

/** The source with its blobs guarded against signals and counted on stderr's terminal. */
export function watched(source: ImageSource, guard: Interruptible, label: string | undefined): ImageSource {
  return {
    root: source.root,
    names: source.names,
    has: (descriptor) => source.has(descriptor),
    readDocument: (descriptor) => source.readDocument(descriptor),
    async *openBlob(descriptor) {
      const stream = guard.guard(source.openBlob(descriptor));
      if (label === undefined) {
        yield* stream;
        return;
      }
      const short = descriptor.digest.slice(descriptor.digest.indexOf(":") + 1).slice(0, 12);
      const progress = new Progress({ fd: 2, label: printable(`${label} ${short}`), total: descriptor.size });
      try {
        yield* observed(stream, (chunk) => progress.add(chunk.length));
      } finally {
        progress.clear();
      }
    },
  };
}
