import type { ImageSource } from "../image/mod.ts";
import type { IdMapRange } from "../kernel/mod.ts";
import type { Descriptor, Digest, ImageConfig, Manifest, Platform } from "../oci/mod.ts";

/**
 * Whose ids the files of unpacked layers get.
 * - `none`: the ids of the image (root).
 * - `range`: a user namespace with subordinate ids, its maps written by newuidmap and newgidmap, as root (both empty) by the
 *   helper itself.
 * - `single`: only the user's own id as 0; files of other ids become the user's, with a warning.
 */
export type StoreIds =
  | { readonly kind: "none" }
  | {
      readonly kind: "range";
      readonly uids: readonly IdMapRange[];
      readonly gids: readonly IdMapRange[];
      readonly newuidmap: string;
      readonly newgidmap: string;
    }
  | { readonly kind: "single"; readonly uids: readonly IdMapRange[]; readonly gids: readonly IdMapRange[] };

export type StoreDriver = "overlay" | "copy";

export interface StoreOptions {
  /** ROOT of ARCHITECTURE.md; made on the first write, not by opening. */
  readonly root: string;
  readonly runroot: string;
  /** `auto` mounts a small overlay once and keeps the answer in RUNROOT. */
  readonly driver: "auto" | StoreDriver;
  readonly ids: StoreIds;
  /**
   * Ids under which the trees of every map of this store can be changed and removed: those of a plain container of the
   * caller, as root none. Absent: `ids`.
   */
  readonly widestIds?: StoreIds;
  /** Absolute path of `vitrine-helper`. */
  readonly helperPath: string;
  /** Bytes of a layer that may come out of any number of compressed ones. Default: `limits.expansionFreeBytes`. */
  readonly expansionFreeBytes?: number | undefined;
  /** A pull of fewer bytes waits until the disk has them. Default: 16 MiB. */
  readonly flushNowBytes?: number | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The platform chosen from an index where none is asked for. */
  readonly platform: Platform;
}

/** An image as `resolve` finds it: verified documents, nothing unpacked, nothing else read. */
export interface StoredImage {
  /** Digest of the config, `sha256:…`: the image ID as docker and podman print it. */
  readonly id: Digest;
  /** The manifest of the chosen platform. */
  readonly manifestDescriptor: Descriptor;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
  /** The raw config, as its digest covers it. */
  readonly configBytes: Uint8Array;
  /** The descriptor in index.json: equal to `manifestDescriptor`, or the index it was chosen from. */
  readonly root: Descriptor;
  readonly layers: readonly StoredLayer[];
  /** Every name in index.json that leads to `root`. */
  readonly names: readonly string[];
  /** Compressed bytes of manifest, config and layers. */
  readonly size: number;
}

export interface StoredLayer {
  readonly descriptor: Descriptor;
  /** Digest of the uncompressed tar. */
  readonly diffID: Digest;
}

/** One line of `images`: a name (or none) and one image under it. */
export interface ImageRow {
  /** `docker.io/library/alpine:latest`; undefined for a dangling image. */
  readonly name: string | undefined;
  readonly id: Digest;
  /** Digest of the root: what `name@digest` means. */
  readonly digest: Digest;
  readonly platform: Platform | undefined;
  /** Milliseconds since the epoch, 0 when the config does not say. */
  readonly created: number;
  readonly size: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Platforms of the index whose manifest is here, when the root is an index. */
  readonly platforms: readonly Platform[];
  readonly dangling: boolean;
  /** Why the rest is not known: a document is missing or corrupt. `id` is then the root's digest. */
  readonly problem?: string;
}

/** A mount that gives a container its root filesystem. */
export type SnapshotMount =
  | {
      readonly type: "overlay";
      /** Topmost first, as overlayfs wants them: at most `maxOverlayLayers`. */
      readonly lowers: readonly string[];
      readonly upper: string;
      readonly work: string;
      readonly userxattr: boolean;
    }
  /** A whole tree (copy driver): bind it. */
  | { readonly type: "bind"; readonly path: string };

export interface Snapshot {
  readonly mounts: readonly [SnapshotMount];
}

export interface UnpackResult {
  /** Layers that this call unpacked (not those already there). */
  readonly unpacked: number;
  /** Lines for the user, e.g. about ids that are not mapped. */
  readonly warnings: readonly string[];
}

export interface PutResult {
  readonly root: Descriptor;
  /** Image IDs that came in, one for each platform that was there. */
  readonly ids: readonly Digest[];
  readonly names: readonly string[];
  /** Names that led to another image before; that image is now dangling or has its other names. */
  readonly replaced: readonly string[];
}

