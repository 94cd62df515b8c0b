/** Frames of zstd (RFC 8878, section 3.1), each made at once. */
import { zstdFrames } from "../../base/mod.ts";

export type PackFrame = (bytes: Uint8Array) => Uint8Array;

const empty = new Uint8Array(0);

/** Nothing becomes nothing, not an empty frame. */
export async function packer(level: number | undefined): Promise<PackFrame> {
  const pack = await zstdFrames(level);
  return (bytes) => (bytes.length === 0 ? empty : pack(bytes));
}

/** A frame that decompressors pass over. */
export function skippable(bytes: Uint8Array): Buffer {
  const head = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
  head.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([head, bytes]);
}

const mostHeldBytes = 1024 * 1024;

/** A long text, packed a part at a time. */
export class FrameLog {
  private readonly pack: PackFrame;
  private readonly frames: Uint8Array[] = [];
  private held: string[] = [];
  private heldBytes = 0;
  /** Of all that was added. */
  plainBytes = 0;

  constructor(pack: PackFrame, beginning: string) {
    this.pack = pack;
    if (beginning !== "") this.add(beginning);
  }

  add(text: string): void {
    this.held.push(text);
    const bytes = Buffer.byteLength(text);
    this.heldBytes += bytes;
    this.plainBytes += bytes;
    if (this.heldBytes >= mostHeldBytes) this.flush();
  }

  end(): { readonly frames: readonly Uint8Array[]; readonly plainBytes: number } {
    this.flush();
    return { frames: this.frames, plainBytes: this.plainBytes };
  }

  private flush(): void {
    const frame = this.pack(Buffer.from(this.held.join("")));
    if (frame.length > 0) this.frames.push(frame);
    this.held = [];
    this.heldBytes = 0;
  }
}
