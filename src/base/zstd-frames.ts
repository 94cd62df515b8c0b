/**
 * Walks the frames of a zstd stream (RFC 8878, section 3.1) without decompressing. The runtimes' decompressors accept a
 * stream that ends inside a frame (bun) and drop what follows the last frame (node, bun): this finds both.
 */

const zstdMagic = 0xfd2fb528;
/** 0x184d2a50 to 0x184d2a5f begin a skippable frame. */
const skippableMagic = 0x184d2a50;

type Step = "magic" | "descriptor" | "block" | "skippable-size";

export class ZstdFrames {
  private step: Step = "magic";
  /** Bytes of the next field gathered so far, of at most four that matter. */
  private field = 0;
  private fieldFill = 0;
  private fieldLength = 4;
  /** Bytes that need no look: block contents, the rest of a frame header. */
  private skip = 0;
  private hasChecksum = false;
  private frames = 0;

  /** Takes the next bytes; false when they are no zstd. */
  push(chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.skip > 0) {
        const count = Math.min(this.skip, chunk.length - at);
        this.skip -= count;
        at += count;
        continue;
      }
      this.field += chunk[at]! * 2 ** (8 * this.fieldFill);
      this.fieldFill += 1;
      at += 1;
      if (this.fieldFill === this.fieldLength && !this.onField()) return false;
    }
    return true;
  }

  /** Whether the stream may end here: after at least one whole frame. */
  get isComplete(): boolean {
    return this.step === "magic" && this.fieldFill === 0 && this.skip === 0 && this.frames > 0;
  }

  private onField(): boolean {
    const value = this.field;
    switch (this.step) {
      case "magic":
        if (value === zstdMagic) return this.expect("descriptor", 1);
        if (value >= skippableMagic && value < skippableMagic + 16) return this.expect("skippable-size", 4);
        return false;
      case "skippable-size":
        return this.endFrame(value);
      case "descriptor":
        this.hasChecksum = (value & 4) !== 0;
        // Window descriptor, dictionary id and content size follow: nothing in them matters here.
        this.skip = headerRest(value);
        return this.expect("block", 3);
      default:
        return this.onBlock(value);
    }
  }

  private onBlock(header: number): boolean {
    const isLast = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    if (type === 3) return false;
    // A run-length block stores one byte, whatever its size says.
    const stored = type === 1 ? 1 : header >> 3;
    if (isLast) return this.endFrame(stored + (this.hasChecksum ? 4 : 0));
    this.skip = stored;
    return this.expect("block", 3);
  }

  private endFrame(rest: number): true {
    this.skip = rest;
    this.frames += 1;
    return this.expect("magic", 4);
  }

  private expect(step: Step, fieldLength: number): true {
    this.step = step;
    this.field = 0;
    this.fieldFill = 0;
    this.fieldLength = fieldLength;
    return true;
  }
}

/** Bytes of a frame header after its descriptor byte (RFC 8878, 3.1.1.1). */
function headerRest(descriptor: number): number {
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3]!;
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  return (singleSegment ? 0 : 1) + dictionaryBytes + sizeBytes;
}
