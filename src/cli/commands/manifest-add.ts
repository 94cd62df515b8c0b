import { hostPlatform, parsePlatform } from "../../image/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";
import { parseAnnotationFlags } from "../remote/artifact.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import {
  entriesOf,
  platformOptions,
  readStoredIndex,
  storeIndex,
  withEntries,
  withPlatform,
} from "../remote/index-edit.ts";
import { openPlace, placeOfImage } from "../remote/places.ts";
import { storedRoot } from "../remote/stored-root.ts";
import { withWorld } from "../remote/world.ts";

export const command = defineCommand({
  description:
    "Adds images to an index of the store, in place of those of the same platform, and prints the new digest. --os, --arch and the like say of them what their own configuration does not.",
  options: {
    all: { type: "boolean", help: "of an image with several platforms, all" },
    platform: { type: "string", value: "OS/ARCH", help: "the part for this platform" },
    annotation: { type: "strings", value: "KEY=VALUE", help: "annotation of the entry" },
    ...platformOptions,
    ...registryOptions,
  },
  positionals: [
    { name: "NAME", completion: "image" },
    { name: "IMAGE", variadic: true, completion: "image" },
  ],
  async run({ options, positionals, given, context }) {
    const [text, ...images] = positionals;
    const name = newName(text!);
    const store = await context.store();
    const platform =
      options.platform === undefined ? undefined : parsePlatform(options.platform, hostPlatform());
    const annotations = parseAnnotationFlags(options.annotation);
    return withClient(context, options, given, (client) =>
      withWorld(context, client, async (world) => {
        const stored = await readStoredIndex(store, name);
        const opened = [];
        try {
          let { index } = stored;
          for (const image of images) {
            const place = await openPlace(placeOfImage(image, await storedRoot(context, image)), world);
            opened.push(place);
            const entries = await entriesOf(place.source, options.all, platform);
            const noted = entries
              .map((entry) => withPlatform(entry, options))
              .map((entry) => (Object.keys(annotations).length === 0 ? entry : { ...entry, annotations }));
            index = withEntries(index, noted);
          }
          const sources = [stored.source, ...opened.map(({ source }) => source)];
          context.out(`${await storeIndex(store, name, index, sources, stored.source.root)}\n`);
        } finally {
          for (const place of opened) await place.close();
        }
        return 0;
      }),
    );
  },
});
