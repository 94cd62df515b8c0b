/** A layer's blob → the helper's ops, hashing both sides on the way. */
import {
  type Bound,
  type ByteStream,
  bounded,
  compressionHeadBytes,
  createHasher,
  damagedData,
  decompress,
  detectCompression,
  limits,
  requireWithin,
  TarParser,
  VitrineError,
} from "../base/mod.ts";
import type { IdMapRange, Inflation } from "../kernel/mod.ts";
import { splitDigest } from "../oci/mod.ts";
import type { ApplySession } from "./apply.ts";
import { type ArrivingBlob, contentOf, peekArriving } from "./arrival.ts";
import type { StoreContext } from "./context.ts";
import { LayerWriter, type WhiteoutStyle } from "./layers/writer.ts";
import type { StoredLayer } from "./types.ts";

export interface Poured {
  readonly writer: LayerWriter;
  readonly tarBytes: number;
}

/** Whether the helper can inflate the layer (`startApply`). A layer that is none of gzip, whatever it says, is poured without. */
export function canInflate({ descriptor, diffID }: StoredLayer): boolean {
  const isGzip = /[+.]gzip$/.test(descriptor.mediaType);
  return isGzip && [descriptor.digest, diffID].every((digest) => splitDigest(digest).algorithm === "sha256");
}

/**
 * What went to the helper is only believed when this returns.
 * Errors: `content-…-mismatch`, `layer-diffid-mismatch`, `bomb`, `tar-…`, `layer-…`, `blob-missing`, `compressed-data-corrupt`.
 */
export async function pour(
  context: StoreContext,
  layer: StoredLayer,
  blob: ArrivingBlob,
  session: ApplySession,
  style: WhiteoutStyle,
): Promise<Poured> {
  const { descriptor, diffID } = layer;
  const { ids } = context;
  const writer = new LayerWriter(session, {
    style,
    maps: mapper(context),
    ignoreOwner: ids.kind === "single",
    dropTrusted: ids.kind !== "none",
  });
  const parser = new TarParser(writer, { name: descriptor.digest });
  const bound: Bound = {
    maxBytes: limits.layerBytes,
    maxRatio: limits.compressionRatio,
    freeBytes: context.expansionFreeBytes ?? limits.expansionFreeBytes,
    // Of all of it, not of what came so far: a sparse file may stand at the beginning.
    input: { bytes: descriptor.size },
    name: descriptor.digest,
  };
  const inflation = await session.inflation();
  const { head, growth } = await peekArriving(blob, compressionHeadBytes);
  const target = { layer, session, writer, parser, bound };
  const poured =
    inflation !== undefined && detectCompression(head) === "gzip"
      ? await pourInflated(blob, growth, inflation, target)
      : await pourPlain(contentOf(blob, growth), target);
  parser.finish();
  const { algorithm, hex } = splitDigest(diffID);
  if (poured.hex !== hex) {
    throw new VitrineError(
      "corrupt",
      `layer ${descriptor.digest} unpacks to ${algorithm}:${poured.hex}, the config says ${diffID}`,
      {
        code: "layer-diffid-mismatch",
        operand: descriptor.digest,
        hint: "manifest and config of the image do not belong together: get it again",
      },
    );
  }
  return { writer, tarBytes: poured.bytes };
}

interface Target {
  readonly layer: StoredLayer;
  readonly session: ApplySession;
  readonly writer: LayerWriter;
  readonly parser: TarParser;
  readonly bound: Bound;
}

/** The plain bytes: how many, and their digest. */
interface PlainBytes {
  readonly bytes: number;
  readonly hex: string;
}

/** Through this process. */
async function pourPlain(blob: ByteStream, { layer, session, parser, bound }: Target): Promise<PlainBytes> {
  const { descriptor, diffID } = layer;
  const plain = await decompress(blob);
  const { algorithm, hex } = splitDigest(diffID);
  // A plain layer is its own diffID: `verified` has it hashed already.
  const hasher = descriptor.digest === diffID ? undefined : createHasher(algorithm);
  let bytes = 0;
  for await (const chunk of bounded(plain.stream, bound)) {
    bytes += chunk.length;
    hasher?.update(chunk);
    parser.push(chunk);
    await session.drain();
  }
  return { bytes, hex: hasher?.hex() ?? hex };
}

/** Headers are read a few at a time: of what lies between them nothing is looked at. */
const windowBytes = 8 * 1024;
const blockBytes = 512;

/** Beside this process: the helper reads the compressed file, and only the headers of the archive come here. */
async function pourInflated(
  blob: ArrivingBlob,
  growth: AsyncIterable<number>,
  inflation: Inflation,
  target: Target,
): Promise<PlainBytes> {
  const { layer, session, writer, parser, bound } = target;
  inflation.feed(growth);
  const window = Buffer.allocUnsafe(windowBytes);
  let begin = 0;
  let end = 0;
  let position = 0;
  let used = 0;
  const use = (upTo: number): void => {
    if (used === upTo) return;
    session.op({ op: "layerInflated", offset: 0n, position: BigInt(upTo), length: 0n });
    used = upTo;
  };
  while (true) {
    requireWithin(inflation.produced, bound);
    while (position < inflation.produced) {
      const passed = parser.passBody(inflation.produced - position, (offset, length) => {
        const op = writer.inflatedOp(offset, position, length);
        if (op === undefined) return;
        session.op(op);
        used = position + length;
      });
      if (passed > 0) {
        position += passed;
      } else if (parser.ended) {
        position = inflation.produced;
      } else {
        if (position < begin || position >= end) {
          begin = position;
          end = position + inflation.read(window, position);
        }
        const count = Math.min(blockBytes - (position % blockBytes), end - position);
        parser.push(window.subarray(position - begin, position - begin + count));
        position += count;
      }
    }
    use(position);
    if (inflation.ended) break;
    session.send();
    await session.drain();
    await inflation.beyond(position);
  }
  if (inflation.problem !== undefined) {
    throw damagedData("gzip", layer.descriptor.digest, inflation.problem);
  }
  await inflation.fed();
  await blob.accept(await inflation.sha256("compressed"));
  return { bytes: position, hex: await inflation.sha256("plain") };
}

function mapper(context: StoreContext): (id: number, kind: "uid" | "gid") => boolean {
  const { ids } = context;
  if (ids.kind === "none") return () => true;
  const holds = (ranges: readonly IdMapRange[], id: number): boolean =>
    ranges.some(({ containerID, size }) => id >= containerID && id < containerID + size);
  return (id, kind) => holds(kind === "uid" ? ids.uids : ids.gids, id);
}
