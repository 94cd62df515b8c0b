import { VitrineError } from "../../base/mod.ts";
import { updateContainer } from "../../engine/mod.ts";
import { probeHost } from "../../kernel/mod.ts";
import { sweep } from "../container-trees.ts";
import { chosenNames, eachContainer } from "../containers/each.ts";
import { defineCommand } from "../framework/command.ts";
import { limitOptionTable, parseLimits } from "../limit-flags.ts";

export const command = defineCommand({
  description:
    "Changes what containers may use: at once where they run, and each time they are started again.",
  options: {
    ...limitOptionTable,
    "memory-swap": { ...limitOptionTable["memory-swap"], defaultText: "as it is" },
    "pids-limit": { ...limitOptionTable["pids-limit"], defaultText: "as it is" },
    latest: { type: "boolean", short: "l", help: "the newest container" },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [{ command: "vitrine update --memory 256m --cpus 1.5 web", does: "give it less" }],
  async run({ options, positionals, context }) {
    const resources = parseLimits(options);
    if (Object.keys(resources).length === 0) {
      throw new VitrineError("invalid", "there is nothing to change", {
        code: "flag-missing",
        hint: "give one or more limits, as --memory 256m; see 'vitrine update --help'",
      });
    }
    await sweep(context);
    const deps = {
      paths: context.paths(),
      host: probeHost(),
      helperPath: context.helperPath(),
      environment: context.environment,
      cgroupManager: context.cgroupManager,
    };
    return eachContainer(context, chosenNames(context, positionals, options), async (container, name) => {
      await updateContainer(container, resources, deps);
      context.out(`${name}\n`);
    });
  },
});
