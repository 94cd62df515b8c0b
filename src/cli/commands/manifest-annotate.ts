import { VitrineError } from "../../base/mod.ts";
import { compact, type Descriptor } from "../../oci/mod.ts";
import { defineCommand } from "../framework/command.ts";
import { newName } from "../images/names.ts";
import { parseAnnotationFlags } from "../remote/artifact.ts";
import { entryOf, platformOptions, readStoredIndex, storeIndex, withPlatform } from "../remote/index-edit.ts";

export const command = defineCommand({
  description:
    "Changes what an index of the store says of one of its images, named by digest or as in the store, or with --index of itself; prints the new digest.",
  options: {
    index: { type: "boolean", help: "annotate the index itself" },
    annotation: { type: "strings", value: "KEY=VALUE", help: "annotation; without a value it is taken away" },
    ...platformOptions,
  },
  positionals: [
    { name: "NAME", completion: "image" },
    { name: "IMAGE", optional: true, completion: "image" },
  ],
  async run({ options, positionals, context }) {
    const name = newName(positionals[0]!);
    const store = await context.store();
    const { index, source } = await readStoredIndex(store, name);
    const changes = parseAnnotationFlags(options.annotation);
    if (options.index) {
      const changed = { ...index, annotations: merged(index.annotations, changes) };
      context.out(`${await storeIndex(store, name, compact(changed), [source], source.root)}\n`);
      return 0;
    }
    const { digest } = entryOf(store, name, index, requireImageArgument(positionals[1]));
    const change = (entry: Descriptor): Descriptor => {
      if (entry.digest !== digest) return entry;
      return compact({ ...withPlatform(entry, options), annotations: merged(entry.annotations, changes) });
    };
    const changed = { ...index, manifests: index.manifests.map(change) };
    context.out(`${await storeIndex(store, name, changed, [source], source.root)}\n`);
    return 0;
  },
});

function requireImageArgument(text: string | undefined): string {
  if (text !== undefined) return text;
  throw new VitrineError("invalid", "the image is missing", {
    code: "missing-argument",
    hint: "vitrine manifest annotate NAME DIGEST, or --index for the index itself",
  });
}

function merged(
  before: Readonly<Record<string, string>> | undefined,
  changes: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | undefined {
  const all = Object.entries({ ...before, ...changes }).filter(([, value]) => value !== "");
  return all.length === 0 ? undefined : Object.fromEntries(all);
}
