import { VitrineError } from "../../base/mod.ts";
import { parseReference } from "../../image/mod.ts";
import { openArtifacts } from "../../store/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { artifactOptions, pushArtifact, sendArtifact } from "../remote/push-artifact.ts";

export const command = defineCommand({
  description: `Sends files to a registry as one artifact, and prints its digest. Each may have a media type after a colon. A directory
    is packed as oras does it; 'artifact pull' unpacks it again.

    Without a file the artifact of that name in the store is sent, as it is.`,
  options: { ...artifactOptions, ...registryOptions },
  positionals: [
    { name: "NAME" },
    { name: "PATH[:TYPE]", optional: true, variadic: true, completion: "file" },
  ],
  examples: [
    {
      command:
        "vitrine artifact push -t application/vnd.example.config localhost:5000/config:1 app.yaml:application/yaml",
      does: "one file with its type",
    },
    { command: "vitrine artifact push localhost:5000/site:1 ./public", does: "a directory" },
  ],
  async run({ options, positionals, given, context }) {
    const [name, ...files] = positionals;
    const reference = parseReference(name!.replace(/^docker:\/\//, ""));
    const tags = reference.tag === undefined ? [] : [reference.tag];
    return withClient(context, options, given, async (client) => {
      if (files.length === 0) {
        requireFiles(given);
        const artifacts = await openArtifacts(context.paths().root);
        const source = artifacts.source(artifacts.find(name!));
        await sendArtifact(context, { client, reference, tags }, source, options);
      } else await pushArtifact(context, { client, reference, tags }, files, options);
      return 0;
    });
  },
});

/** What is in the store is sent as it is. */
function requireFiles(given: ReadonlySet<string>): void {
  const flag = ["artifact-type", "annotation"].find((name) => given.has(name));
  if (flag === undefined) return;
  throw new VitrineError(
    "invalid",
    `--${flag} is for an artifact that is made of files here, and none is named`,
    {
      code: "flag-conflict",
      operand: `--${flag}`,
      hint: "name files, or say it when the artifact is made: vitrine artifact add",
    },
  );
}
