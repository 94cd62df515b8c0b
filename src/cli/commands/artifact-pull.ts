import { printable } from "../../base/mod.ts";
import { parseReference } from "../../image/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { fetchFiles } from "../remote/artifact.ts";
import { registryOptions, withClient } from "../remote/client.ts";

export const command = defineCommand({
  description: "Fetches the files of an artifact, verified, and prints their names.",
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
    overwrite: { type: "boolean", help: "replace files that are there" },
    ...registryOptions,
  },
  positionals: [{ name: "NAME" }],
  async run({ options, positionals, given, context }) {
    const reference = parseReference(positionals[0]!.replace(/^docker:\/\//, ""));
    return withClient(context, options, given, async (client) => {
      const repository = await client.repository(reference);
      const wanted = reference.digest ?? reference.tag!;
      const names = await fetchFiles(repository, wanted, options.output, options.overwrite);
      context.out(names.map((name) => `${printable(name)}\n`).join(""));
      return 0;
    });
  },
});
