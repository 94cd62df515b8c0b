import { printable } from "../../base/mod.ts";
import { formatReference, parseReference } from "../../image/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { registryOptions, withClient } from "../remote/client.ts";

export const command = defineCommand({
  description: `Deletes an image of a registry. By NAME:TAG the image that the tag names goes, with every other tag it has there; --tag-only
    takes the tag away and leaves the image (not every registry can). Many registries have deleting switched off.`,
  options: {
    "tag-only": { type: "boolean", help: "take the tag away and leave the image" },
    ...registryOptions,
  },
  positionals: [{ name: "IMAGE", variadic: true }],
  examples: [
    { command: "vitrine delete localhost:5000/app:1.0", does: "the image and all its tags" },
    { command: "vitrine delete --tag-only localhost:5000/app:old", does: "one tag" },
  ],
  async run({ options, positionals, given, context }) {
    return withClient(context, options, given, async (client) => {
      for (const text of positionals) {
        const reference = parseReference(text.replace(/^docker:\/\//, ""));
        const repository = await client.repository(reference);
        if (options["tag-only"] && reference.tag !== undefined) {
          await repository.deleteManifest(reference.tag);
        } else {
          // The tag is looked up by GET: what is deleted is what a pull would have got.
          const digest = reference.digest ?? (await repository.getManifest(reference.tag!)).descriptor.digest;
          await repository.deleteManifest(digest);
        }
        context.out(`Deleted: ${printable(formatReference(reference))}\n`);
      }
      return 0;
    });
  },
});
