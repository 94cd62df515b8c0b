import { parseSignal, signalContainer } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { choiceOptions } from "../containers/choice-options.ts";
import { chosenNames, eachContainer, isRunning } from "../containers/each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description: "Sends a signal to the programs of containers, SIGKILL unless --signal says otherwise.",
  options: {
    all: { type: "boolean", short: "a", help: "every container that runs" },
    ...choiceOptions,
    latest: { type: "boolean", short: "l", help: "the newest container" },
    signal: { type: "string", short: "s", value: "SIGNAL", default: "KILL", help: "the signal to send" },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [{ command: "vitrine kill -s HUP web", does: "have it read its configuration again" }],
  async run({ options, positionals, context }) {
    const signal = parseSignal("--signal", options.signal);
    await sweepNamed(context, positionals);
    const deps = { paths: context.paths(), helperPath: context.helperPath() };
    const names = chosenNames(context, positionals, options, isRunning(context));
    return eachContainer(context, names, (container, name) => {
      signalContainer(container, signal, deps);
      context.out(`${name}\n`);
    });
  },
});
