import { openArtifacts } from "../../store/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { compileTemplate } from "../template/mod.ts";

export const command = defineCommand({
  description: "Prints the manifest of an artifact of the store, its name and its digest.",
  options: {
    format: {
      type: "string",
      short: "f",
      value: "FORMAT",
      help: "'json', or a Go template such as '{{.Digest}}'",
    },
  },
  positionals: [{ name: "ARTIFACT" }],
  async run({ options, positionals, context }) {
    const { manifest, name, root } = (await openArtifacts(context.paths().root)).find(positionals[0]!);
    const found = { Manifest: manifest, Name: name, Digest: root.digest };
    const { format } = options;
    if (format === undefined || format === "json") context.out(`${jsonText(found, 4)}\n`);
    else context.out(`${compileTemplate(format)(found, context.stdoutIsTerminal)}\n`);
    return 0;
  },
});
