/** For the tests of this folder. */
import type { TarEntry } from "./entry.ts";
import { type TarOptions, TarParser } from "./parser.ts";

/** A member with its data; holes of a sparse file are zeros. */
export interface Seen {
  readonly entry: TarEntry;
  readonly data: Buffer;
}

/** Parses a whole archive, checking that the parser's calls come in order and that data stays inside the file. */
export function parseAll(chunks: readonly Uint8Array[], options: TarOptions = {}): Seen[] {
  const seen: Seen[] = [];
  let open = false;
  let at = 0;
  let bytes = 0;
  const parser = new TarParser(
    {
      onEntry(entry) {
        if (open) throw new Error("onEntry before onEnd");
        open = true;
        at = 0;
        bytes = 0;
        const held = entry.size <= 1 << 24 ? entry.size : 0;
        seen.push({ entry, data: Buffer.alloc(held) });
      },
      onData(offset, chunk) {
        const member = seen.at(-1)!;
        if (!open || chunk.length === 0 || offset < at || offset + chunk.length > member.entry.size) {
          throw new Error("onData out of order or range");
        }
        at = offset + chunk.length;
        bytes += chunk.length;
        if (member.data.length > 0) member.data.set(chunk, offset);
      },
      onEnd() {
        if (!open || bytes !== seen.at(-1)!.entry.bodySize)
          throw new Error("onEnd out of order or too early");
        open = false;
      },
    },
    options,
  );
  for (const chunk of chunks) parser.push(chunk);
  parser.finish();
  return seen;
}
