import { recordContainerEvent, stopContainer } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { choiceOptions } from "../containers/choice-options.ts";
import { chosenNames, eachContainer, isRunning } from "../containers/each.ts";
import { startDetached } from "../containers/start.ts";
import { stopOptions } from "../containers/stop-options.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description:
    "Stops containers as 'vitrine stop' does, and starts them again; what does not run is started.",
  options: {
    all: { type: "boolean", short: "a", help: "restart every container" },
    running: { type: "boolean", help: "restart every container that runs" },
    ...choiceOptions,
    latest: { type: "boolean", short: "l", help: "restart the newest container" },
    ...stopOptions,
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  async run({ options, positionals, context }) {
    await sweepNamed(context, positionals);
    const paths = context.paths();
    const deps = { paths, helperPath: context.helperPath() };
    const chosen = { ...options, all: options.all || options.running };
    const names = chosenNames(
      context,
      positionals,
      chosen,
      options.running ? isRunning(context) : () => true,
    );
    let failed = false;
    const status = await eachContainer(context, names, async (container, name) => {
      const timeoutSeconds = options.time ?? container.stopTimeoutSeconds;
      stopContainer(container, { signal: options.signal, timeoutSeconds }, deps);
      if (!(await startDetached(context, container, `${name}\n`))) failed = true;
      else recordContainerEvent(paths, container, "restart");
    });
    return failed ? 125 : status;
  },
});
