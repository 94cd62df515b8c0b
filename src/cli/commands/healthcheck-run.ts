import { VitrineError } from "../../base/mod.ts";
import { askHealth, findContainer, isPaused, notRunning, paused, runningProcess } from "../../engine/mod.ts";
import { sweepNamed } from "../container-trees.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description: `Has the monitor of a container check its health now: exit status 0 when it is well, 1 when not. What it finds
    counts like any other check: in 'vitrine inspect', in events, and for what is done to an unhealthy container.`,
  options: {
    "ignore-result": { type: "boolean", help: "exit with 0 whatever the check says" },
  },
  positionals: [{ name: "CONTAINER", completion: "container" }],
  examples: [{ command: "vitrine healthcheck run web", does: "whether it answers at this moment" }],
  async run({ options, positionals, context }) {
    await sweepNamed(context, positionals);
    const paths = context.paths();
    const container = findContainer(paths, positionals[0]!);
    if (container.healthcheck !== true) {
      throw new VitrineError("invalid", `container ${container.name} has no health check`, {
        code: "health-check-missing",
        operand: container.name,
        hint: "make it with --health-cmd COMMAND",
      });
    }
    if (runningProcess(paths, container) === undefined) throw notRunning(container);
    if (isPaused(container)) throw paused(container);
    const result = await askHealth(paths, container);
    if (result.exitCode === 0 || options["ignore-result"]) return 0;
    context.out("unhealthy\n");
    return 1;
  },
});
