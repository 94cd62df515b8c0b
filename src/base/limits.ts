/** Every size and count that hostile input could inflate, in one place. Bytes unless the name says otherwise. */
export const limits = {
  /** A manifest or index; the distribution spec recommends registries accept at least 4 MiB. */
  manifestBytes: 4 * 1024 * 1024,
  /** An image config (history included). */
  configBytes: 8 * 1024 * 1024,
  /** index.json of a layout, which lists every image of the store. */
  layoutIndexBytes: 64 * 1024 * 1024,
  layersPerImage: 512,
  manifestsPerIndex: 4096,
  /** One pax or GNU long-name record. */
  tarExtendedHeaderBytes: 1024 * 1024,
  tarPathBytes: 4096,
  tarEntriesPerLayer: 4_000_000,
  /** Runs of data in one sparse file. */
  tarSparseRuns: 1_000_000,
  /** Apparent size of one file, holes included: what ext4 allows. */
  tarFileBytes: 16 * 1024 * 1024 * 1024 * 1024,
  /** Uncompressed bytes of one layer. */
  layerBytes: 64 * 1024 * 1024 * 1024,
  /**
   * How many times its compressed size it may have when it is larger than `expansionFreeBytes`. Deflate reaches 1032, on
   * nothing but zeros; what people ship stays below 20, save for sparse files, which the free bytes are for.
   */
  compressionRatio: 200,
  expansionFreeBytes: 4 * 1024 * 1024 * 1024,
  xattrsPerEntry: 128,
  xattrBytes: 64 * 1024,
  runtimeConfigBytes: 4 * 1024 * 1024,
  /** The rules of a time zone (tzfile(5)): the largest has 4 KiB. */
  timezoneBytes: 64 * 1024,
  seccompProfileBytes: 4 * 1024 * 1024,
  /** BPF_MAXINSNS of the kernel: instructions in one filter. */
  bpfInstructions: 4096,
  jsonDepth: 64,
  environmentBytes: 2 * 1024 * 1024,
} as const;
