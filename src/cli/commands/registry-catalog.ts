import { printable } from "../../base/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { parseLoginKey } from "../remote/login-key.ts";
import { tagPattern } from "../remote/tag-list.ts";

export const command = defineCommand({
  description:
    "Lists the repositories of a registry, where it tells: many keep that to themselves, or to those who run them.",
  options: {
    filter: {
      type: "strings",
      value: "PATTERN",
      help: "only repositories like this: *, ? and [...], or /REGULAR EXPRESSION/; any of several",
    },
    "full-ref": { type: "boolean", help: "with the registry before each" },
    format: { type: "string", value: "FORMAT", choices: ["json"], help: "json" },
    ...registryOptions,
  },
  positionals: [{ name: "REGISTRY" }, { name: "PATTERN", optional: true, variadic: true }],
  examples: [{ command: "vitrine registry catalog localhost:5000 'team/*'", does: "those of a team" }],
  async run({ options, positionals, given, context }) {
    const [text, ...more] = positionals;
    const { registry } = parseLoginKey(text!.replace(/^docker:\/\//, ""));
    const patterns = [...options.filter, ...more].map(tagPattern);
    return withClient(context, options, given, async (client) => {
      const all = await client.catalog(registry);
      const repositories = all
        .filter((name) => patterns.length === 0 || patterns.some((pattern) => pattern.test(name)))
        .map((name) => (options["full-ref"] ? `${registry}/${name}` : name));
      context.out(
        options.format === "json"
          ? `${jsonText({ Registry: registry, Repositories: repositories }, 4)}\n`
          : repositories.map((name) => `${printable(name)}\n`).join(""),
      );
      return 0;
    });
  },
});
