/** `run --pull`: the image of the store, fetched first where the policy says so. */
import { VitrineError } from "../../base/mod.ts";
import type { Platform } from "../../oci/mod.ts";
import type { Store, StoredImage } from "../../store/mod.ts";
import type { Machine } from "./machine.ts";
import { resolveImage } from "./resolve.ts";

/** `newer`: as `always`, but what is here is used where the registry cannot be asked. */
export type PullPolicy = "missing" | "always" | "never" | "newer";

export type Resolver = (store: Store, reference: string, platform?: Platform) => Promise<StoredImage>;

/**
 * A `resolveImage` that pulls by `pull`, which is to load the client only then: a start with the image at hand costs nothing
 * more. Errors: those of `resolveImage` and of `pull`.
 */
export function pullingResolver(machine: Pick<Machine, "log">, policy: PullPolicy, pull: Resolver): Resolver {
  return async (store, reference, platform) => {
    if (policy === "never") return resolveImage(store, reference, platform);
    if (policy === "missing") {
      try {
        return await resolveImage(store, reference, platform);
      } catch (error) {
        if (!(error instanceof VitrineError && canBePulled(error, reference))) throw error;
        return pull(store, reference, platform);
      }
    }
    if (isLocal(reference)) return resolveImage(store, reference, platform);
    try {
      return await pull(store, reference, platform);
    } catch (error) {
      if (policy !== "newer" || !isUnanswered(error)) throw error;
      machine.log("info", `${error.message}: using what is here`);
      return resolveImage(store, reference, platform);
    }
  };
}

/** The registry cannot be asked, or has no such image: for whoever wants something newer only, what is here does. */
export function isUnanswered(error: unknown): error is VitrineError {
  return error instanceof VitrineError && (error.kind === "unavailable" || error.kind === "not-found");
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
