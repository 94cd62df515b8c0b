import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";
import { entryOf, readStoredIndex, storeIndex } from "../remote/index-edit.ts";

export const command = defineCommand({
  description:
    "Takes images out of an index of the store, named by digest or as in the store, and prints the new digest. The images stay.",
  options: {},
  positionals: [
    { name: "NAME", completion: "image" },
    { name: "IMAGE", variadic: true, completion: "image" },
  ],
  async run({ positionals, context }) {
    const [text, ...images] = positionals;
    const name = newName(text!);
    const store = await context.store();
    const { index, source } = await readStoredIndex(store, name);
    const gone = new Set(images.map((image) => entryOf(store, name, index, image).digest));
    const manifests = index.manifests.filter(({ digest }) => !gone.has(digest));
    context.out(`${await storeIndex(store, name, { ...index, manifests }, [source], source.root)}\n`);
    return 0;
  },
});
