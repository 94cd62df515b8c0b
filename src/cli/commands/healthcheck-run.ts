import { VitrineError } from "../../base/mod.ts";
import { findContainer, healthPlanFile, notRunning, runningProcess } from "../../engine/mod.ts";
import { helperEnvironment } from "../../kernel/mod.ts";
import { sweep } from "../container-trees.ts";
import { defineCommand } from "../framework/command.ts";

export const command = defineCommand({
  description: `Runs the health check of a container now: exit status 0 when it is well, 1 when not. It changes nothing of what
    the container's monitor, which checks by itself, says of its health.`,
  options: {
    "ignore-result": { type: "boolean", help: "exit with 0 whatever the check says" },
  },
  positionals: [{ name: "CONTAINER", completion: "container" }],
  examples: [{ command: "vitrine healthcheck run web", does: "whether it answers at this moment" }],
  async run({ options, positionals, context }) {
    await sweep(context, 8);
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
    const { spawnSync } = process.getBuiltinModule("node:child_process");
    const done = spawnSync(context.helperPath(), ["run", healthPlanFile(paths, container.id)], {
      env: helperEnvironment(process.env),
      stdio: ["ignore", "ignore", "inherit"],
    });
    if (done.status === 0 || options["ignore-result"]) return 0;
    context.out("unhealthy\n");
    return 1;
  },
});