export interface PullOptions {
  /** Replaces the names of the source. */
  readonly names?: readonly string[];
  /** Default: layers of the store's platform are unpacked where the driver is overlay. */
  readonly unpack?: boolean;
  /** Hears of each blob once: it is here already, or it comes. */
  readonly onBlob?: (blob: Descriptor, state: "present" | "fetching" | "done") => void;
}

export interface PullResult extends PutResult {
  /** As of `UnpackResult`. */
  readonly warnings: readonly string[];
}

export interface RemoveOptions {
  /** Removes an image with several names or used by a stopped container. */
  readonly force?: boolean;
}

/** What `rmi` and `image prune` print, in order. */
export type Removal =
  | { readonly action: "untagged"; readonly name: string }
  | { readonly action: "deleted"; readonly id: Digest };

export interface PruneOptions {
  /** Also images that have a name and no container. */
  readonly all?: boolean;
  /** Created before this time, in milliseconds since the epoch. */
  readonly until?: number;
  /** Every one must hold: `key` present, with `value` equal when given; `negate` turns it round. */
  readonly labels?: readonly { readonly key: string; readonly value?: string; readonly negate?: boolean }[];
}

export interface CheckOptions {
  /** Without reading all that is stored: sizes and records only. */
  readonly quick: boolean;
  readonly repair: boolean;
  /** What nothing leads to is no damage before it is so old. */
  readonly maxAgeMilliseconds: number;
}

/** Something that is not as it should be. */
export interface Finding {
  readonly kind:
    | "lock"
    | "version"
    | "layout"
    | "temporary"
    | "index"
    | "blob"
    | "image"
    | "layer"
    | "artifact"
    | "garbage"
    | "container"
    | "name"
    | "state";
  /** A path below ROOT, a digest, or a name. */
  readonly object: string;
  readonly problem: string;
  /** What mending does, or what the user can do where it is not ours to mend. */
  readonly remedy: string;
  readonly repairable: boolean;
  readonly repaired: boolean;
}

export interface PruneResult {
  readonly removals: readonly Removal[];
  readonly reclaimedBytes: number;
}

/** One line of `history`, newest first. */
export interface HistoryRow {
  /** Milliseconds since the epoch, 0 when not said. */
  readonly created: number;
  readonly createdBy: string;
  readonly comment: string;
  readonly author: string;
  /** Undefined for an empty layer. */
  readonly layer: StoredLayer | undefined;
  /** Uncompressed bytes where the layer is unpacked, else compressed ones; 0 for an empty layer. */
  readonly size: number;
}

export interface DiskUsage {
  readonly images: readonly ImageUsage[];
  readonly containers: readonly { readonly id: string; readonly size: number }[];
  /** Bytes of ROOT/oci/blobs, and of unpacked layers and chains. */
  readonly blobBytes: number;
  readonly layerBytes: number;
  /** What `image prune --all` would free. */
  readonly reclaimableBytes: number;
}

export interface ImageUsage {
  readonly row: ImageRow;
  /** Unpacked bytes of its layers that other images have as well, and those only it has. */
  readonly sharedBytes: number;
  readonly uniqueBytes: number;
  /** Ids of the containers made from it. */
  readonly containers: readonly string[];
}

/** layer.json: what is known of an unpacked layer. */
export interface LayerRow {
  readonly diffID: string;
  /** Bytes of the uncompressed tar. */
  readonly tarBytes: number;
  /** Bytes of regular files. */
  readonly fileBytes: number;
  readonly entries: number;
  readonly whiteouts: number;
  readonly opaques: number;
  /** Files whose owner is not mapped (the single-id map). */
  readonly unmappedOwners: number;
  readonly skippedDevices: number;
  /** Entries and attributes left out because they imitate marks of the overlay. */
  readonly forgeries: number;
  /** Attributes of `/`, where the layer has an entry for it. */
  readonly rootEntry?: RootEntry;
}

/** What a layer says of `/`. */
export interface RootEntry {
  readonly mode: number;
  /** As in the image. */
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch, with a fraction. */
  readonly mtime: number;
}

/**
 * What the store reads of ROOT/containers/ID/container.json, which the engine writes. A record keeps its image
 * and layers from being removed.
 */
export interface ContainerRecord {
  readonly id: string;
  /** Digest of the config. */
  readonly imageId: string;
  readonly manifestDigest: string;
  /** diffIDs, lowest first. */
  readonly layers: readonly string[];
  /** Images that are mounted in it. */
  readonly mountedImages?: readonly Omit<ContainerRecord, "id" | "mountedImages">[];
}

