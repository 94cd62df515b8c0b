/** An image of any place as `inspect` shows one of the store: documents are read, layers are not. */
import { choosePlatform, hostPlatform, type ImageSource, readConfig } from "../../image/mod.ts";
import { type Descriptor, type Platform, parseManifest, requireImage } from "../../oci/mod.ts";
import type { StoredImage } from "../../store/mod.ts";
import type { Context } from "../framework/context.ts";
import { withClient } from "./client.ts";
import type { RegistryFlags } from "./options.ts";
import { openPlace, parsePlace, placeOfImage } from "./places.ts";
import { storedRoot } from "./stored-root.ts";
import { withWorld } from "./world.ts";

/** Errors: those of the source; `platform-not-found`, `not-an-image`. */
async function describeImage(source: ImageSource, platform?: Platform): Promise<StoredImage> {
  const manifestDescriptor = await choosePlatform(source, platform ?? hostPlatform(), {
    strict: platform !== undefined,
  });
  const parsed = parseManifest(await source.readDocument(manifestDescriptor), manifestDescriptor.mediaType);
  const { manifest } = parsed;
  requireImage(manifest);
  const { bytes, config } = await readConfig(source, parsed);
  const sizes = [manifestDescriptor, manifest.config, ...manifest.layers].map(({ size }) => size);
  return {
    id: manifest.config.digest,
    manifestDescriptor,
    manifest,
    config,
    configBytes: bytes,
    root: source.root,
    layers: manifest.layers.map((descriptor, at) => ({ descriptor, diffID: config.rootfs.diff_ids[at]! })),
    names: source.names,
    size: sizes.reduce((sum, size) => sum + size, 0),
  };
}

/** The manifest or index that a name leads to, as it is. Errors: those of `openPlace`. */
export async function rootDocument(
  context: Context,
  flags: RegistryFlags,
  given: ReadonlySet<string>,
  text: string,
): Promise<{ readonly root: Descriptor; readonly bytes: Uint8Array }> {
  return withClient(context, flags, given, (client) =>
    withWorld(context, client, async (world) => {
      const opened = await openPlace(placeOfImage(text, await storedRoot(context, text)), world);
      try {
        const { root } = opened.source;
        return { root, bytes: await opened.source.readDocument(root) };
      } finally {
        await opened.close();
      }
    }),
  );
}

/** `inspect docker://NAME` and its like. Errors: those of `openPlace` and of `describeImage`. */
export async function inspectElsewhere(
  context: Context,
  flags: RegistryFlags,
  given: ReadonlySet<string>,
  text: string,
  platform: Platform | undefined,
): Promise<StoredImage> {
  return withClient(context, flags, given, (client) =>
    withWorld(context, client, async (world) => {
      const opened = await openPlace(parsePlace(text), world);
      try {
        return await describeImage(opened.source, platform);
      } finally {
        await opened.close();
      }
    }),
  );
}
