import { pruneVolumes, volumeSize } from "../../engine/mod.ts";
import { sweep, sweepUnused, treeRemover } from "../container-trees.ts";
import { humanSize } from "../format/human.ts";
import { defineCommand } from "../framework/command.ts";
import { agreesToRemove } from "../framework/stdin.ts";
import { volumeFilter } from "../volumes/filters.ts";

export const command = defineCommand({
  description: `Removes the volumes without a name that no container has; with --all those with a name too. It asks first.`,
  options: {
    all: { type: "boolean", short: "a", help: "also volumes that were given a name" },
    filter: {
      type: "strings",
      value: "KEY=VALUE",
      help: "only those for which it holds: label=KEY[=VALUE], label!=KEY[=VALUE], until=, all=true",
    },
    force: { type: "boolean", short: "f", help: "do not ask" },
  },
  positionals: [],
  async run({ options, context }) {
    const paths = context.paths();
    const all = options.all || options.filter.some((filter) => /^all=(?:true|1)$/.test(filter));
    const matches = volumeFilter(
      options.filter.filter((filter) => !/^all=(?:true|false|1|0)$/.test(filter)),
      paths,
      context.now(),
    );
    const which = `${all ? "all volumes" : "all volumes without a name"} that no container has`;
    if (!options.force && !agreesToRemove(context, ` ${which}`)) return;
    await sweep(context);
    await sweepUnused(context);
    let bytes = 0;
    const removed = await pruneVolumes(
      paths,
      (volume) => (all || volume.anonymous === true) && matches(volume),
      treeRemover(context),
      (volume) => {
        bytes += volumeSize(paths, volume);
      },
    );
    if (removed.length > 0) {
      context.out(`Deleted Volumes:\n${removed.map(({ name }) => name).join("\n")}\n\n`);
    }
    context.out(`Total reclaimed space: ${humanSize(bytes, 4)}\n`);
  },
});
