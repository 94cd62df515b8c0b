import { VitrineError } from "../../base/mod.ts";
import { type ContainerState, findContainer, parseDetachKeys, stateOf, statusOf } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { chosenNames, eachContainer } from "../containers/each.ts";
import { containerFilter } from "../containers/filters.ts";
import { becomeStarted, startDetached } from "../containers/start.ts";
import { defineCommand } from "../framework/command.ts";
import { detachKeys } from "../framework/flags.ts";

export const command = defineCommand({
  description: "Starts containers that were created or have ended: the same files, a new process.",
  options: {
    all: { type: "boolean", help: "start every container that does not run" },
    attach: { type: "boolean", short: "a", help: "stay attached; the exit status is the container's" },
    filter: {
      type: "strings",
      short: "f",
      value: "KEY=VALUE",
      help: "of those that do not run only those for which it holds, as in 'vitrine ps'",
    },
    interactive: { type: "boolean", short: "i", help: "pass stdin on; stay attached" },
    latest: { type: "boolean", short: "l", help: "start the newest container" },
    "detach-keys": detachKeys,
    "sig-proxy": { type: "boolean", default: true, hidden: true, help: "signals are passed on" },
  },
  positionals: [{ name: "CONTAINER", optional: true, variadic: true, completion: "container" }],
  examples: [
    { command: "vitrine start -ai shell", does: "go on with an interactive container" },
    { command: "vitrine start --all --filter should-start-on-boot=true", does: "what a boot is to start" },
  ],
  async run({ options, positionals, context }) {
    await sweepNamed(context, positionals);
    const paths = context.paths();
    const matches = containerFilter(options.filter, paths, context.now());
    const chosen = { all: options.all || options.filter.length > 0, latest: options.latest };
    const names = chosenNames(context, positionals, chosen, (container) => {
      const state = stateOf(paths, container);
      return !runs(state.status) && matches(container, state);
    });
    if (options.attach || options.interactive) {
      if (names.length !== 1) {
        throw new VitrineError("invalid", "only one container can be attached to", {
          code: "flag-conflict",
          operand: "--attach",
          hint: "start several without --attach and --interactive",
        });
      }
      return becomeStarted(context, findContainer(paths, names[0]!), {
        kind: "detached",
        announce: "",
        attach: { input: options.interactive, detachKeys: parseDetachKeys(options["detach-keys"]) },
      });
    }
    let failed = false;
    const status = await eachContainer(context, names, async (container, name) => {
      // Docker and podman find nothing wrong with it.
      if (runs(statusOf(paths, container))) context.out(`${name}\n`);
      else if (names.length === 1) {
        await becomeStarted(context, container, { kind: "detached", announce: `${name}\n` });
      } else if (!(await startDetached(context, container, `${name}\n`))) failed = true;
    });
    return failed ? 125 : status;
  },
});

/** One that waits to be run again is looked after by its monitor. */
function runs(status: ContainerState["status"]): boolean {
  return status === "running" || status === "restarting";
}
