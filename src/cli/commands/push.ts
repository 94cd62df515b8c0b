import { printable, writeFileAtomically } from "../../base/mod.ts";
import { formatReference, parseReference } from "../../image/mod.ts";
import type { Digest } from "../../oci/mod.ts";
import type { Store } from "../../store/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { parsed } from "../images/names.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { openPlace, type Place, placeOfDestination } from "../remote/places.ts";
import { sendImage, sendOptions } from "../remote/send.ts";
import { withWorld } from "../remote/world.ts";

export const command = defineCommand({
  description: `Sends an image of the store to a registry, or to another place when DESTINATION begins with a transport. Blobs that the
    registry has are not sent; those that another repository of it has are mounted. The manifest goes last.

    Of an image with several platforms the one for this machine is sent; --all sends it as it is.`,
  options: {
    ...sendOptions,
    "all-tags": { type: "boolean", short: "a", help: "every tag that the store has of this repository" },
    "additional-tag": { type: "strings", value: "TAG", help: "a further tag for the same image" },
    "chunk-size": { type: "number", value: "BYTES", help: "send blobs in chunks of this size", hidden: true },
    "disable-content-trust": { type: "boolean", hidden: true, help: "accepted for compatibility" },
    "disable-compression": {
      type: "boolean",
      short: "D",
      hidden: true,
      help: "as --compression-format none",
    },
    compress: { type: "boolean", hidden: true, help: "accepted for compatibility: of dir: alone in podman" },
    "remove-signatures": { type: "boolean", hidden: true, help: "accepted for compatibility" },
    ...registryOptions,
  },
  positionals: [
    { name: "IMAGE", completion: "image" },
    { name: "DESTINATION", optional: true },
  ],
  examples: [
    { command: "vitrine push localhost:5000/app:1.2", does: "under its own name" },
    { command: "vitrine push app docker://registry.example/team/app:1.2", does: "under another" },
    {
      command: "vitrine push --compression-format zstd app oci:./layout:app",
      does: "into a layout, recompressed",
    },
  ],
  async run({ options: said, positionals, given, context }) {
    const packing = said["disable-compression"] ? "none" : undefined;
    const options = { ...said, "compression-format": said["compression-format"] ?? packing };
    const [image, destination = image] = positionals as [string, string?];
    const store = await context.store();
    const places = options["all-tags"] ? allTags(store, image) : [placeOfDestination(destination)];
    return withClient(context, options, given, (client) =>
      withWorld(context, client, async (world) => {
        const digests: Digest[] = [];
        for (const [at, place] of places.entries()) {
          const from =
            options["all-tags"] && place.transport === "docker" ? formatReference(place.reference) : image;
          const opened = await openPlace({ transport: "vitrine", name: from }, world);
          const digest = await sendImage(opened, place, world, options, {
            moreTags: at === 0 ? options["additional-tag"] : [],
            mountFrom: knownElsewhere(store, place),
            ...(options["chunk-size"] !== undefined && { chunkBytes: options["chunk-size"] }),
          });
          digests.push(digest);
          const name = place.transport === "docker" ? formatReference(place.reference) : destination;
          if (!options.quiet) context.err(`Pushed ${printable(name)}\n`);
          context.out(`${digest}\n`);
        }
        if (options.digestfile !== undefined) writeFileAtomically(options.digestfile, digests.join("\n"));
        return 0;
      }),
    );
  },
});

function allTags(store: Store, image: string): readonly Place[] {
  const { domain, path } = parseReference(image);
  return store.list().flatMap(({ name }) => {
    const reference = name === undefined ? undefined : parsed(name);
    return reference?.domain === domain && reference.path === path
      ? [{ transport: "docker", reference } as const]
      : [];
  });
}

/** Repositories of the same registry that images of the store came from: they may have the blob. */
function knownElsewhere(
  store: Store,
  place: Place,
): ((blob: { readonly digest: Digest }) => readonly string[]) | undefined {
  if (place.transport !== "docker") return undefined;
  const { domain, path } = place.reference;
  const owners = new Map<string, Set<string>>();
  for (const { name } of store.list()) {
    const reference = name === undefined ? undefined : parsed(name);
    if (reference === undefined || reference.domain !== domain || reference.path === path) continue;
    try {
      for (const { descriptor } of store.resolve(name!).layers) {
        const known = owners.get(descriptor.digest) ?? new Set();
        owners.set(descriptor.digest, known.add(reference.path));
      }
    } catch {
      // An image that cannot be read has nothing to mount.
    }
  }
  return ({ digest }) => [...(owners.get(digest) ?? [])];
}
