import { printable } from "../../base/mod.ts";
import { parseReference } from "../../image/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { readLayers, writeFiles } from "../remote/artifact-files.ts";
import { registryOptions, withClient } from "../remote/client.ts";

export const command = defineCommand({
  description: `Fetches the files of an artifact, verified, and prints their names. A layer that is a directory (oras's annotation
    io.deis.oras.content.unpack) is unpacked; nothing that an artifact says leads out of DIR.`,
  options: {
    output: {
      type: "string",
      short: "o",
      value: "DIR",
      default: ".",
      completion: "directory",
      help: "directory to write to",
    },
    quiet: { type: "boolean", short: "q", hidden: true, help: "there is no progress to hide" },
    overwrite: { type: "boolean", help: "replace files that are there; directories are not merged" },
    ...registryOptions,
  },
  positionals: [{ name: "NAME" }],
  async run({ options, positionals, given, context }) {
    const reference = parseReference(positionals[0]!.replace(/^docker:\/\//, ""));
    return withClient(context, options, given, async (client) => {
      const source = await client.source(reference);
      const { all, titled } = await readLayers(source);
      const names = await writeFiles(source, titled, options.output, options.overwrite);
      const untitled = all.length - titled.length;
      if (untitled > 0) context.log("warn", `${untitled} layers have no title and were left out`);
      context.out(names.map((name) => `${printable(name)}\n`).join(""));
      return 0;
    });
  },
});
