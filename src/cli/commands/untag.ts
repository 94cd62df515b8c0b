import { recordEvent } from "../../engine/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";

export const command = defineCommand({
  description: "Removes names from an image, all of them when none is given. The image itself stays.",
  options: {},
  positionals: [
    { name: "IMAGE", completion: "image" },
    { name: "NAME", optional: true, variadic: true, completion: "image" },
  ],
  async run({ positionals, context }) {
    const [image, ...names] = positionals;
    const store = await context.store();
    const { id, names: all } = store.resolve(image!);
    for (const name of names.length > 0 ? names.map(newName) : all) {
      await store.untag(name);
      recordEvent(context.paths(), { type: "image", action: "untag", id, attributes: { name } });
    }
  },
});
