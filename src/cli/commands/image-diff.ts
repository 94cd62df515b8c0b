import { diffImages } from "../../explain/mod.ts";
import { renderChanges } from "../format/changes.ts";
import { defineCommand } from "../framework/command.ts";
import { resolveImage } from "../images/resolve.ts";

export const command = defineCommand({
  description: `Lists what the top layer of an image changes in those below it, or in what files it differs from another image: A added,
    C changed (content, kind, mode or owner), D deleted.`,
  options: {
    format: { type: "string", value: "FORMAT", choices: ["json"], help: "'json': the paths of each kind" },
  },
  positionals: [
    { name: "IMAGE", completion: "image" },
    { name: "BASE", optional: true, completion: "image" },
  ],
  examples: [{ command: "vitrine image diff app:2 app:1", does: "what is new in app:2" }],
  async run({ options, positionals, context }) {
    const store = await context.store();
    const of = async (name: string) => {
      const image = await resolveImage(store, name);
      return { layers: image.layers, source: store.source(image) };
    };
    const image = await of(positionals[0]!);
    const base =
      positionals[1] === undefined
        ? { ...image, layers: image.layers.slice(0, -1) }
        : await of(positionals[1]);
    context.out(renderChanges(await diffImages(image, base), options.format));
  },
});
