/**
 * What the registry keeps, behind one interface: large immutable blobs and small documents that change. Everything the
 * registry knows of repositories is written once over these two (`../repositories.ts`), so that an engine is small.
 */
import type { ByteStream } from "../../../base/mod.ts";
import type { Digest } from "../../../oci/mod.ts";

export interface BlobStat {
  readonly size: number;
  /** Milliseconds since 1970 when it was last stored or touched: what the grace age of garbage collection counts from. */
  readonly modified: number;
}

/** An open blob: it stays readable while it is held, even if it is deleted meanwhile. */
export interface BlobReader extends BlobStat {
  /** `length` bytes from `first` in chunks of up to 1 MiB. Fewer there is `content-truncated`. */
  stream(first: number, length: number): ByteStream;
  /**
   * For servers that send without copying: fills `buffer` from `position`, returns the bytes read (0 at the end).
   * Undefined where the engine has no random access.
   */
  readonly read?: (buffer: Uint8Array, position: number) => Promise<number>;
  /** The open file, where it is one and all of it may be sent as it is. */
  readonly descriptor?: number;
  close(): Promise<void>;
}

/** Content by digest, shared by all repositories. Nothing gets in that its digest does not describe: callers verify. */
export interface BlobStore {
  stat(digest: Digest): Promise<BlobStat | undefined>;
  open(digest: Digest): Promise<BlobReader | undefined>;
  /** A URL by which a client may read it for a while; undefined where clients shall ask this process. */
  locate?(digest: Digest): Promise<string>;
  /** Stores small verified content; durable when it resolves. Storing what is there renews its time. */
  put(digest: Digest, bytes: Uint8Array): Promise<void>;
  /** Takes over a verified file of the upload area; durable when it resolves, and the file is gone. */
  adopt(digest: Digest, file: string): Promise<void>;
  /** Renews its time, so that a collection under way leaves it. False when it is not there. */
  touch(digest: Digest): Promise<boolean>;
  delete(digest: Digest): Promise<boolean>;
  /** Removes what writes that were broken off before then (milliseconds since 1970) have left; how many. */
  removeUnfinished?(before: number): Promise<number>;
  list(): AsyncIterable<BlobStat & { readonly digest: Digest }>;
}

/**
 * Small documents by key. A key is `/`-separated names of letters, digits, `.`, `_` and `-`, none of them `.` or `..`.
 */
export interface Documents {
  get(key: string): Promise<Uint8Array | undefined>;
  /** Whole or not at all, and durable when it resolves. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  delete(key: string): Promise<boolean>;
  /** Names directly below `prefix` (which ends with `/`), in byte order; those that have names below them end with `/`. */
  list(prefix: string): Promise<readonly string[]>;
}

/** What lets one process remove things from a storage while others write to it. */
export interface Sharing {
  /** For the one who collects. Error: `collect-leased` while another one does. */
  lease(): Promise<CollectLease>;
  /**
   * To be asked after a write below `scope`, which is `repositories/NAME`: false at once where nobody removes anything there,
   * otherwise true when that is over. Then look whether what you wrote is still there, and ask again. Blobs see to it themselves.
   */
  settle(scope: string): Promise<boolean>;
}

export interface CollectLease extends AsyncDisposable {
  /** False: the storage cannot tell who was first; somebody else must see to it that one alone collects. */
  readonly exclusive: boolean;
  /**
   * Tells those who write below `scope` (`repositories/NAME`, or a digest) that `body` may remove things there. What to
   * remove is to be found out in `body`. Error: `collect-lease-lost` where it is too late to remove anything safely.
   */
  announce<T>(scope: string, body: () => Promise<T>): Promise<T>;
}

export interface RegistryStorage extends AsyncDisposable {
  /** Throws when what it keeps is not to be had; without it, a document is asked for instead. */
  probe?(): Promise<void>;
  readonly blobs: BlobStore;
  readonly documents: Documents;
  /** A local directory for uploads that are under way. */
  readonly uploadDirectory: string;
  /** Whether nobody else can change it while it is open, so that what was read may be remembered. */
  readonly exclusive: boolean;
  /** Where it is not. */
  readonly sharing?: Sharing;
  /** Where it is, for people. */
  readonly name: string;
  /** Called after tags of a repository changed: engines that keep a view of all tags bring it up to date in time. */
  tagsChanged?(repository: string): void;
}
