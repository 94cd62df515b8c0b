import { stopContainer } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { chosenNames, eachContainer, isRunning } from "../containers/each.ts";
import { stopOptions } from "../containers/stop-options.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description: `Stops containers: their stop signal (SIGTERM unless the image or --stop-signal says otherwise), and SIGKILL
    when they have not ended in time.`,
  options: {
    all: { type: "boolean", short: "a", help: "stop every container that runs" },
    latest: { type: "boolean", short: "l", help: "stop the newest container" },
    ...stopOptions,
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [{ command: "vitrine stop -t 2 web", does: "stop it within two seconds" }],
  async run({ options, positionals, context }) {
    await sweepNamed(context, positionals);
    const deps = { paths: context.paths(), helperPath: context.helperPath() };
    const names = chosenNames(context, positionals, options, isRunning(context));
    const stop = (container: Parameters<typeof stopContainer>[0]): void =>
      stopContainer(
        container,
        { signal: options.signal, timeoutSeconds: options.time ?? container.stopTimeoutSeconds },
        deps,
      );
    return eachContainer(context, names, (container, name) => {
      stop(container);
      context.out(`${name}\n`);
    });
  },
});
