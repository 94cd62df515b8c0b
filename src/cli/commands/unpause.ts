import { isPaused, unpauseContainer } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { choiceOptions } from "../containers/choice-options.ts";
import { chosenNames, eachContainer } from "../containers/each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description: "Lets the processes of paused containers go on.",
  options: {
    all: { type: "boolean", short: "a", help: "every container that is paused" },
    ...choiceOptions,
    latest: { type: "boolean", short: "l", help: "the newest container" },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  async run({ options, positionals, context }) {
    await sweepNamed(context, positionals);
    const paths = context.paths();
    return eachContainer(context, chosenNames(context, positionals, options, isPaused), (container, name) => {
      unpauseContainer(paths, container);
      context.out(`${name}\n`);
    });
  },
});
