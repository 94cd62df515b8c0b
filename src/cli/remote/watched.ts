import { observed } from "../../base/mod.ts";
import type { ImageSource } from "../../image/mod.ts";
import type { Descriptor } from "../../oci/mod.ts";
import type { Interruptible } from "../framework/interrupt.ts";

/** The source with its streams guarded against signals and counted. */
export function watchedSource(
  source: ImageSource,
  guard: Interruptible,
  onBytes: (blob: Descriptor, bytes: number) => void = () => {},
): ImageSource {
  const from = source.openUnverifiedBlobFrom?.bind(source);
  const watch = (blob: Descriptor, stream: ReturnType<ImageSource["openBlob"]>) =>
    observed(guard.guard(stream), (chunk) => onBytes(blob, chunk.length));
  return {
    root: source.root,
    names: source.names,
    has: (descriptor) => source.has(descriptor),
    readDocument: (descriptor) => source.readDocument(descriptor),
    openBlob: (blob) => watch(blob, source.openBlob(blob)),
    blobFile(blob) {
      const file = source.blobFile?.(blob);
      return file && { ...file, check: () => watch(blob, file.check()) };
    },
    ...(from !== undefined && {
      openUnverifiedBlobFrom: (blob, start) => {
        onBytes(blob, start);
        return watch(blob, from(blob, start));
      },
    }),
  };
}
