import { pauseContainer } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { choiceOptions } from "../containers/choice-options.ts";
import { chosenNames, eachContainer, isRunning } from "../containers/each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description: "Stops all processes of containers where they are, by the freezer of their cgroup.",
  options: {
    all: { type: "boolean", short: "a", help: "every container that runs" },
    ...choiceOptions,
    latest: { type: "boolean", short: "l", help: "the newest container" },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  async run({ options, positionals, context }) {
    await sweepNamed(context, positionals);
    const paths = context.paths();
    return eachContainer(
      context,
      chosenNames(context, positionals, options, isRunning(context)),
      (container, name) => {
        pauseContainer(paths, container);
        context.out(`${name}\n`);
      },
    );
  },
});
