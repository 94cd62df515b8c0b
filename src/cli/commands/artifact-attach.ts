import { parseReference } from "../../image/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { artifactOptions, pushArtifact } from "../remote/push-artifact.ts";

export const command = defineCommand({
  description: `Sends files to a registry as an artifact that refers to an image there: its SBOM, a report, a note. 'vitrine referrers'
    shows it. Without a file the artifact is its annotations.`,
  options: { ...artifactOptions, ...registryOptions },
  positionals: [
    { name: "IMAGE" },
    { name: "PATH[:TYPE]", optional: true, variadic: true, completion: "file" },
  ],
  examples: [
    {
      command: "vitrine artifact attach -t application/spdx+json localhost:5000/app:1 sbom.spdx.json",
      does: "an SBOM for an image",
    },
  ],
  async run({ options, positionals, given, context }) {
    const [name, ...files] = positionals;
    const reference = parseReference(name!.replace(/^docker:\/\//, ""));
    return withClient(context, options, given, async (client) => {
      const repository = await client.repository(reference);
      const { descriptor } = await repository.getManifest(reference.digest ?? reference.tag!);
      await pushArtifact(context, { client, reference, tags: [] }, files, options, descriptor);
      return 0;
    });
  },
});
