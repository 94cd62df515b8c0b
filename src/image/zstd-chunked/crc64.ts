/** CRC-64 of ISO 3309, as tar-split holds files against it: polynomial x^64 + x^4 + x^3 + x + 1, bits reflected. */

/** Of the polynomial and of each table entry only the upper half is not zero. */
const polynomial = 0xd8000000;

const table = new Uint32Array(256).map((_, byte) => {
  let [high, low] = [0, byte];
  for (let bit = 0; bit < 8; bit++) {
    const carry = low & 1;
    low = (low >>> 1) | (high << 31);
    high = (high >>> 1) ^ (carry === 1 ? polynomial : 0);
  }
  return high >>> 0;
});

export class Crc64 {
  private high = -1;
  private low = -1;

  update(bytes: Uint8Array): void {
    let { high, low } = this;
    for (let at = 0; at < bytes.length; at++) {
      const entry = table[(low ^ bytes[at]!) & 0xff]!;
      low = (low >>> 8) | (high << 24);
      high = (high >>> 8) ^ entry;
    }
    this.high = high;
    this.low = low;
  }

  /** Big endian. */
  bytes(): Buffer {
    const result = Buffer.alloc(8);
    result.writeInt32BE(~this.high, 0);
    result.writeInt32BE(~this.low, 4);
    return result;
  }
}
