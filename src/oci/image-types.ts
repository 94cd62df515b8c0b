/**
 * The image spec 1.1 as types (descriptor.md, manifest.md, image-index.md, config.md, image-layout.md), with what Docker
 * adds to the config. Field names are those on the wire. `parse-*.ts` makes them from untrusted bytes.
 */
import type { Digest } from "./digest.ts";

export type Annotations = Readonly<Record<string, string>>;

/** descriptor.md */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes of the blob; 0 … 2^53 - 1. */
  readonly size: number;
  readonly urls?: readonly string[];
  readonly annotations?: Annotations;
  /** The blob itself, base64. The parser has held it against `size` and `digest`. */
  readonly data?: string;
  readonly platform?: Platform;
  readonly artifactType?: string;
}

/** image-index.md#image-index-property-descriptions */
export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
  readonly variant?: string;
}

/** manifest.md; Docker schema 2 has the same shape, with `mediaType` required. */
export interface Manifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  /** Lowest first. */
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Annotations;
}

/** image-index.md; Docker's manifest list has the same shape, with `mediaType` required. */
export interface Index {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Annotations;
}

export type DocumentFormat = "oci" | "docker";

/** A manifest with the bytes it came from: the digest is over these, so they are what is stored and copied. */
export interface ParsedManifest {
  readonly kind: "manifest";
  readonly format: DocumentFormat;
  /** Never absent: what the document says, else what the descriptor or header said. */
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
}

export interface ParsedIndex {
  readonly kind: "index";
  readonly format: DocumentFormat;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  /** Without the entries whose digest algorithm we cannot verify. */
  readonly index: Index;
  /** The digests of those entries. */
  readonly unverifiable: readonly string[];
}

export interface ParsedConfig {
  readonly bytes: Uint8Array;
  readonly config: ImageConfig;
}

/** config.md: the JSON blob whose digest is the image ID. */
export interface ImageConfig {
  /** RFC 3339. */
  readonly created?: string;
  readonly author?: string;
  readonly architecture: string;
  readonly os: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
  readonly variant?: string;
  readonly config?: ExecutionConfig;
  readonly rootfs: RootFs;
  readonly history?: readonly HistoryEntry[];
}

/** `config` of the image config: defaults for `run`. The last four fields are Docker's. */
export interface ExecutionConfig {
  readonly User?: string;
  /** Keys as `80/tcp`, `53/udp`, `8000`; the values are empty objects. */
  readonly ExposedPorts?: readonly string[];
  /** `NAME=value`. */
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  /** Absolute paths; a set on the wire (`{"/data":{}}`), a sorted list here. */
  readonly Volumes?: readonly string[];
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  /** `SIGTERM`, `SIGRTMIN+3` or a number. */
  readonly StopSignal?: string;
  readonly Healthcheck?: Healthcheck;
  readonly Shell?: readonly string[];
  readonly OnBuild?: readonly string[];
  readonly ArgsEscaped?: boolean;
}

/** Docker's; durations in nanoseconds, 0 inherits. */
export interface Healthcheck {
  /** `[]` inherits, `["NONE"]` disables, `["CMD", …]`, `["CMD-SHELL", command]`. */
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

export interface RootFs {
  readonly type: "layers";
  /** Lowest first; one for each layer of the manifest. */
  readonly diff_ids: readonly Digest[];
}

export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** image-layout.md: the file `oci-layout`. */
export interface LayoutHeader {
  readonly imageLayoutVersion: "1.0.0";
}

/** Annotation keys of annotations.md that vitrine reads or writes. */
export const annotationKeys = {
  created: "org.opencontainers.image.created",
  refName: "org.opencontainers.image.ref.name",
  baseDigest: "org.opencontainers.image.base.digest",
  baseName: "org.opencontainers.image.base.name",
  /** containerd's, written by Docker beside `refName` when it saves an OCI layout: the whole name. */
  containerdImageName: "io.containerd.image.name",
} as const;
