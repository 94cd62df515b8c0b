/**
 * Where in the chunks of a body (RFC 9112 section 7.1) the runtime is, so that somebody else can go on reading the connection. The runtime
 * tells the content but not the frames. They are seen by looking at what it is going to read before it does: the frames are in
 * that, and the runtime makes a piece of each chunk, or of what of it came at once, which says where they begin.
 */
import type { Exchange } from "./exchange.ts";

/** What can be known of the connection behind the runtime's back; see `Place`. */
export interface Lookout {
  consumed(): number | undefined;
  ahead(buffer: Uint8Array): number;
}

export interface Located {
  /** Content that the runtime gave meanwhile; the body goes on behind it. */
  readonly early: readonly Uint8Array[];
  /** Bytes until the next chunk begins, the CRLF before it among them. Undefined: it is not known, and the runtime has to go on. */
  readonly left: number | undefined;
}

/** The runtime reads 512 KiB at a time. */
const lookBytes = 640 * 1024;
/** A client whose chunks are not seen by then has very large ones, or sends very little at a time. */
const mostRounds = 6;
const mostSpare = 4;
/** The CRLF behind a chunk's content. */
const frameEnd = 2;
/** A client that compresses on its way sends a chunk now and then: so many have ends among them, and so long they may gather. */
const enoughBytes = 64 * 1024;
const patienceMilliseconds = 100;
const turnMilliseconds = 5;
const lastChunk = Buffer.from("\r\n0\r\n\r\n");
const spare: Buffer[] = [];

/** The connection is paused afterwards when `left` is known, else the body can be read on. Ends early where the body or the connection does. */
export async function locateChunks(exchange: Exchange, lookout: Lookout): Promise<Located> {
  const early: Uint8Array[] = [];
  exchange.pauseBody();
  const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(lookBytes);
  using _buffer = { [Symbol.dispose]: () => void (spare.length < mostSpare && spare.push(buffer)) };
  for (let round = 0; round < mostRounds; round++) {
    const before = lookout.consumed();
    const looked = await lookAhead(exchange, lookout, buffer, round === 0 ? 0 : patienceMilliseconds);
    const pieces = await exchange.readBodyOnce();
    early.push(...pieces);
    const after = lookout.consumed();
    // At its end, or broken: whoever reads on sees it.
    if (pieces.length === 0 || exchange.request.complete) break;
    if (before === undefined || after === undefined) break;
    const left = leftAfter(looked, pieces, after - before);
    if (left !== undefined) return { early, left };
  }
  exchange.resumeBody();
  return { early, left: undefined };
}

async function lookAhead(
  exchange: Exchange,
  lookout: Lookout,
  buffer: Buffer,
  milliseconds: number,
): Promise<Uint8Array> {
  for (let waited = 0; ; waited += turnMilliseconds) {
    const looked = buffer.subarray(0, lookout.ahead(buffer));
    const ends = looked.subarray(-lastChunk.length).equals(lastChunk);
    if (looked.length >= enoughBytes || ends || waited >= milliseconds) return looked;
    if (exchange.request.destroyed || exchange.request.complete) return looked;
    await new Promise((resolve) => setTimeout(resolve, turnMilliseconds));
  }
}

/**
 * `looked`: the connection's next bytes. Of them (and maybe of more behind them) `consumed` were read, and gave `pieces`. How many bytes
 * there are until the next chunk begins; undefined where that does not follow.
 */
export function leftAfter(
  looked: Uint8Array,
  pieces: readonly Uint8Array[],
  consumed: number,
): number | undefined {
  const lengths = pieces.map((piece) => piece.length);
  const [first] = lengths;
  if (first === undefined) return undefined;
  // They begin in a chunk whose rest is the first piece, or with the CRLF behind a chunk, its LF, or the next chunk.
  const answers = [
    ...(lengths.length > 1 ? [follow(looked, lengths, consumed, first)] : []),
    ...[0, -1, -2].map((end) => follow(looked, lengths, consumed, end)),
  ].filter((answer) => answer !== undefined);
  return new Set(answers).size === 1 ? answers[0] : undefined;
}

/** The same, where a chunk's content ends at `end`; undefined unless the runtime must have made `lengths` of it. */
function follow(
  looked: Uint8Array,
  lengths: readonly number[],
  consumed: number,
  end: number,
): number | undefined {
  const expected = end > 0 ? [end] : [];
  for (let begin = 0, last = end; ; ) {
    if (consumed <= last + frameEnd) {
      if (expected.length > 0) expected.push(Math.min(expected.pop()!, consumed - begin));
      const agrees =
        expected.length === lengths.length && expected.every((length, at) => length === lengths[at]);
      return agrees ? last + frameEnd - consumed : undefined;
    }
    const next = readFrame(looked, last);
    // Without content it might as well be elsewhere.
    if (next === undefined || consumed <= next.end) return undefined;
    expected.push(next.size);
    begin = next.end;
    last = next.end + next.size;
  }
}

/** The end of a chunk and the size of the next: CRLF, 1*HEXDIG, CRLF. Extensions, and the last chunk, are left to the runtime. */
function readFrame(
  bytes: Uint8Array,
  at: number,
): { readonly end: number; readonly size: number } | undefined {
  const before = "\r\n".slice(0, Math.max(0, -at));
  const text = before + Buffer.from(bytes.subarray(Math.max(0, at), Math.max(0, at) + 20)).toString("latin1");
  const match = /^\r\n([0-9a-fA-F]{1,12})\r\n/.exec(text);
  const size = match === null ? 0 : Number.parseInt(match[1]!, 16);
  return match === null || size === 0 ? undefined : { end: at + match[0].length, size };
}
