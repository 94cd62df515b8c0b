import { VitrineError } from "../../base/mod.ts";
import { compact, type Descriptor } from "../../oci/mod.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { newName } from "../images/names.ts";
import { parseAnnotationFlags } from "../remote/artifact.ts";
import { type RegistryFlags, registryOptions, withClient } from "../remote/client.ts";
import { entryOf, platformOptions, readStoredIndex, storeIndex, withPlatform } from "../remote/index-edit.ts";
import { openPlace, placeOfImage } from "../remote/places.ts";
import { storedRoot } from "../remote/stored-root.ts";
import { withWorld } from "../remote/world.ts";

export const command = defineCommand({
  description:
    "Changes what an index of the store says of one of its images, named by digest or as in the store, or with --index of itself; prints the new digest.",
  options: {
    index: { type: "boolean", help: "annotate the index itself" },
    subject: {
      type: "string",
      value: "IMAGE",
      help: "with --index: the image that it refers to; nothing (--subject=) takes it away",
    },
    annotation: { type: "strings", value: "KEY=VALUE", help: "annotation; without a value it is taken away" },
    ...platformOptions,
    ...registryOptions,
  },
  positionals: [
    { name: "NAME", completion: "image" },
    { name: "IMAGE", optional: true, completion: "image" },
  ],
  async run({ options, positionals, given, context }) {
    const name = newName(positionals[0]!);
    const store = await context.store();
    const { index, source } = await readStoredIndex(store, name);
    const changes = parseAnnotationFlags(options.annotation);
    if (options.subject !== undefined && !options.index) {
      throw new VitrineError("invalid", "--subject is said of the index itself: with --index", {
        code: "flag-conflict",
        operand: "--subject",
      });
    }
    if (options.index) {
      const subject = await subjectOf(options, given, context, index.subject);
      const changed = { ...index, subject, annotations: merged(index.annotations, changes) };
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

async function subjectOf(
  options: RegistryFlags & { readonly subject: string | undefined },
  given: ReadonlySet<string>,
  context: Context,
  before: Descriptor | undefined,
): Promise<Descriptor | undefined> {
  const { subject: text } = options;
  if (text === undefined) return before;
  if (text === "") return undefined;
  return withClient(context, options, given, (client) =>
    withWorld(context, client, async (world) => {
      const place = await openPlace(placeOfImage(text, await storedRoot(context, text)), world);
      const { mediaType, digest, size } = place.source.root;
      await place.close();
      return { mediaType, digest, size };
    }),
  );
}

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
