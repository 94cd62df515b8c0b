import { VitrineError } from "../../base/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";
import { parseAnnotationFlags } from "../remote/artifact.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { emptyIndex, entriesOf, readStoredIndex, storeIndex, withEntries } from "../remote/index-edit.ts";
import { openPlace, placeOfImage } from "../remote/places.ts";
import { storedRoot } from "../remote/stored-root.ts";
import { withWorld } from "../remote/world.ts";

export const command = defineCommand({
  description: `Makes an index, an image for several platforms, in the store, from images of the store or (docker://NAME) of a registry,
    whose content is fetched. Without images it is empty.`,
  options: {
    all: { type: "boolean", help: "of an image with several platforms, all" },
    amend: { type: "boolean", short: "a", help: "add to the index of this name, where there is one" },
    annotation: { type: "strings", value: "KEY=VALUE", help: "annotation of the index" },
    ...registryOptions,
  },
  positionals: [{ name: "NAME" }, { name: "IMAGE", optional: true, variadic: true, completion: "image" }],
  examples: [
    {
      command: "vitrine manifest create app:1 app:1-amd64 app:1-arm64",
      does: "one name for two platforms",
    },
  ],
  async run({ options, positionals, given, context }) {
    const [text, ...images] = positionals;
    const name = newName(text!);
    const store = await context.store();
    const isThere = store.list().some((row) => row.name === name);
    if (!options.amend && isThere) {
      throw new VitrineError("exists", `there is an image ${name}`, {
        code: "name-exists",
        operand: name,
        hint: "add to it with --amend, or remove it first: vitrine manifest rm",
      });
    }
    return withClient(context, options, given, (client) =>
      withWorld(context, client, async (world) => {
        const opened = [];
        try {
          const before = isThere ? await readStoredIndex(store, name) : undefined;
          let index = before?.index ?? emptyIndex;
          const annotations = parseAnnotationFlags(options.annotation);
          if (Object.keys(annotations).length > 0) {
            index = { ...index, annotations: { ...index.annotations, ...annotations } };
          }
          for (const image of images) {
            const place = await openPlace(placeOfImage(image, await storedRoot(context, image)), world);
            opened.push(place);
            index = withEntries(index, await entriesOf(place.source, options.all));
          }
          const sources = [
            ...(before === undefined ? [] : [before.source]),
            ...opened.map(({ source }) => source),
          ];
          context.out(`${await storeIndex(store, name, index, sources, before?.source.root)}\n`);
        } finally {
          for (const place of opened) await place.close();
        }
        return 0;
      }),
    );
  },
});
