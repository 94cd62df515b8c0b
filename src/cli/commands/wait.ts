import { awaitMonitor, stateOf } from "../../engine/mod.ts";
import { sweep } from "../container-trees.ts";
import { chosenNames, eachContainer } from "../containers/each.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description:
    "Waits until containers have ended, and prints the exit status of each. One that does not run has ended.",
  options: {
    latest: { type: "boolean", short: "l", help: "wait for the newest container" },
    condition: {
      type: "string",
      value: "STATE",
      choices: ["stopped", "exited", "not-running", "removed"],
      default: "stopped",
      help: "what to wait for",
    },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [{ command: "vitrine wait job", does: "the exit status of a container in the background" }],
  async run({ options, positionals, context }) {
    await sweep(context);
    const paths = context.paths();
    const names = chosenNames(context, positionals, options);
    return eachContainer(context, names, async (container) => {
      awaitMonitor(paths, container, context.helperPath(), -1);
      // A monitor that was killed did not say how it ended.
      if (stateOf(paths, container).status === "lost") await sweep(context);
      const state = stateOf(paths, container);
      context.out(`${state.status === "exited" ? state.code : state.status === "created" ? 0 : 137}\n`);
    });
  },
});
