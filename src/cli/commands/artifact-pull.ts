import { printable } from "../../base/mod.ts";
import { formatReference, parseReference } from "../../image/mod.ts";
import { openArtifacts } from "../../store/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { readLayers, writeFiles } from "../remote/artifact-files.ts";
import { registryOptions, withClient } from "../remote/client.ts";

export const command = defineCommand({
  description: `Fetches an artifact into the store, verified, and prints its digest; 'artifact extract' writes its files.

    With --output its files are written to DIR instead, and their names printed. A layer that is a directory (oras's annotation
    io.deis.oras.content.unpack) is unpacked; nothing that an artifact says leads out of DIR.`,
  options: {
    output: {
      type: "string",
      short: "o",
      value: "DIR",
      completion: "directory",
      help: "write the files into this directory, not the store",
      defaultText: "the store",
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
      if (options.output === undefined) {
        await (await openArtifacts(context.paths().root)).put(source, formatReference(reference), {
          replace: true,
        });
        context.out(`${source.root.digest}\n`);
        return 0;
      }
      const { all, titled } = await readLayers(source);
      const names = await writeFiles(source, titled, options.output, options.overwrite);
      const untitled = all.length - titled.length;
      if (untitled > 0) context.log("warn", `${untitled} layers have no title and were left out`);
      context.out(names.map((name) => `${printable(name)}\n`).join(""));
      return 0;
    });
  },
});
