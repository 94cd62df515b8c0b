/**
 * Cuts a file where its content says so: the same bytes are cut at the same places whatever stands before them, so a part that
 * two versions of a file have in common is found again. The rolling sum is the one of rsync and bup over 64 bytes; a cut comes
 * after the byte at which its lower 16 bits are all set, every 64 KiB on average. This is where containers/storage cuts.
 */
const windowBytes = 64;
const offset = 31;
const mask = 0xffff;

export class Cutter {
  private one = windowBytes * offset;
  private two = windowBytes * (windowBytes - 1) * offset;
  private readonly window = new Uint8Array(windowBytes);
  private at = 0;

  /** The place after the next cut, from `from` on; -1 when there is none in `bytes`. */
  next(bytes: Uint8Array, from: number): number {
    const { window } = this;
    let { one, two, at } = this;
    let found = -1;
    for (let index = from; index < bytes.length; index++) {
      const leaving = window[at]!;
      const byte = bytes[index]!;
      one = (one + byte - leaving) | 0;
      two = (two + one - windowBytes * (leaving + offset)) | 0;
      window[at] = byte;
      at = (at + 1) & (windowBytes - 1);
      if ((two & mask) === mask) {
        found = index + 1;
        break;
      }
    }
    this.one = one;
    this.two = two;
    this.at = at;
    return found;
  }
}