export interface Store {
  readonly root: string;
  readonly runroot: string;

  // --- reading; synchronous, verified, without a lock ---

  /**
   * Finds an image by reference, `name@digest`, image ID or a unique prefix of one (4 digits or more).
   * Errors: `image-not-found`, `image-ambiguous`, `platform-not-found`, `blob-missing`,
   * `content-digest-mismatch`, `not-an-image`.
   */
  resolve(reference: string, platform?: Platform): StoredImage;
  list(): readonly ImageRow[];
  history(image: StoredImage): readonly HistoryRow[];
  layerRow(image: StoredImage, layer: number): LayerRow | undefined;
  isUnpacked(image: StoredImage): boolean;
  /**
   * What mounts the image's root filesystem for a container whose directory is `containerDir`; makes upper/ and
   * work/ in it (copy driver: the whole tree rootfs/, by the helper). Write container.json first: from then on
   * nothing removes the layers, and `image-not-unpacked` here means that they went before (unpack and try again).
   * Errors: `image-not-unpacked`, `too-many-layers`.
   */
  snapshot(image: StoredImage, containerDir: string): Snapshot;
  /** The value `snapshot` would give, unpacked or not; nothing is made or checked (`explain run`). */
  previewSnapshot(image: StoredImage, containerDir: string): Snapshot;
  /** Where the copy driver keeps the whole tree of an image that is unpacked; nobody may write there. */
  wholeTree(image: StoredImage): string;
  /**
   * A file of the unpacked image, its path resolved as inside the container (links never leave the layers);
   * undefined when it is not there or not a regular file. Errors: `image-file-too-large` (1 MiB), `image-file-denied`
   * (rootless, where only a mapped id may read it).
   */
  readImageFile(image: StoredImage, path: string): Uint8Array | undefined;
  /** The trees of a stack of layers, topmost first, as `snapshot` would mount them; one of the copy driver. undefined: not unpacked. */
  layerTrees(diffIDs: readonly string[]): readonly string[] | undefined;
  /** The image as a source for `copyImage`: the chosen manifest, or the whole root with `wholeIndex`. */
  source(image: StoredImage, options?: { readonly wholeIndex?: boolean }): ImageSource;
  /**
   * All that a reference leads to, as `source` with `wholeIndex`, whatever platforms it has and whether it is an image at all.
   * Errors: `image-not-found`, `image-ambiguous`.
   */
  rootSource(reference: string): ImageSource;
  diskUsage(): DiskUsage;
  /** ROOT/tmp, made if missing: where archives and layers are spooled. What stays there is swept when its owner is dead. */
  temporaryDirectory(): string;

  // --- writing; each takes the lock for as long as it edits index.json ---

  /** Copies every blob the source has, then names it. `names` replaces those of the source. */
  put(source: ImageSource, options?: { readonly names?: readonly string[] }): Promise<PutResult>;
  /**
   * As `put` from a source over a network: several blobs at a time, each layer unpacked while it comes in; what came before an
   * interruption is kept and gone on from. A blob that is here by its size is not fetched again.
   */
  pull(source: ImageSource, options?: PullOptions): Promise<PullResult>;
  /** Unpacks layers that are not yet, two at a time. */
  unpack(image: StoredImage): Promise<UnpackResult>;
  tag(reference: string, name: string): Promise<void>;
  /** Removes one name; the image stays, dangling when it was the last. Error: `name-not-found`. */
  untag(name: string): Promise<void>;
  /**
   * As docker's rmi: a name of several is only untagged; the last name, an ID or a digest deletes.
   * Errors: `image-in-use`, `image-has-names`.
   */
  remove(reference: string, options?: RemoveOptions): Promise<readonly Removal[]>;
  prune(options?: PruneOptions): Promise<PruneResult>;
  /** Looks for damage, and mends it with `repair`. Error: `store-busy`. */
  check(options: CheckOptions): Promise<readonly Finding[]>;
  /** Removes what dead processes left in ROOT/tmp. */
  sweep(): Promise<void>;
  /** Removes blobs, layers and chains that nothing leads to, and what dead processes left. Returns bytes freed. */
  gc(): Promise<number>;
  /** Removes a tree whose files belong to mapped ids (a container's directory), through the helper. */
  removeTree(path: string): void;
  /** Directories that the caller made become those of the containers' root. */
  giveToRoot(paths: readonly string[]): void;
}
