import { hostPlatform, parsePlatform } from "../../image/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { failureOf } from "../framework/failure.ts";
import { inspectImage } from "../images/inspect.ts";
import { resolveImage } from "../images/resolve.ts";
import { compileTemplate } from "../template/mod.ts";

export const command = defineCommand({
  description: "Prints what is known of images as a JSON array, or with --format one line each.",
  options: {
    format: {
      type: "string",
      short: "f",
      value: "FORMAT",
      help: "'json', or a Go template such as '{{.Config.Env}}'",
    },
    platform: { type: "string", value: "OS/ARCH", help: "this platform of an image" },
    type: { type: "string", value: "TYPE", choices: ["image"], hidden: true, help: "what to look for" },
  },
  positionals: [{ name: "IMAGE", variadic: true, completion: "image" }],
  examples: [
    { command: "vitrine inspect alpine", does: "everything" },
    { command: "vitrine inspect -f '{{json .Config.Env}}' alpine", does: "one field, as JSON" },
  ],
  async run({ options, positionals, context }) {
    const apply =
      options.format === undefined || options.format === "json" ? undefined : compileTemplate(options.format);
    const store = await context.store();
    const platform =
      options.platform === undefined ? undefined : parsePlatform(options.platform, hostPlatform());
    const found: unknown[] = [];
    let status = 0;
    const complaints: string[] = [];
    for (const reference of positionals) {
      try {
        found.push(inspectImage(await resolveImage(store, reference, platform)));
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
