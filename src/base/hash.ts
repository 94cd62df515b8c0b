/** The algorithms of content digests. Lengths in hex digits: 64 and 128. */
export type HashAlgorithm = "sha256" | "sha512";

/** An incremental hash. `hex()` ends it: no call may follow. */
export interface Hasher {
  update(bytes: Uint8Array): void;
  /** Lower-case hex. */
  hex(): string;
}

interface BunCryptoHasher {
  update(bytes: Uint8Array): unknown;
  digest(encoding: "hex"): string;
}
interface BunGlobal {
  readonly CryptoHasher: new (algorithm: string) => BunCryptoHasher;
}
/** Bun's own hasher has no stream machinery around it: loading and creating it costs a third of node:crypto's. */
const bun = (globalThis as { readonly Bun?: BunGlobal }).Bun;

export function createHasher(algorithm: HashAlgorithm): Hasher {
  if (bun !== undefined) {
    const hasher = new bun.CryptoHasher(algorithm);
    return {
      update: (bytes) => {
        hasher.update(bytes);
      },
      hex: () => hasher.digest("hex"),
    };
  }
  // Loaded on use: most commands hash nothing.
  const hash = process.getBuiltinModule("node:crypto").createHash(algorithm);
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    hex: () => hash.digest("hex"),
  };
}

/** The hash of a whole small buffer, lower-case hex. */
export function hashHex(algorithm: HashAlgorithm, bytes: Uint8Array): string {
  const hasher = createHasher(algorithm);
  hasher.update(bytes);
  return hasher.hex();
}
