import { printable, VitrineError } from "../../base/mod.ts";
import { jsonText } from "../format/json.ts";
import { defineCommand } from "../framework/command.ts";
import { registryOptions, withClient } from "../remote/client.ts";
import { compareTags, tagPattern } from "../remote/tag-list.ts";
import { renderRows } from "../template/mod.ts";

export const command = defineCommand({
  description: `Lists the tags of a repository in a registry, in the order of versions: 1.9 before 1.10, 1.10-rc1 before 1.10.`,
  options: {
    filter: {
      type: "strings",
      value: "PATTERN",
      help: "only tags like this: *, ? and [...], or /REGULAR EXPRESSION/; any of several",
    },
    limit: { type: "number", value: "N", help: "only the first N" },
    last: { type: "number", short: "n", value: "N", help: "only the last N" },
    sort: {
      type: "string",
      value: "ORDER",
      choices: ["version", "registry", "name"],
      default: "version",
      help: "version, name, or registry (as the registry has them)",
    },
    format: {
      type: "string",
      value: "FORMAT",
      help: "'json', or a Go template with .Name (the repository) and .Tag",
    },
    ...registryOptions,
  },
  positionals: [{ name: "REPOSITORY" }, { name: "PATTERN", optional: true, variadic: true }],
  examples: [
    { command: "vitrine tags alpine '3.*'", does: "the versions of Alpine 3" },
    {
      command: "vitrine tags --last 1 --filter '/^v[0-9.]+$/' registry.example/app",
      does: "the newest release",
    },
  ],
  async run({ options, positionals, given, context }) {
    const [text, ...more] = positionals;
    const patterns = [...options.filter, ...more].map(tagPattern);
    for (const flag of ["limit", "last"] as const) requireCount(flag, options[flag]);
    return withClient(context, options, given, async (client) => {
      const [reference] = await client.candidates(text!.replace(/^docker:\/\//, ""));
      const repository = await client.repository(reference!);
      const all = await repository.tags();
      const chosen = all.filter(
        (tag) => patterns.length === 0 || patterns.some((pattern) => pattern.test(tag)),
      );
      if (options.sort === "version") chosen.sort(compareTags);
      if (options.sort === "name") chosen.sort();
      const shown = part(chosen, options);
      if (options.format === "json") {
        const Repository = `${reference!.domain}/${reference!.path}`;
        context.out(`${jsonText({ Repository, Tags: shown }, 4)}\n`);
      } else if (options.format !== undefined) {
        const rows = shown.map((Tag) => ({ Name: `${reference!.domain}/${reference!.path}`, Tag }));
        const table = { headings: {}, standard: "{{.Name}}\t{{.Tag}}" };
        const { format } = options;
        context.out(
          renderRows(rows, table, { format, heading: true, forTerminal: context.stdoutIsTerminal }),
        );
      } else context.out(shown.map((tag) => `${printable(tag)}\n`).join(""));
      return 0;
    });
  },
});

/** Of the first `limit`, the last `last`; 0 is all, as in podman. */
function part(
  tags: readonly string[],
  { limit = 0, last = 0 }: { readonly limit: number | undefined; readonly last: number | undefined },
): readonly string[] {
  const first = limit === 0 ? tags : tags.slice(0, limit);
  return last === 0 ? first : first.slice(-last);
}

function requireCount(flag: string, count: number | undefined): void {
  if (count === undefined || (Number.isInteger(count) && count >= 0)) return;
  throw new VitrineError("invalid", `invalid value ${count} for --${flag}`, {
    code: "invalid-flag-value",
    operand: `--${flag}`,
    hint: "a number of tags",
  });
}
