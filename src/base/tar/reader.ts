import type { ByteStream } from "../streams.ts";
import type { TarEntry } from "./entry.ts";
import { filled } from "./holes.ts";
import { type TarOptions, TarParser } from "./parser.ts";

export interface TarMember {
  readonly entry: TarEntry;
  /** The data, holes filled with zeros. May be left unread; not valid once the next member was asked for. */
  readonly body: ByteStream;
}

/** What the parser found in the last chunk and nobody took yet. */
type Event =
  | { readonly kind: "entry"; readonly entry: TarEntry }
  | { readonly kind: "data"; readonly offset: number; readonly chunk: Uint8Array }
  | { readonly kind: "end" };

/**
 * The members of an archive one after the other. Convenient where members are few: for layers use TarParser, which costs
 * no promise per member. The source is read to its end, so that a verifying source verifies.
 */
export async function* readTar(
  source: ByteStream,
  options: TarOptions = {},
): AsyncGenerator<TarMember, void> {
  let events: Event[] = [];
  let next = 0;
  const parser = new TarParser(
    {
      onEntry: (entry) => events.push({ kind: "entry", entry }),
      onData: (offset, chunk) => events.push({ kind: "data", offset, chunk }),
      onEnd: () => events.push({ kind: "end" }),
    },
    options,
  );
  const chunks = source[Symbol.asyncIterator]();
  let finished = false;
  /** The next event, feeding the parser as needed; undefined at the end of the archive. */
  const take = async (): Promise<Event | undefined> => {
    while (next === events.length) {
      if (finished) return undefined;
      events = [];
      next = 0;
      const { done, value } = await chunks.next();
      if (done === true) {
        finished = true;
        parser.finish();
      } else {
        parser.push(value);
      }
    }
    return events[next++];
  };
  try {
    for (let event = await take(); event !== undefined; event = await take()) {
      // Data and end of a body that was left unread are dropped here.
      if (event.kind !== "entry") continue;
      yield { entry: event.entry, body: filled(event.entry, runsOf(take)) };
    }
  } finally {
    if (!finished) await chunks.return?.();
  }
}

async function* runsOf(
  take: () => Promise<Event | undefined>,
): AsyncGenerator<{ readonly offset: number; readonly chunk: Uint8Array }, void> {
  for (let event = await take(); event !== undefined && event.kind === "data"; event = await take()) {
    yield event;
  }
}
