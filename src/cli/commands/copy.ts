import { printable, writeFileAtomically } from "../../base/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { openPlace, parsePlace } from "../remote/places.ts";
import { sendImage, sendOptions } from "../remote/send.ts";
import { withWorld } from "../remote/world.ts";

export const command = defineCommand({
  description: `Copies an image between any two places, verified on the way; the store is only used where a place is in it.

    Places: docker://NAME (a registry), vitrine:NAME (the store), oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME],
    dir:DIR. Of an image with several platforms the one for this machine is copied; --all copies it as it is.`,
  options: {
    ...sendOptions,
    "additional-tag": {
      type: "strings",
      value: "TAG",
      help: "a further tag in the destination's repository",
    },
    ...registryOptions,
  },
  positionals: [{ name: "SOURCE" }, { name: "DESTINATION" }],
  examples: [
    { command: "vitrine copy docker://alpine oci:./layout:3", does: "from a registry into a layout" },
    {
      command: "vitrine copy --all docker://debian:12 docker://localhost:5000/debian:12",
      does: "from registry to registry, all platforms",
    },
    { command: "vitrine copy docker-archive:app.tar vitrine:app", does: "from an archive into the store" },
  ],
  async run({ options, positionals, given, context }) {
    const from = parsePlace(positionals[0]!);
    const to = parsePlace(positionals[1]!);
    return withClient(context, options, given, (client) =>
      withWorld(context, client, async (world) => {
        const opened = await openPlace(from, world);
        try {
          const digest = await sendImage(opened, to, world, options, { moreTags: options["additional-tag"] });
          if (options.digestfile !== undefined) writeFileAtomically(options.digestfile, digest);
          if (!options.quiet) context.err(`Copied to ${printable(positionals[1]!)}\n`);
          context.out(`${digest}\n`);
        } finally {
          await opened.close();
        }
        return 0;
      }),
    );
  },
});
