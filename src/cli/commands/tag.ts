import { recordEvent } from "../../engine/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";

export const command = defineCommand({
  description:
    "Gives an image one more name. A name that led to another image leads to this one from then on.",
  options: {},
  positionals: [
    { name: "IMAGE", completion: "image" },
    { name: "NAME", variadic: true },
  ],
  examples: [
    { command: "vitrine tag alpine registry.example.com/base:1", does: "name an image for a registry" },
  ],
  async run({ positionals, context }) {
    const [image, ...names] = positionals;
    // All are checked before the first is set.
    const checked = names.map(newName);
    const store = await context.store();
    for (const name of checked) {
      await store.tag(image!, name);
      recordEvent(context.paths(), {
        type: "image",
        action: "tag",
        id: store.resolve(name).id,
        attributes: { name },
      });
    }
  },
});
