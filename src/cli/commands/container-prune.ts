import { sweep } from "../container-trees.ts";
import { containerFilter } from "../containers/filters.ts";
import { pruneContainers } from "../containers/prune.ts";
import { humanSize } from "../format/human.ts";
import { defineCommand } from "../framework/command.ts";
import { agreesToRemove } from "../framework/stdin.ts";

export const command = defineCommand({
  description: "Removes every container that does not run, with everything it wrote. It asks first.",
  options: {
    filter: {
      type: "strings",
      value: "KEY=VALUE",
      help: "only those for which it holds: until=TIME or DURATION, label=KEY[=VALUE], label!=KEY[=VALUE]",
    },
    force: { type: "boolean", short: "f", help: "do not ask" },
  },
  positionals: [],
  async run({ options, context }) {
    const paths = context.paths();
    const matches = containerFilter(options.filter, paths, context.now());
    if (!options.force && !agreesToRemove(context, " all containers that do not run")) return;
    await sweep(context);
    const { ids, bytes } = await pruneContainers(context, matches);
    if (ids.length > 0) context.out(`Deleted Containers:\n${ids.join("\n")}\n\n`);
    context.out(`Total reclaimed space: ${humanSize(bytes, 4)}\n`);
  },
});
