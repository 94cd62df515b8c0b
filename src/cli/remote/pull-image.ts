/** A name → the store, as `pull` does it, and `run` when an image is missing. */
import { printable, VitrineError } from "../../base/mod.ts";
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
import type { Store, StoredImage } from "../../store/mod.ts";
import type { Context } from "../framework/context.ts";
import { interruptible } from "../framework/interrupt.ts";
import { BlobBoard } from "./blob-board.ts";
import { watchedSource } from "./watched.ts";

export interface PullWishes {
  /** Default: the store's. */
  readonly platform?: Platform;
  /** Whether the user asked for the platform: then another one is an error. */
  readonly strict?: boolean;
  readonly allPlatforms?: boolean;
  readonly quiet: boolean;
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

/**
 * Pulls the first of the places a short name may mean that has it. Errors: those of `RegistryClient.source`, `Store.pull` and
 * `platform-not-found`.
 */
export async function pullByName(
  text: string,
  client: RegistryClient,
  store: Store,
  context: Context,
  wishes: PullWishes,
): Promise<Pulled> {
  const candidates = await client.candidates(text);
  for (const [at, reference] of candidates.entries()) {
    try {
      return await pullReference(reference, client, store, context, wishes);
    } catch (error) {
      const last = at === candidates.length - 1;
      if (last || !(error instanceof VitrineError) || !isAbsence(error)) throw error;
      context.log("info", `${formatReference(reference)}: ${error.message}`);
    }
  }
  throw new Error("a name means one place at least");
}

/** Another registry may have it. */
function isAbsence(error: VitrineError): boolean {
  return error.kind === "not-found" || error.kind === "denied" || error.kind === "unavailable";
}

export async function pullReference(
  reference: ImageReference,
  client: RegistryClient,
  store: Store,
  context: Context,
  wishes: PullWishes,
): Promise<Pulled> {
  const name = formatReference(reference);
  const present = await presentImage(reference, client, store, wishes);
  if (present !== undefined) return { reference, name, ...present, fresh: false };
  const board = new BlobBoard({ quiet: wishes.quiet });
  board.say(`Pulling ${printable(name)}`);
  const remote = await client.source(reference);
  if (remote.repository.registry !== reference.domain) {
    board.say(`from ${printable(`${remote.repository.registry}/${remote.repository.name}`)}`);
  }
  try {
    return await interruptible(async (guard) => {
      const source = watchedSource(remote, guard, (blob, bytes) => board.progress(blob, bytes));
      const chosen = await choose(source, wishes);
      const result = await store.pull(chosen, {
        names: namesFor(reference),
        onBlob: (blob, state) => {
          if (state === "fetching") board.begin(blob);
          else board.end(blob, state === "done" ? "pulled" : "is here already");
        },
      });
      board.close();
      for (const warning of result.warnings) context.log("warn", warning);
      for (const replaced of result.replaced) context.log("info", `${replaced} led to another image before`);
      for (const id of result.ids) {
        recordEvent(context.paths(), { type: "image", action: "pull", id, attributes: { name } });
      }
      return { reference, name, digest: result.root.digest, ids: result.ids, fresh: true };
    });
  } finally {
    board.close();
  }
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

export function storedImage(store: Store, name: string, platform?: Platform): StoredImage | undefined {
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
