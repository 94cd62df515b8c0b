import * as fs from "node:fs";
import { stopContainer } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { choiceOptions } from "../containers/choice-options.ts";
import { chosenNames, eachContainer, isRunning, isThere } from "../containers/each.ts";
import { stopOptions } from "../containers/stop-options.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description: `Stops containers: their stop signal (SIGTERM unless the image or --stop-signal says otherwise), and SIGKILL
    when they have not ended in time.`,
  options: {
    all: { type: "boolean", short: "a", help: "stop every container that runs" },
    ...choiceOptions,
    ignore: { type: "boolean", short: "i", help: "no error for what is not there" },
    latest: { type: "boolean", short: "l", help: "stop the newest container" },
    ...stopOptions,
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [{ command: "vitrine stop -t 2 web", does: "stop it within two seconds" }],
  async run({ options, positionals, context }) {
    await sweepNamed(context, positionals);
    const deps = { paths: context.paths(), helperPath: context.helperPath() };
    const there = {
      ...options,
      cidfile: options.cidfile.filter((file) => !options.ignore || fs.existsSync(file)),
    };
    // Nothing is left of what was named.
    if (there.cidfile.length < options.cidfile.length && there.cidfile.length + positionals.length === 0)
      return 0;
    const chosen = chosenNames(context, positionals, there, isRunning(context));
    const names = options.ignore ? chosen.filter((name) => isThere(context, name)) : chosen;
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
