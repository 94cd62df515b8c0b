/** What the registry and `vitrine-helper convey` say to each other: native/convey.h, little endian. */

export const orderKinds = { out: 1, in: 2, chunks: 3 } as const;
export const reportBytes = 200;
const orderBytes = 160;
const hashStateBytes = 104;
const hashedAt = 32;

/** The state of a SHA-256 that can be gone on with: `struct sha256`. */
export type HashState = Uint8Array;

export interface Order {
  readonly id: bigint;
  readonly kind: keyof typeof orderKinds;
  /** In the file, and how many bytes (`chunks`: at most). */
  readonly position: number;
  readonly count: number;
  /** Only for `chunks`: bytes until the next one begins, the CRLF before it among them. */
  readonly chunk?: number;
  /** `leastBytes` must pass in each window of so long. */
  readonly windowMilliseconds: number;
  readonly leastBytes: number;
  /** Of the beginning of the file. For `in` and `chunks`. */
  readonly hash?: HashState;
}

export interface Report {
  readonly id: bigint;
  /** errno; 0: all was carried. */
  readonly error: number;
  readonly ofFile: boolean;
  readonly count: number;
  readonly hash: HashState;
  /** The digest of what was hashed. */
  readonly hex: string;
}

export function encodeOrder(order: Order): Uint8Array {
  const bytes = new Uint8Array(orderBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, order.id, true);
  view.setUint32(8, orderKinds[order.kind], true);
  view.setBigUint64(16, BigInt(order.position), true);
  view.setBigUint64(24, BigInt(order.count), true);
  view.setBigUint64(32, BigInt(order.chunk ?? 0), true);
  view.setBigUint64(40, BigInt(order.windowMilliseconds), true);
  view.setBigUint64(48, BigInt(order.leastBytes), true);
  bytes.set(order.hash ?? beginHash(), 56);
  return bytes;
}

export function decodeReport(bytes: Uint8Array): Report {
  const view = new DataView(bytes.buffer, bytes.byteOffset, reportBytes);
  return {
    id: view.getBigUint64(0, true),
    error: view.getInt32(8, true),
    ofFile: view.getUint32(12, true) === 1,
    count: Number(view.getBigUint64(16, true)),
    hash: bytes.slice(24, 24 + hashStateBytes),
    hex: Buffer.from(bytes.subarray(24 + hashStateBytes, 24 + hashStateBytes + 64)).toString("latin1"),
  };
}

/** FIPS 180-4 section 5.3.3. */
export function beginHash(): HashState {
  const words = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
  ];
  const bytes = new Uint8Array(hashStateBytes);
  const view = new DataView(bytes.buffer);
  for (const [at, word] of words.entries()) view.setUint32(at * 4, word, true);
  return bytes;
}

/** How many bytes it has seen. */
export function hashedBytes(hash: HashState): number {
  return Number(new DataView(hash.buffer, hash.byteOffset).getBigUint64(hashedAt, true));
}
