import { printable, writeAll } from "../../base/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { openPlace, placeOfImage } from "../remote/places.ts";
import { storedRoot } from "../remote/stored-root.ts";
import { withWorld } from "../remote/world.ts";

export const command = defineCommand({
  description: `Prints the manifest or index of an image as it is, in the store or else in its registry. A transport such as docker:// or
    oci: names the place.`,
  options: {
    raw: { type: "boolean", help: "the very bytes that the digest is over" },
    digest: { type: "boolean", help: "print the digest instead" },
    ...registryOptions,
  },
  positionals: [{ name: "IMAGE", completion: "image" }],
  examples: [{ command: "vitrine manifest inspect docker://alpine", does: "which platforms Alpine has" }],
  async run({ options, positionals, given, context }) {
    const text = positionals[0]!;
    return withClient(context, options, given, (client) =>
      withWorld(context, client, async (world) => {
        const opened = await openPlace(placeOfImage(text, await storedRoot(context, text)), world);
        try {
          const { root } = opened.source;
          const bytes = await opened.source.readDocument(root);
          if (options.digest) context.out(`${root.digest}\n`);
          else if (options.raw) writeAll(1, bytes);
          else {
            const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
            context.out(`${printable(jsonText(value, 4), { lines: true })}\n`);
          }
        } finally {
          await opened.close();
        }
        return 0;
      }),
    );
  },
});
