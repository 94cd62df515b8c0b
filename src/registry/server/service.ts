/** What handlers work with. */
import type { Descriptor, Digest } from "../../oci/mod.ts";
import type { Access } from "./access/types.ts";
import type { Carrier } from "./convey/carrier.ts";
import type { GrowingBlob } from "./mirror/growing-file.ts";
import type { EventSink } from "./observe/events.ts";
import type { Metrics } from "./observe/metrics.ts";
import type { Policy } from "./policy.ts";
import type { Repositories } from "./repositories/repositories.ts";
import type { UploadArea } from "./uploads.ts";

export interface ServiceLimits {
  readonly manifestBytes: number;
  readonly blobBytes: number;
  /** Tags in one push. */
  readonly tagsPerPush: number;
  /** Entries of one page of a list, asked for or not. */
  readonly pageEntries: number;
}

export interface Service {
  readonly repositories: Repositories;
  readonly uploads: UploadArea;
  readonly access: Access;
  readonly policy: Policy;
  readonly limits: ServiceLimits;
  readonly events: EventSink;
  readonly metrics: Metrics;
  readonly upstream: Upstream | undefined;
  /** Where there is one, bodies of blobs need not pass through this process. */
  readonly carrier: Carrier | undefined;
  now(): number;
}

/** A registry that missing content is fetched from (a pull-through cache). */
export interface Upstream {
  /** Makes the manifest present in `name`, or up to date for a tag; resolves when it is there or cannot be had. */
  manifest(name: string, reference: { readonly tag?: string; readonly digest?: Digest }): Promise<void>;
  /** All that the upstream has in a repository; undefined when it has no such repository. */
  tags(name: string): Promise<readonly string[] | undefined>;
  /** What refers to a manifest there. */
  referrers(name: string, digest: Digest): Promise<readonly Descriptor[]>;
  /** Whether the upstream has a blob, and its size where somebody says it. */
  blobSize(name: string, digest: Digest): Promise<{ readonly size: number | undefined } | undefined>;
  /** Opens a blob while it is fetched and stored; undefined when the upstream does not have it. */
  blob(name: string, digest: Digest): Promise<GrowingBlob | undefined>;
  /** Lets idle connections go. */
  close(): void;
}
