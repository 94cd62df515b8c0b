import { printable, writeFileAtomically } from "../../base/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { openPlace, placeOfDestination } from "../remote/places.ts";
import { sendImage, sendOptions } from "../remote/send.ts";
import { withWorld } from "../remote/world.ts";

const { all: _all, platform: _platform, ...options } = sendOptions;

export const command = defineCommand({
  description: "Sends an index of the store with all its images.",
  options: {
    ...options,
    all: { type: "boolean", hidden: true, help: "always so; accepted for compatibility" },
    "add-compression": {
      type: "strings",
      value: "FORMAT",
      help: "add each image in this compression too: gzip, zstd or zstd:chunked",
    },
    "remove-signatures": { type: "boolean", hidden: true, help: "accepted for compatibility" },
    rm: { type: "boolean", help: "remove the name from the store afterwards" },
    ...registryOptions,
  },
  positionals: [
    { name: "NAME", completion: "image" },
    { name: "DESTINATION", optional: true },
  ],
  async run({ options, positionals, given, context }) {
    const name = newName(positionals[0]!);
    const destination = positionals[1] ?? name;
    return withClient(context, options, given, (client) =>
      withWorld(context, client, async (world) => {
        const opened = await openPlace({ transport: "vitrine", name }, world);
        const flags = { ...options, all: true, platform: undefined };
        const digest = await sendImage(opened, placeOfDestination(destination), world, flags);
        if (!options.quiet) context.err(`Pushed ${printable(destination)}\n`);
        if (options.digestfile !== undefined) writeFileAtomically(options.digestfile, digest);
        if (options.rm) await (await context.store()).untag(name);
        context.out(`${digest}\n`);
        return 0;
      }),
    );
  },
});
