/** `run --pull`: the image of the store, fetched first where the policy says so. */
import { VitrineError } from "../base/mod.ts";
import type { Platform } from "../oci/mod.ts";
import type { Store, StoredImage } from "../store/mod.ts";
import type { Context } from "./framework/context.ts";
import { resolveImage } from "./images/resolve.ts";
import type { RegistryFlags } from "./remote/options.ts";

/** `newer`: as `always`, but what is here is used where the registry cannot be asked. */
export type PullPolicy = "missing" | "always" | "never" | "newer";

export interface PullMissingOptions {
  readonly policy: PullPolicy;
  readonly quiet: boolean;
  /** Called before anything is fetched: may start the command again, compiled (framework/restart.ts). */
  readonly beforeLongWork?: () => void;
  readonly flags?: RegistryFlags;
  readonly given?: ReadonlySet<string>;
}

/**
 * A `resolveImage` that pulls. The client is loaded only when something must be pulled: a start with the image at hand costs
 * nothing more. Errors: those of `resolveImage` and of `pull`.
 */
export function pullingResolver(
  context: Context,
  options: PullMissingOptions,
): (store: Store, reference: string, platform?: Platform) => Promise<StoredImage> {
  return async (store, reference, platform) => {
    const { policy } = options;
    if (policy === "never") return resolveImage(store, reference, platform);
    if (policy === "missing") {
      try {
        return await resolveImage(store, reference, platform);
      } catch (error) {
        if (!(error instanceof VitrineError && canBePulled(error, reference))) throw error;
        return pull(context, options, store, reference, platform);
      }
    }
    if (isLocal(reference)) return resolveImage(store, reference, platform);
    try {
      return await pull(context, options, store, reference, platform);
    } catch (error) {
      const unreachable =
        error instanceof VitrineError && (error.kind === "unavailable" || error.kind === "not-found");
      if (policy !== "newer" || !unreachable) throw error;
      context.log("info", `${error.message}: using what is here`);
      return resolveImage(store, reference, platform);
    }
  };
}

/** An image that is not here, or not for the platform; an ID names nothing that a registry could know. */
function canBePulled(error: VitrineError, reference: string): boolean {
  return (error.code === "image-not-found" || error.code === "platform-not-found") && !isLocal(reference);
}

function isLocal(reference: string): boolean {
  return (
    /^(?:sha(?:256|512):|[a-f0-9]{64}$|localhost\/)/.test(reference) || /^hello(?::latest)?$/.test(reference)
  );
}

async function pull(
  context: Context,
  options: PullMissingOptions,
  store: Store,
  reference: string,
  platform: Platform | undefined,
): Promise<StoredImage> {
  options.beforeLongWork?.();
  const [{ withClient }, { pullByName }] = await Promise.all([
    import("./remote/client.ts"),
    import("./remote/pull-image.ts"),
  ]);
  const pulled = await withClient(context, options.flags ?? {}, options.given ?? new Set(), (client) =>
    pullByName(reference, client, store, context, {
      quiet: options.quiet,
      ...(platform !== undefined && { platform, strict: true }),
    }),
  );
  return store.resolve(pulled.name, platform);
}
