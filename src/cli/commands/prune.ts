import { humanSize } from "../format/human.ts";
import { defineCommand } from "../framework/command.ts";
import { agreesToRemove } from "../framework/stdin.ts";
import { pruneRequest } from "../images/prune-request.ts";
import { recordRemovals, removalLines } from "../images/removals.ts";

export const command = defineCommand({
  description: `Removes images without a name, with --all every image that no container uses, and what nothing leads to.
    It asks first.`,
  options: {
    all: { type: "boolean", short: "a", help: "also images that have a name and no container" },
    filter: {
      type: "strings",
      value: "KEY=VALUE",
      help: "only images for which it holds: until=TIME or DURATION, label=KEY[=VALUE], label!=KEY[=VALUE]",
    },
    force: { type: "boolean", short: "f", help: "do not ask" },
  },
  positionals: [],
  async run({ options, context }) {
    const request = pruneRequest(options.all, options.filter, context.now());
    const what = options.all ? "all images without a container" : "all images without a name";
    if (!options.force && !agreesToRemove(context, ` ${what}`)) return;
    const store = await context.store();
    const { removals, reclaimedBytes } = await store.prune(request);
    recordRemovals(context.paths(), removals);
    context.out(`${removalLines(removals)}Total reclaimed space: ${humanSize(reclaimedBytes, 4)}\n`);
  },
});
