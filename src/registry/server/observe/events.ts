/** What happened, for webhooks. */
import type { Digest } from "../../../oci/mod.ts";

export interface RegistryEvent {
  readonly type: "push" | "pull" | "delete" | "mount";
  readonly what: "manifest" | "blob" | "tag";
  readonly repository: string;
  readonly digest?: Digest;
  readonly tags?: readonly string[];
  readonly mediaType?: string;
  readonly size?: number;
  readonly user?: string;
}

export interface EventSink {
  emit(event: RegistryEvent): void;
}

export const noEvents: EventSink = { emit: () => undefined };
