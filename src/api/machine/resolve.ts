import { VitrineError } from "../../base/mod.ts";
import type { Platform } from "../../oci/mod.ts";
import type { Store, StoredImage } from "../../store/mod.ts";

/** `helloName` of embedded-hello.ts, without loading it (a test holds them together). */
export const embeddedName = "localhost/hello:latest";

/**
 * The image a user means: what the store has under that name, else the image that the executable carries. An
 * `image-not-found` of the store gets a hint of what to do next.
 */
export async function resolveImage(
  store: Store,
  reference: string,
  platform?: Platform,
): Promise<StoredImage> {
  try {
    return store.resolve(reference, platform);
  } catch (error) {
    if (!(error instanceof VitrineError && error.code === "image-not-found")) throw error;
    if (!/^(?:localhost\/)?hello(?::latest)?$/.test(reference)) throw withHint(error, reference);
    try {
      return store.resolve(embeddedName, platform);
    } catch (second) {
      if (!(second instanceof VitrineError && second.code === "image-not-found")) throw second;
    }
    // Imported only now: the image is large, and comes into a store once.
    const { loadHello } = await import("./embedded-hello.ts");
    await loadHello(store);
    return store.resolve(embeddedName, platform);
  }
}

function withHint(error: VitrineError, reference: string): VitrineError {
  if (error.hint !== undefined) return error;
  return new VitrineError(error.kind, error.message, {
    code: error.code,
    operand: reference,
    hint: "see 'vitrine images'; an archive comes in by 'vitrine load -i FILE', a root filesystem by 'vitrine import'",
    cause: error,
  });
}
