import { VitrineError } from "../../base/mod.ts";
import { openArtifacts, type StoredArtifact } from "../../store/mod.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description:
    "Removes artifacts from the store, by name or digest, and prints their digests. All of them are there, or none goes.",
  options: {
    all: { type: "boolean", short: "a", help: "every artifact" },
    ignore: { type: "boolean", short: "i", help: "one that is not there is no error" },
  },
  positionals: [{ name: "ARTIFACT", optional: true, variadic: true }],
  async run({ options, positionals, context }) {
    if (options.all === positionals.length > 0) throw oneOf(options.all);
    const artifacts = await openArtifacts(context.paths().root);
    const found: StoredArtifact[] = options.all ? [...artifacts.list()] : [];
    for (const text of positionals) {
      try {
        found.push(artifacts.find(text));
      } catch (error) {
        if (!options.ignore || !(error instanceof VitrineError && error.code === "artifact-not-found"))
          throw error;
      }
    }
    if (found.length > 0) await artifacts.remove(found);
    context.out(found.map(({ root }) => `${root.digest}\n`).join(""));
    return 0;
  },
});

function oneOf(all: boolean): VitrineError {
  return new VitrineError(
    "invalid",
    all ? "--all and names exclude each other" : "there is no artifact named",
    {
      code: all ? "flag-conflict" : "missing-argument",
      hint: "vitrine artifact rm ARTIFACT..., or --all",
    },
  );
}
