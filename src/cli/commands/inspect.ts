import { hostPlatform, parsePlatform } from "../../image/mod.ts";
import type { Platform } from "../../oci/mod.ts";
import type { StoredImage } from "../../store/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import type { Context } from "../framework/context.ts";
import { failureOf } from "../framework/failure.ts";
import { inspectImage } from "../images/inspect.ts";
import { resolveImage } from "../images/resolve.ts";
import { type RegistryFlags, registryOptions } from "../remote/options.ts";
import { compileTemplate } from "../template/mod.ts";

export const command = defineCommand({
  description: `Prints what is known of images as a JSON array, or with --format one line each. docker://NAME is read from its registry,
    oci:DIR, oci-archive:FILE, docker-archive:FILE and dir:DIR from there; no layer is fetched.`,
  options: {
    format: {
      type: "string",
      short: "f",
      value: "FORMAT",
      help: "'json', or a Go template such as '{{.Config.Env}}'",
    },
    platform: { type: "string", value: "OS/ARCH", help: "this platform of an image" },
    type: { type: "string", value: "TYPE", choices: ["image"], hidden: true, help: "what to look for" },
    ...registryOptions,
  },
  positionals: [{ name: "IMAGE", variadic: true, completion: "image" }],
  examples: [
    { command: "vitrine inspect alpine", does: "everything" },
    { command: "vitrine inspect -f '{{json .Config.Env}}' alpine", does: "one field, as JSON" },
  ],
  async run({ options, positionals, given, context }) {
    const apply =
      options.format === undefined || options.format === "json" ? undefined : compileTemplate(options.format);
    const platform =
      options.platform === undefined ? undefined : parsePlatform(options.platform, hostPlatform());
    const find = (reference: string): Promise<StoredImage> | StoredImage =>
      elsewhere.test(reference)
        ? inspectElsewhere(context, options, given, reference, platform)
        : context.store().then((store) => resolveImage(store, reference, platform));
    const found: unknown[] = [];
    let status = 0;
    const complaints: string[] = [];
    for (const reference of positionals) {
      try {
        found.push(inspectImage(await find(reference)));
      } catch (error) {
        // The others are still shown, as docker and podman do.
        const failure = failureOf(error, context.globals.debug);
        complaints.push(failure.text);
        status = failure.status;
      }
    }
    if (apply === undefined) context.out(`${jsonText(found, 4)}\n`);
    else for (const image of found) context.out(`${apply(image, context.stdoutIsTerminal)}\n`);
    for (const complaint of complaints) context.err(complaint);
    return status;
  },
});

/** What a registry, an archive or a directory holds. */
const elsewhere = /^(?:docker:\/\/|(?:oci|oci-archive|docker-archive|dir):[./])/;

async function inspectElsewhere(
  context: Context,
  flags: RegistryFlags,
  given: ReadonlySet<string>,
  text: string,
  platform: Platform | undefined,
): Promise<StoredImage> {
  const [{ withClient }, { withWorld }, { openPlace, parsePlace }, { describeImage }] = await Promise.all([
    import("../remote/client.ts"),
    import("../remote/world.ts"),
    import("../remote/places.ts"),
    import("../remote/inspect-place.ts"),
  ]);
  return withClient(context, flags, given, (client) =>
    withWorld(context, client, async (world) => {
      const opened = await openPlace(parsePlace(text), world);
      try {
        return await describeImage(opened.source, platform);
      } finally {
        await opened.close();
      }
    }),
  );
}
