/** A name → the store, as `pull` does it, and `run` when an image is missing. */
import { quoted, VitrineError } from "../../base/mod.ts";
import { recordEvent } from "../../engine/mod.ts";
import {
  formatReference,
  hostPlatform,
  type ImageReference,
  type ImageSource,
  limitedToPlatform,
} from "../../image/mod.ts";
import type { Digest, Platform } from "../../oci/mod.ts";
import type { RegistryClient } from "../../registry/mod.ts";
import type { PullOptions, Store, StoredImage } from "../../store/mod.ts";
import type { Machine } from "./machine.ts";

export interface PullWishes {
  /** Default: the store's. */
  readonly platform?: Platform;
  /** Whether the user asked for the platform: then another one is an error. */
  readonly strict?: boolean;
  readonly allPlatforms?: boolean;
}

/** Who looks on. */
export interface PullWatch {
  /** What the registry has now is not here: before anything is fetched, or kept. */
  readonly onAbsent?: () => void;
  /** It is there and will be fetched; `from` is `HOST/PATH` where a mirror has it. */
  readonly onFound?: (name: string, from: string | undefined) => void;
  /** May count and guard the streams. */
  readonly watched?: (source: ImageSource) => ImageSource;
  readonly onBlob?: NonNullable<PullOptions["onBlob"]>;
}

export interface Pulled {
  readonly reference: ImageReference;
  /** `docker.io/library/alpine:latest` */
  readonly name: string;
  /** Digest of the index or manifest, as the registry has it. */
  readonly digest: Digest;
  readonly ids: readonly Digest[];
  /** Whether anything was fetched. */
  readonly fresh: boolean;
}

/** Where images come from and go to. */
export interface PullEnds {
  readonly client: RegistryClient;
  readonly store: Store;
  readonly machine: Pick<Machine, "log" | "paths">;
}

/**
 * Pulls the first of the places a short name may mean that has it. Errors: those of `RegistryClient.source`, `Store.pull` and
 * `platform-not-found`.
 */
export async function pullByName(
  text: string,
  ends: PullEnds,
  wishes: PullWishes,
  watch: PullWatch = {},
): Promise<Pulled> {
  // The store is looked at while the registry answers.
  if (wishes.allPlatforms !== true) await ends.client.ahead(text);
  const candidates = await ends.client.candidates(text);
  const told: string[] = [];
  for (const [at, reference] of candidates.entries()) {
    try {
      const pulled = await pullReference(reference, ends, wishes, watch);
      await ends.client.remember(text);
      return pulled;
    } catch (error) {
      if (!(error instanceof VitrineError) || !isAbsence(error)) throw error;
      told.push(error.message);
      if (at === candidates.length - 1) throw told.length === 1 ? error : inNone(text, told, error);
      ends.machine.log("info", `${formatReference(reference)}: ${error.message}`);
    }
  }
  throw new Error("a name means one place at least");
}

/** What each of the registries that registries.conf names said, not the last alone. */
function inNone(text: string, told: readonly string[], last: VitrineError): VitrineError {
  return new VitrineError(
    last.kind,
    `none of ${told.length} registries gives ${quoted(text)}: ${told.join("; ")}`,
    {
      code: last.code,
      operand: text,
      hint: "registries.conf says where a name without a registry is looked for; a whole name is HOST/NAME",
      cause: last,
    },
  );
}

/** Another registry may have it. */
function isAbsence(error: VitrineError): boolean {
  return error.kind === "not-found" || error.kind === "denied" || error.kind === "unavailable";
}

export async function pullReference(
  reference: ImageReference,
  { client, store, machine }: PullEnds,
  wishes: PullWishes,
  watch: PullWatch = {},
): Promise<Pulled> {
  const name = formatReference(reference);
  const present = await presentImage(reference, client, store, wishes);
  if (present !== undefined) return { reference, name, ...present, fresh: false };
  watch.onAbsent?.();
  const remote = await client.source(reference);
  const { registry, name: path } = remote.repository;
  watch.onFound?.(name, registry === reference.domain ? undefined : `${registry}/${path}`);
  const source = watch.watched?.(remote) ?? remote;
  const result = await store.pull(await choose(source, wishes), {
    names: namesFor(reference),
    ...(watch.onBlob === undefined ? {} : { onBlob: watch.onBlob }),
  });
  for (const warning of result.warnings) machine.log("warn", warning);
  for (const replaced of result.replaced) machine.log("info", `${replaced} led to another image before`);
  for (const id of result.ids) {
    recordEvent(machine.paths(), { type: "image", action: "pull", id, attributes: { name } });
  }
  return { reference, name, digest: result.root.digest, ids: result.ids, fresh: true };
}

function choose(source: ImageSource, wishes: PullWishes): ImageSource | Promise<ImageSource> {
  if (wishes.allPlatforms === true) return source;
  return limitedToPlatform(source, wishes.platform ?? hostPlatform(), { strict: wishes.strict });
}

/** A digest gives no name; what it names can be found by it. */
function namesFor(reference: ImageReference): readonly string[] {
  return reference.digest === undefined ? [formatReference(reference)] : [];
}

/** The image, when the store has what the registry has now: one HEAD, or none for a digest. */
async function presentImage(
  reference: ImageReference,
  client: RegistryClient,
  store: Store,
  wishes: PullWishes,
): Promise<{ readonly digest: Digest; readonly ids: readonly Digest[] } | undefined> {
  if (wishes.allPlatforms === true) return undefined;
  const stored = storedImage(store, formatReference(reference), wishes.platform);
  if (stored === undefined || !isComplete(store, stored)) return undefined;
  const digest = reference.digest ?? (await client.head(reference))?.digest;
  if (digest !== stored.root.digest && digest !== stored.manifestDescriptor.digest) return undefined;
  return { digest, ids: [stored.id] };
}

function storedImage(store: Store, name: string, platform?: Platform): StoredImage | undefined {
  try {
    return store.resolve(name, platform);
  } catch (error) {
    if (error instanceof VitrineError) return undefined;
    throw error;
  }
}

/** A layer may be missing where somebody removed its file. */
function isComplete(store: Store, image: StoredImage): boolean {
  const source = store.source(image);
  return image.layers.every(({ descriptor }) => source.has(descriptor));
}
